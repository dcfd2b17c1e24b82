/**
 * Workflows as people write and call them: a contract (name, schemas), a body, and the typed calls.
 *
 * The front of `workflow/`, and the encoding of inputs and events; what the calls do is `Interpreter`
 * and `Runs`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { CheckpointRejected } from "./Checkpoint.ts"
import * as Codec from "./Codec.ts"
import * as Ending from "./Ending.ts"
import * as Fork from "./Fork.ts"
import * as Hooks from "./Hooks.ts"
import * as Instruction from "./Instruction.ts"
import * as Interpreter from "./Interpreter.ts"
import type { Begin } from "./Opening.ts"
import type { Override } from "./Override.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import * as Runs from "./Runs.ts"
import type * as Status from "./Status.ts"
import * as StepLog from "./StepLog.ts"
import type { BodyOf, Checked, Definition, Made } from "./workflow/Infer.ts"
import { InputRejected, NoOutput, output } from "./workflow/Results.ts"
import type {
  Contract,
  Ctx,
  Events,
  Listening,
  Options,
  RunOptions,
  TypeIn,
  Workflow
} from "./workflow/Types.ts"

export { Unserializable, ValueTooLarge } from "./Codec.ts"
export { ForkRejected, StepNotFound } from "./Fork.ts"
export {
  HookFailed,
  type StepCompleted,
  type StepErred,
  type StepHooks,
  type StepSkipped
} from "./Hooks.ts"
export {
  JournalLimits,
  type JournalLimitsShape,
  Limits,
  type LimitsShape,
  ShortWait
} from "./Limits.ts"
export { VersionMismatch } from "./Opening.ts"
export {
  BodyDefect,
  type Durability,
  Guard,
  type GuardShape,
  NotYielded,
  ReplayMismatch
} from "./Replay.ts"
export { EventRejected, RunClosed, RunExists, RunNotFound } from "./Runs.ts"
export { Fenced } from "./Session.ts"
export { type Called, StepHook } from "./StepHook.ts"
export type { LogOptions } from "./StepLog.ts"
export type { Definition } from "./workflow/Infer.ts"
export * from "./workflow/Results.ts"
export type * from "./workflow/Types.ts"

/**
 * A contract apart from its body: for processes that send, enqueue or look but do not drive, and for
 * workflows that call each other.
 *
 * @example
 * ```ts
 * import { Workflow } from "reprise"
 * import { Schema } from "effect"
 *
 * const order = Workflow.define("order", { input: Schema.Struct({ id: Schema.String }), output: Schema.String })
 * const orderWorkflow = order.make(function*(ctx, { id }) {
 *   return yield* ctx.step("ship", () => `shipped ${id}`)
 * })
 * orderWorkflow.name // => "order"
 * ```
 */
export const define = <const O extends Options>(name: string, options: O): Definition<O> => {
  const contract = makeContract(name, options)
  return { ...contract, make: (body) => makeWorkflow(contract, options, body) } as Definition<O>
}

/**
 * A workflow: a name, its schemas, and a generator function whose every `yield*` is journaled.
 *
 * Without schemas the input's type comes from the body's parameter, output and error from the body, and
 * values must be JSON.
 *
 * @example
 * ```ts
 * import { Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const hello = Workflow.make("hello", function*(ctx, who: { name: string }) {
 *   return yield* ctx.step("greet", () => `Hello, ${who.name}`)
 * })
 * const program = hello.execute({ name: "Ada" }).pipe(Effect.provide(Storage.layerMemory))
 * await Effect.runPromise(program) // => "Hello, Ada"
 * ```
 */
export const make: {
  <
    O extends Options = {},
    Y = never,
    A extends TypeIn<O, "output", any> = TypeIn<O, "output", any>,
    I extends TypeIn<O, "input", any> = TypeIn<O, "input", void>
  >(
    name: string & Checked<O, I, Y, A>,
    body: BodyOf<O, I, Y, A>
  ): Made<O, I, Y, A>
  <
    const O extends Options,
    Y = never,
    A extends TypeIn<O, "output", any> = TypeIn<O, "output", any>,
    I extends TypeIn<O, "input", any> = TypeIn<O, "input", void>
  >(
    name: string,
    options: O & Checked<O, I, Y, A>,
    body: BodyOf<O, I, Y, A>
  ): Made<O, I, Y, A>
} = (name: string, ...rest: ReadonlyArray<unknown>): any => {
  const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest
  return makeWorkflow(makeContract(name, options as Options), options as Options, body)
}

// internal

type Erased = Contract<unknown, unknown, unknown, Events>

const ctx: Ctx<any, any> = {
  step: Instruction.step,
  suspend: Instruction.suspend as Ctx<any>["suspend"],
  sleep: Instruction.sleep,
  sleepUntil: Instruction.sleepUntil,
  child: Instruction.child,
  send: Instruction.send,
  publish: Instruction.publish,
  token: Instruction.token,
  continueAs: Instruction.continueAs,
  patched: Instruction.patched,
  now: Instruction.now,
  random: Instruction.random,
  uuid: Instruction.uuid,
  all: Instruction.all,
  forEach: Instruction.forEach,
  race: Instruction.race,
  any: Instruction.any,
  log: Instruction.log,
  fail: Instruction.fail,
  runId: Instruction.runId
}

const noBody = () => {
  throw new Error("a contract has no body to run")
}

const makeProgram = (
  name: string,
  options: Options,
  body: Replay.Program["body"] | undefined,
  accumulates: boolean
): Replay.Program => ({
  name,
  version: options.version,
  previous: (options.previous ?? []).map(Replay.programOf),
  retired: options.retired ?? [],
  durability: options.durability ?? "sync",
  runIdOf: options.runId,
  input: Codec.of(options.input),
  output: Codec.of(options.output),
  error: options.error === undefined ? undefined : Codec.fromSchema(options.error),
  events: codecs(options.events),
  channels: codecs(options.channels),
  hasBody: body !== undefined,
  body: body ?? noBody,
  hook: Hooks.ofHooks(options),
  accumulates
})

const codecs = (schemas: Readonly<Record<string, Schema.Top>> = {}) =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, Codec.fromSchema(schema)])
  )

/** Which run to begin, with its input encoded, and seen to decode again. */
const begin = (
  program: Replay.Program,
  options: Options,
  input: unknown,
  { durability, runId }: RunOptions = {}
) =>
  Effect.gen(function*() {
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
  })

const makeContract = (name: string, options: Options): Erased => {
  if (typeof name !== "string" || name === "") throw new TypeError("A workflow needs a name.")
  const program = makeProgram(name, options, undefined, false)
  const look = (status: Status.Status) =>
    Effect.gen(function*() {
      if (status.workflow !== name) {
        return yield* new Runs.RunExists({
          runId: status.runId,
          differs: "workflow",
          seen: name,
          recorded: status.workflow
        })
      }
      return yield* Ending.look(program, status)
    })
  const changes = (runId: string) =>
    Stream.mapEffect(
      Runs.changes(runId),
      (status) => Effect.flatMap(look(status), (driven) => shown(program, status, driven))
    )
  return {
    name,
    options,
    "~callee": { program },
    enqueue: (input, runOptions) =>
      Effect.flatMap(
        begin(program, options, input, runOptions),
        ({ begin, runId }) => Effect.as(Interpreter.enqueue(program, runId, begin), runId)
      ),
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
      Effect.flatMap(Stream.runLast(changes(runId)), (last) =>
        last._tag === "None"
          ? Effect.fail(new NoOutput({ runId, status: "pending" }))
          : output(last.value))
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

const GeneratorFunction: unknown = (function*() {}).constructor

const makeWorkflow = (contract: Erased, options: Options, body: unknown): any => {
  const { name } = contract
  if (!((body as object) instanceof (GeneratorFunction as new() => object))) {
    throw new TypeError(
      `The body of workflow "${name}" must be a generator function: function*(ctx, input) { … }.`
    )
  }
  const run = body as (ctx: Ctx<any, any>, input: unknown) => Iterator<unknown, unknown, unknown>
  const program = makeProgram(name, options, (input) => run(ctx, input), false)
  return { ...contract, ...calls(contract, options, program) }
}

/** What a call that drives says of hooks and logs, and of the run it begins. */
type Calling = RunOptions & Listening<any, any, any, any> & {
  readonly override?: Override | undefined
  readonly overrideData?: Override | undefined
}

/** The calls of a workflow that has a body. */
const calls = (
  contract: Erased,
  options: Options,
  program: Replay.Program
): Omit<Workflow<unknown, unknown, unknown, Events, never, never, any>, keyof Erased> & Erased => {
  const { name } = contract
  const drive = (
    runId: string,
    from: Begin | undefined,
    calling: Calling,
    { goesOn, log }: { readonly goesOn?: boolean; readonly log?: Partial<StepLog.Of> } = {}
  ) =>
    Interpreter.drive(program, runId, from, { hook: Hooks.ofHooks(calling), goesOn }).pipe(
      Effect.map((drove) => present(drove.runId, drove)),
      StepLog.logged({ ...logOf(name), ...log }, calling.log)
    )
  // Only what begins with a checkpoint can be refused as one.
  const started = <A, E, R>(effect: Effect.Effect<A, E | CheckpointRejected, R>) =>
    Effect.catchTag(
      effect as Effect.Effect<A, CheckpointRejected, R>,
      "CheckpointRejected",
      Effect.die
    ) as Effect.Effect<A, Exclude<E, CheckpointRejected>, R>
  const begun = ({ begin, runId }: Fork.Begun, calling: Calling) =>
    started(drive(runId, withDurability(begin, calling), calling))
  return {
    ...contract,
    "~callee": { program },
    "~driven": {},
    start: (input, calling = {}) =>
      Effect.flatMap(
        begin(program, options, input, calling),
        ({ begin, runId }) => started(drive(runId, begin, calling))
      ),
    execute: (input, calling = {}) =>
      Effect.flatMap(
        begin(program, options, input, calling),
        ({ begin, runId }) =>
          started(
            Interpreter.execute(program, runId, begin, { hook: Hooks.ofHooks(calling) }).pipe(
              Effect.flatMap((drove) => output<any, any>(present(drove.runId, drove))),
              StepLog.logged(logOf(name), calling.log)
            )
          )
      ) as any,
    resume: (runId, event, calling = {}) => {
      const on = started(drive(runId, undefined, calling, { goesOn: true }))
      return event === undefined ? on : Effect.andThen(contract.send(runId, event), on)
    },
    cancel: (runId, cancelOptions) =>
      Effect.andThen(
        Runs.cancel(runId, { ...cancelOptions, workflow: name }),
        started(drive(runId, undefined, {}, { goesOn: true }))
      ),
    fork: (runId, calling) =>
      Effect.flatMap(
        Fork.fork(program, runId, { ...calling, ...forked(calling) }),
        (run) => begun(run, calling)
      ),
    retryFrom: (runId, calling = {}) =>
      Effect.flatMap(
        Fork.retryFrom(program, runId, { step: calling.step, ...forked(calling) }),
        (run) => begun(run, calling)
      ),
    checkpoint: (runId, checkpointOptions = {}) =>
      Effect.andThen(contract.status(runId), Fork.checkpoint(runId, checkpointOptions)),
    runCheckpoint: (given, more = {}) => {
      const { checkpoint, ...calling } = typeof given === "string"
        ? { checkpoint: given, ...more }
        : { ...given, ...more }
      return Effect.flatMap(
        Fork.fromCheckpoint(program, checkpoint, forked(calling)),
        ({ begin, checkpoint: { stepName }, runId }) =>
          drive(runId, withDurability(begin, calling), calling, { log: { from: stepName } })
      )
    },
    contextOf: (checkpoint) => Fork.contextOf(program, checkpoint) as any,
    whatIf: (journal, { override } = {}) =>
      Fork.whatIf(program, journal, override, Context.empty()),
    replay: (journal) => Ending.replay(program, journal, Context.empty())
  }
}

const logOf = (name: string): StepLog.Of => ({
  what: `workflow "${name}"`,
  workflow: name,
  name: StepLog.byPlace
})

const forked = ({ override, overrideData, runId }: Calling) => ({
  runId,
  override: override ?? overrideData
})

const withDurability = (begin: Begin, { durability }: Calling): Begin => ({ ...begin, durability })

const present = (runId: string, driven: Ending.Looked): any => {
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
