/**
 * 02-approval-with-timeout: the link, the reminder, and nobody at all.
 */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Runs, Storage } from "reprise"
import { approval, type Mail, Mailer } from "../../examples/02-approval-with-timeout/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const expense = {
  what: "Desk",
  euros: 480,
  manager: "ada@example.com",
  patience: Duration.days(3)
}

const asked = `May we buy "Desk" for 480 euros?`
const reminded = `Reminder: may we buy "Desk" for 480 euros?`

const withMailbox = () => {
  const mails: Array<Mail> = []
  const mailer = Layer.succeed(Mailer, {
    send: (mail) =>
      Effect.sync(() => {
        mails.push(mail)
      })
  })
  return { mails, layer: Layer.merge(mailer, Storage.layerMemory) }
}

const tokenIn = (mail: Mail | undefined) => new URL(mail!.link).searchParams.get("token")!

describe("the approval", () => {
  it.effect("waits for the manager, who decides by the link alone", () => {
    const { layer, mails } = withMailbox()
    return Effect.gen(function*() {
      const first = yield* approval.start(expense)
      expect(first).toMatchObject({
        status: "suspended",
        event: "decision",
        reason: asked,
        wakeAt: Duration.toMillis("3 days")
      })
      expect(mails.map(({ subject, to }) => [to, subject])).toEqual([["ada@example.com", asked]])

      const token = tokenIn(mails[0])
      yield* Runs.deliver(token, { approved: false, comment: "no room" })
      // A second click changes nothing.
      yield* Runs.deliver(token, { approved: true, comment: "oh well" })
      expect(yield* approval.resume(first.runId)).toMatchObject({
        status: "success",
        result: "declined: no room"
      })
      expect(mails).toHaveLength(1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("reminds the manager once the time is up, with a link that works too", () => {
    const { layer, mails } = withMailbox()
    return Effect.gen(function*() {
      const { runId } = yield* approval.start(expense)
      yield* TestClock.adjust(Duration.toMillis("3 days") - 1)
      expect(yield* approval.resume(runId)).toMatchObject({ status: "suspended" })
      expect(mails).toHaveLength(1)

      yield* TestClock.adjust("1 millis")
      expect(yield* Runs.due()).toEqual([runId])
      expect(yield* approval.resume(runId)).toMatchObject({
        status: "suspended",
        reason: reminded,
        wakeAt: Duration.toMillis("6 days")
      })
      expect(mails.map(({ subject }) => subject)).toEqual([asked, reminded])

      yield* Runs.deliver(tokenIn(mails[1]), { approved: true, comment: "sorry" })
      expect(yield* approval.resume(runId)).toMatchObject({ result: "approved: sorry" })
    }).pipe(Effect.provide(layer))
  })

  it.effect("declines what nobody answers, and the link is dead then", () => {
    const { layer, mails } = withMailbox()
    return Effect.gen(function*() {
      const { runId } = yield* approval.start(expense)
      yield* TestClock.adjust("3 days")
      yield* approval.resume(runId)
      yield* TestClock.adjust("3 days")
      expect(yield* approval.resume(runId)).toMatchObject({ result: "declined: nobody answered" })
      expect(mails).toHaveLength(2)

      const late = Runs.deliver(tokenIn(mails[0]), { approved: true, comment: "late" })
      expect(yield* Effect.flip(late)).toMatchObject({ _tag: "RunClosed" })
    }).pipe(Effect.provide(layer))
  })
})

describe("npm run example 02", () => {
  const directory = scratch()

  it("approves what is answered, and declines what is not", async () => {
    const { code, lines, stderr } = await runExample(directory, ["02"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.filter((line) => !line.startsWith("waits for"))).toEqual([
      "— ada reads her mail —",
      `mail to ada@example.com: May we buy "Standing desk" for 480 euros?`,
      "approved: sit well!",
      "",
      "— bob is on holiday —",
      `mail to bob@example.com: May we buy "Espresso machine" for 2400 euros?`,
      `mail to bob@example.com: Reminder: may we buy "Espresso machine" for 2400 euros?`,
      "declined: nobody answered"
    ])
    expect(lines[2]).toMatch(/^waits for the decision, until \d{4}-/)
  })
})
