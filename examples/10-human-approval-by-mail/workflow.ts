/**
 * The workflow: draft an answer to a customer's mail, and send it. It knows nothing of anybody who approves.
 */
import { Context, Effect, Schema } from "effect"
import { Workflow } from "reprise"

export const Question = Schema.Struct({ from: Schema.String, body: Schema.NonEmptyString })

export interface Mail {
  readonly to: string
  readonly subject: string
  readonly text: string
}

export class Mailer extends Context.Service<Mailer, {
  readonly send: (mail: Mail) => Effect.Effect<void>
}>()("by-mail/Mailer") {}

export const send = Effect.fn("send")(function*(mail: Mail) {
  const mailer = yield* Mailer
  yield* mailer.send(mail)
})

export const reply = Workflow.make("reply", { input: Question }, function*(ctx, { body, from }) {
  const draft = yield* ctx.step("draft", () => `Thank you for asking "${body}". Yes, we do.`)
  yield* ctx.step("send", () => send({ to: from, subject: `Re: ${body}`, text: draft }))
  return draft
})
