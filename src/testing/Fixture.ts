/**
 * A workflow against a recorded journal, or none: what is recorded answers itself, the rest is answered by
 * stubs. No step's own work ever runs.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Instruction, Journal, Runs, Storage, Workflow } from "../index.ts"
import { guardedUnlessSaid, withClock } from "./Layers.ts"
import { type PlayError, playFrom, type Scripted } from "./Play.ts"
import { type NoJournal, prepare, type Prepared, type RecordedJournal } from "./Recorded.ts"

/** What a step comes to: a value, or a function that gives, resolves to or fails with one. */
export type Stub<A> =
  | A
  | ((step: Workflow.Called) => A | Effect.Effect<A, unknown> | PromiseLike<A>)

/** Stubs by step name, for the steps `S` of a workflow. */
export type Stubs<S> = unknown extends S ? Readonly<Record<string, Stub<any>>> : {
  readonly [Name in S extends Instruction.Named<infer N, any> ? N : never]?: Stub<
    S extends Instruction.Named<Name, infer A> ? A : never
  >
}

export interface FixtureOptions<I, Ev extends Workflow.Events, S> {
  /** The text of a journal file, or entries as `Runs.journal` gives them. Without it the run begins. */
  readonly journal?: RecordedJournal | undefined
  /** For a run that begins; a journal has its own. */
  readonly input?: I | undefined
  /** For a run that begins; default `fixture`. */
  readonly runId?: string | undefined
  readonly stubs?: Stubs<S> | undefined
  /** As in `play`. */
  readonly events?: ReadonlyArray<Scripted<Ev>> | undefined
}

/** What a fixture came to. */
export interface Played<A, E> {
  readonly result: Workflow.Result<A, E>
  /** With what was recorded before, and what was added. */
  readonly journal: Journal.Journal
  /** Names of the stubs that ran, in order, one for each attempt. */
  readonly performed: ReadonlyArray<string>
}

/** A step was to run that the journal does not answer and no stub stands for. */
export class StubMissing
  extends Schema.TaggedError<StubMissing>("reprise/StubMissing")("StubMissing", {
    step: Schema.String,
    stepId: Schema.String,
    /** The steps that have a stub. */
    allowed: Schema.Array(Schema.String)
  })
{
  override get message(): string {
    const name = JSON.stringify(this.step)
    const given = this.allowed.length === 0
      ? "No stubs were given."
      : `Stubs were given for ${this.allowed.map((known) => JSON.stringify(known)).join(", ")}.`
    return `Step ${name} (id "${this.stepId}") has no outcome in the journal, and no stub. `
      + `Add one: stubs: { ${name}: value }, or a function that gives the value; `
      + `or record a journal that goes further. ${given}`
  }
}

/**
 * Runs a workflow against a recorded journal, or from its beginning, with stubs for the steps that are not
 * recorded, as `play` would. It needs neither a storage nor what the steps need. Steps of children are
 * answered by the same stubs.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const order = Workflow.make("order", function*(ctx, id: string) {
 *   const price = yield* ctx.step("price", (): number => { throw new Error("the real one") })
 *   return yield* ctx.step("charge", () => `${id}: ${price}`)
 * })
 * const program = Testing.fixture(order, {
 *   input: "o1",
 *   stubs: { price: 42, charge: () => "charged" }
 * })
 * const { result, performed } = await Effect.runPromise(program)
 * result // => { status: "success", result: "charged", runId: "fixture" }
 * performed // => ["price", "charge"]
 * ```
 */
export const fixture = <
  I,
  A,
  E,
  Ev extends Workflow.Events,
  R,
  C,
  S extends Workflow.StepTypes,
  Ch extends Workflow.Channels
>(
  workflow: Workflow.Workflow<I, A, E, Ev, R, C, S, Ch>,
  options: FixtureOptions<NoInfer<I>, NoInfer<Ev>, S["named"]> = {}
): Effect.Effect<
  Played<A, E>,
  StubMissing | NoJournal | PlayError | Runs.ReadError | Runs.RunNotFound,
  C
> =>
  Effect.gen(function*() {
    const { events, input, journal, runId = "fixture" } = options
    const prepared = journal === undefined ? undefined : yield* prepare(journal)
    const missing = yield* Deferred.make<never, StubMissing>()
    const performed: Array<string> = []
    const hook = answering(options.stubs ?? {}, performed, missing)
    const first = prepared === undefined
      ? workflow.start(input as I, { runId })
      : workflow.resume(prepared.runId)
    // Nothing of what the steps need is ever asked for.
    const played = playFrom(workflow, first, events) as Effect.Effect<
      Workflow.Result<A, E>,
      PlayError,
      Storage.Storage | C
    >
    return yield* Effect.raceFirst(played, Deferred.await(missing)).pipe(
      Effect.flatMap((result) =>
        Effect.map(Runs.journal(result.runId), (journal) => ({ result, journal, performed }))
      ),
      Effect.provideService(Workflow.StepHook, hook),
      Effect.provideServiceEffect(Storage.Storage, storageOf(prepared)),
      (effect) => withClock(effect, prepared?.now)
    )
  }).pipe(guardedUnlessSaid)

// internal

/** A storage that holds a prepared journal, or nothing. */
const storageOf = (prepared: Prepared | undefined) =>
  Effect.gen(function*() {
    const driver = Storage.memoryDriver()
    if (prepared !== undefined) {
      const { lines, runId } = prepared
      const writer = yield* driver.writer(runId)
      yield* Effect.orDie(writer.append("", lines, () => rowFor(runId, lines)))
    }
    return Storage.make(driver)
  }).pipe(Effect.scoped, Effect.orDie)

const rowFor = (runId: string, lines: ReadonlyArray<string>) =>
  Storage.rowOf(Result.getOrThrow(Journal.read(runId, Journal.write(lines))))

const answering = (
  stubs: Readonly<Record<string, unknown>>,
  performed: Array<string>,
  missing: Deferred.Deferred<never, StubMissing>
): Workflow.StepHook =>
(step) =>
  Effect.suspend(() => {
    const { name, stepId } = step
    if (!Object.hasOwn(stubs, name)) {
      const error = new StubMissing({ step: name, stepId, allowed: Object.keys(stubs) })
      return Effect.andThen(Deferred.fail(missing, error), Effect.never)
    }
    performed.push(name)
    const stub = stubs[name]
    return typeof stub === "function" ? call(() => stub(step)) : Effect.succeed(stub)
  })

const call = (stub: () => unknown): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(
    Effect.try({ try: stub, catch: (error) => error }),
    (value) =>
      Effect.isEffect(value)
        ? value as Effect.Effect<unknown, unknown>
        : Effect.tryPromise({ try: async () => value, catch: (error) => error })
  )
