/**
 * The code of January: greet a new customer, wait for the confirmation, send a voucher.
 *
 * It is here so that a run of then can be shown. In a repository it would be an old commit.
 */
import { Console, Schema } from "effect"
import { Workflow } from "reprise"

export const welcome = Workflow.make("welcome", {
  version: "1",
  input: Schema.Struct({ name: Schema.NonEmptyString }),
  output: Schema.String,
  events: { confirmed: Schema.Void }
}, function*(ctx, { name }) {
  yield* ctx.step("greet", () => Console.log(`  [january] Hello ${name}, please confirm`))
  yield* ctx.suspend("confirmed")
  yield* ctx.step("voucher", () => Console.log(`  [january] a voucher for ${name}`))
  return `${name} is welcome`
})
