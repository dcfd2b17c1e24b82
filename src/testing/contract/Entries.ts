/**
 * The entries that cases write, and the runs and posts that are made of them.
 */
import * as Effect from "effect/Effect"
import { Journal, type Storage } from "../../index.ts"
import type { Trial } from "./Case.ts"
import { epoch, type Hand, type Written } from "./Hand.ts"

export const start: Journal.Entry = { type: "start" }

export const step = (name: string, result: Journal.Step["result"] = 1): Journal.Entry => ({
  type: "step",
  stepId: name,
  name,
  result
})

/** A step whose outcome is unknown until another entry settles it. */
export const intent: Journal.Entry = { type: "intent", stepId: "pay", name: "pay", attempt: 1 }

/** Waits for the event `go`. */
export const waits: Journal.Entry = Journal.suspension([
  { stepId: "go", kind: "event", event: "go", since: epoch }
])

/** Sleeps until `wakeAt`. */
export const sleeps = (wakeAt: number): Journal.Entry =>
  Journal.suspension([{ stepId: "sleep", kind: "timer", since: epoch, wakeAt }])

/** Waits for a child run. */
export const waitsFor = (childId: string): Journal.Entry =>
  Journal.suspension([{ stepId: "child", kind: "child", childId, since: epoch }])

export const completes: Journal.Entry = { type: "complete", result: "done" }
export const fails: Journal.Entry = { type: "error", error: { message: "no" } }
export const ends: Journal.Entry = { type: "cancelled", reason: "enough" }
export const stops: Journal.Entry = { type: "stop", stepId: "a" }
export const continues = (runId: string): Journal.Entry => ({
  type: "continue",
  runId,
  metadata: null
})

/** The entry by which an owner journals the event `eventId`. */
export const takes = (eventId: string): Journal.Entry => ({
  type: "event",
  eventName: "go",
  eventId
})

/** Opens sessions that get nowhere until the run counts as a crash loop. */
export const crash = (hand: Hand, times = 9) =>
  Effect.forEach(Array.from({ length: times }), () => hand.append(start), { discard: true })

const envelope = (incarnation: string, eventId: string) => ({
  eventId,
  incarnation,
  timestamp: new Date(epoch).toISOString()
})

/** An event for the run of this incarnation. */
export const event = (incarnation: string, eventId: string, value?: string): Storage.Posted => ({
  type: "event",
  eventName: "go",
  ...(value === undefined ? undefined : { value }),
  ...envelope(incarnation, eventId)
})

export const cancel = (incarnation: string, eventId: string): Storage.Posted => ({
  type: "cancel",
  ...envelope(incarnation, eventId)
})

/** A person says that a run may go on. */
export const settle = (incarnation: string, eventId: string): Storage.Posted => ({
  type: "settle",
  as: { is: "retry" },
  ...envelope(incarnation, eventId)
})

/** A post as a driver gets it. */
export const posting = (posted: Storage.Posted, id = posted.eventId): Storage.Posting => ({
  id,
  eventId: posted.eventId,
  line: Journal.sealText(JSON.stringify(posted))
})

/** Posts `posted` to the hand's run. */
export const post = (trial: Trial, { runId }: Hand, posted: Storage.Posted) =>
  trial.driver.post(runId, posting(posted))

/** A run's posts: what stands in the text that a look at the inbox gives. */
export const posted = ({ text }: Storage.Posts): ReadonlyArray<string> =>
  text.split("\n").filter((line) => line.trim() !== "")

/** A step whose result is written exactly so. */
export const rawStep = (json: string): Written => ({
  json: `{"type":"step","stepId":"a","name":"a","result":${json}}`
})
