/**
 * Replay: entries through the machine, and a journal from the disk to a body that stands where it
 * stood, beside the bare `JSON.parse` of the same lines.
 *
 * The journals are written by the engine and hold 10,000 entries: a `start`, steps, and the `suspend`
 * that a replay has to reach again.
 */
import { NodePath } from "@effect/platform-node"
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Journal, LocalStorage, type Replay, Storage, Workflow } from "../src/index.ts"
import { NodeLocalStorage } from "../src/node.ts"
import { directory, layerSync } from "./files.ts"
import { coreTime, type Figure, interleave, median, rate, ratio, report, show } from "./measure.ts"

const entries = 10_000
const steps = entries - 2
const branches = 100

const events = { go: Schema.Void }
const Verdict = Schema.Struct({ category: Schema.String, severity: Schema.Number })
const verdict = (i: number) => ({ category: i % 2 === 0 ? "bug" : "question", severity: i % 6 })
const letter = (i: number) => ({ ...verdict(i), text: `Dear customer ${i}, `.repeat(50) })

/** What a step leaves in the journal differs; all bodies end waiting for the same event. */
const workflows = {
  "small values": Workflow.make("small", { events }, function*(ctx) {
    for (let i = 0; i < steps; i++) yield* ctx.step("classify", () => verdict(i))
    yield* ctx.suspend("go")
  }),
  "values of 1 kB": Workflow.make("large", { events }, function*(ctx) {
    for (let i = 0; i < steps; i++) yield* ctx.step("draft", () => letter(i))
    yield* ctx.suspend("go")
  }),
  "values with a schema": Workflow.make("schema", { events }, function*(ctx) {
    for (let i = 0; i < steps; i++) {
      yield* ctx.step("classify", () => verdict(i), { schema: Verdict })
    }
    yield* ctx.suspend("go")
  }),
  [`${branches} branches`]: Workflow.make("branches", { events }, function*(ctx) {
    yield* ctx.forEach(Array.from({ length: branches }, (_, key) => key), function*(key) {
      const share = Math.floor(steps / branches) + (key < steps % branches ? 1 : 0)
      for (let i = 0; i < share; i++) {
        yield* ctx.step("classify", () => Effect.as(Effect.yieldNow, verdict(i)))
      }
    })
    yield* ctx.suspend("go")
  })
}

const at = directory()
const runtime = ManagedRuntime.make(NodeLocalStorage.layer(at))
const unsynced = LocalStorage.layer(at).pipe(
  Layer.provide([layerSync(() => Effect.void), NodePath.layer])
)

const read = (runId: string): Promise<Journal.Journal> =>
  runtime.runPromise(
    Effect.flatMap(Storage.Storage, (storage) =>
      Effect.map(storage.read(runId), (loaded) => loaded.journal))
  )

/** Anything else would be fast for the wrong reason. */
const standing = (replayed: Replay.Replayed): void => {
  if (replayed._tag !== "Blocked" || replayed.waits[0]?.event !== "go") {
    throw new Error(`The replay came to ${replayed._tag}.`)
  }
}

const figures: Array<Figure> = []
for (const [values, workflow] of Object.entries(workflows)) {
  const runId = workflow.name
  await Effect.runPromise(workflow.start(undefined, { runId }).pipe(Effect.provide(unsynced)))
  const journal = await read(runId)
  if (journal.entries.length !== entries) throw new Error(`${journal.entries.length} entries`)
  const text = await readFile(join(at, `${runId}.jsonl`), "utf8")
  const lines = text.split("\n").filter((line) => line.length > 1)

  const t = await interleave({
    parse: () => coreTime(() => lines.forEach((line) => JSON.parse(line))),
    machine: () => coreTime(() => standing(workflow.replay(journal))),
    body: () => coreTime(async () => standing(workflow.replay(await read(runId)))),
    resume: () => coreTime(() => runtime.runPromise(workflow.resume(runId)))
  }, { rounds: 31, warmUp: 9 })

  const isMain = workflow === workflows["small values"]
  const perEntry = median(t.machine) / entries
  const against = `against ${show(median(t.parse))} for JSON.parse`
  figures.push({
    figure: `machine, ${values}: million entries a second`,
    value: `${rate(perEntry)}, ${(text.length / entries).toFixed(0)} bytes an entry`,
    ratio: 1e-3 / perEntry,
    ...(isMain ? { atLeast: 1 } : undefined)
  }, {
    figure: `disk to body, ${values}: times JSON.parse`,
    value: `${show(median(t.body))} ${against}`,
    ratio: ratio(t.body, t.parse),
    ...(isMain ? { atMost: 3 } : undefined)
  }, {
    figure: `resume(runId), ${values}: times JSON.parse`,
    value: `${show(median(t.resume))} ${against}`,
    ratio: ratio(t.resume, t.parse)
  })
}
await runtime.dispose()
report(figures)
