/**
 * Calls whose values are JSON, as they are to stand in the journal: for callers without types, as those of an HTTP API.
 * What a workflow declares is checked as its own calls check it, which take values as bodies have them.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Codec from "./Codec.ts"
import { enqueue, type EnqueueError } from "./Enqueue.ts"
import type { Program } from "./Program.ts"
import * as RunId from "./RunId.ts"
import * as Runs from "./Runs.ts"
import type { Storage } from "./Storage.ts"
import { InputRejected } from "./workflow/Results.ts"

/** Which run it is to be; without either, a new one. */
export interface Named {
  readonly runId?: string | undefined
  /** Calls with the same key are one run. */
  readonly idempotencyKey?: string | undefined
}

/** Records a run for whoever drives runs of its workflow; gives its id. */
export const enqueueJson: (
  program: Program,
  input: Schema.Json,
  named?: Named
) => Effect.Effect<string, EnqueueError | InputRejected, Storage> = Effect.fnUntraced(
  function*(program, input, { idempotencyKey, runId } = {}) {
    const id = runId ?? (idempotencyKey === undefined
      ? RunId.createRunId()
      : yield* RunId.ofKey(program.name, idempotencyKey))
    const decoded = program.input.decode(input, yield* Effect.context<never>())
    if ("why" in decoded) {
      return yield* new InputRejected({ runId: id, workflow: program.name, why: decoded.why })
    }
    // As it stands where no schema changes it; also what JSON can say and a journal cannot keep is refused.
    const encoded = Codec.strict.encode(input, yield* Effect.context<never>())
    if (!encoded.ok) {
      const why = Codec.why(encoded.refused)
      return yield* new InputRejected({ runId: id, workflow: program.name, why })
    }
    yield* enqueue(program, id, { metadata: () => input })
    return id
  }
)

/**
 * The payload of an event that the workflow declares, as it is to stand in the journal, when the event's schema can read
 * it; otherwise `EventRejected`. `Workflow.send` takes values as bodies have them.
 */
export const payloadOf = Effect.fnUntraced(
  function*(
    { events, name }: Program,
    runId: string,
    eventName: string,
    value: Schema.Json | undefined
  ): Effect.fn.Return<Schema.Json | undefined, Runs.EventRejected> {
    const reject = (why: string) =>
      new Runs.EventRejected({ runId, eventName, why, allowed: Object.keys(events) })
    const codec = Object.hasOwn(events, eventName) ? events[eventName] : undefined
    if (codec === undefined) return yield* reject(`workflow "${name}" does not declare it`)
    const services = yield* Effect.context<never>()
    const decoded = codec.decode(value, services)
    if (!("why" in decoded)) return value
    // A payload of nothing is journaled as null.
    if (value === undefined && !("why" in codec.decode(null, services))) return null
    return yield* reject(`its payload does not fit: ${decoded.why}`)
  }
)
