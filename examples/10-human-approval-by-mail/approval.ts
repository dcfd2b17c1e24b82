/**
 * The approval: the run stops behind the draft, and all that is needed to go on travels in a link. No
 * process waits, and whoever serves the link needs the code and the key, but not the storage.
 */
import { Effect } from "effect"
import { Checkpoint } from "reprise"
import { type Question, reply, send } from "./workflow.ts"

/** Drafts an answer, and mails the link that sends it. */
export const ask = (question: typeof Question.Type) =>
  reply.start(question, {
    onStepComplete: ({ checkpoint, context, stepName, stop }) => {
      if (stepName !== "draft") return
      stop()
      // After a crash here the hook is called again. Two mails do no harm: their links lead to one run.
      return send({
        to: "editor@example.com",
        subject: `May this answer go to ${question.from}?`,
        // A checkpoint is of A-Z a-z 0-9 - _ . only, so nothing has to be escaped.
        text: `${context.draft}\n\nhttps://desk.example/approve?checkpoint=${checkpoint}`
      })
    }
  })

/**
 * What stands behind the link. A real page asks once more and comes here with a POST: mail scanners follow
 * every link.
 */
export const click = (link: string) =>
  Effect.gen(function*() {
    const checkpoint = new URL(link).searchParams.get("checkpoint") ?? ""
    const { runId } = yield* Checkpoint.deserializeCheckpoint(checkpoint)
    // The same id for every click: the second one is told what the first one came to.
    return yield* reply.runCheckpoint({ checkpoint, runId: `${runId}-approved` })
  })
