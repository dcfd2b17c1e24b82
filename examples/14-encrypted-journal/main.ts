/**
 * A run whose journal nobody can read: what stands in the file, a key that is rotated while the run waits,
 * what is shown to whom, and what somebody without the key is told.
 *
 * Owns the keys. A real program has them from where its other secrets are.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Redacted } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { JournalCodec, RunLog, Runs } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { prescribe } from "./workflow.ts"

const directory = join(process.env["REPRISE_DIR"] ?? ".reprise", "14")

const files = NodeLocalStorage.layer(directory)

const key = (id: string) => ({
  id,
  secret: Redacted.make(`only for this example: 32 characters of ${id}`)
})

/** The files, encrypted: the first key seals, all of them open. */
const encrypted = (...keys: JournalCodec.Options["keys"] & {}) =>
  JournalCodec.layer({ keys, compress: true }).pipe(Layer.provide(files))

const october = encrypted(key("2026-10"))
const november = encrypted(key("2026-11"), key("2026-10"))
const tooNew = encrypted(key("2026-11"))

const given = {
  patient: "Ada Lovelace",
  drug: "laudanum",
  insurance: Redacted.make("K-1815-12-10")
}
const words = ["Lovelace", "laudanum", "K-1815", "Dr. Elliotson"]

/** All that the directory holds of the run: journal, inbox, lease. */
const stored = (runId: string) =>
  readdirSync(directory)
    .filter((name) => name.startsWith(`${runId}.`))
    .map((name) => readFileSync(join(directory, name), "utf8"))
    .join("")

const tellFiles = (runId: string) =>
  Effect.gen(function*() {
    const text = stored(runId)
    const found = words.filter((word) => text.includes(word))
    yield* Console.log(
      found.length === 0
        ? `  of ${words.join(", ")} the files hold nothing`
        : `  the files hold ${found.join(", ")}`
    )
    const keys = [...text.matchAll(/"key":"([\w-]+)"/g)].map(([, id]) => id)
    for (const id of new Set(keys)) {
      const count = keys.filter((one) => one === id).length
      yield* Console.log(`  ${count} values are sealed with key ${id}`)
    }
  })

const program = Effect.gen(function*() {
  yield* Console.log("a prescription comes in, and the live log shows it:")
  const { runId } = yield* prescribe.start(given).pipe(
    Effect.provide([october, RunLog.layer({ style: "tree" })])
  )
  yield* Console.log("in the files:")
  yield* tellFiles(runId)

  yield* Console.log("there is a new key, and the doctor signs:")
  const signed = { eventName: "signed", value: { doctor: "Dr. Elliotson" } } as const
  const done = yield* Effect.provide(prescribe.resume(runId, signed), november)
  yield* Console.log(`  ${done.status === "success" ? done.result : done.status}`)
  yield* tellFiles(runId)

  yield* Console.log("somebody with the keys looks, and prints what may be printed:")
  const { entries } = yield* Effect.provide(Runs.journal(runId), november)
  const [first] = JournalCodec.hide(entries)
  if (first?.type === "start") yield* Console.log(`  ${JSON.stringify(first.metadata)}`)

  yield* Console.log("somebody without a key looks:")
  const { runs } = yield* Effect.provide(Runs.list({ workflow: "prescribe" }), files)
  for (const run of runs) {
    if (run.runId !== runId) continue
    yield* Console.log(`  ${run.workflow}: ${run.status}, ${run.steps.done} steps`)
  }
  for (const others of [files, tooNew]) {
    const refused = yield* Effect.flip(Effect.provide(Runs.journal(runId), others))
    yield* Console.log(`  ${refused.message.replaceAll(runId, "…")}`)
  }
})

NodeRuntime.runMain(program)
