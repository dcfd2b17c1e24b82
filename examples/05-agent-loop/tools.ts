/**
 * What the agent may do: turn the pages of a ledger.
 */
import { Console, Effect, Schema } from "effect"
// The modules alone: the barrel `effect/ai` loads chats and agents too.
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"

export const Page = Schema.Struct({
  lines: Schema.Array(Schema.Struct({ what: Schema.String, euros: Schema.Int })),
  /** Missing on the last page. */
  next: Schema.optionalKey(Schema.Int)
})
export type Page = typeof Page.Type

export const Tools = Toolkit.make(
  Tool.make("readPage", {
    description: "Reads a page of the ledger. The first one is 1.",
    parameters: Schema.Struct({ page: Schema.Int }),
    success: Page,
    // A call that fails is told to the model, which may try another one.
    failureMode: "return"
  })
)

export const layerTools = Tools.toLayer({
  readPage: Effect.fn("readPage")(function*({ page }) {
    yield* Console.log(`tool: page ${page}`)
    return pageOf(page)
  })
})

const pages = 29

/** A ledger as it would stand in a database. */
const pageOf = (page: number): Page => ({
  lines: [
    { what: "trains", euros: 10 + page * 7 % 90 },
    { what: "coffee", euros: 2 + page % 5 }
  ],
  ...(page < pages ? { next: page + 1 } : undefined)
})
