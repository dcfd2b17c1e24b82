/**
 * Calls of one key that come close together become one run, of the last of them.
 *
 * A run for each key takes the calls as events: it waits until none has come for a while, and enqueues what the
 * last one asked for. So a call is as durable as any event, and none is lost between two runs. `Debouncer` is what
 * that run does; this is the call.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Interpreter from "../Interpreter.ts"
import type { Begin } from "../Opening.ts"
import * as RunId from "../RunId.ts"
import * as Runs from "../Runs.ts"
import { makeProgram } from "./Program.ts"
import { InputRejected } from "./Results.ts"
import type { Debounce } from "./Types.ts"

/** What a call asks for; times are milliseconds. */
export const Call = Schema.Struct({
  runId: Schema.String,
  input: Schema.optionalKey(Schema.Json),
  durability: Schema.optionalKey(Schema.Literals(["sync", "async", "exit"])),
  wait: Schema.Number,
  atMost: Schema.optionalKey(Schema.Number)
})

export const options = { events: { call: Call } }

const prefix = "debounce:"

/** The name of the workflow that debounces another one. */
export const nameOf = (workflow: string): string => `${prefix}${workflow}`

/** The workflow that one of such a name debounces. */
export const targetOf = (name: string): string | undefined =>
  name.startsWith(prefix) ? name.slice(prefix.length) : undefined

const millisOf = (duration: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(duration))

/** Leaves it to the debouncer of the key to begin the run. */
export const call = Effect.fnUntraced(
  function*(workflow: string, runId: string, begin: Begin, { atMost, key, wait }: Debounce) {
    const name = nameOf(workflow)
    const input = begin.metadata()
    const asked: typeof Call.Type = {
      runId,
      ...(input === undefined ? undefined : { input }),
      ...(begin.durability === undefined ? undefined : { durability: begin.durability }),
      wait: millisOf(wait),
      ...(atMost === undefined || millisOf(atMost) === Infinity
        ? undefined
        : { atMost: millisOf(atMost) })
    }
    if (millisOf(wait) === Infinity) {
      const why = "debounce waits without end: a finite time is allowed"
      return yield* new InputRejected({ runId, workflow, why })
    }
    const program = makeProgram(name, options, undefined)
    const event = { eventName: "call", value: asked, eventId: RunId.createRunId() }
    // A key whose debouncer somebody has cancelled gets another one.
    for (let nth = 1;; nth++) {
      const debouncer = yield* RunId.ofKey(workflow, nth === 1 ? key : `${key}#${nth}`, prefix)
      const sent = yield* Effect.andThen(
        Interpreter.enqueue(program, debouncer, { metadata: () => undefined }),
        Runs.send(debouncer, event, { workflow: name })
      ).pipe(
        Effect.as(true),
        // Removed in between: it is begun again.
        Effect.retry({ while: ({ _tag }) => _tag === "RunNotFound" }),
        Effect.catchTag("RunClosed", () => Effect.succeed(false))
      )
      if (sent) return
    }
  }
)
