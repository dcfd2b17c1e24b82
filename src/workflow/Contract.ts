/**
 * What a contract does: encodes inputs and events, begins runs without driving them, and shows what became
 * of them.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Codec from "../Codec.ts"
import * as Ending from "../Ending.ts"
import * as Interpreter from "../Interpreter.ts"
import type { Begin } from "../Opening.ts"
import * as Replay from "../Replay.ts"
import * as RunId from "../RunId.ts"
import * as Runs from "../Runs.ts"
import type * as Status from "../Status.ts"
import * as Debounce from "./Debounce.ts"
import { makeProgram } from "./Program.ts"
import { InputRejected, output } from "./Results.ts"
import type { Contract, Events, Options, RunOptions } from "./Types.ts"

/** A contract of which nothing is known. */
export type Erased = Contract<unknown, unknown, unknown, Events>

/** Which run to begin, with its input encoded, and seen to decode again. */
export const begin = Effect.fnUntraced(
  function*(
    program: Replay.Program,
    options: Options,
    input: unknown,
    { durability, runId }: RunOptions = {}
  ) {
    const services = yield* Effect.context<never>()
    const id = yield* RunId.check(runId ?? options.runId?.(input) ?? RunId.createRunId())
    const encoded = program.input.encode(input, services)
    if (!encoded.ok) {
      if (encoded.refused._tag === "Schema") {
        return yield* new InputRejected({
          runId: id,
          workflow: program.name,
          why: encoded.refused.message
        })
      }
      return yield* Codec.rejection(encoded.refused, { runId: id, what: "the workflow's input" })
    }
    const decoded = program.input.decode(encoded.json, services)
    if (!("ok" in decoded) || !decoded.ok) {
      const why = "why" in decoded ? decoded.why : "it does not decode again"
      return yield* new InputRejected({ runId: id, workflow: program.name, why })
    }
    const text = JSON.stringify(encoded.json)
    const metadata = () => text === undefined ? undefined : JSON.parse(text) as Schema.Json
    return { runId: id, begin: { metadata, durability } satisfies Begin }
  }
)

/** The calls that need no body. */
export const makeContract = (name: string, options: Options): Erased => {
  if (typeof name !== "string" || name === "") throw new TypeError("A workflow needs a name.")
  const program = makeProgram(name, options, undefined)
  /** `RunExists` when a run is of another workflow. */
  const checkOwn = (runId: string, recorded: string) =>
    recorded === name
      ? Effect.void
      : Effect.fail(new Runs.RunExists({ runId, differs: "workflow", seen: name, recorded }))
  const look = (status: Status.Status) =>
    Effect.andThen(checkOwn(status.runId, status.workflow), Ending.look(program, status))
  const changes = (runId: string) =>
    Stream.mapEffect(
      Runs.changes(runId),
      (status) => Effect.flatMap(look(status), (driven) => shown(program, status, driven))
    )
  return {
    name,
    options,
    "~callee": { program },
    enqueue: Effect.fnUntraced(function*(input, { debounce, idempotencyKey, ...runOptions } = {}) {
      const named = idempotencyKey === undefined
        ? runOptions.runId
        : yield* RunId.ofKey(name, idempotencyKey)
      // Each round is a run of its own, whatever id its input stands for.
      const runId = debounce === undefined ? named : named ?? RunId.createRunId()
      const given = { ...runOptions, runId }
      const begun = yield* begin(program, options, input, given)
      yield* debounce === undefined
        ? Interpreter.enqueue(program, begun.runId, begun.begin)
        : Debounce.call(name, begun.runId, begun.begin, debounce)
      return begun.runId
    }),
    send: (runId, event) =>
      Effect.flatMap(
        encodeEvent(program, runId, event),
        (sent) => Runs.send(runId, sent, { workflow: name })
      ),
    status: (runId) =>
      Effect.flatMap(
        Runs.latestStatus(runId),
        (status) => Effect.flatMap(look(status), (driven) => shown(program, status, driven))
      ),
    changes,
    join: (runId) =>
      Effect.flatMap(
        Runs.end(runId, (status) => checkOwn(status.runId, status.workflow)),
        (status) =>
          Effect.flatMap(
            look(status),
            (driven) => Effect.flatMap(shown(program, status, driven), output)
          )
      )
  }
}

/** A look, with what the run has done and published. */
const shown = (
  program: Replay.Program,
  { progress, runId, steps }: Status.Status,
  driven: Ending.Looked
) =>
  Effect.map(Effect.context<never>(), (services): any => {
    const published = Object.entries(progress).map(([channel, { value, ...from }]) => {
      const decoded = (program.channels[channel] ?? Codec.strict).decode(value, services)
      return [channel, { value: "ok" in decoded && decoded.ok ? decoded.value : value, ...from }]
    })
    return { ...present(runId, driven), steps, progress: Object.fromEntries(published) }
  })

const encodeEvent = (
  program: Replay.Program,
  runId: string,
  event: {
    readonly eventName: string
    readonly value?: unknown
    readonly key?: string | undefined
    readonly eventId?: string | undefined
  }
): Effect.Effect<Runs.Sent, Runs.EventRejected> =>
  Effect.flatMap(Effect.context<never>(), (services) => {
    const { eventName, value } = event
    const allowed = Object.keys(program.events)
    const reject = (why: string) =>
      Effect.fail(new Runs.EventRejected({ runId, eventName: String(eventName), why, allowed }))
    const codec = Object.hasOwn(program.events, eventName) ? program.events[eventName] : undefined
    if (codec === undefined) return reject(`workflow "${program.name}" does not declare it`)
    const encoded = codec.encode(value, services)
    if (!encoded.ok) {
      return reject(`its payload ${Codec.why(encoded.refused)}`)
    }
    return Effect.succeed({ ...event, value: encoded.json })
  })

/** What a call gives back of what driving came to. */
export const present = (runId: string, driven: Ending.Looked): any => {
  switch (driven.status) {
    case "suspended": {
      const { reason, waitingFor, waits, wakeAt } = driven.entry
      return {
        status: "suspended",
        event: waitingFor,
        ...(reason === undefined ? undefined : { reason }),
        ...(wakeAt === undefined ? undefined : { wakeAt }),
        waits,
        runId
      }
    }
    case "cancelled":
      return {
        status: "cancelled",
        ...(driven.reason === undefined ? undefined : { reason: driven.reason }),
        runId
      }
    case "success":
      return { status: "success", result: driven.result, runId }
    case "failed":
      return { status: "failed", error: driven.error, runId }
    case "blocked":
      return { status: "blocked", reason: driven.reason, runId }
    case "stopped": {
      const { context, stepId } = driven
      return {
        status: "stopped",
        stepId,
        ...("context" in driven ? { context } : undefined),
        runId
      }
    }
    default:
      return { status: driven.status, runId }
  }
}
