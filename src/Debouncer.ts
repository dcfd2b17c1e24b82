/**
 * What the run of a debounced key does: it waits for a call, then until none has come for as long as the last one
 * said, and enqueues what that asked for.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { EnqueueError } from "./Enqueue.ts"
import * as Interpreter from "./Interpreter.ts"
import * as Replay from "./Replay.ts"
import * as Workflow from "./Workflow.ts"
import { type Call, nameOf, options } from "./workflow/Debounce.ts"

/** How many runs it begins before it goes on in a fresh journal. */
const rounds = 100

const again = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("1 minute")])

/** The debouncer of the workflow's runs. */
export const of = (target: Replay.Program): Replay.Program =>
  Replay.programOf(Workflow.make(nameOf(target.name), options, function*(ctx) {
    for (let round = 0; round < rounds; round++) {
      let last = yield* ctx.suspend("call")
      const latest = (yield* ctx.now) + (last.atMost ?? Infinity)
      for (;;) {
        const rest = Math.min(last.wait, latest - (yield* ctx.now))
        if (rest <= 0) break
        const next = yield* ctx.suspend("call", { timeout: rest })
        if (Option.isNone(next)) break
        last = next.value
      }
      yield* ctx.step("enqueue", () => enqueued(target, last))
    }
    return yield* ctx.continueAs(undefined)
  }))

/** What cannot be enqueued must not keep the calls behind it from being heard. */
const enqueued = (target: Replay.Program, { durability, input, runId }: typeof Call.Type) => {
  const enqueue = Interpreter.enqueue(target, runId, {
    metadata: () => structuredClone(input),
    durability
  })
  const isStorage = ({ _tag }: EnqueueError) => _tag === "StorageError"
  return Effect.retry(enqueue, { while: isStorage, schedule: again }).pipe(
    Effect.as("enqueued"),
    Effect.catch(({ message }) =>
      Effect.as(Effect.logWarning(`Run "${runId}" was not enqueued: ${message}`), message)
    )
  )
}
