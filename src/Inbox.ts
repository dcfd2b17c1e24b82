/**
 * How the lines of an inbox are read: by the same sums as a journal's, but in the order they were posted
 * and without a chain, since anyone may post.
 */
import * as Result from "effect/Result"
import type { Posted } from "./Driver.ts"
import * as Journal from "./Journal.ts"

/** The posts in a text of lines; `before` counts the lines of the inbox that come ahead of it. */
export const read = (
  runId: string,
  text: string,
  before: number
): Result.Result<ReadonlyArray<Posted>, Journal.JournalCorrupt> => {
  const items: Array<Posted> = []
  let from = 0
  let line = before + 1
  const corrupt = (saw: string) =>
    Result.fail(
      new Journal.JournalCorrupt({ runId, file: "inbox", offset: items.length, line, saw })
    )
  for (let to: number; (to = text.indexOf("\n", from)) >= 0; from = to + 1, line++) {
    const kind = Journal.lineKind(text, from, to)
    if (kind === "corrupt") return corrupt("its checksum does not match its bytes")
    if (kind === "whole") items.push(JSON.parse(text.slice(from, to)))
  }
  // A post without its newline may still be on its way.
  return Journal.hidesWholeLine(text.slice(from))
    ? corrupt("a whole post is followed by bytes that belong to no post")
    : Result.succeed(items)
}
