/**
 * Recorded journals against today's code: what a deploy would do to the runs that are open.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Journal, Replay, type Workflow } from "../index.ts"
import { compare } from "../Opening.ts"

/** The text of a journal file, and a name to tell it by. */
export interface NamedJournal {
  readonly name: string
  readonly text: string
}

/** What the code makes of a journal. */
export interface ReplayedJournal {
  readonly name: string
  readonly runId: string
  readonly replayed: Replay.Replayed
}

/** The code no longer fits some of the journals. */
export class Incompatible
  extends Schema.TaggedError<Incompatible>("reprise/Incompatible")("Incompatible", {
    workflow: Schema.String,
    journals: Schema.Array(Schema.Struct({ name: Schema.String, why: Schema.String }))
  })
{
  override get message(): string {
    const each = this.journals.map(({ name, why }) => `\n- ${name}: ${why}`)
    if (this.journals.length === 0) {
      return `There is no journal to replay workflow "${this.workflow}" with: check the folder they are read from.`
    }
    return `The code of workflow "${this.workflow}" does not fit ${this.journals.length} of the journals:${
      each.join("")
    }`
  }
}

/**
 * Replays each journal with the workflow, without running anything: a compatibility test, to be kept
 * with journals of every version that may still be open. Gives what each comes to; fails when the code
 * diverges from any or does not have its version, and says from which and where.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Journal, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const greet = Workflow.make("greet", function*(ctx) {
 *   return yield* ctx.step("hello", () => "hello")
 * })
 * // In a test of yours: the text of a file.
 * const { journal } = await Effect.runPromise(Testing.fixture(greet, { stubs: { hello: "hi" } }))
 * const text = Journal.write(journal.entries.map((entry) => JSON.stringify(entry)))
 * const [greeted] = await Effect.runPromise(Testing.replayAll([{ name: "greeted", text }], greet))
 * greeted?.replayed // => { _tag: "Returned", value: "hi" }
 * ```
 */
export const replayAll = (
  journals: ReadonlyArray<NamedJournal>,
  workflow: Pick<
    Workflow.Workflow<any, any, any, any, any, any, any, any>,
    "name" | "replay" | "~callee"
  >
): Effect.Effect<ReadonlyArray<ReplayedJournal>, Incompatible | Journal.JournalCorrupt> =>
  Effect.gen(function*() {
    const all: Array<ReplayedJournal> = []
    const incompatible: Array<{ readonly name: string; readonly why: string }> = []
    const program = Replay.programOf(workflow)
    for (const { name, text } of journals) {
      const read = yield* Effect.fromResult(Journal.read(name, text))
      const start = Journal.first(read)
      const runId = start?.runId ?? name
      const journal = { ...read, runId }
      // What a session asks before it replays.
      const opened = yield* Effect.result(
        compare(program, { journal, version: "" }, undefined, Context.empty())
      )
      const replayed = workflow.replay(journal)
      all.push({ name, runId, replayed })
      const why = start === undefined
        ? "it has no entry"
        : start.workflow !== workflow.name
        ? `it is of workflow "${start.workflow ?? ""}"`
        : Result.isFailure(opened)
        ? opened.failure.message
        : replayed._tag === "Diverged"
        ? replayed.mismatch.message
        : replayed._tag === "Broke"
        ? replayed.defect.message
        : undefined
      if (why !== undefined) incompatible.push({ name, why })
    }
    if (incompatible.length === 0 && journals.length > 0) return all
    return yield* new Incompatible({ workflow: workflow.name, journals: incompatible })
  })
