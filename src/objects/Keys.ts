/**
 * Which objects a run has. Its first segment stands alone under `runs/`, so that a listing of those is a
 * listing of runs; later segments name the incarnation, so that they are never taken for those of a run of
 * the same id made later.
 */

/** A run id as a part of a key: what may mean something in a URL is written as `~` and two digits. */
const escaped = (runId: string): string =>
  runId.replace(/[^A-Za-z0-9_-]/g, (c) => `~${c.charCodeAt(0).toString(16).padStart(2, "0")}`)

const unescaped = (name: string): string =>
  name.replace(/~([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

const padded = (n: number) => String(n).padStart(10, "0")

export interface Keys {
  readonly runs: string
  readonly runIdOf: (key: string) => string
  readonly segment: (runId: string, incarnation: string, index: number) => string
  readonly pack: (runId: string) => string
  readonly lease: (runId: string) => string
  readonly post: (runId: string, position: number) => string
  readonly blob: (runId: string, hash: string) => string
  /** Prefixes of everything of a run but its first segment and its lease. */
  readonly rest: (runId: string) => ReadonlyArray<string>
  readonly positionOf: (key: string) => number
  readonly inbox: (runId: string) => string
}

export const make = (prefix: string): Keys => {
  const runs = `${prefix}runs/`
  const below = (kind: string, runId: string) => `${prefix}${kind}/${escaped(runId)}/`
  return {
    runs,
    runIdOf: (key) => unescaped(key.slice(runs.length)),
    segment: (runId, incarnation, index) =>
      index === 0
        ? `${runs}${escaped(runId)}`
        : `${below("segments", runId)}${incarnation}/${padded(index)}`,
    pack: (runId) => `${below("packs", runId)}pack`,
    lease: (runId) => `${prefix}leases/${escaped(runId)}`,
    inbox: (runId) => below("inbox", runId),
    post: (runId, position) => `${below("inbox", runId)}${padded(position)}`,
    positionOf: (key) => Number(key.slice(key.lastIndexOf("/") + 1)),
    blob: (runId, hash) => `${below("blobs", runId)}${hash}`,
    rest: (runId) => ["packs", "segments", "inbox", "blobs"].map((kind) => below(kind, runId))
  }
}
