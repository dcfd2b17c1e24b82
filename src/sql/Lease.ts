/**
 * Who holds a lease in an SQL storage: its holder as text in the row, and whether that process may live.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
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

const Owner = Schema.Struct({
  host: Schema.String,
  boot: Schema.String,
  pid: Schema.Number,
  started: Schema.String
})

const decodeOwner = Schema.decodeUnknownOption(Schema.fromJsonString(Owner))

/** A lease that was kept as JSON. Throws when it is none. */
export const decodeLease: (u: unknown) => LeaseRow = Schema.decodeUnknownSync(
  Schema.Struct({ token: Schema.String, until: Schema.Number, owner: Schema.String })
)

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
  const owner: ProcessName | undefined = Option.getOrUndefined(decodeOwner(row.owner))
  if (owner === undefined) return Effect.succeed({ host: "unknown", until: row.until })
  return Effect.map(
    self.mayLive(owner),
    (alive) => alive ? { host: owner.host, pid: owner.pid, until: row.until } : undefined
  )
}
