/**
 * What a workflow with a body does: drives runs, new ones and those of other runs' journals, with the hooks
 * and the log of a call.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { CheckpointRejected } from "../Checkpoint.ts"
import * as Ending from "../Ending.ts"
import * as Fork from "../Fork.ts"
import * as Hooks from "../Hooks.ts"
import * as Interpreter from "../Interpreter.ts"
import { byName, byPlace } from "../Naming.ts"
import type { Begin } from "../Opening.ts"
import type { Override } from "../Override.ts"
import type * as Replay from "../Replay.ts"
import * as Runs from "../Runs.ts"
import * as StepLog from "../StepLog.ts"
import { begin, type Erased, present } from "./Contract.ts"
import { output, type Result } from "./Results.ts"
import type { Events, Listening, Options, RunOptions, Workflow } from "./Types.ts"

/** What a call that drives says of hooks and logs, and of the run it begins. */
export type Calling = RunOptions & Listening<any, any, any, any> & {
  readonly override?: Override | undefined
  readonly overrideData?: Override | undefined
}

/** How a call drives a run, besides what its caller says. */
export interface How {
  /** Whether a run that a hook stopped goes on. */
  readonly goesOn?: boolean
  /** Whether it is driven to its end, through everything that it waits for. */
  readonly toEnd?: boolean
  /** The step of the checkpoint that it goes on from, as the log calls it. */
  readonly from?: string
  /** Aborts the call: once it is, nothing more starts. */
  readonly signal?: AbortSignal | undefined
}

/** Waits for the interruption of a call whose signal is aborted: steps that are over at once leave it no time. */
const untilAborted = (hook: Hooks.Hook | undefined, signal: AbortSignal): Hooks.Hook => (heard) => {
  const said = hook?.(heard)
  return signal.aborted ? Effect.never : said
}

/** Drives a run with the hooks and the log of a call. `logsAlways`: some steps are printed without a log. */
export const driver = (program: Replay.Program, logsAlways: boolean) =>
(
  { begin, runId }: { readonly runId: string; readonly begin: Begin | undefined },
  calling: Calling,
  { from, goesOn, signal, toEnd = false }: How = {}
) => {
  const hooks = Hooks.ofHooks(calling, program.naming ?? byName)
  const hook = signal === undefined ? hooks : untilAborted(hooks, signal)
  return (toEnd ? Interpreter.execute : Interpreter.drive)(
    program,
    runId,
    begin === undefined ? undefined : withDurability(begin, calling),
    { hook, goesOn }
  ).pipe(
    Effect.map((drove): Result<any, any> => present(drove.runId, drove)),
    StepLog.logged({ ...logOf(program), from }, calling.log, logsAlways)
  )
}

/** Only what begins with a checkpoint can be refused as one. */
export const neverRefused = <A, E, R>(
  effect: Effect.Effect<A, E | CheckpointRejected, R>
): Effect.Effect<A, Exclude<E, CheckpointRejected>, R> =>
  Effect.catchTag(
    effect as Effect.Effect<A, CheckpointRejected, R>,
    "CheckpointRejected",
    Effect.die
  ) as Effect.Effect<A, Exclude<E, CheckpointRejected>, R>

/** A checkpoint and what is said of it, in either form. */
export const checkpointCall = (
  given: string | Calling & { readonly checkpoint: string },
  more: Calling
): { readonly checkpoint: string; readonly calling: Calling } => {
  const { checkpoint, ...calling } = typeof given === "object"
    ? { ...given, ...more }
    : { ...more, checkpoint: given }
  return { checkpoint, calling }
}

/** The run that a checkpoint is gone on with, and how its step is called. */
export const fromCheckpoint = (program: Replay.Program, checkpoint: string, calling: Calling) =>
  Effect.map(Fork.fromCheckpoint(program, checkpoint, forked(calling)), (begun) => {
    const { stepId, stepName } = begun.checkpoint
    return { ...begun, from: (program.naming ?? byPlace)(stepId, stepName).label }
  })

/** The calls of a workflow that has a body. */
export const calls = (
  contract: Erased,
  options: Options,
  program: Replay.Program,
  logsAlways: boolean = false
): Workflow<unknown, unknown, unknown, Events, never, never, any> => {
  const { name } = contract
  const drive = driver(program, logsAlways)
  const start = (input: unknown, calling: Calling, how?: How) =>
    Effect.flatMap(
      begin(program, options, input, calling),
      (begun) => neverRefused(drive(begun, calling, how))
    )
  const goOn = (runId: string, calling: Calling) =>
    neverRefused(drive({ runId, begin: undefined }, calling, { goesOn: true }))
  return {
    ...contract,
    "~callee": { program },
    "~driven": {},
    start: (input, calling = {}) => start(input, calling),
    execute: (input, calling = {}) =>
      Effect.flatMap(start(input, calling, { toEnd: true }), output) as any,
    resume: (runId, event, calling = {}) =>
      event === undefined
        ? goOn(runId, calling)
        : Effect.andThen(contract.send(runId, event), goOn(runId, calling)),
    cancel: (runId, cancelOptions) =>
      Effect.andThen(Runs.cancel(runId, { ...cancelOptions, workflow: name }), goOn(runId, {})),
    fork: (runId, calling) =>
      Effect.flatMap(
        Fork.fork(program, runId, { ...calling, ...forked(calling) }),
        (run) => neverRefused(drive(run, calling))
      ),
    retryFrom: (runId, calling = {}) =>
      Effect.flatMap(
        Fork.retryFrom(program, runId, { step: calling.step, ...forked(calling) }),
        (run) => neverRefused(drive(run, calling))
      ),
    checkpoint: (runId, checkpointOptions = {}) =>
      Fork.checkpoint(program, runId, checkpointOptions),
    runCheckpoint: (given, more = {}) => {
      const { calling, checkpoint } = checkpointCall(given, more)
      return Effect.flatMap(
        fromCheckpoint(program, checkpoint, calling),
        ({ from, ...run }) => drive(run, calling, { from })
      )
    },
    contextOf: (checkpoint) => Fork.contextOf(program, checkpoint) as any,
    whatIf: (journal, { override } = {}) =>
      Fork.whatIf(program, journal, override, Context.empty()),
    replay: (journal) => Ending.replay(program, journal, Context.empty())
  }
}

const logOf = ({ name, naming }: Replay.Program): StepLog.Of => ({
  what: naming === undefined ? `workflow "${name}"` : "pipeline",
  workflow: name,
  name: naming ?? byPlace
})

const forked = ({ override, overrideData, runId }: Calling) => ({
  runId,
  override: override ?? overrideData
})

const withDurability = (begin: Begin, { durability }: Calling): Begin => ({ ...begin, durability })
