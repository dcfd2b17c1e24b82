/**
 * What crosses between a dispatcher and a function: a run's id there, a verdict back, both JSON, and the status
 * that tells a queue which knows no verdicts what to do.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Dispatch } from "../index.ts"
import { isRunId } from "../RunId.ts"

/** More than any delivery has. */
export const longestBody = 1_024

const Delivery = Schema.fromJsonString(
  Schema.Struct({ runId: Schema.String.check(Schema.makeFilter(isRunId)) })
)

export const encodeDelivery = (runId: string): string => JSON.stringify({ runId })

export const decodeDelivery = Schema.decodeUnknownOption(Delivery)

const Millis = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

const Answer = Schema.Union([
  Schema.TaggedStruct("Done", {
    status: Schema.Literals(["success", "failed", "cancelled", "absent"])
  }),
  Schema.TaggedStruct("Waits", { until: Schema.optional(Millis) }),
  Schema.TaggedStruct("Held", { after: Millis }),
  Schema.TaggedStruct("Redeliver", { after: Millis, why: Schema.String }),
  Schema.TaggedStruct("Blocked", { why: Schema.String }),
  Schema.TaggedStruct("Foreign", { workflow: Schema.String })
])

const decodeAnswer = Schema.decodeUnknownOption(Schema.fromJsonString(Answer))

/** The verdict in the body of an answer; undefined when there is none that is known here. */
export const decodeVerdict = (text: string): Dispatch.Verdict | undefined =>
  Option.match(decodeAnswer(text), {
    onNone: () => undefined,
    // JSON leaves out what is undefined.
    onSome: (answer): Dispatch.Verdict =>
      answer._tag === "Waits" ? { _tag: "Waits", until: answer.until } : answer
  })

const plain = { "content-type": "application/json", "cache-control": "no-store" }

const statusOf = (verdict: Dispatch.Verdict): number => {
  switch (verdict._tag) {
    case "Done":
    case "Waits":
    case "Blocked":
      return 200
    case "Foreign":
      return 404
    case "Held":
    case "Redeliver":
      return 503
  }
}

/** The answer with a verdict. */
export const answer = (verdict: Dispatch.Verdict): Response => {
  const after = "after" in verdict
    ? { "retry-after": String(Math.ceil(verdict.after / 1_000)) }
    : {}
  return new Response(JSON.stringify(verdict), {
    status: statusOf(verdict),
    headers: { ...plain, ...after }
  })
}

/** The answer to what is no delivery. */
export const refuse = (
  status: number,
  error: string,
  headers: Readonly<Record<string, string>> = {}
): Response =>
  new Response(JSON.stringify({ error }), { status, headers: { ...plain, ...headers } })
