/**
 * Workflows as people write and call them: a contract (name, schemas), a body, and the typed calls.
 *
 * The front of `workflow/`: what a contract does is in its `Contract`, what a workflow with a body does in
 * its `Calls`.
 */
import * as Instruction from "./Instruction.ts"
import { calls } from "./workflow/Calls.ts"
import { type Erased, makeContract } from "./workflow/Contract.ts"
import type { BodyOf, Checked, Definition, Made } from "./workflow/Infer.ts"
import { makeProgram } from "./workflow/Program.ts"
import type { Ctx, Options, TypeIn } from "./workflow/Types.ts"
export { Unserializable, ValueTooLarge } from "./Codec.ts"
export {
  type CheckpointOptions,
  type CutAt,
  ForkRejected,
  StepNotFound,
  type WhatIf
} from "./Fork.ts"
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
  LeaseTime,
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
export { type Secret, secret } from "./Secret.ts"
export { Fenced } from "./Session.ts"
export { type Called, StepHook } from "./StepHook.ts"
export type { LogOptions } from "./StepLog.ts"
export type { Definition, Made } from "./workflow/Infer.ts"
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

const ctx: Ctx<any, any> = {
  step: Instruction.step,
  transaction: Instruction.transaction,
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

const GeneratorFunction: unknown = (function*() {}).constructor

const makeWorkflow = (contract: Erased, options: Options, body: unknown): any => {
  const { name } = contract
  if (!((body as object) instanceof (GeneratorFunction as new() => object))) {
    throw new TypeError(
      `The body of workflow "${name}" must be a generator function: function*(ctx, input) { … }.`
    )
  }
  const run = body as (ctx: Ctx<any, any>, input: unknown) => Iterator<unknown, unknown, unknown>
  const program = makeProgram(name, options, (input) => run(ctx, input))
  return calls(contract, options, program)
}
