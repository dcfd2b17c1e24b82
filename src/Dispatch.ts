/**
 * What drives open runs on, one delivery at a time: the contract between a run and whatever delivers it, be
 * it the embedded worker, a queue or a timer.
 *
 * A delivery is a run's id and nothing else. It may come twice, late, or at two places at once: the journal
 * decides what is left to do, so the worst that a wrong delivery costs is a look.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Debouncer from "./Debouncer.ts"
import type * as Ending from "./Ending.ts"
import type * as Instruction from "./Instruction.ts"
import * as Interpreter from "./Interpreter.ts"
import * as Journal from "./Journal.ts"
import type * as Replay from "./Replay.ts"
import { programOf } from "./Replay.ts"
import { Storage } from "./Storage.ts"
import { targetOf } from "./workflow/Debounce.ts"

/**
 * What a delivery came to, and what it means for the next one:
 * - `Done`: the run has ended, or is not there. Acknowledge, and forget it.
 * - `Waits`: it goes on at `until` (UTC milliseconds), or when something is posted to it. Acknowledge; deliver it
 *   again at `until`, if there is one, and whenever something is posted.
 * - `Held`: another process drives it. Deliver it again, not before `after` milliseconds have passed: that one may die.
 * - `Redeliver`: it could not be driven just now. Deliver it again, not before `after` milliseconds have passed.
 * - `Blocked`: it does not go on by itself: a person, or other code, has to see to it. Acknowledge; deliver it again
 *   only when something is posted, or with new code.
 * - `Foreign`: it is of a workflow that is not known here. Leave it to a process that knows it.
 */
export type Verdict =
  | { readonly _tag: "Done"; readonly status: "success" | "failed" | "cancelled" | "absent" }
  | { readonly _tag: "Waits"; readonly until: number | undefined }
  | { readonly _tag: "Held"; readonly after: number }
  | { readonly _tag: "Redeliver"; readonly after: number; readonly why: string }
  | { readonly _tag: "Blocked"; readonly why: string }
  | { readonly _tag: "Foreign"; readonly workflow: string }

/** A workflow with a body, whatever it takes and gives. */
export type AnyWorkflow = Instruction.Callee<any, any, any, any> & Instruction.Driven<any>

/** What the steps and the schemas of workflows need. */
export type ServicesOf<W> =
  | (W extends Instruction.Driven<infer R> ? R : never)
  | (W extends Instruction.Callee<any, any, any, infer C> ? C : never)

/** Drives the runs of some workflows. */
export class Dispatch extends Context.Service<Dispatch, {
  readonly handle: (runId: string) => Effect.Effect<Verdict>
}>()("reprise/Dispatch") {}

/** How long a run is left alone that another process drives. */
const heldMillis = Duration.toMillis("2 seconds")

/** How long a storage is left alone that failed. */
const failedMillis = Duration.toMillis("1 second")

/**
 * Handles deliveries for the runs of `workflows`, whose names must differ.
 *
 * @example
 * ```ts
 * import { Dispatch, Storage, Workflow } from "reprise"
 * import { Effect, Layer } from "effect"
 *
 * const double = Workflow.make("double", function*(ctx, n: number) {
 *   return yield* ctx.step("double", () => n * 2)
 * })
 * const program = Effect.gen(function*() {
 *   yield* double.enqueue(21, { runId: "r1" })
 *   return yield* Dispatch.handle("r1")
 * })
 * const layer = Dispatch.layer([double]).pipe(Layer.provideMerge(Storage.layerMemory))
 * const verdict = await Effect.runPromise(Effect.provide(program, layer))
 * verdict // => { _tag: "Done", status: "success" }
 * ```
 */
export const layer = <const W extends ReadonlyArray<AnyWorkflow>>(
  workflows: W
): Layer.Layer<Dispatch, never, Storage | ServicesOf<W[number]>> => {
  const programs = byName(workflows)
  return Layer.effect(
    Dispatch,
    Effect.map(Effect.context<Storage | ServicesOf<W[number]>>(), (services) =>
      Dispatch.of({
        handle: (runId) => Effect.provideContext(handled(programs, runId), services)
      }))
  )
}

/** Drives the run as far as it goes now, and says what is to be done with it. */
export const handle = (runId: string): Effect.Effect<Verdict, never, Dispatch> =>
  Effect.flatMap(Dispatch, (dispatch) => dispatch.handle(runId))

const byName = (
  workflows: ReadonlyArray<AnyWorkflow>
): ReadonlyMap<string, Replay.Program> => {
  const programs = new Map<string, Replay.Program>()
  for (const workflow of workflows) {
    if (programs.has(workflow.name)) {
      throw new TypeError(
        `Two workflows are called "${workflow.name}": a run could not tell its own.`
      )
    }
    programs.set(workflow.name, programOf(workflow))
  }
  return programs
}

/** A workflow that is known here also has its calls debounced here. */
const programFor = (programs: ReadonlyMap<string, Replay.Program>, workflow: string) => {
  const known = programs.get(workflow)
  if (known !== undefined) return known
  const target = programs.get(targetOf(workflow) ?? "")
  return target === undefined ? undefined : Debouncer.of(target)
}

const handled = Effect.fnUntraced(
  function*(programs: ReadonlyMap<string, Replay.Program>, runId: string) {
    const storage = yield* Storage
    const known = storage.enqueued.take(runId) ?? (yield* storage.read(runId))
    const first = Journal.first(known.journal)
    if (first === undefined) return { _tag: "Done", status: "absent" } as const
    const { workflow = "" } = first
    const program = programFor(programs, workflow)
    if (program === undefined) return { _tag: "Foreign", workflow } as const
    return verdictOf(yield* Interpreter.drive(program, runId, undefined, { known }))
  },
  Effect.catch((error): Effect.Effect<Verdict> => {
    switch (error._tag) {
      case "RunNotFound":
        return Effect.succeed({ _tag: "Done", status: "absent" })
      case "StorageError":
      case "HookFailed":
        return redeliver(failedMillis, error.message)
      case "Fenced":
        return Effect.succeed({ _tag: "Held", after: heldMillis })
      default:
        // This code, this journal, or this id: trying again changes none of them.
        return Effect.succeed({ _tag: "Blocked", why: error.message })
    }
  })
)

const redeliver = (after: number, why: string): Effect.Effect<Verdict> =>
  Effect.succeed({ _tag: "Redeliver", after, why })

const verdictOf = (driven: Ending.Driven): Verdict => {
  switch (driven.status) {
    case "suspended":
      return { _tag: "Waits", until: driven.entry.wakeAt }
    case "blocked":
      return { _tag: "Blocked", why: driven.reason }
    case "stopped":
      return { _tag: "Blocked", why: `A hook stopped it behind step "${driven.stepId}"` }
    case "running":
      return { _tag: "Held", after: heldMillis }
    default:
      return { _tag: "Done", status: driven.status }
  }
}
