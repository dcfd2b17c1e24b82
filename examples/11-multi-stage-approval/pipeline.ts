/**
 * The pipeline: a policy is drafted, read by a manager, read by a lawyer, and published.
 */
import { Pipeline } from "reprise"

export interface Request {
  readonly request: string
  /** Who said yes: merged into the context by `approve`. */
  readonly manager?: string
  readonly legal?: string
}

export const policy = Pipeline.make<Request>("policy")
  .step("draft", async ({ request }) => ({ draft: `On ${request}.` }))
  .step(
    "manager-review",
    ({ draft, manager }) => ({ reviewed: `${draft} Read by ${manager ?? "nobody"}.` })
  )
  .step(
    "legal-review",
    ({ legal, reviewed }) => ({ approved: `${reviewed} Cleared by ${legal ?? "nobody"}.` })
  )
  .step("publish", ({ approved }) => ({ published: approved.toUpperCase() }))
