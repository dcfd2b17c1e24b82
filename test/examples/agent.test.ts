/**
 * 05-agent-loop: no turn is paid for twice, whatever happens to the process.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Stream } from "effect"
import { AiError, LanguageModel, type Response } from "effect/ai"
import { TestClock, TestConsole } from "effect/testing"
import { join } from "node:path"
import { Runs, Storage } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { layerScripted } from "../../examples/05-agent-loop/model.ts"
import { layerTools, Tools } from "../../examples/05-agent-loop/tools.ts"
import { agent } from "../../examples/05-agent-loop/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const question = "How much did we spend on trains?"

const turns = Array.from({ length: 30 }, (_, i) => `model: turn ${i + 1}`)
const pages = Array.from({ length: 29 }, (_, i) => `tool: page ${i + 1}`)

/** Added up from the ledger itself. */
const rightAnswer = Effect.gen(function*() {
  const tools = yield* Tools
  let euros = 0
  for (let page = 1; page <= 29; page++) {
    const outputs = yield* tools.handle("readPage", { page })
    const { isFailure, result } = Option.getOrThrow(yield* Stream.runLast(outputs))
    expect(isFailure).toBe(false)
    if (!("lines" in result)) continue
    for (const line of result.lines) if (line.what === "trains") euros += line.euros
  }
  return `We spent ${euros} euros on trains.`
}).pipe(Effect.provide(layerTools))

/** A model that gives one answer after the other, the last one again and again. */
const saying = (...answers: ReadonlyArray<Response.PartEncoded>) => {
  const asked: Array<LanguageModel.ProviderOptions> = []
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: (options) =>
        Effect.sync(() => {
          const answer = answers[Math.min(asked.length, answers.length - 1)]!
          asked.push(options)
          return [answer]
        }),
      streamText: () => Stream.die("nothing is streamed here")
    })
  )
  return { asked, layer }
}

const readPage = (id: string, params: unknown): Response.PartEncoded => ({
  type: "tool-call",
  id,
  name: "readPage",
  params
})

describe("the agent", () => {
  it.effect("reads 29 pages in 30 turns, and has the right answer", () =>
    Effect.gen(function*() {
      expect(yield* agent.execute({ question })).toBe(yield* rightAnswer)
      const lines = yield* TestConsole.logLines
      expect(lines.filter((line) => turns.includes(String(line)))).toEqual(turns)
      // Once by the agent, once by rightAnswer.
      expect(lines.filter((line) => pages.includes(String(line)))).toEqual([...pages, ...pages])
    }).pipe(Effect.provide([layerScripted, layerTools, Storage.layerMemory])))

  it.effect("tells the model what it asked, what it said, and what the tools answered", () => {
    const { asked, layer } = saying(readPage("c1", { page: 29 }), { type: "text", text: "done" })
    return Effect.gen(function*() {
      expect(yield* agent.execute({ question })).toBe("done")
      expect(asked[1]?.prompt.content).toMatchObject([
        { role: "system" },
        { role: "user", content: [{ text: question }] },
        { role: "assistant", content: [{ type: "tool-call", id: "c1", params: { page: 29 } }] },
        {
          role: "tool",
          content: [{
            type: "tool-result",
            id: "c1",
            isFailure: false,
            result: { lines: [{}, {}] }
          }]
        }
      ])
    }).pipe(Effect.provide([layer, layerTools, Storage.layerMemory]))
  })

  it.effect("tells the model of a tool that fails, and goes on", () => {
    const { asked, layer } = saying(readPage("c1", { page: 1 }), { type: "text", text: "sorry" })
    const reason = new AiError.InternalProviderError({ description: "the ledger is locked" })
    const broken = Tools.toLayer({ readPage: () => Effect.fail(reason) })
    return Effect.gen(function*() {
      expect(yield* agent.execute({ question })).toBe("sorry")
      const told = asked[1]?.prompt.content.at(-1)
      expect(told).toMatchObject({ role: "tool", content: [{ id: "c1", isFailure: true }] })
      expect(JSON.stringify(told)).toContain("the ledger is locked")
    }).pipe(Effect.provide([layer, broken, Storage.layerMemory]))
  })

  it.effect("asks once more when the model calls a tool that does not exist like that", () => {
    const { asked, layer } = saying(readPage("c1", { page: "one" }), { type: "text", text: "done" })
    return Effect.gen(function*() {
      const run = yield* Effect.forkChild(agent.execute({ question }))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(run)).toBe("done")
      expect(asked).toHaveLength(2)
    }).pipe(Effect.provide([layer, layerTools, Storage.layerMemory]))
  })

  it.effect("fails with what the provider says where asking again is no use", () => {
    let asked = 0
    const reason = new AiError.AuthenticationError({ kind: "InvalidKey" })
    const refusing = Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: () => {
          asked++
          return Effect.fail(AiError.make({ module: "Test", method: "generateText", reason }))
        },
        streamText: () => Stream.die("nothing is streamed here")
      })
    )
    return Effect.gen(function*() {
      expect(yield* Effect.flip(agent.execute({ question }))).toMatchObject({
        _tag: "AiError",
        reason: { _tag: "AuthenticationError", kind: "InvalidKey" }
      })
      expect(asked).toBe(1)
    }).pipe(Effect.provide([refusing, layerTools, Storage.layerMemory]))
  })

  it.effect("gives up on a model that never comes to an end", () => {
    const { asked, layer } = saying(readPage("c1", { page: 1 }))
    return Effect.gen(function*() {
      expect(yield* Effect.flip(agent.execute({ question }))).toMatchObject({
        _tag: "NoAnswer",
        turns: 50
      })
      expect(asked).toHaveLength(50)
    }).pipe(Effect.provide([layer, layerTools, Storage.layerMemory]))
  })
})

describe("npm run example 05", () => {
  const directory = scratch()

  it("killed in turn 27 and started again, repeats no turn that was journaled", async () => {
    const answer = await Effect.runPromise(rightAnswer)

    const killed = await runExample(directory, ["05", "r1"], { KILL_AT: "27" })
    expect(killed.signal).toBe("SIGKILL")
    const { entries } = await Effect.runPromise(
      Runs.journal("r1").pipe(Effect.provide(NodeLocalStorage.layer(join(directory, "runs"))))
    )
    const recorded = entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
    expect(recorded.slice(-3)).toEqual(["ask#26", "turn 26[call-26]/readPage", "ask#27"])

    const { code, lines, stderr } = await runExample(directory, ["05", "r1"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.at(-1)).toBe(answer)

    const both = [...killed.lines, ...lines]
    expect(both.filter((line) => line.startsWith("model:"))).toEqual(turns)
    // The one tool whose outcome nobody had written down is called again.
    expect(both.filter((line) => line.startsWith("tool:"))).toEqual([
      ...pages.slice(0, 27),
      ...pages.slice(26)
    ])
  })

  it("goes through in one process when nobody kills it", async () => {
    const { code, lines, stderr } = await runExample(directory, ["05"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.filter((line) => line.startsWith("model:"))).toEqual(turns)
    expect(lines.at(-1)).toMatch(/^We spent \d+ euros on trains\.$/)
  })
})
