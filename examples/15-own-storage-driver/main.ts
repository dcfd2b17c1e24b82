/**
 * A run on the driver beside it, gone on with by another process; then the whole contract of storages,
 * without a test runner.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schema } from "effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"
import { make } from "./driver.ts"

const directory = join(process.env["REPRISE_DIR"] ?? ".reprise", "15")

/** A driver becomes a storage by `Storage.make`. */
const layer = Layer.effect(
  Storage.Storage,
  Effect.suspend(() => {
    mkdirSync(directory, { recursive: true })
    return Effect.map(make(join(directory, "runs.log")), (driver) => Storage.make(driver))
  })
)

const letter = Workflow.make("letter", { events: { stamp: Schema.String } }, function*(ctx) {
  const text = yield* ctx.step("write", () => Effect.as(Console.log("  it is written"), "Dear Ada"))
  const stamp = yield* ctx.suspend("stamp")
  return `${text}, with a ${stamp} stamp`
})

const goOn = (runId: string) =>
  letter.resume(runId, { eventName: "stamp", value: "blue" }).pipe(
    Effect.flatMap((end) => Console.log(`  ${end.status === "success" ? end.result : end.status}`)),
    Effect.provide(layer)
  )

/** Each case on a file of its own, which two drivers have open, as two processes do. */
const contract = Effect.gen(function*() {
  const scratch = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "own-driver-"))),
    (scratch) => Effect.sync(() => rmSync(scratch, { recursive: true }))
  )
  let files = 0
  const store = Effect.suspend(() => {
    const file = join(scratch, `${++files}.log`)
    return Effect.all({ driver: make(file), other: make(file) })
  })
  const broken: Array<string> = []
  for (const { run } of Testing.storageContract) {
    const kept = yield* Effect.result(run(store))
    if (kept._tag === "Failure") broken.push(kept.failure.message)
  }
  const all = Testing.storageContract.length
  yield* Console.log(`  ${all - broken.length} of ${all} demands are kept`)
  for (const message of broken) yield* Console.log(`  ${message}`)
}).pipe(Effect.scoped)

const demo = Effect.gen(function*() {
  yield* Console.log("a letter:")
  const { runId, status } = yield* Effect.provide(letter.start(), layer)
  yield* Console.log(`  the run is ${status}; another process goes on:`)
  yield* Effect.sync(() =>
    spawnSync(process.execPath, [...process.execArgv, import.meta.filename, runId], {
      stdio: "inherit"
    })
  )
  yield* Console.log("the contract of storages:")
  yield* contract
})

const [runId] = process.argv.slice(2)
const program: Effect.Effect<void, unknown> = runId === undefined ? demo : goOn(runId)

NodeRuntime.runMain(program)
