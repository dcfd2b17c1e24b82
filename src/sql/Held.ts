/**
 * The leases that this process has taken in an SQL storage. The append that ends a run gives its lease back
 * with it, so that giving it back afterwards asks nothing of the database.
 */
export interface Held {
  readonly add: (runId: string, token: string) => void
  /** The token by which the run's lease is held here. */
  readonly tokenOf: (runId: string) => string | undefined
  /** Says that an append gave the lease back. */
  readonly drop: (runId: string) => void
  /** False when there is nothing left to give back. */
  readonly release: (runId: string, token: string) => boolean
}

export const make = (): Held => {
  const tokens = new Map<string, string>()
  const dropped = new Set<string>()
  return {
    add: (runId, token) => void tokens.set(runId, token),
    tokenOf: (runId) => tokens.get(runId),
    drop: (runId) => {
      const token = tokens.get(runId)
      if (token === undefined) return
      tokens.delete(runId)
      dropped.add(token)
    },
    release: (runId, token) => {
      if (tokens.get(runId) === token) tokens.delete(runId)
      return !dropped.delete(token)
    }
  }
}
