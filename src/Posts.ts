/**
 * What anyone may post to a run, for its owner to take: events, cancels, and what a person decided.
 *
 * A post is durable when it returns. One for a run that went on with `continueAs` reaches the newest.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Chain from "./Chain.ts"
import type { Posted, Settlement } from "./Driver.ts"
import { found, latestStatus, type ReadError } from "./Find.ts"
import { awaitNext } from "./HandOver.ts"
import { isoOf } from "./internal/iso.ts"
import { takenIds } from "./Journal.ts"
import { RunClosed, RunExists, RunNotFound } from "./Refusals.ts"
import * as RunId from "./RunId.ts"
import * as Status from "./Status.ts"
import { Storage } from "./Storage.ts"
import * as Token from "./Token.ts"
import { TokenRejected } from "./Token.ts"

/** An event as a caller sends it. `eventId` makes sending it again harmless; `key` picks the wait. */
export interface Sent {
  readonly eventName: string
  readonly value?: Schema.Json | undefined
  readonly key?: string | undefined
  readonly eventId?: string | undefined
}

/** Whose runs may be posted to: those of any workflow, or of this one. */
export interface PostOptions {
  readonly workflow?: string | undefined
}

const post = Effect.fnUntraced(function*(
  runId: string,
  { eventId = RunId.createRunId(), workflow }: PostOptions & {
    readonly eventId?: string | undefined
  },
  posted: (at: Pick<Posted, "eventId" | "incarnation" | "timestamp">) => Posted
) {
  const storage = yield* Storage
  const millis = yield* Clock.currentTimeMillis
  const timestamp = isoOf(millis)
  let loaded = yield* found(runId, "none")
  for (;;) {
    loaded = yield* Chain.latest(storage, loaded)
    const { journal } = loaded
    const now = Status.of(journal.runId, journal.entries)
    if (workflow !== undefined && workflow !== now.workflow) {
      return yield* new RunExists({
        runId,
        differs: "workflow",
        seen: workflow,
        recorded: now.workflow
      })
    }
    const item = posted({ eventId, incarnation: journal.head.incarnation, timestamp })
    // A repeat of what was journaled already is no news, whatever became of the run.
    if (takenIds(journal.entries).has(eventId)) return
    if (Status.isEnded(now) && now.status !== "continued") {
      return yield* new RunClosed({ runId, status: now.status })
    }
    yield* storage.post(journal.runId, item)
    const after = yield* storage.read(journal.runId, "none")
    const next = Chain.successor(after)
    if (next === undefined) return
    // Whoever hands it over may not have seen this post: then it is to be posted there, too.
    yield* awaitNext(journal.runId, next)
    loaded = after
  }
})

export type PostError = ReadError | RunNotFound | RunExists | RunId.RunIdRejected | RunClosed

/**
 * Posts an event whose payload is encoded already, without driving the run. Durable when it returns,
 * and delivered once per `eventId`. `Workflow.send` checks name and payload first.
 */
export const send = (
  runId: string,
  event: Sent,
  options: PostOptions = {}
): Effect.Effect<void, PostError, Storage> =>
  post(runId, { ...options, eventId: event.eventId }, (at) => ({
    type: "event",
    eventName: event.eventName,
    ...(event.key === undefined ? undefined : { key: event.key }),
    ...(event.value === undefined ? undefined : { value: event.value }),
    ...at
  }))

/** Asks for the run to be cancelled, without driving its clean-up. A second request ends it at once. */
export const cancel = (
  runId: string,
  options?: PostOptions & {
    readonly reason?: string | undefined
    readonly eventId?: string | undefined
  }
): Effect.Effect<void, PostError, Storage> =>
  post(runId, options ?? {}, (at) => ({
    type: "cancel",
    ...(options?.reason === undefined ? undefined : { reason: options.reason }),
    ...at
  }))

/** The step is not one whose outcome is unknown. Nothing was posted. */
export class SettleRejected
  extends Schema.TaggedError<SettleRejected>("reprise/SettleRejected")("SettleRejected", {
    runId: Schema.String,
    stepId: Schema.String,
    /** The steps that can be settled. */
    allowed: Schema.Array(Schema.String)
  })
{
  override get message(): string {
    const allowed = this.allowed.length === 0
      ? "It has none that could be: only an at-most-once step with an intent and no outcome can."
      : `It has: ${this.allowed.map((id) => `"${id}"`).join(", ")}.`
    return `Step "${this.stepId}" of run "${this.runId}" has no unknown outcome to settle. ${allowed}`
  }
}

/**
 * What a person found out about a step: its value (encoded), that it failed, or that it may run again. `tag` is what a
 * body finds as the tag of its `StepFailed`; default `Settled`.
 */
export type Verdict =
  | { readonly value: Schema.Json | undefined }
  | { readonly failure: string; readonly tag?: string | undefined }
  | { readonly retry: true }

/**
 * Decides what nobody can know: what became of an at-most-once step whose process died with it. The run
 * is not driven. Without a step, a run that is blocked as a `CrashLoop` may go on.
 */
export const settle: {
  (
    runId: string,
    stepId: string,
    verdict: Verdict
  ): Effect.Effect<void, PostError | SettleRejected, Storage>
  (runId: string): Effect.Effect<void, PostError | SettleRejected, Storage>
} = (
  runId: string,
  stepId?: string,
  verdict?: Verdict
): Effect.Effect<void, PostError | SettleRejected, Storage> =>
  Effect.gen(function*() {
    if (stepId !== undefined) {
      const { intents } = yield* latestStatus(runId)
      if (!intents.includes(stepId)) {
        return yield* new SettleRejected({ runId, stepId, allowed: intents })
      }
    }
    yield* post(runId, {}, (at) => ({
      type: "settle",
      ...(stepId === undefined ? undefined : { stepId }),
      as: settlement(verdict ?? { retry: true }),
      ...at
    }))
  })

const settlement = (verdict: Verdict): Settlement => {
  if ("failure" in verdict) {
    return { is: "failure", tag: verdict.tag ?? "Settled", message: verdict.failure }
  }
  if ("retry" in verdict) return { is: "retry" }
  const { value } = verdict
  return { is: "value", ...(value === undefined ? undefined : { value }) }
}

/**
 * Sends the event that a token of `ctx.token` stands for, without driving the run. Once: a link that is
 * followed again changes nothing. `value` is the payload as JSON.
 */
export const deliver = Effect.fnUntraced(function*(
  token: string,
  value?: Schema.Json
): Effect.fn.Return<void, PostError | TokenRejected, Storage> {
  const addressed = Token.parse(token)
  if (addressed === undefined) {
    return yield* new TokenRejected({ saw: JSON.stringify(String(token).slice(0, 40)) })
  }
  const { event, incarnation, key, runId } = addressed
  const { journal } = yield* found(runId, "none")
  if (journal.head.incarnation !== incarnation) return yield* new RunNotFound({ runId })
  yield* send(runId, { eventName: event, key, value, eventId: `token:${token}` })
})
