/** Whether a storage that is open can be used: its directory, its runs, and the clocks of those who write to it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { Page } from "../../../Driver.ts"
import * as Runs from "../../../Runs.ts"
import type { Place } from "../../storage/place.ts"
import { type Check, ok, warning, wrong } from "./Check.ts"

/** What can be said of the directory of a `file:` storage. */
export const directory = Effect.fnUntraced(function*({ url }: Place) {
  const path = /^file:(.+)$/s.exec(url)?.[1]
  if (path === undefined) return []
  const fs = yield* FileSystem.FileSystem
  const name = "directory"
  const seen = yield* Effect.result(fs.lstat(path))
  if (Result.isFailure(seen)) {
    return [
      seen.failure.reason._tag === "NotFound"
        ? warning(name, `${path} is not there`, "The first run makes it. Or is it another one?")
        : wrong(
          name,
          `${path}: ${seen.failure.reason._tag}`,
          "Look who may enter what is above it."
        )
    ]
  }
  const { mode, type } = seen.success
  const bits = (mode & 0o777).toString(8)
  if (type !== "Directory") {
    return [wrong(name, `${path} is a ${type}`, "Name a directory of its own, and no link to one.")]
  }
  if ((mode & 0o022) !== 0) {
    return [wrong(name, `others may write to ${path} (mode ${bits})`, `chmod 700 ${path}`)]
  }
  const writes = yield* Effect.result(fs.access(path, { readable: true, writable: true }))
  if (Result.isFailure(writes)) {
    const advice = "Work as the user who owns it; reading may go without."
    return [warning(name, `this user may not write to ${path} (mode ${bits})`, advice)]
  }
  return [
    (mode & 0o055) === 0
      ? ok(name, `${path} is this user's alone (mode ${bits})`)
      : warning(name, `others may look into ${path} (mode ${bits})`, `chmod 700 ${path}`)
  ]
})

/** How many runs are looked at: a storage without an index reads every journal for that. */
const atMost = 1_000

/** So much may clocks of machines differ; milliseconds. */
const tolerance = 5_000

/** What can be said of the runs. */
export const runs = Effect.gen(function*() {
  const page = yield* Effect.result(Runs.list({ limit: atMost }))
  if (Result.isFailure(page)) {
    return [wrong("runs", page.failure.message, "Look at what it says of the storage.")]
  }
  return [...listed(page.success), ...clock(page.success, yield* Clock.currentTimeMillis)]
})

const listed = ({ cursor, runs, unreadable }: Page): ReadonlyArray<Check> => {
  const all = runs.length + unreadable.length
  const seen = `${all}${cursor === undefined ? "" : " of them, and more"}`
  return [
    unreadable.length === 0
      ? ok("runs", `${seen} can be read`)
      : wrong(
        "runs",
        `${unreadable.length} of ${seen} cannot be read, as ${unreadable[0]!.runId}`,
        "reprise fsck tells what is wrong with each."
      )
  ]
}

/** Nothing was written in the future. */
const clock = ({ runs }: Page, now: number): ReadonlyArray<Check> => {
  const newest = Math.max(
    ...runs.map(({ updatedAt }) => Date.parse(updatedAt)).filter(Number.isFinite)
  )
  if (newest === -Infinity) return []
  const at = new Date(newest).toISOString()
  return [
    newest <= now + tolerance
      ? ok("clock", `the newest entry, of ${at}, is not in the future`)
      : warning(
        "clock",
        `the newest entry is of ${at}, and here it is ${new Date(now).toISOString()}`,
        "Set the clock of this machine or of those that drive runs: timers and leases go by it."
      )
  ]
}
