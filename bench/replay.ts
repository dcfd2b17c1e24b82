/**
 * Replay: entries through the machine, and a journal from the disk to a body that stands where it
 * stood, beside the bare `JSON.parse` of the same lines.
 *
 * The journals are written by the engine and hold 10,000 entries: a `start`, steps, and the `suspend`
 * that a replay has to reach again.
 */
import { NodePath } from "@effect/platform-node"
import { Context, Effect, Layer, ManagedRuntime, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import * as Codec from "../src/Codec.ts"
import { Instruction, type Journal, LocalStorage, Replay, Storage, Workflow } from "../src/index.ts"
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
const bodies: Readonly<Record<string, () => Workflow.Body<void>>> = {
  "small values": function*() {
    for (let i = 0; i < steps; i++) yield* Instruction.step("classify", () => verdict(i))
    yield* Instruction.suspend("go")
  },
  "values of 1 kB": function*() {
    for (let i = 0; i < steps; i++) yield* Instruction.step("draft", () => letter(i))
    yield* Instruction.suspend("go")
  },
  "values with a schema": function*() {
    for (let i = 0; i < steps; i++) {
      yield* Instruction.step("classify", () => verdict(i), { schema: Verdict })
    }
    yield* Instruction.suspend("go")
  },
  [`${branches} branches`]: function*() {
    yield* Instruction.forEach(Array.from({ length: branches }, (_, key) => key), function*(key) {
      const share = Math.floor(steps / branches) + (key < steps % branches ? 1 : 0)
      for (let i = 0; i < share; i++) {
        yield* Instruction.step("classify", () => Effect.as(Effect.yieldNow, verdict(i)))
      }
    })
    yield* Instruction.suspend("go")
  }
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

const figures: Array<Figure> = []
for (const [values, body] of Object.entries(bodies)) {
  const runId = `run-${figures.length}`
  const workflow = Workflow.make("bench", { events }, body)
  const program: Replay.Program = {
    name: "bench",
    version: undefined,
    previous: [],
    retired: [],
    durability: "sync",
    runIdOf: undefined,
    channels: {},
    hasBody: true,
    hook: undefined,
    accumulates: false,
    naming: undefined,
    refusesBase: undefined,
    input: Codec.strict,
    output: Codec.strict,
    error: undefined,
    events: { go: Codec.fromSchema(events.go) },
    body
  }
  await Effect.runPromise(
    workflow.start(undefined, { runId }).pipe(
      Effect.provide(unsynced),
      Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity })
    )
  )
  const journal = await read(runId)
  if (journal.entries.length !== entries) throw new Error(`${journal.entries.length} entries`)
  const text = await readFile(join(at, `${runId}.jsonl`), "utf8")
  const lines = text.split("\n").filter((line) => line.length > 1)

  /** What the engine does with what it read. */
  const replay = (journal: Journal.Journal): void => {
    const options = { runId, live: false, services: Context.empty() }
    const machine = Replay.machine(program, undefined, Replay.startOf(journal.entries[0]!), options)
    Replay.feed(machine, journal.entries)
    // Anything else would be fast for the wrong reason.
    if (machine.waits()[0]?.event !== "go") throw new Error("The body does not stand at its wait.")
  }

  const t = await interleave({
    parse: () => coreTime(() => lines.forEach((line) => JSON.parse(line))),
    machine: () => coreTime(() => replay(journal)),
    body: () => coreTime(async () => replay(await read(runId))),
    resume: () => coreTime(() => runtime.runPromise(workflow.resume(runId))),
    call: () => coreTime(() => workflow.replay(journal))
  }, { rounds: 31, warmUp: 9 })

  const isMain = values === "small values"
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
  }, {
    figure: `workflow.replay(journal), ${values}: times JSON.parse`,
    value: `${show(median(t.call))} ${against}`,
    ratio: ratio(t.call, t.parse)
  })
}
await runtime.dispose()
report(figures)
