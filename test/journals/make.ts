/**
 * Writes the journals that are not there yet: `node --conditions=reprise-source test/journals/make.ts`.
 *
 * A journal that is there is never written again. It shows what a released version wrote.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LocalStorage } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { play } from "reprise/testing"
import { workflows } from "./workflows.ts"

const { countdown, early, fan, flaky, greeting, handled, letter, parent, payment, reminder, review, stay } =
  workflows

const now = Date.UTC(2026, 0, 1)
const directory = mkdtempSync(join(tmpdir(), "journals-"))

const made = Effect.gen(function*() {
  yield* TestClock.setTime(now)
  const events = [{ eventName: "verdict", value: { approved: true } }] as const
  yield* play(review, { title: "it burns" }, { runId: "review", events })
  yield* play(reminder, now + 3 * 86_400_000, { runId: "reminder" })
  yield* play(parent, 7, { runId: "parent" })
  yield* play(payment, undefined, { runId: "payment" })
  yield* play(greeting, undefined, { runId: "greeting" })
  yield* play(fan, undefined, { runId: "fan" })
  yield* play(flaky, undefined, { runId: "flaky" })
  yield* play(letter, undefined, { runId: "letter" })
  yield* play(stay, undefined, { runId: "stay" })
  yield* stay.cancel("stay", { reason: "the guest did not come" })
  yield* play(countdown, 1, { runId: "countdown" })
  yield* play(handled, undefined, { runId: "handled" })
  yield* early.start(undefined, { runId: "early" })
  yield* early.resume("early", { eventName: "go", key: "k", value: 7 })
  yield* play(early, undefined, { runId: "early" })
  for (const name of Object.keys(workflows)) {
    const file = join(import.meta.dirname, `${name}.jsonl`)
    if (existsSync(file)) continue
    writeFileSync(file, readFileSync(yield* LocalStorage.journalPath(directory, name)))
    yield* Console.log(`wrote ${file}`)
  }
}).pipe(
  Effect.provide([NodeLocalStorage.layer(directory), TestClock.layer(), NodeServices.layer])
)

await Effect.runPromise(made).finally(() => rmSync(directory, { recursive: true }))
