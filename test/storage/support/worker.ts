/**
 * A Worker in workerd with an R2 bucket: runs cases of the storage contract over its binding, and a workflow
 * that suspends in one request and ends in another.
 */
import { Cause, Effect, Exit, Schema } from "effect"
import { Runs, Workflow } from "reprise"
import { ObjectStorage } from "reprise/objects"
import * as Testing from "reprise/testing"

/** What a Worker is given; its own types need the DOM. */
interface Env {
  readonly BUCKET: ObjectStorage.R2Bucket
}

interface Asked {
  readonly url: string
}

interface Answered {
  new(body: string): unknown
}

/** The cases from `from` on, up to before `to`, and what of them failed. */
const contract = (bucket: ObjectStorage.R2Bucket, from: number, to: number) =>
  Effect.forEach(
    Testing.storageContract.slice(from, to),
    ({ area, name, run }, n) =>
      Effect.map(
        Effect.exit(run(ObjectStorage.make(ObjectStorage.r2(bucket), { prefix: `c${from + n}/` }))),
        (exit) => ({
          name: `${area}: ${name}`,
          failure: Exit.isSuccess(exit) ? undefined : String(Cause.squash(exit.cause))
        })
      ),
    { concurrency: 12 }
  )

const triage = Workflow.make(
  "triage",
  { input: Schema.String, events: { verdict: Schema.String } },
  function*(ctx, ticket) {
    const severity = yield* ctx.step("classify", () => ticket.length)
    const by = yield* ctx.suspend("verdict", { reason: `severity ${severity}` })
    return yield* ctx.step("draft", () => `${ticket} by ${by}`)
  }
)

const answer = (bucket: ObjectStorage.R2Bucket, url: URL): Effect.Effect<unknown, unknown> => {
  const { pathname, searchParams } = url
  const storage = ObjectStorage.layer(ObjectStorage.r2(bucket))
  const runId = searchParams.get("run") ?? "r"
  switch (pathname) {
    case "/contract":
      return contract(bucket, Number(searchParams.get("from")), Number(searchParams.get("to")))
    case "/process":
      return Effect.sync(() => typeof (globalThis as { readonly process?: unknown }).process)
    case "/start":
      return Effect.provide(triage.start("ticket", { runId }), storage)
    case "/resume":
      return Effect.provide(
        triage.resume(runId, { eventName: "verdict", value: "Ada" }),
        storage
      )
    case "/journal":
      return Effect.provide(
        Effect.map(Runs.journal(runId), ({ entries }) => entries.map(({ type }) => type)),
        storage
      )
    default:
      return Effect.fail(`nothing at ${pathname}`)
  }
}

export default {
  fetch: async ({ url }: Asked, { BUCKET }: Env): Promise<unknown> => {
    const response = (globalThis as unknown as { readonly Response: Answered }).Response
    const exit = await Effect.runPromiseExit(answer(BUCKET, new URL(url)))
    return new response(JSON.stringify(
      Exit.isSuccess(exit) ? { value: exit.value } : { error: Cause.pretty(exit.cause) }
    ))
  }
}
