/**
 * The run that is resumed: what records it and what goes on with it have the same body, each with the modules
 * that it was made of.
 */
import type { Effect } from "effect"
import type { Workflow } from "../../src/index.ts"

export type Kind = "SQLite" | "LocalStorage" | "Postgres"

/** What a process is asked to go on with. */
export interface Resume {
  readonly kind: Kind
  /** A file, a directory, or a database. */
  readonly place: string
  readonly steps: number
}

/** Milliseconds. */
export interface Sample {
  /** Opening the storage: its file or its connections, and a look at its tables. */
  readonly open: number
  /** The run itself. */
  readonly call: number
  /** JSON.parse of the journal. */
  readonly parse: number
}

export const runId = "run"

/** So many steps, and one more at the end, which does `last`. */
export const recorded = (
  { make }: Pick<typeof Workflow, "make">,
  last: () => Effect.Effect<void>
) =>
  make("recorded", function*(ctx, n: number) {
    for (let i = 0; i < n; i++) {
      yield* ctx.step("classify", () => ({ category: "bug", severity: i % 6 }))
    }
    yield* ctx.step("last", last)
    return n
  })
