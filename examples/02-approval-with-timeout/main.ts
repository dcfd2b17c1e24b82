/**
 * Two expenses: one whose manager follows the link in the mail, and one whose manager is on holiday.
 *
 * Owns the choice of mailer and storage, and what is printed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Duration, Effect, Layer } from "effect"
import { Runs, Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { approval, type Mail, Mailer } from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

/** Stands for the managers' mailboxes. */
const mailbox: Array<Mail> = []

const layerMailbox = Layer.succeed(Mailer, {
  send: (mail) =>
    Console.log(`mail to ${mail.to}: ${mail.subject}`).pipe(
      Effect.andThen(Effect.sync(() => {
        mailbox.push(mail)
      }))
    )
})

/** What the web server behind the link does: it knows the token alone, no workflow and no run. */
const follow = (link: string) =>
  Runs.deliver(new URL(link).searchParams.get("token") ?? "", {
    approved: true,
    comment: "sit well!"
  })

const program = Effect.gen(function*() {
  yield* Console.log("— ada reads her mail —")
  const desk = yield* approval.start({
    what: "Standing desk",
    euros: 480,
    manager: "ada@example.com",
    patience: Duration.days(3)
  })
  if (desk.status === "suspended" && desk.wakeAt !== undefined) {
    // This process may exit now: any later one goes on, when the link is followed or the time is up.
    yield* Console.log(`waits for the ${desk.event}, until ${new Date(desk.wakeAt).toISOString()}`)
  }
  for (const { link } of mailbox) yield* follow(link)
  yield* Console.log(yield* Effect.flatMap(approval.resume(desk.runId), Workflow.output))

  yield* Console.log("\n— bob is on holiday —")
  const outcome = yield* approval.execute({
    what: "Espresso machine",
    euros: 2400,
    manager: "bob@example.com",
    patience: Duration.seconds(1)
  })
  yield* Console.log(outcome)
})

program.pipe(
  Effect.provide([layerMailbox, NodeLocalStorage.layer(directory)]),
  NodeRuntime.runMain
)
