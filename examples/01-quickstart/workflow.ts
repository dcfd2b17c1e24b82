/**
 * The workflow: classify a support ticket, wait for a human if it is bad, draft an answer.
 *
 * Every `yield*` is journaled. Another process that goes on with the run is handed what is in the
 * journal, and does only the rest.
 */
import { Console, Effect, Schema } from "effect"
import { Workflow } from "reprise"
import { type Category, type Classification, Classifier, Ticket } from "./classifier.ts"

export const Verdict = Schema.Struct({ approved: Schema.Boolean, reviewer: Schema.String })

export const triage = Workflow.make("triage", {
  input: Ticket,
  output: Schema.String,
  events: { "manual-review": Verdict }
}, function*(ctx, ticket) {
  const classification = yield* ctx.step("classify", () => classify(ticket))

  let note: string | undefined
  if (classification.severity >= 4) {
    const verdict = yield* ctx.suspend("manual-review", {
      reason: `severity ${classification.severity}`
    })
    if (!verdict.approved) return `rejected by ${verdict.reviewer}`
    note = `approved by ${verdict.reviewer}`
  }

  return yield* ctx.step("draft", () => draft(ticket, classification, note))
})

// The steps print when they run, so that one sees which of them a resumed run does not run again.

const classify = Effect.fn("classify")(function*(ticket: Ticket) {
  yield* Console.log(`[${ticket.id}] classify "${ticket.subject}"`)
  const classifier = yield* Classifier
  return yield* classifier.classify(ticket)
})

const draft = Effect.fn("draft")(
  function*(ticket: Ticket, { category, severity }: Classification, note: string | undefined) {
    yield* Console.log(`[${ticket.id}] draft`)
    const triaged = [`Triaged as ${category}`, `severity ${severity}`, note]
      .filter((part) => part !== undefined)
      .join(", ")
    return `${triaged}. Draft: Thank you for writing about "${ticket.subject}". ${next[category]}`
  }
)

const next: Record<Category, string> = {
  bug: "An engineer is looking at it now, and we write again as soon as we know more.",
  billing: "We are checking your invoices and come back to you within one working day.",
  account: "For your safety we first check that the account is yours: please reply to this mail.",
  question: "You find the answer in our documentation; please write again if it is not clear."
}
