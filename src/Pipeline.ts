/**
 * Pipelines: steps in a row whose plain objects are merged into one typed context.
 *
 * A pipeline is a workflow: journaled, resumable and forkable on any storage, by way of its `workflow`. The
 * front of `pipeline/`.
 */
import type * as Effect from "effect/Effect"
import type { CheckpointRejected } from "./Checkpoint.ts"
import type { Named, RunError } from "./Instruction.ts"
import { Builder } from "./pipeline/Builder.ts"
import type {
  CallOptions,
  CheckpointFailure,
  HookServices,
  Options,
  OverrideOptions,
  RunFailure
} from "./pipeline/Options.ts"
import type {
  AllKeys,
  AnyCase,
  AnyKnown,
  AnyRan,
  Anywhere,
  BaseAfter,
  Case,
  CasesOutput,
  CasesServices,
  CasesSteps,
  CheckCase,
  CheckChange,
  CheckFirst,
  CheckItem,
  ConditionServices,
  ConfigIn,
  Flat,
  Given,
  Item,
  ItemsServices,
  KeysGiven,
  Known,
  ListOf,
  Merged,
  NameIn,
  NestedSteps,
  Patches,
  Put,
  PutItems,
  Ran,
  Replaced,
  ResultOf,
  StepConfig,
  Taken
} from "./pipeline/Types.ts"
import type { StepTypes, Workflow } from "./workflow/Types.ts"

export { PipelineAborted } from "./pipeline/Builder.ts"
export type { CallOptions, CheckpointFailure, Options, RunFailure } from "./pipeline/Options.ts"
export { StepCircuitOpen } from "./pipeline/StepCircuitOpen.ts"
export type {
  CircuitBreakerConfig,
  MergePolicy,
  // Declaration files name it.
  Ran,
  StepConfig,
  StepInput,
  StepNames,
  StepOutput
} from "./pipeline/Types.ts"

/** What is known of the steps of a pipeline's workflow. */
export interface StepTypesOf<Context, Steps> extends StepTypes {
  readonly named: Steps extends AnyRan ? Named<Steps["name"], unknown> : never
  readonly name: Steps extends AnyRan ? Steps["name"] : never
  readonly results: Context
  readonly override: Context
}

/** The parts of a step: the first argument, where that is no name and no configuration, and the rest. */
type PartsIn<First, Items extends ReadonlyArray<unknown>> = First extends
  ((...args: any) => unknown) | AnyKnown ? readonly [First, ...Items] : Items

type CasesIn<First, Cases extends ReadonlyArray<unknown>> = First extends AnyCase
  ? readonly [First, ...Cases]
  : Cases

/** A pipeline with one more step. */
type Then<In, Ctx, Base, Steps, R, Config, List extends Patches, Name extends string, Keys> =
  Merged<List> extends infer Next ? Pipeline<
      In,
      Next,
      BaseAfter<Ctx, Base, Config>,
      Steps | Ran<Name, Ctx, Next, Keys>,
      R | ConditionServices<Config>,
      List
    >
    : never

type Stepped<In, Ctx, Base, Steps, R, List, Config, Parts extends ReadonlyArray<unknown>> = Then<
  In,
  Ctx,
  Base,
  Steps | NestedSteps<Parts, NameIn<Config, "step">>,
  R | ItemsServices<Parts>,
  Config,
  PutItems<ListOf<Ctx, List>, Parts, Config>,
  NameIn<Config, "step">,
  KeysGiven<Parts>
>

type Branched<In, Ctx, Base, Steps, R, List, Config, Cases extends ReadonlyArray<unknown>> =
  CasesOutput<Cases> extends infer Out ? Then<
      In,
      Ctx,
      Base,
      Steps | CasesSteps<Cases, NameIn<Config, "branch">>,
      R | CasesServices<Cases>,
      Config,
      Put<ListOf<Ctx, List>, Out, Config>,
      NameIn<Config, "branch">,
      keyof Out
    >
    : never

type Transformed<In, Ctx, Base, Steps, R, Config, Parts extends ReadonlyArray<unknown>> =
  Given<Parts[0]> extends infer Out ? Then<
      In,
      Ctx,
      Base,
      Steps,
      R | ItemsServices<Parts>,
      Config,
      Replaced<Ctx, Out, Config>,
      NameIn<Config, "transform">,
      AllKeys<Out>
    >
    : never

/**
 * A pipeline that takes an `In` and has the context `Ctx` behind its last step. It never changes: every call
 * of `step`, `branchOn` and `transform` gives another one.
 *
 * `Base` is `null` and the contexts where it may end early, `Steps` what is known of its steps, `R` the services they need,
 * and `List` what `Ctx` was merged from. `Pipeline<In, Ctx>` takes any that surely ends with a `Ctx`, whatever
 * its steps are called.
 */
export interface Pipeline<
  in out In,
  in out Ctx,
  in out Base = null,
  out Steps = any,
  out R = never,
  in out List = any
> extends Known<In, Ctx, Base, Steps, R> {
  readonly name: string
  /**
   * Adds a step: `(name?, …parts)` or `(configuration, …parts)`. A part is a function of the context that
   * returns a plain object, which is merged into the context, or nothing, as a value, a Promise or an
   * Effect; or another pipeline. Several parts run beside each other.
   *
   * What a step gives is journaled and must be JSON. The context itself is read-only.
   */
  step<
    const First extends string | StepConfig<Ctx> | Item<Ctx>,
    const Items extends ReadonlyArray<Item<Ctx>>
  >(
    first: First & (First extends Item<any> ? CheckItem<Ctx, First> : CheckFirst<First, Items>),
    ...parts: { [K in keyof Items]: Items[K] & CheckItem<Ctx, Items[K]> }
  ): Stepped<In, Ctx, Base, Steps, R, List, ConfigIn<First>, PartsIn<First, Items>>
  /**
   * Adds a branch: `(name?, …cases)` or `(configuration, …cases)`. The first case whose `when` says yes is
   * taken, else the `default`, else none. Which one is journaled: a resume goes on in it.
   */
  branchOn<
    const First extends string | StepConfig<Ctx> | Case<Ctx, Empty<Ctx>>,
    const Cases extends ReadonlyArray<Case<Ctx, Empty<Ctx>>>
  >(
    first:
      & First
      & (First extends AnyCase ? CheckCase<Ctx, First>
        : CheckFirst<First, Cases, "circuitBreaker">),
    ...cases: { [K in keyof Cases]: Cases[K] & CheckCase<Ctx, Cases[K]> }
  ): Branched<In, Ctx, Base, Steps, R, List, ConfigIn<First>, CasesIn<First, Cases>>
  /** Replaces the whole context: `(name?, f)` or `(configuration, f)`, where `f` returns a plain object. */
  transform<
    const First extends string | StepConfig<Ctx> | Item<Ctx>,
    const Rest extends readonly [f?: Item<Ctx>]
  >(
    first: First & (First extends Item<any> ? CheckChange<First> : CheckFirst<First, Rest>),
    ...f: { [K in keyof Rest]: Rest[K] & CheckChange<Rest[K]> }
  ): Transformed<In, Ctx, Base, Steps, R, ConfigIn<First>, PartsIn<First, Rest>>
  /** The names of its steps, in order. */
  describe(): ReadonlyArray<string>
  /**
   * Runs it to its end, waiting for whatever it waits for: the merged context, or where a hook stopped it, the
   * context there. Without a storage it runs in memory.
   */
  run<H1 = never, H2 = never, H3 = never>(
    input: In,
    options?: CallOptions<Steps, H1, H2, H3>
  ): Effect.Effect<ResultOf<Ctx, Base>, RunFailure, R | HookServices<H1 | H2 | H3>>
  /**
   * Goes on behind the step that a checkpoint was taken at, as a new run. What is to be overridden is merged
   * into the context there.
   */
  runCheckpoint<H1 = never, H2 = never, H3 = never>(
    checkpoint:
      | string
      | CallOptions<Steps, H1, H2, H3> & OverrideOptions<Anywhere<Ctx, Steps>> & {
        readonly checkpoint: string
      },
    options?: CallOptions<Steps, H1, H2, H3> & OverrideOptions<Anywhere<Ctx, Steps>>
  ): Effect.Effect<ResultOf<Ctx, Base>, CheckpointFailure, R | HookServices<H1 | H2 | H3>>
  /** The merged context where a checkpoint was taken. */
  contextOf(checkpoint: string): Effect.Effect<Anywhere<Ctx, Steps>, CheckpointRejected>
  /** The workflow behind it: to start, resume, fork and look at runs by their ids. */
  readonly workflow: Workflow<
    In,
    ResultOf<Ctx, Base>,
    RunError,
    {},
    R,
    never,
    StepTypesOf<Anywhere<Ctx, Steps>, Steps>
  >
}

/** What a branch is built from. */
type Empty<Ctx> = Pipeline<Ctx, Ctx, null, never, never, [Ctx]>

/**
 * An empty pipeline that takes an `In`, a plain object: the first context.
 *
 * @example
 * ```ts
 * import { Pipeline } from "reprise"
 * import { Effect } from "effect"
 *
 * const calc = Pipeline.make<{ a: number }>("calc")
 *   .step("add-one", ({ a }) => ({ a: a + 1 }))
 *   .step("double", async ({ a }) => ({ doubled: a * 2 }))
 *
 * await Effect.runPromise(calc.run({ a: 1 })) // => { a: 2, doubled: 4 }
 * ```
 */
export const make = <In extends Taken<In> = {}>(
  name?: string | Options,
  options?: Options
): Pipeline<In, Flat<In>, null, never, never, [In]> => {
  const [given, all] = typeof name === "object" ? ["pipeline", name] : [name, options]
  return new Builder(given ?? "pipeline", checked(all ?? {})) as any
}

const known: ReadonlySet<string> = new Set<keyof Options>([
  "version",
  "previous",
  "durability",
  "runId",
  "log",
  "signal",
  "onStepComplete",
  "onStepError",
  "onStepSkipped"
])

const checked = (options: Options): Options => {
  if (typeof options !== "object" || options === null) {
    throw new TypeError("A pipeline takes a name, and an object of options.")
  }
  for (const option of Object.keys(options)) {
    if (known.has(option)) continue
    throw new TypeError(
      `A pipeline has no option "${option}"; there are: ${[...known].join(", ")}.`
    )
  }
  return options
}
