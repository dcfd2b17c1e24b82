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

const {
  countdown,
  drawn,
  early,
  fan,
  flaky,
  forked,
  greeting,
  handled,
  letter,
  parent,
  payment,
  pipeline,
  reminder,
  review,
  stay,
  stopped,
  "stopped-beside": beside
} = workflows

/** Stops a run behind the step. */
const stopsAt = (id: string) => ({
  onStepComplete: ({ stepId, stop }: { readonly stepId: string; readonly stop: () => void }) => {
    if (stepId === id) stop()
  }
})

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
  yield* stopped.start(undefined, { runId: "stopped", ...stopsAt("first") })
  yield* stopped.resume("stopped")
  const at = stopsAt("all[quick]/step")
  yield* beside.start(undefined, { runId: "stopped-beside", ...at })
  yield* beside.resume("stopped-beside")
  yield* forked.fork("review", {
    runId: "forked",
    fromStep: "draft",
    override: { classify: "a wish" }
  })
  yield* drawn.start(undefined, { runId: "drawn" })
  // Before its wait, so that it is kept.
  yield* drawn.resume("drawn", { eventName: "go", value: "early" })
  yield* play(drawn, undefined, { runId: "drawn" })
  const text = yield* drawn.checkpoint("drawn", { after: "kept" })
  yield* TestClock.adjust("1 day")
  yield* drawn.runCheckpoint(text, { runId: "drawn-again" })
  const texts = new Map<string, string>()
  yield* pipeline.start({ items: 3, express: true }, {
    runId: "pipeline",
    onStepComplete: ({ checkpoint, stepId }) => void texts.set(stepId, checkpoint)
  })
  const inside = texts.get("ship[express]/carrier") ?? ""
  yield* pipeline.runCheckpoint(inside, { runId: "pipeline-again" })
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
