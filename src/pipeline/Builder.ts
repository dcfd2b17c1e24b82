/**
 * The builder behind a pipeline: every call gives a new pipeline with one more step, and checks what it was
 * given. Untyped; the types are `Pipeline`'s.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Codec from "../Codec.ts"
import { put } from "../internal/put.ts"
import type { Program } from "../Program.ts"
import * as Storage from "../Storage.ts"
import * as Calls from "../workflow/Calls.ts"
import * as Contract from "../workflow/Contract.ts"
import { makeProgram } from "../workflow/Program.ts"
import { output, type Result } from "../workflow/Results.ts"
import type { Workflow } from "../workflow/Types.ts"
import { body, refusesBase } from "./Body.ts"
import * as Definition from "./Definition.ts"
import * as Labels from "./Labels.ts"
import type { Options } from "./Options.ts"

/** The call's signal was aborted: the run was left where it stood, and can be resumed. */
export class PipelineAborted
  extends Schema.TaggedError<PipelineAborted>("reprise/PipelineAborted")("PipelineAborted", {
    pipeline: Schema.String,
    runId: Schema.String
  })
{
  override get message(): string {
    return `Pipeline aborted: the signal of the call for run "${this.runId}" of "${this.pipeline}" was aborted. Steps that `
      + `were done stay done; where the storage keeps the run, pipeline.workflow.resume("${this.runId}") goes on with it.`
  }
}

type Calling = Calls.Calling & { readonly signal?: AbortSignal | undefined }

/** A pipeline's parts, as its calls use them. */
interface Parts {
  readonly program: Program
  readonly workflow: Workflow<any, any, any, any, any, any, any>
  readonly drive: ReturnType<typeof Calls.driver>
}

const noConfig = {}

export class Builder {
  declare readonly "~pipeline": any
  readonly name: string
  private readonly options: Options
  /** For the builder that this one is a part of. */
  readonly definition: Definition.Definition
  private made: Parts | undefined

  constructor(name: string, options: Options, definition = new Definition.Definition()) {
    if (typeof name !== "string" || name === "") throw new TypeError("A pipeline needs a name.")
    this.name = name
    this.options = options
    this.definition = definition
  }

  // ------------------------------------------------------------------------------------------------
  // building

  step(first: unknown, ...more: ReadonlyArray<unknown>): Builder {
    const isPart = typeof first === "function" || first instanceof Builder
    const parts = isPart ? [first, ...more] : more
    const common = this.configured("step", isPart ? noConfig : first)
    if (parts.length === 0) {
      throw new TypeError(
        `Step "${common.name}" has nothing to run: give it a function or a pipeline.`
      )
    }
    const known = parts.map((part) => partOf(common.name, part))
    const isNested = known.some((part) => part instanceof Definition.Definition)
    if (!isNested) {
      const functions = known as ReadonlyArray<Definition.StepFunction>
      return this.with({ ...common, kind: "step", functions })
    }
    return this.with({ ...withoutCircuit(common), kind: "nested", parts: known })
  }

  branchOn(first: unknown, ...more: ReadonlyArray<unknown>): Builder {
    const isFirst = typeof first === "object" && first !== null
      && ("when" in first || "default" in first)
    const common = this.configured("branch", isFirst ? noConfig : first)
    const cases = this.casesOf(common.name, isFirst ? [first, ...more] : more)
    return this.with({ ...withoutCircuit(common), kind: "branch", cases })
  }

  transform(first: unknown, ...more: ReadonlyArray<unknown>): Builder {
    const isFunction = typeof first === "function"
    const common = this.configured("transform", isFunction ? noConfig : first)
    const [f, ...others] = isFunction ? [first, ...more] : more
    const change = partOf(common.name, f)
    if (change instanceof Definition.Definition || others.length > 0) {
      throw new TypeError(
        `Transform "${common.name}" takes one function, which returns the next context.`
      )
    }
    return this.with({ ...common, kind: "transform", functions: [change] })
  }

  private with(step: Definition.Step): Builder {
    const definition = new Definition.Definition(this.definition, step)
    return new Builder(this.name, this.options, definition)
  }

  private configured(kind: string, given: unknown): Definition.Common {
    const auto = `${kind}-${this.definition.length + 1}`
    if (typeof given === "string") return Definition.configure(given, noConfig)
    if (typeof given !== "object" || given === null) {
      throw new TypeError(
        `A ${kind} of pipeline "${this.name}" takes a name, a configuration or what it runs first, not ${
          given === null ? "null" : typeof given
        }.`
      )
    }
    const { name = auto } = given as { readonly name?: string }
    return Definition.configure(name, given)
  }

  private casesOf(branch: string, given: ReadonlyArray<unknown>): ReadonlyArray<Definition.Case> {
    const reject = (saw: string) => new TypeError(`Branch "${branch}" ${saw}.`)
    if (given.length === 0) throw reject("has no case: give it { when, then } or { default }")
    const labels = new Set<string>()
    let defaults = 0
    return given.map((one) => {
      const { default: otherwise, name, then, when, ...unknown } = (one ?? {}) as Record<
        string,
        unknown
      >
      const isDefault = otherwise !== undefined
      if (isDefault && ++defaults > 1) throw reject("has two defaults")
      if (isDefault && (when !== undefined || then !== undefined)) {
        throw reject("has a case with both when and default: make two of it")
      }
      const [odd] = Object.keys(unknown)
      if (odd !== undefined) throw reject(`has a case with "${odd}", which is not known`)
      if (name !== undefined && (typeof name !== "string" || name === "")) {
        throw reject("has a case whose name is no text")
      }
      if (!isDefault && (typeof when !== "function" || then === undefined)) {
        throw reject("has a case that is neither { when, then } nor { default }")
      }
      const base = typeof name === "string" ? name : isDefault ? "default-case" : "branch-case"
      let label = base
      for (let n = 2; labels.has(label); n++) label = `${base}-${n}`
      labels.add(label)
      const target = isDefault ? otherwise : then
      const built: unknown = target instanceof Builder
        ? target
        : typeof target === "function"
        ? target(new Builder(label, this.options))
        : undefined
      if (!(built instanceof Builder)) {
        throw reject(
          `has a case "${label}" that gives no pipeline: return the builder from its function`
        )
      }
      return {
        label,
        when: isDefault ? undefined : when as Definition.Case["when"],
        target: built.definition
      }
    })
  }

  // ------------------------------------------------------------------------------------------------
  // using

  describe(): ReadonlyArray<string> {
    return this.definition.steps.map(({ name }) => name)
  }

  get workflow() {
    return this.parts.workflow
  }

  run(input: unknown, calling: Calling = {}) {
    const { drive, program } = this.parts
    return ended(
      Effect.flatMap(
        Contract.begin(program, this.options, input, calling),
        (begun) =>
          this.abortable(
            begun.runId,
            calling,
            Calls.neverRefused(drive(begun, this.logged(calling), this.how(calling)))
          )
      )
    )
  }

  runCheckpoint(given: string | Calling & { readonly checkpoint: string }, more: Calling = {}) {
    const { drive, program } = this.parts
    const { calling, checkpoint } = Calls.checkpointCall(given, more)
    return ended(
      Effect.flatMap(
        Calls.fromCheckpoint(program, checkpoint, calling),
        ({ from, ...begun }) =>
          this.abortable(
            begun.runId,
            calling,
            drive(begun, this.logged(calling), { ...this.how(calling), from })
          )
      )
    )
  }

  contextOf(checkpoint: string) {
    return this.parts.workflow.contextOf(checkpoint)
  }

  private how({ signal = this.options.signal }: Calling): Calls.How {
    return { toEnd: true, signal }
  }

  private logged(calling: Calling): Calling {
    const { log = this.options.log } = calling
    return { ...calling, log }
  }

  private abortable<A, E, R>(
    runId: string,
    { signal = this.options.signal }: Calling,
    driven: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | PipelineAborted, R> {
    if (signal === undefined) return driven
    const aborted = Effect.fail(new PipelineAborted({ pipeline: this.name, runId }))
    if (signal.aborted) return aborted
    const abort = Effect.callback<never, PipelineAborted>((resume) => {
      const onAbort = () => resume(aborted)
      signal.addEventListener("abort", onAbort, { once: true })
      return Effect.sync(() => signal.removeEventListener("abort", onAbort))
    })
    return Effect.raceFirst(driven, abort)
  }

  private get parts(): Parts {
    if (this.made !== undefined) return this.made
    const { definition, name, options } = this
    const naming = Labels.of(definition)
    const contract = Contract.makeContract(name, options)
    const run: Program["body"] = (input, exposed) => body(definition, input, exposed)
    const program: Program = {
      ...makeProgram(name, options, run, naming),
      input: fields,
      output: thawed,
      refusesBase: (base) => refusesBase(definition, base)
    }
    const logsAlways = options.log === undefined && logsSome(definition)
    return this.made = {
      program,
      workflow: Calls.calls(contract, options, program, logsAlways),
      drive: Calls.driver(program, logsAlways)
    }
  }
}

/** What a run came to, as a value or an error; in memory where no storage is given. */
const ended = <E, R>(driven: Effect.Effect<Result<any, any, any>, E, R>) =>
  inSomeStorage(
    Effect.flatMap(
      driven,
      (result): Effect.Effect<any, any> =>
        result.status === "stopped" ? Effect.succeed(result.context) : output(result)
    )
  )

/** The input is the first context. */
const fields: Codec.Codec = {
  ...Codec.strict,
  encode: (value, services) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Codec.strict.encode(value, services)
      : {
        ok: false,
        refused: {
          _tag: "Schema",
          message: "a pipeline's input is a plain object: its first context"
        }
      }
}

/**
 * The context that a run ends with. It is JSON already, and nobody else's: only what steps have looked at is
 * frozen, and copied, so that the caller may do with it what they like.
 */
const thawed: Codec.Codec = {
  ...Codec.strict,
  encode: (value, services) => {
    const context = value as Record<string, Schema.Json>
    for (const key in context) {
      const field = context[key]
      if (typeof field !== "object" || field === null || !Object.isFrozen(field)) continue
      const copied = Codec.strict.encode(field, services)
      if (!copied.ok) return copied
      put(context, key, copied.json)
    }
    return { ok: true, json: context }
  }
}

const partOf = (step: string, part: unknown): Definition.Part => {
  if (part instanceof Builder) return part.definition
  if (typeof part === "function") return part as Definition.StepFunction
  throw new TypeError(
    `Step "${step}" was given ${typeof part} to run: it takes functions and pipelines.`
  )
}

const withoutCircuit = (common: Definition.Common): Definition.Common => {
  if (common.circuit === undefined) return common
  throw new TypeError(
    `Step "${common.name}" has a circuitBreaker and pipelines inside: put it on the steps in them that call something.`
  )
}

/** Whether some step is to be printed although the call has no log. */
const logsSome = ({ steps }: Definition.Definition): boolean =>
  steps.some((step) =>
    step.log === true
    || (step.kind === "branch" && step.cases.some(({ target }) => logsSome(target)))
    || (step.kind === "nested"
      && step.parts.some((part) => typeof part !== "function" && logsSome(part)))
  )

/** With the storage that is there, or one in memory that lives as long as the call. */
const inSomeStorage = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Storage.Storage>> =>
  Effect.flatMap(
    Effect.serviceOption(Storage.Storage),
    (known) =>
      Effect.provideServiceEffect(
        effect,
        Storage.Storage,
        Option.isSome(known)
          ? Effect.succeed(known.value)
          : Effect.sync(() => Storage.make(Storage.memoryDriver()))
      )
  )
