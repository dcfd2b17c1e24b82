/**
 * Two invoices that failed. One was converted at a wrong rate: what would have happened at the right one is
 * asked first, and then done in a fork. The other met a bank that was closed: it is tried again from there.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { Runs, Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { Failure, invoice, Office } from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

/** The world outside, which gets better while the example runs. */
const world = { rate: 9.2, isBankOpen: false }

const failed = (message: string) => Effect.fail(new Failure({ message }))

const layerOffice = Layer.succeed(Office, {
  rate: Effect.suspend(() =>
    Effect.as(Console.log(`  (the exchange is asked: ${world.rate})`), world.rate)
  ),
  askBoard: (euros) => failed(`the board is on holiday, and does not decide on ${euros} euros`),
  pay: (to, euros) =>
    Effect.suspend(() =>
      world.isBankOpen ? Effect.succeed(`${to} got ${euros} euros`) : failed("the bank is closed")
    )
})

/** What a run came to, in a line. */
const tell = (runId: string) =>
  Effect.flatMap(invoice.status(runId), (run) =>
    Console.log(
      `  ${
        run.status === "success"
          ? run.result
          : run.status === "failed"
          ? run.error.message
          : run.status
      }`
    ))

const program = Effect.gen(function*() {
  yield* Console.log("an invoice at a wrong rate:")
  const wrong = yield* invoice.start({ from: "Moonbase Ltd", dollars: 2000 })
  yield* tell(wrong.runId)

  yield* Console.log("what if the rate had been 0.92?")
  const override = { rate: 0.92 }
  // Pure: the journal is read, and nothing is run or written.
  const then = invoice.whatIf(yield* Runs.journal(wrong.runId), { override })
  if (then._tag === "Blocked" && then.instead !== undefined && "stepId" in then.instead) {
    yield* Console.log(`  next would be "${then.steps[0]}", not "${then.instead.stepId}"`)
  }

  yield* Console.log("so be it, in a fork:")
  world.isBankOpen = true
  const fork = yield* invoice.fork(wrong.runId, { fromStep: "ask-board", override })
  yield* Console.log(`  ${yield* Workflow.output(fork)}`)
  yield* Console.log("and the run that it was forked from is as it was:")
  yield* tell(wrong.runId)

  yield* Console.log("an invoice when the bank is closed:")
  Object.assign(world, { rate: 0.92, isBankOpen: false })
  const closed = yield* invoice.start({ from: "Deep Sea Inc", dollars: 700 })
  yield* tell(closed.runId)

  yield* Console.log(
    "the bank opens, and the run goes on from where it failed, at the rate of then:"
  )
  Object.assign(world, { rate: 0.5, isBankOpen: true })
  const retried = yield* invoice.retryFrom(closed.runId)
  yield* Console.log(`  ${yield* Workflow.output(retried)}`)
})

program.pipe(
  Effect.provide([layerOffice, NodeLocalStorage.layer(directory)]),
  NodeRuntime.runMain
)
