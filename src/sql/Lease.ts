/**
 * Who holds a lease in an SQL storage: its holder as text in the row, and whether that process may live.
 */
import * as Effect from "effect/Effect"
import type { Storage } from "../index.ts"
import { from, type ProcessName, type ThisProcess } from "../storage/ThisProcess.ts"

/** A lease's row. */
export interface LeaseRow {
  readonly token: string
  /** UTC milliseconds. */
  readonly until: number
  /** A `ProcessName` as JSON. */
  readonly owner: string
}

const unreadable = Effect.succeed("")

/** This process, as far as Node tells; elsewhere no process is known to be dead. */
export const thisProcess: Effect.Effect<ThisProcess> = Effect.flatMap(
  Effect.promise(() => import("node:fs/promises").catch(() => undefined)),
  (fs) =>
    from({
      text: (path) =>
        fs === undefined
          ? unreadable
          : Effect.orElseSucceed(Effect.tryPromise(() => fs.readFile(path, "utf8")), () => ""),
      link: (path) =>
        fs === undefined
          ? unreadable
          : Effect.orElseSucceed(Effect.tryPromise(() => fs.readlink(path)), () => "")
    })
)

/** The lease's holder at `now`, in UTC milliseconds, unless it is certain to be dead. */
export const holderOf = (
  self: ThisProcess,
  row: LeaseRow | undefined,
  now: number
): Effect.Effect<Storage.Holder | undefined> => {
  if (row === undefined || row.until <= now) return Effect.undefined
  const owner = JSON.parse(row.owner) as ProcessName
  return Effect.map(
    self.mayLive(owner),
    (alive) => alive ? { host: owner.host, pid: owner.pid, until: row.until } : undefined
  )
}
