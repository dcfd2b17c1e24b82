/** The commands of the skill and of the page on the command line: each of them is one, and does what it says. */
import { NodeServices } from "@effect/platform-node"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestConsole } from "effect/testing"
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Storage, Workflow } from "reprise"
import { run } from "../../src/cli/reprise.ts"

const order = Workflow.make("order", {
  events: { approve: Schema.Struct({ by: Schema.String }) }
}, function*(ctx) {
  yield* ctx.step("price", () => 41)
  yield* ctx.suspend("approve")
  yield* ctx.step("charge", () => Promise.reject(new Error("declined")))
})

/** The commands of a page, as a shell would split them; what they are piped to is not looked at. */
const commandsOf = (page: string) =>
  Array.from(readFileSync(page, "utf8").matchAll(/```sh\n([\s\S]*?)```/g)).flatMap(([, block]) =>
    block!.split("\n").filter((line) => line.startsWith("reprise ")).map((line) => {
      const [command = ""] = line.split(" | ")
      return Array.from(command.matchAll(/'([^']*)'|(\S+)/g), ([, quoted, word]) => quoted ?? word!)
        .slice(1)
    })
  )

// Elsewhere: a reprise.json of this directory would say what is meant.
beforeAll(() => {
  process.chdir(mkdtempSync(join(tmpdir(), "reprise-skill-")))
})

/** One run that failed, or that waits, and another one that waits. */
const orderIn = (state: "failed" | "suspended") =>
  Effect.gen(function*() {
    yield* order.start(undefined, { runId: "order-1" })
    yield* order.start(undefined, { runId: "order-2" })
    if (state === "failed") {
      yield* order.resume("order-1", { eventName: "approve", value: { by: "ada" } })
    }
  })

describe.each(
  [
    ["skills/reprise/SKILL.md", "failed", 7],
    ["docs/cli.md", "suspended", 3]
  ] as const
)("the commands of %s", (page, state, atLeast) => {
  const commands = commandsOf(page).filter(([verb]) => verb !== "check")

  it("are there", () => {
    expect(commands.length).toBeGreaterThanOrEqual(atLeast)
  })

  it.effect.each(commands.map((command) => [command.join(" "), command] as const))(
    "reprise %s",
    ([, command]) =>
      Effect.gen(function*() {
        yield* orderIn(state)
        const storage = yield* Storage.Storage
        yield* run(command, () => Layer.succeed(Storage.Storage, storage)).pipe(
          Effect.provide(NodeServices.layer)
        )
        expect(yield* TestConsole.errorLines).toEqual([])
        const lines = (yield* TestConsole.logLines).flatMap((text) => String(text).split("\n"))
        expect(lines.length).toBeGreaterThan(0)
        for (const line of lines) expect(JSON.parse(line)).toBeTypeOf("object")
      }).pipe(Effect.provide(Storage.layerMemory))
  )
})
