/** Hooks that count what is written and synced, and that kill their own process at one of these. */
import * as Effect from "effect/Effect"
import type { Hook, Operation } from "../../storage/support/disk.ts"

export const counts = ({ kind }: Operation): boolean => kind === "write" || kind === "sync"

/** The moments at which a process may die in an operation; `before` a sync is `after` its write. */
export const momentsOf = ({ kind }: Operation): ReadonlyArray<string> =>
  kind === "write" ? ["before", "torn", "after"] : ["after"]

const die = Effect.suspend(() => {
  process.kill(process.pid, "SIGKILL")
  return Effect.never
})

/** Dies at the `nth` write or sync, counted from 1. */
export const dying = (nth: number, moment: string): Hook => {
  let seen = 0
  return (operation, proceed) => {
    if (!counts(operation) || ++seen !== nth) return proceed()
    switch (moment) {
      case "before":
        return die
      case "torn":
        return Effect.andThen(
          proceed(operation.bytes!.subarray(0, operation.bytes!.length / 2)),
          die
        )
      default:
        return Effect.andThen(proceed(), die)
    }
  }
}
