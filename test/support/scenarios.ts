/**
 * Workflows as people write them, small enough to be crashed at every write, each with what its client
 * does from the start to the end.
 */
import { Effect, Schema } from "effect"
import { Instruction, Runs, Workflow } from "reprise"
import { bodyOf, Env, hash, type Program } from "./programs.ts"
import { runId, type Scenario, type Script } from "./trial.ts"

/** One call after the other, whatever they answer. */
const calls = (
  ...list: ReadonlyArray<(workflow: Parameters<Script>[2]) => Effect.Effect<unknown, any, any>>
): Script =>
(n, _, workflow) => list[n]?.(workflow)

const start = (input: unknown) => (workflow: Parameters<Script>[2]) =>
  workflow.start(input, { runId })
const resume =
  (eventName: string, eventId: string, value: unknown, key?: string) =>
  (workflow: Parameters<Script>[2]) => workflow.resume(runId, { eventName, eventId, value, key })
const send =
  (eventName: string, eventId: string, value: unknown, key?: string) =>
  (workflow: Parameters<Script>[2]) => workflow.send(runId, { eventName, eventId, value, key })
const cancel = (eventId: string) => (workflow: Parameters<Script>[2]) =>
  workflow.cancel(runId, { eventId, reason: "changed my mind" })

/** An effect that gives way `hops` times before it ends. */
const after = <A>(hops: number, value: () => A): Effect.Effect<A> =>
  Effect.map(Effect.repeat(Effect.yieldNow, { times: hops }), value)

const Verdict = Schema.Struct({ approved: Schema.Boolean, reviewer: Schema.String })
class Declined extends Schema.TaggedError<Declined>()("Declined", { why: Schema.String }) {}

export const scenarios: Record<string, Scenario> = {
  "a review by a human between steps": {
    sequential: true,
    make: (did) =>
      Workflow.make(
        "triage",
        { input: Schema.Struct({ id: Schema.String }), events: { review: Verdict } },
        function*(ctx, { id }) {
          const severity = yield* ctx.step("classify", (info) => {
            did(info)
            return id.length
          })
          yield* ctx.log("classified", { severity })
          const verdict = yield* ctx.suspend("review", { reason: `severity ${severity}` })
          if (!verdict.approved) return `rejected by ${verdict.reviewer}`
          return yield* ctx.step("draft", (info) =>
            after(3, () => {
              did(info)
              return { severity, by: verdict.reviewer }
            }))
        }
      ),
    script: calls(
      start({ id: "t1" }),
      resume("review", "e1", { approved: true, reviewer: "alice" })
    )
  },
  "keyed approvals in a loop, one of them early": {
    sequential: true,
    make: (did) =>
      Workflow.make("approvals", { events: { approve: Verdict } }, function*(ctx) {
        const seen: Array<string> = []
        for (const key of ["x", "y", "z"]) {
          yield* ctx.step("ask", (info) => did(info))
          const { reviewer } = yield* ctx.suspend("approve", { key })
          seen.push(`${key} ${reviewer}`)
        }
        return seen
      }),
    script: calls(
      start(undefined),
      send("approve", "e-z", { approved: true, reviewer: "carol" }, "z"),
      send("approve", "e-z2", { approved: true, reviewer: "too late" }, "z"),
      resume("approve", "e-x", { approved: true, reviewer: "alice" }, "x"),
      resume("approve", "e-y", { approved: true, reviewer: "bob" }, "y")
    )
  },
  "a fan-out with a limit, beside a wait": {
    sequential: false,
    make: (did) =>
      Workflow.make("fan", { events: { go: Schema.Json } }, function*(ctx) {
        return yield* ctx.all({
          items: ctx.forEach(["a", "bb", "ccc"], (item) =>
            function*() {
              const reserved = yield* ctx.step("reserve", (info) =>
                after(item.length, () => {
                  did(info)
                  return `reserved ${item}`
                }))
              yield* ctx.step("charge", (info) => did(info))
              return reserved
            }, { concurrency: 2, key: (item) => item }),
          go: ctx.suspend("go"),
          one: ctx.step("one", (info) => did(info))
        })
      }),
    script: calls(start(undefined), resume("go", "e1", "gone"))
  },
  "a race of an approval against work that is cleaned up": {
    sequential: false,
    make: (did) =>
      Workflow.make(
        "race",
        { events: { approve: Schema.Json, never: Schema.Json } },
        function*(ctx) {
          const winner = yield* ctx.race({
            approval: ctx.suspend("approve"),
            work: function*() {
              try {
                yield* ctx.step("work", (info) => did(info))
                return yield* ctx.suspend("never")
              } finally {
                yield* ctx.step("tidy", (info) => did(info))
              }
            }
          })
          return yield* ctx.step("after", (info) => {
            did(info)
            return winner
          })
        }
      ),
    script: calls(start(undefined), resume("approve", "e1", { by: "alice" }))
  },
  "a cancel whose clean-up waits": {
    sequential: true,
    make: (did) =>
      Workflow.make(
        "cancelled",
        { events: { go: Schema.Json, confirmed: Schema.Json } },
        function*(ctx) {
          try {
            yield* ctx.step("reserve", (info) => did(info))
            yield* ctx.suspend("go")
          } finally {
            yield* ctx.step("release", (info) => did(info))
            yield* ctx.suspend("confirmed")
            yield* ctx.step("tell", (info) => did(info))
          }
        }
      ),
    script: calls(start(undefined), cancel("c1"), resume("confirmed", "e1", null))
  },
  "a second cancel": {
    sequential: true,
    make: (did) =>
      Workflow.make("cancelled", { events: { go: Schema.Json } }, function*(ctx) {
        try {
          yield* ctx.suspend("go")
        } finally {
          yield* ctx.step("release", (info) => did(info))
          yield* ctx.suspend("go")
          yield* ctx.step("never", (info) => did(info))
        }
      }),
    script: calls(start(undefined), cancel("c1"), cancel("c2"))
  },
  "failures that are declared, caught, repeated and final": {
    sequential: true,
    make: (did) =>
      Workflow.make("failing", { error: Declined }, function*(ctx) {
        const caught = yield* Instruction.result(ctx.step("throws", (info) => {
          did(info)
          throw new Error("no")
        }))
        const handled = yield* Instruction.catch(
          ctx.step("declines", (info) => {
            did(info)
            return Effect.fail(new Declined({ why: "first" }))
          }),
          () => ctx.step("instead", (info) => did(info))
        )
        const third = yield* ctx.step("repeated", (info) => {
          if (info.attempt < 3) throw new Error("not yet")
          did(info)
          return info.attempt
        }, { retry: 2 })
        return yield* ctx.fail(
          new Declined({ why: `${caught._tag} ${String(handled)} ${third}` })
        )
      }),
    script: calls(start(undefined))
  },
  "a run that is enqueued and driven by another process": {
    sequential: true,
    make: (did) =>
      Workflow.make("queued", function*(ctx, n: number) {
        for (let k = 0; k < n; k++) yield* ctx.step("work", (info) => did(info))
        return n
      }),
    script: calls(
      (workflow) => workflow.enqueue(3, { runId }),
      (workflow) => workflow.resume(runId),
      () => Effect.map(Runs.status(runId), ({ status }) => status)
    )
  }
}

/** A scenario of a random body: its client answers the first wait it is told of, until there is none. */
export const random = (
  program: Program,
  options: { readonly sequential: boolean; readonly failing: boolean }
): Scenario => ({
  sequential: options.sequential,
  make: (did) =>
    Workflow.make(
      "random",
      { events: { x: Schema.Json, y: Schema.Json } },
      (function*() {
        const log = yield* bodyOf(program, new Env(), (info) => {
          did(info)
          const chance = hash(info.stepId)
          if (options.failing && chance % 7 === 0) throw new Error(`${info.stepId} fails`)
          return chance % 3 === 0 ? after(chance % 5, () => info.stepId) : info.stepId
        })
        return [...log]
      }) as () => Generator<any, any, any>
    ),
  script: (n, answer, workflow) => {
    if (n === 0) return workflow.start(undefined, { runId })
    // Now and then an event comes that nothing waits for yet.
    if (n % 5 === 3) {
      return workflow.send(runId, { eventName: "y", eventId: `early ${n}`, value: n }).pipe(
        Effect.catchTag("RunClosed", () => Effect.void),
        Effect.as(answer)
      )
    }
    if (typeof answer !== "object" || answer.status !== "suspended") return undefined
    const { event, key } = answer.waits[0]!
    // An early event may have ended the run just before this one came.
    const value = options.sequential ? n : `for ${key}`
    return workflow.resume(runId, { eventName: event!, key, eventId: `e${n}`, value }).pipe(
      Effect.catchTag("RunClosed", () => workflow.resume(runId))
    )
  }
})
