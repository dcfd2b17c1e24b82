/**
 * The workflow: an invoice in a foreign currency is converted; what is over the limit goes to the board,
 * the rest is paid.
 */
import { Context, Effect, Schema } from "effect"
import { Workflow } from "reprise"

export const Invoice = Schema.Struct({ from: Schema.String, dollars: Schema.Int })

export class Failure extends Schema.TaggedError<Failure>()("Failure", { message: Schema.String }) {}

/** What stands outside: the exchange, the board's secretary, and the bank. */
export class Office extends Context.Service<Office, {
  /** Euros for a dollar. */
  readonly rate: Effect.Effect<number>
  readonly askBoard: (euros: number) => Effect.Effect<string, Failure>
  readonly pay: (to: string, euros: number) => Effect.Effect<string, Failure>
}>()("what-if/Office") {}

const office = <A, E>(ask: (it: Office["Service"]) => Effect.Effect<A, E>) =>
  Effect.flatMap(Office, ask)

export const limit = 10_000

export const invoice = Workflow.make(
  "invoice",
  { input: Invoice, output: Schema.String, error: Failure },
  function*(ctx, { dollars, from }) {
    const rate = yield* ctx.step("rate", () => office((it) => it.rate))
    const euros = Math.round(dollars * rate)
    if (euros > limit) {
      return yield* ctx.step("ask-board", () => office((it) => it.askBoard(euros)))
    }
    return yield* ctx.step("pay", () => office((it) => it.pay(from, euros)))
  }
)
