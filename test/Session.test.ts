/** What a session does by the clock alone. */
import { Clock, Effect } from "effect"
import { Runs, Storage, Workflow } from "reprise"
import { expect, it } from "vitest"

it("hears of a cancel between plain functions, which never give the looker a turn", async () => {
  let millis = 0
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => millis,
    currentTimeMillis: Effect.sync(() => millis),
    currentTimeNanosUnsafe: () => BigInt(millis) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(millis) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => BigInt(millis) * 1_000_000n,
    monotonicTimeNanos: Effect.sync(() => BigInt(millis) * 1_000_000n),
    sleep: () => Effect.never
  }
  const ran: Array<number> = []
  const program = Effect.gen(function*() {
    const services = yield* Effect.context<Storage.Storage>()
    const workflow = Workflow.make("plain", function*(ctx) {
      for (let n = 0; n < 10; n++) {
        yield* ctx.step("tick", () => {
          ran.push(n)
          millis += 600
          if (n === 1) Effect.runSyncWith(services)(Runs.cancel("r1"))
        })
      }
    })
    return yield* workflow.start(undefined, { runId: "r1" })
  })
  const result = await Effect.runPromise(
    program.pipe(Effect.provideService(Clock.Clock, clock), Effect.provide(Storage.layerMemory))
  )
  expect(result.status).toBe("cancelled")
  expect(ran).toEqual([0, 1])
})
