/**
 * Asks, then follows the link in the mail three times: changed, as it is, and once more. Each of them in a
 * process of its own, on a storage that has never seen the run: `click <link>`.
 *
 * Owns the keys, the storages and the outbox.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Redacted } from "effect"
import { spawnSync } from "node:child_process"
import { appendFileSync, mkdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Checkpoint } from "reprise"
import { NodeCheckpointKeys, NodeLocalStorage } from "reprise/node"
import { ask, click } from "./approval.ts"
import { Mailer } from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"
const outbox = join(directory, "10", "outbox.txt")

const layerOutbox = Layer.succeed(Mailer, {
  send: ({ subject, text, to }) =>
    Console.log(`  mail to ${to}: ${subject}`).pipe(
      Effect.andThen(Effect.sync(() => {
        mkdirSync(dirname(outbox), { recursive: true })
        appendFileSync(outbox, `To: ${to}\nSubject: ${subject}\n\n${text}\n\n`)
      }))
    )
})

/** Signed, so that nobody changes what is sent. Who must not even read it: "encrypt". */
const layerKeys = NodeCheckpointKeys.layer({
  how: "sign",
  keys: [{
    id: "2026-11",
    secret: Redacted.make(process.env["SECRET"] ?? "only for this example: 32 characters")
  }]
})

const live = (storage: string) =>
  Layer.mergeAll(
    layerOutbox,
    layerKeys,
    Layer.succeed(Checkpoint.Lifetime, "7 days"),
    NodeLocalStorage.layer(join(directory, "10", storage))
  )

/** The link of the last mail, as a person would copy it. */
const lastLink = () => readFileSync(outbox, "utf8").match(/https:\S+/g)!.at(-1)!

const inAnotherProcess = (link: string) =>
  Effect.sync(() =>
    spawnSync(process.execPath, [...process.execArgv, import.meta.filename, "click", link], {
      stdio: "inherit"
    })
  )

const demo = Effect.gen(function*() {
  yield* Console.log("the question comes in:")
  const { status } = yield* ask({ from: "carol@example.com", body: "Do you ship to Norway?" })
  yield* Console.log(`  the run is ${status}, and this process needs it no more`)

  const link = lastLink()
  yield* Console.log("somebody changes the link:")
  yield* inAnotherProcess(
    link.replace(/(.{120})(.)/, (_, before, one) => before + (one === "A" ? "B" : "A"))
  )
  yield* Console.log("the editor follows it:")
  yield* inAnotherProcess(link)
  yield* Console.log("and once more:")
  yield* inAnotherProcess(link)
}).pipe(Effect.provide(live("desk")))

const [command, link = ""] = process.argv.slice(2)

NodeRuntime.runMain(
  command === "click"
    ? click(link).pipe(
      Effect.flatMap(({ runId, status }) => Console.log(`  ${status}: run ${runId}`)),
      Effect.catchTag("CheckpointRejected", ({ message }) => Console.log(`  ${message}`)),
      Effect.provide(live("elsewhere"))
    )
    : demo
)
