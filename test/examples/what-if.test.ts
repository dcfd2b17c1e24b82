/**
 * 12-fork-and-what-if: what a question, a fork and a retry each run, keep and leave alone.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Runs, Storage } from "reprise"
import { Failure, invoice, limit, Office } from "../../examples/12-fork-and-what-if/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

/** An office whose rate and bank a test sets, and what was asked of it. */
const withOffice = (rate: number) => {
  const asked: Array<string> = []
  const world = { rate, isBankOpen: true }
  const ask = (what: string) => Effect.sync(() => void asked.push(what))
  const office = Layer.succeed(Office, {
    rate: Effect.suspend(() => Effect.as(ask("rate"), world.rate)),
    askBoard: (euros) =>
      Effect.andThen(ask(`board: ${euros}`), Effect.fail(new Failure({ message: "on holiday" }))),
    pay: (to, euros) =>
      Effect.andThen(
        ask(`pay ${to} ${euros}`),
        Effect.suspend(() =>
          world.isBankOpen
            ? Effect.succeed(`${to} got ${euros}`)
            : Effect.fail(new Failure({ message: "closed" }))
        )
      )
  })
  return { asked, world, layer: Layer.merge(office, Storage.layerMemory) }
}

const bill = { from: "ada", dollars: 2000 }
const runId = "i1"
const entriesOf = (id: string) => Effect.map(Runs.journal(id), ({ entries }) => entries)

describe("an invoice that went to the board", () => {
  it.effect("is asked what would come next at another rate, and nothing is run or written", () => {
    const { asked, layer } = withOffice(9.2)
    return Effect.gen(function*() {
      expect(yield* invoice.start(bill, { runId })).toMatchObject({
        status: "failed",
        error: { message: "on holiday" }
      })
      const before = [...asked]
      const journal = yield* Runs.journal(runId)
      const cases: ReadonlyArray<readonly [rate: number, next: object]> = [
        [0.92, { _tag: "Blocked", steps: ["pay"], offset: 2, instead: { stepId: "ask-board" } }],
        [limit / bill.dollars, { _tag: "Blocked", steps: ["pay"], offset: 2 }],
        [limit / bill.dollars + 1, { _tag: "Threw", offset: journal.entries.length }]
      ]
      for (const [rate, next] of cases) {
        expect(invoice.whatIf(journal, { override: { rate } })).toMatchObject(next)
      }
      expect(asked).toEqual(before)
      expect(yield* entriesOf(runId)).toEqual(journal.entries)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is paid in a fork at the other rate, and stays as it was itself", () => {
    const { asked, layer } = withOffice(9.2)
    return Effect.gen(function*() {
      yield* invoice.start(bill, { runId })
      const before = yield* entriesOf(runId)
      const fork = yield* invoice.fork(runId, {
        fromStep: "ask-board",
        runId: "f1",
        override: { rate: 0.92 }
      })
      expect(fork).toMatchObject({ status: "success", result: "ada got 1840", runId: "f1" })
      expect(asked).toEqual(["rate", "board: 18400", "pay ada 1840"])
      expect(yield* entriesOf(runId)).toEqual(before)
      const [first] = yield* entriesOf("f1")
      expect(first).toMatchObject({ type: "start", source: { runId, offset: 2 } })
    }).pipe(Effect.provide(layer))
  })
})

describe("an invoice that met a closed bank", () => {
  it.effect("is tried again from the bank on, at the rate that it had", () => {
    const { asked, layer, world } = withOffice(0.92)
    world.isBankOpen = false
    return Effect.gen(function*() {
      expect(yield* invoice.start(bill, { runId })).toMatchObject({ status: "failed" })
      Object.assign(world, { isBankOpen: true, rate: 0.5 })
      expect(yield* invoice.retryFrom(runId)).toMatchObject({
        status: "success",
        result: "ada got 1840"
      })
      expect(asked).toEqual(["rate", "pay ada 1840", "pay ada 1840"])
      expect(yield* invoice.status(runId)).toMatchObject({ status: "failed" })
    }).pipe(Effect.provide(layer))
  })
})

describe("npm run example 12", () => {
  const directory = scratch()

  it("prints the question, the fork and the retry, each time it runs", async () => {
    for (let n = 0; n < 2; n++) {
      const { code, lines, stderr } = await runExample(directory, ["12"])
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(lines).toEqual([
        "an invoice at a wrong rate:",
        "  (the exchange is asked: 9.2)",
        "  the board is on holiday, and does not decide on 18400 euros",
        "what if the rate had been 0.92?",
        `  next would be "pay", not "ask-board"`,
        "so be it, in a fork:",
        "  Moonbase Ltd got 1840 euros",
        "and the run that it was forked from is as it was:",
        "  the board is on holiday, and does not decide on 18400 euros",
        "an invoice when the bank is closed:",
        "  (the exchange is asked: 0.92)",
        "  the bank is closed",
        "the bank opens, and the run goes on from where it failed, at the rate of then:",
        "  Deep Sea Inc got 644 euros"
      ])
    }
  })
})
