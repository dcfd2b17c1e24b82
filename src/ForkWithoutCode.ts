/**
 * Forks and retries of runs whose code is not here: the new run is recorded with what it keeps of the old one's journal,
 * as an enqueued run is, and whoever drives runs of its workflow goes on with it.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Cut from "./Cut.ts"
import { found } from "./Find.ts"
import * as Fork from "./Fork.ts"
import * as Journal from "./Journal.ts"
import { firstStart, origin, VersionMismatch } from "./Opening.ts"
import { withResult } from "./Override.ts"
import { RunExists } from "./Refusals.ts"
import * as RunId from "./RunId.ts"
import { nothing, Storage } from "./Storage.ts"

/** How a new run is to differ. */
export interface Options {
  /** The new run's id; default: a new one. */
  readonly runId?: string | undefined
  /** Results of steps, by their ids or by names that only one has, as they are to stand in the journal. */
  readonly override?: Readonly<Record<string, Schema.Json>> | undefined
}

export type Error =
  | Fork.FindError
  | RunExists
  | VersionMismatch
  | Cut.StepNotFound
  | Fork.ForkRejected

/**
 * Records a new run that keeps what another one did up to a step, or to an offset of its journal; gives its id. For those
 * who have no code of its workflow: with it `workflow.fork` also drives the new run. Nobody compares the overriding
 * values with a schema, and whether the code goes with them is seen when the run is driven.
 *
 * @example
 * ```ts
 * import { Runs, Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const order = Workflow.make("order", function*(ctx, amount: number) {
 *   const price = yield* ctx.step("price", () => amount * 2)
 *   return yield* ctx.step("bill", () => `bill of ${price}`)
 * })
 * const program = Effect.gen(function*() {
 *   yield* order.start(21, { runId: "a" })
 *   const runId = yield* Runs.fork("a", { fromStep: "bill", override: { price: 40 } })
 *   return yield* order.resume(runId)
 * })
 * const { status, result } = await Effect.runPromise(
 *   Effect.provide(program, Storage.layerMemory)
 * ) as { status: string; result: string }
 * result // => "bill of 40"
 * ```
 */
export const fork = Effect.fnUntraced(
  function*(
    runId: string,
    options: Fork.CutAt & Options
  ): Effect.fn.Return<string, Error, Storage> {
    const { journal } = yield* found(runId)
    const first = yield* readable(journal)
    const prefix = yield* Fork.orFail(Fork.cut(journal, options))
    const changed = yield* Fork.orFail(overridden(prefix, options.override))
    const next = yield* RunId.check(options.runId ?? RunId.createRunId())
    yield* record(next, changed, first)
    return next
  }
)

/** As `fork`, of a run that has failed: from the step that failed, or the one that is named. */
export const retryFrom = Effect.fnUntraced(
  function*(
    runId: string,
    options: Options & { readonly step?: string | undefined } = {}
  ): Effect.fn.Return<string, Error, Storage> {
    const { journal } = yield* found(runId)
    const fromOffset = yield* Fork.orFail(Fork.retryOffset(journal, options.step))
    const { override, runId: next } = options
    return yield* fork(runId, { fromOffset, runId: next, override })
  }
)

/**
 * The checkpoint of a run behind a step, or behind the last one, as text for `runCheckpoint`. With code `workflow.checkpoint`
 * also names the step as the workflow does. Input and results are in it as they are, also secret ones.
 *
 * @example
 * ```ts
 * import { Runs, Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const order = Workflow.make("order", function*(ctx, amount: number) {
 *   const price = yield* ctx.step("price", () => amount * 2)
 *   return yield* ctx.step("bill", () => `bill of ${price}`)
 * })
 * const program = Effect.gen(function*() {
 *   yield* order.start(21, { runId: "a" })
 *   const checkpoint = yield* Runs.checkpoint("a", { after: "price" })
 *   return yield* order.runCheckpoint(checkpoint)
 * })
 * const { result } = await Effect.runPromise(
 *   Effect.provide(program, Storage.layerMemory)
 * ) as { result: string }
 * result // => "bill of 42"
 * ```
 */
export const checkpoint = Effect.fnUntraced(
  function*(
    runId: string,
    options: Fork.CheckpointOptions = {}
  ): Effect.fn.Return<string, CheckpointError, Storage> {
    const { journal } = yield* found(runId, "none")
    const { workflow = "" } = yield* readable(journal)
    return yield* Fork.checkpoint({ name: workflow, naming: undefined }, runId, options)
  }
)

export type CheckpointError = Fork.FindError | RunExists | VersionMismatch | Cut.StepNotFound

/** How the run was begun, if this version of the library can read it. */
const readable = (journal: Journal.Journal) => {
  const first = Journal.first(journal)!
  if (!Journal.isNewer(first)) return Effect.succeed(first)
  const recorded = String(first.format), seen = String(Journal.format)
  return Effect.fail(
    new VersionMismatch({ runId: journal.runId, of: "journal format", recorded, seen })
  )
}

const overridden = (prefix: Cut.Prefix, override: Options["override"] = {}) => {
  const keys = Object.keys(override)
  if (keys.length === 0) return prefix
  const steps = prefix.entries.flatMap(({ entry }) => entry.type === "step" ? [entry] : [])
  const results = new Map<string, Schema.Json>()
  for (const key of keys) {
    const id = Cut.find(prefix.runId, steps, key)
    if (typeof id !== "string") return id
    results.set(id, override[key]!)
  }
  return Fork.marked({
    ...prefix,
    entries: prefix.entries.map((kept) =>
      kept.entry.type === "step" && results.has(kept.entry.stepId)
        ? { ...kept, entry: withResult(kept.entry, results.get(kept.entry.stepId)) }
        : kept
    )
  })
}

/** The beginning of the new run's journal, in one append. */
const record = Effect.fnUntraced(
  function*(runId: string, prefix: Cut.Prefix, source: Journal.Entry & { type: "start" }) {
    const storage = yield* Storage
    const { version, workflow } = prefix
    const program = { name: workflow, version, durability: source.durability ?? "sync" } as const
    const { entry, stamp } = yield* firstStart(program, runId, Fork.beginOf(prefix, false))
    const entries = [
      { entry: { ...entry, enqueued: true as const }, timestamp: prefix.timestamp },
      ...prefix.entries
    ]
    const stamped = entries.map(({ entry, timestamp }) => Journal.stamped(entry, timestamp))
    let loaded = yield* nothing(runId)
    for (;;) {
      const first = Journal.first(loaded.journal)
      const recorded = origin(first?.source), seen = origin(prefix)
      if (first !== undefined && recorded === seen) break
      if (first !== undefined) {
        return yield* new RunExists({ runId, differs: "source", seen, recorded })
      }
      const writer = yield* storage.writer(loaded)
      if (yield* writer.append(stamp, stamped)) break
      loaded = yield* storage.read(runId, "none")
    }
    storage.hint(runId)
  },
  Effect.scoped
)
