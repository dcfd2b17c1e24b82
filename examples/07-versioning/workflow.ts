/**
 * The code of today: another body altogether, so another version.
 *
 * Runs that the older body began go on with that one, for it stands in `previous`. When none of them is
 * open any more, `previous` and `march.ts` may go.
 */
import { Console, Schema } from "effect"
import { Workflow } from "reprise"
import * as March from "./march.ts"

export const welcome = Workflow.make("welcome", {
  version: "2",
  previous: [March.welcome],
  input: March.Customer,
  output: Schema.String,
  events: { confirmed: Schema.Void }
}, function*(ctx, { language, name }) {
  yield* ctx.step("sign-up", () => Console.log(`  [today] sign up ${name} (${language})`))
  yield* ctx.suspend("confirmed")
  yield* ctx.step("open", () => Console.log(`  [today] open the account of ${name}`))
  return `${name} has an account`
})
