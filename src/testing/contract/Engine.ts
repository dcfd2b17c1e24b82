/**
 * Cases of workflows: the engine over the driver, so that what the verbs promise adds up to durable runs.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { Runs, Storage, Workflow } from "../../index.ts"
import { type Body, cases, type Trial } from "./Case.ts"
import { demand, same } from "./Checks.ts"
import { epoch } from "./Hand.ts"

/** Two steps around a wait for a person; `ran` has what was done. */
const makeOrder = (name: string) => {
  const ran: Array<string> = []
  const order = Workflow.make(
    name,
    { input: Schema.String, events: { approve: Schema.String } },
    function*(ctx, item) {
      yield* ctx.step("reserve", () => {
        ran.push("reserve")
        return item
      })
      const by = yield* ctx.suspend("approve", { reason: "a person decides" })
      return yield* ctx.step("ship", () => {
        ran.push("ship")
        return `${item} for ${by}`
      })
    }
  )
  return { order, ran }
}

const approve = (value: string, eventId?: string) => ({
  eventName: "approve" as const,
  value,
  ...(eventId === undefined ? undefined : { eventId })
})

/** A case with the workflow, and its calls in one process and in another. */
const driven = (
  body: (
    at: ReturnType<typeof makeOrder> & {
      readonly t: Trial
      readonly runId: string
      readonly here: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<
        A,
        E,
        Exclude<R, Storage.Storage>
      >
      readonly there: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<
        A,
        E,
        Exclude<R, Storage.Storage>
      >
    }
  ) => ReturnType<Body>
): Body =>
  function*(t) {
    const here = Storage.make(t.driver)
    const there = Storage.make(t.other)
    yield* body({
      ...makeOrder(t.workflow),
      t,
      runId: t.id("r"),
      here: (effect) => Effect.provideService(effect, Storage.Storage, here),
      there: (effect) => Effect.provideService(effect, Storage.Storage, there)
    })
  }

const types = (runId: string) =>
  Effect.map(Runs.journal(runId), ({ entries }) => entries.map(({ type }) => type))

export const engine = cases("engine", {
  "a workflow suspends, and ends in another process": driven(
    function*({ here, order, ran, runId, there }) {
      const first = yield* here(order.start("tea", { runId }))
      yield* same("it waits", first.status, "suspended")
      const last = yield* there(order.resume(runId, approve("Ada")))
      yield* same("it ends", last, { status: "success", result: "tea for Ada", runId })
      yield* same("each step ran once", ran, ["reserve", "ship"])
    }
  ),
  "the journal tells the story": driven(function*({ here, order, runId, there }) {
    yield* here(order.start("tea", { runId }))
    yield* there(order.resume(runId, approve("Ada")))
    const story = ["start", "step", "suspend", "start", "resume", "step", "complete"]
    yield* same("entries", yield* here(types(runId)), story)
  }),
  "a run that has ended is answered from its journal": driven(
    function*({ here, order, ran, runId, there }) {
      yield* here(order.start("tea", { runId }))
      yield* here(order.resume(runId, approve("Ada")))
      const again = yield* there(order.start("tea", { runId }))
      yield* same("the answer", again.status, "success")
      yield* same("no step ran again", ran, ["reserve", "ship"])
    }
  ),
  "a run of another input under the same id is refused": driven(
    function*({ here, order, runId, there }) {
      yield* here(order.start("tea", { runId }))
      const error = yield* Effect.flip(there(order.start("milk", { runId })))
      yield* same("the error", error._tag, "RunExists")
    }
  ),
  "an event that was sent early is taken when it is waited for": driven(
    function*({ here, order, runId, there, t }) {
      yield* here(order.enqueue("tea", { runId }))
      yield* there(order.send(runId, approve("Ada")))
      const due = yield* there(Runs.due())
      yield* demand("the run is due", due.includes(t.id("r")), due.length)
      const result = yield* there(order.resume(runId))
      yield* same("it ends at once", result.status, "success")
    }
  ),
  "an event that was sent makes its run due, and its end makes it not": driven(
    function*({ here, order, runId, there }) {
      yield* here(order.start("tea", { runId }))
      yield* same("while it waits", (yield* here(Runs.due())).includes(runId), false)
      yield* there(order.send(runId, approve("Ada")))
      yield* same("when it is sent", (yield* here(Runs.due())).includes(runId), true)
      yield* here(order.resume(runId))
      yield* same("when it has ended", (yield* here(Runs.due())).includes(runId), false)
    }
  ),
  "an event counts once, however often it is sent": driven(
    function*({ here, order, ran, runId, there }) {
      yield* here(order.start("tea", { runId }))
      for (const run of [here, there, here]) yield* run(order.send(runId, approve("Ada", "e1")))
      yield* there(order.resume(runId, approve("Ada", "e1")))
      yield* same("steps", ran, ["reserve", "ship"])
      const taken = (yield* here(types(runId))).filter((type) => type === "resume")
      yield* same("it was taken once", taken.length, 1)
    }
  ),
  "a run is cancelled by another process": driven(function*({ here, order, ran, runId, there }) {
    yield* here(order.start("tea", { runId }))
    const result = yield* there(order.cancel(runId, { reason: "no tea" }))
    yield* same("it ends", result, { status: "cancelled", reason: "no tea", runId })
    yield* same("nothing more ran", ran, ["reserve"])
    const error = yield* Effect.flip(here(order.send(runId, approve("Ada"))))
    yield* same("it takes no events", error._tag, "RunClosed")
  }),
  "runs are listed by state and workflow": driven(function*({ here, order, t, there }) {
    for (const name of ["a", "b", "c"]) yield* here(order.start("tea", { runId: t.id(name) }))
    yield* there(order.resume(t.id("b"), approve("Ada")))
    const ids = (status: "suspended" | "success") =>
      Effect.map(
        there(Runs.list({ workflow: t.workflow, status })),
        ({ runs }) => runs.map(({ runId }) => runId)
      )
    yield* same("those that wait", yield* ids("suspended"), [t.id("a"), t.id("c")])
    yield* same("the one that ended", yield* ids("success"), [t.id("b")])
  }),
  "a process that dies in a step leaves a run that the next one ends": driven(
    function*({ here, runId, t, there }) {
      let attempts = 0
      const begun = yield* Deferred.make<void>()
      const risky = Workflow.make(`${t.workflow}-risky`, function*(ctx) {
        yield* ctx.step("safe", () => 1)
        return yield* ctx.step("risky", () =>
          ++attempts > 1
            ? Effect.succeed("done")
            : Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      })
      const first = yield* Effect.forkChild(here(risky.start(undefined, { runId })))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(first)
      const next = yield* there(risky.resume(runId))
      yield* same("the end", next, { status: "success", result: "done", runId })
      yield* same("the step ran twice, once in each", attempts, 2)
    }
  ),
  "a run with many branches and large values ends and is read again": driven(
    function*({ here, runId, t, there }) {
      const wide = Workflow.make(`${t.workflow}-wide`, function*(ctx) {
        const all = yield* ctx.all(
          Array.from({ length: 20 }, (_, n) => ctx.step(`s${n}`, () => `${n}`.repeat(20_000)))
        )
        return all.map((text) => text.length)
      })
      const result = yield* here(wide.start(undefined, { runId }))
      yield* same("the end", result.status, "success")
      const read = yield* there(wide.status(runId))
      yield* same(
        "as another process reads it",
        read.status === "success" ? read.result : read.status,
        Array.from({ length: 20 }, (_, n) => `${n}`.length * 20_000)
      )
    }
  ),
  "an append whose answer is lost is found again, and stands once": driven(
    function*({ order, ran, runId, t, there }) {
      const result = yield* Effect.provideService(
        order.start("tea", { runId }),
        Storage.Storage,
        Storage.make(losesAnswers(t.driver))
      )
      yield* same("it waits all the same", result.status, "suspended")
      yield* same("the step ran once", ran, ["reserve"])
      yield* same("entries", yield* there(types(runId)), ["start", "step", "suspend"])
    }
  ),
  "a run that was removed while it waited can be started anew": driven(
    function*({ here, order, ran, runId, there }) {
      yield* here(order.start("tea", { runId }))
      yield* there(Runs.remove(runId))
      const again = yield* here(order.start("milk", { runId }))
      yield* same("it waits", again.status, "suspended")
      const result = yield* there(order.resume(runId, approve("Bob")))
      yield* same("it ends", result.status === "success" && result.result, "milk for Bob")
      yield* same("its steps", ran, ["reserve", "reserve", "ship"])
    }
  ),
  "a sleep is due at its time": driven(function*({ here, runId, t, there }) {
    const naps = Workflow.make(`${t.workflow}-naps`, function*(ctx) {
      yield* ctx.sleepUntil(new Date(epoch + 1e12))
    })
    const first = yield* here(naps.start(undefined, { runId }))
    yield* same("it sleeps", first.status, "suspended")
    const due = (now: number) => Effect.map(there(Runs.due(now)), (ids) => ids.includes(runId))
    yield* same("before", yield* due(epoch + 1e12 - 1), false)
    yield* same("then", yield* due(epoch + 1e12), true)
  }),
  "twenty runs are driven at once, by two processes": driven(
    function*({ here, order, t, there }) {
      const names = Array.from({ length: 20 }, (_, n) => `r${String(n).padStart(2, "0")}`)
      const all = { concurrency: "unbounded" } as const
      yield* Effect.forEach(
        names,
        (name, n) => (n % 2 === 0 ? here : there)(order.start(name, { runId: t.id(name) })),
        all
      )
      const ends = yield* Effect.forEach(
        names,
        (name, n) => (n % 2 === 0 ? there : here)(order.resume(t.id(name), approve("Ada"))),
        all
      )
      yield* same(
        "all end",
        ends.map((end) => end.status === "success" && end.result),
        names.map((name) => `${name} for Ada`)
      )
    }
  )
})

/** The driver behind a network that loses the answer of the first try of every append. */
const losesAnswers = (driver: Storage.Driver): Storage.Driver => ({
  ...driver,
  writer: (runId) =>
    Effect.map(driver.writer(runId), (writer): Storage.DriverWriter => {
      const lost = new Set<string>()
      return {
        append: (at, lines, row) =>
          Effect.flatMap(writer.append(at, lines, row), (now) => {
            const key = lines.join()
            if (lost.has(key)) return Effect.succeed(now)
            lost.add(key)
            return new Storage.StorageError({
              reason: "Unavailable",
              doing: `append to run "${runId}"`,
              cause: new Error("the answer was lost")
            })
          })
      }
    })
})
