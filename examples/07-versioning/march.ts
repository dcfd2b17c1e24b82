/**
 * The code of March: the same body with two changes, so the version stays.
 *
 * Customers have a language now: an input recorded without one decodes to English. And spam has come up:
 * `ctx.patched` tells whether a run may take the new path, or went down the old one before.
 */
import { Console, Effect, Schema } from "effect"
import { Workflow } from "reprise"

export const Customer = Schema.Struct({
  name: Schema.NonEmptyString,
  language: Schema.Literals(["en", "de"]).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("en"))
  )
})

export const welcome = Workflow.make("welcome", {
  version: "1",
  input: Customer,
  output: Schema.String,
  events: { confirmed: Schema.Void }
}, function*(ctx, { language, name }) {
  if (yield* ctx.patched("check-for-spam")) {
    yield* ctx.step("check", () => Console.log(`  [march] is ${name} a person?`))
  }
  yield* ctx.step(
    "greet",
    () => Console.log(`  [march] ${hello[language]} ${name}, please confirm`)
  )
  yield* ctx.suspend("confirmed")
  yield* ctx.step("voucher", () => Console.log(`  [march] a voucher (${language}) for ${name}`))
  return `${name} is welcome`
})

const hello = { en: "Hello", de: "Moin" }
