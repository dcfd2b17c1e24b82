/** What a session does by the clock alone. */
import { Clock, Duration, Effect } from "effect"
import { Runs, Storage, Workflow } from "reprise"
import { expect, it } from "vitest"

/** A clock that stands still until it is moved. Who sleeps wakes as by a timer: when the thread is free. */
const movable = () => {
  let millis = 0
  let sleepers: ReadonlyArray<{ readonly at: number; readonly wake: () => void }> = []
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => millis,
    currentTimeMillis: Effect.sync(() => millis),
    currentTimeNanosUnsafe: () => BigInt(millis) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(millis) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => BigInt(millis) * 1_000_000n,
    monotonicTimeNanos: Effect.sync(() => BigInt(millis) * 1_000_000n),
    sleep: (duration) =>
      Effect.callback((resume) => {
        const at = millis + Duration.toMillis(duration)
        sleepers = [...sleepers, { at, wake: () => resume(Effect.void) }]
      })
  }
  const move = (by: number) => {
    millis += by
    const due = sleepers.filter(({ at }) => at <= millis)
    sleepers = sleepers.filter(({ at }) => at > millis)
    for (const { wake } of due) setImmediate(wake)
  }
  return { clock, move }
}

it("hears of a cancel between plain functions, which never give the looker a turn", async () => {
  const { clock, move } = movable()
  const ran: Array<number> = []
  const program = Effect.gen(function*() {
    const services = yield* Effect.context<Storage.Storage>()
    const workflow = Workflow.make("plain", function*(ctx) {
      for (let n = 0; n < 10; n++) {
        yield* ctx.step("tick", () => {
          ran.push(n)
          move(600)
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

it.each([
  ["plain functions", 400, (work: () => void) => work],
  ["effects that are over at once", 400, (work: () => void) => Effect.sync(work)],
  ["long functions", 4_000, (work: () => void) => work]
])("keeps its lease while it has only steps that are %s", async (_, millis, stepOf) => {
  const { clock, move } = movable()
  const driver = Storage.memoryDriver()
  const holders: Array<boolean> = []
  const workflow = Workflow.make("long", function*(ctx) {
    for (let n = 0; n < 200; n++) {
      yield* ctx.step(
        "tick",
        stepOf(() => {
          move(millis)
          const now = clock.currentTimeMillisUnsafe()
          holders.push(Effect.runSync(driver.holder("r1", now)) !== undefined)
        })
      )
    }
  })
  const result = await Effect.runPromise(
    workflow.start(undefined, { runId: "r1" }).pipe(
      Effect.provideService(Clock.Clock, clock),
      Effect.provideService(Storage.Storage, Storage.make(driver))
    )
  )
  expect(result.status).toBe("success")
  expect(holders).toEqual(holders.map(() => true))
  expect(holders).toHaveLength(200)
})

it("hears at once of a cancel that came before an effect is waited for", async () => {
  const { clock } = movable()
  const memory = Storage.memoryDriver()
  let appends = 0
  const driver: Storage.Driver = {
    ...memory,
    writer: (runId) =>
      Effect.map(memory.writer(runId), (writer): Storage.DriverWriter => ({
        ...writer,
        append: (...append) =>
          Effect.tap(
            Effect.yieldNow,
            () => ++appends === 2 ? Effect.orDie(cancel) : Effect.void
          ).pipe(Effect.andThen(Effect.suspend(() => writer.append(...append))))
      }))
  }
  const storage = Storage.make(driver)
  const cancel = Effect.provideService(Runs.cancel("r1"), Storage.Storage, storage)
  const workflow = Workflow.make("waits", function*(ctx) {
    yield* ctx.step("at once", Effect.void)
    yield* ctx.step("never", Effect.never)
  })
  const result = await Effect.runPromise(
    workflow.start(undefined, { runId: "r1" }).pipe(
      Effect.provideService(Clock.Clock, clock),
      Effect.provideService(Storage.Storage, storage)
    )
  )
  expect(result.status).toBe("cancelled")
  expect(appends).toBeGreaterThan(1)
})
