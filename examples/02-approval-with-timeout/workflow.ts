/**
 * The workflow: somebody wants to spend money, and a manager decides by a link in a mail.
 *
 * Nobody follows the link: a reminder. Still nobody: declined. No process has to live that long.
 */
import { Context, Effect, Option, Schema } from "effect"
import { Workflow } from "reprise"

export const Expense = Schema.Struct({
  what: Schema.NonEmptyString,
  euros: Schema.Int,
  manager: Schema.String,
  /** How long the manager has, before the reminder and again after it. */
  patience: Schema.Duration
})

export const Decision = Schema.Struct({ approved: Schema.Boolean, comment: Schema.String })

export class Mailer extends Context.Service<Mailer, {
  readonly send: (mail: Mail) => Effect.Effect<void>
}>()("approval/Mailer") {}

export interface Mail {
  readonly to: string
  readonly subject: string
  readonly link: string
}

export const approval = Workflow.make("approval", {
  input: Expense,
  output: Schema.String,
  events: { decision: Decision }
}, function*(ctx, { euros, manager, patience, what }) {
  const link = `https://expenses.example/decide?token=${yield* ctx.token("decision")}`

  for (const opening of ["May we buy", "Reminder: may we buy"]) {
    const subject = `${opening} "${what}" for ${euros} euros?`
    yield* ctx.step("mail", () => send({ to: manager, subject, link }))

    const decision = yield* ctx.suspend("decision", { reason: subject, timeout: patience })
    if (Option.isSome(decision)) {
      const { approved, comment } = decision.value
      return `${approved ? "approved" : "declined"}: ${comment}`
    }
  }
  return "declined: nobody answered"
})

const send = Effect.fn("send")(function*(mail: Mail) {
  const mailer = yield* Mailer
  yield* mailer.send(mail)
})
