/**
 * A driver over a `Map`: journals live as long as the process. The smallest complete example of the
 * contract in `Driver`.
 */
import * as Effect from "effect/Effect"
import { type Driver, makeWatchers, Moved, pageOf } from "./Driver.ts"
import { scanDue } from "./Due.ts"
import * as Journal from "./Journal.ts"
import * as Status from "./Status.ts"

interface MemoryRun {
  readonly name: number
  readonly lines: Array<string>
}

/** A new, empty store. */
export const make = (): Driver => {
  const runs = new Map<string, MemoryRun>()
  const inboxes = new Map<string, Map<string, string>>()
  const blobs = new Map<string, Map<string, string>>()
  const leases = new Map<string, { readonly token: string; until: number }>()
  const { changed, watch } = makeWatchers()
  let serial = 0
  const version = (runId: string) => {
    const run = runs.get(runId)
    return run === undefined ? "" : `${run.name}:${run.lines.length}`
  }
  const text = (runId: string) => runs.get(runId)?.lines.map((line) => `${line}\n`).join("") ?? ""
  const holder = (runId: string, now: number) => {
    const lease = leases.get(runId)
    return lease !== undefined && lease.until > now
      ? { host: "this process", until: lease.until }
      : undefined
  }
  const append = (runId: string, at: string, lines: ReadonlyArray<string>) => {
    if (version(runId) !== at) return Effect.fail(new Moved({ runId }))
    let run = runs.get(runId)
    if (run === undefined) runs.set(runId, run = { name: ++serial, lines: [] })
    for (const line of lines) run.lines.push(line)
    changed(runId, "journal")
    return Effect.succeed(version(runId))
  }
  const driver: Driver = {
    read: (runId) => Effect.sync(() => ({ text: text(runId), version: version(runId) })),
    version: (runId) => Effect.sync(() => version(runId)),
    writer: (runId) => Effect.succeed({ append: (at, lines) => append(runId, at, lines) }),
    post: (runId, { id, line }) =>
      Effect.sync(() => {
        const inbox = inboxes.get(runId) ?? new Map<string, string>()
        if (!inbox.has(id)) inboxes.set(runId, inbox.set(id, line))
        changed(runId, "inbox")
      }),
    inbox: (runId, after) =>
      Effect.sync(() => {
        const lines = [...inboxes.get(runId)?.values() ?? []]
        return {
          text: lines.slice(Number(after)).map((line) => `${line}\n`).join(""),
          cursor: String(lines.length),
          before: Number(after)
        }
      }),
    acquire: (runId, now, until) =>
      Effect.sync(() => {
        const lease = leases.get(runId)
        if (lease !== undefined && lease.until > now) {
          return { _tag: "Held", by: { host: "this process", until: lease.until } }
        }
        const token = String(++serial)
        leases.set(runId, { token, until })
        const found = {
          version: version(runId),
          hasPosts: inboxes.has(runId)
        }
        return { _tag: "Acquired", token, found }
      }),
    renew: (runId, token, until) =>
      Effect.sync(() => {
        const lease = leases.get(runId)
        if (lease?.token !== token) return false
        lease.until = until
        return true
      }),
    release: (runId, token) =>
      Effect.sync(() => {
        if (leases.get(runId)?.token === token) leases.delete(runId)
      }),
    holder: (runId, now) => Effect.sync(() => holder(runId, now)),
    list: (query, now) =>
      pageOf(
        query,
        Array.from(runs.keys(), (runId) => ({
          runId,
          status: Effect.map(
            Effect.fromResult(Journal.read(runId, text(runId))),
            ({ entries }) =>
              entries.length === 0
                ? undefined
                : Status.withOwner(
                  Status.of(runId, entries),
                  holder(runId, now) !== undefined
                )
          )
        }))
      ),
    due: (now) => Effect.suspend(() => scanDue(driver, runs.keys(), now)),
    remove: (runId) =>
      Effect.sync(() => {
        runs.delete(runId)
        inboxes.delete(runId)
        leases.delete(runId)
        blobs.delete(runId)
        changed(runId, "journal")
      }),
    watch,
    seesAll: true,
    blobs: {
      // Nothing is gained by keeping them apart, and no step has to wait for a hash.
      inline: Infinity,
      put: (runId, hash, text) =>
        Effect.sync(() => {
          const known = blobs.get(runId) ?? new Map<string, string>()
          blobs.set(runId, known.set(hash, text))
        }),
      get: (runId, hash) => Effect.sync(() => blobs.get(runId)?.get(hash))
    }
  }
  return driver
}
