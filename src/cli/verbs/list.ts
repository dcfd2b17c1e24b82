/** `reprise list`: the runs of a storage, one a line, then those that cannot be read; once, or again and again. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Page } from "../../Driver.ts"
import * as Runs from "../../Runs.ts"
import * as Status from "../../Status.ts"
import * as Text from "../../Text.ts"
import { untilClosed } from "../closed.ts"
import * as Colors from "../colors.ts"
import * as Output from "../output.ts"
import { place } from "../storage/place.ts"
import * as Lines from "./lines.ts"

const Limit = Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(1)))

export const list = Command.make("list", {
  status: Flag.Literals("status", Status.State.literals).pipe(
    Flag.withDescription("Only runs in this state"),
    Flag.optional
  ),
  workflow: Flag.String("workflow").pipe(
    Flag.withDescription("Only runs of this workflow"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withSchema(Limit),
    Flag.withDescription("At most this many"),
    Flag.withDefault(100)
  ),
  after: Flag.String("after").pipe(
    Flag.withDescription("Goes on behind the page that named this"),
    Flag.optional
  ),
  watch: Flag.Boolean("watch").pipe(
    Flag.withDescription("Looks every second and prints what has changed, until it is stopped"),
    Flag.withDefault(false)
  )
}, (flags) =>
  Effect.gen(function*() {
    const query = {
      status: Option.getOrUndefined(flags.status),
      workflow: Option.getOrUndefined(flags.workflow),
      limit: flags.limit,
      after: Option.getOrUndefined(flags.after)
    }
    const isSome = query.status !== undefined || query.workflow !== undefined
      || query.after !== undefined
    const isJson = (yield* Output.mode) === "json"
    const { name } = yield* place
    const look = Runs.list(query)
    const paint = yield* Colors.paint
    const print = isJson ? printJson : printText(name, isSome, paint)
    if (!flags.watch) return yield* Effect.flatMap(look, print)
    yield* untilClosed(isJson ? watchJson(look) : watchText(look, print, paint))
  })).pipe(
    Command.withDescription("Lists runs: state, what they wait for, steps"),
    Command.withExamples([
      { command: "reprise list --status suspended", description: "What waits for someone" },
      { command: "reprise list --watch", description: "All runs, as they go on" },
      {
        command: "reprise list --json | jq -r .runId",
        description: "The ids of all runs"
      }
    ])
  )

const printJson = (page: Page) =>
  Effect.gen(function*() {
    yield* printLines(Array.from(Lines.jsonLines(page).values()))
    yield* tellOfMore(page)
  })

const printText = (storage: string, isSome: boolean, paint: Colors.Paint) => (page: Page) =>
  Effect.gen(function*() {
    const lines = Lines.table(page, paint)
    yield* printLines(lines)
    yield* tellOfMore(page)
    if (page.cursor === undefined && lines.length === 0) {
      yield* Console.error(`No ${isSome ? "such runs" : "runs"} in ${Text.plain(storage)}.`)
    }
  })

const printLines = (lines: ReadonlyArray<string>) =>
  lines.length === 0 ? Effect.void : Console.log(lines.join("\n"))

/** Not among the data: on a terminal it is seen, and a pipe gets runs alone. */
const tellOfMore = ({ cursor }: Page) =>
  cursor === undefined
    ? Effect.void
    : Console.error(`More runs: the same with --after ${shellWord(cursor)}`)

// ---------------------------------------------------------------------------------------------------
// watching

const interval = "1 second"

/** A line for each run that is not as it was, and for one that is not on the page any more. */
const watchJson = <E, R>(look: Effect.Effect<Page, E, R>) =>
  Effect.gen(function*() {
    let seen: ReadonlyMap<string, string> = new Map()
    for (;;) {
      const now = Lines.jsonLines(yield* look)
      const gone = Array.from(seen.keys()).filter((runId) => !now.has(runId))
      yield* printLines([
        ...Array.from(now).flatMap(([runId, line]) => seen.get(runId) === line ? [] : [line]),
        ...gone.map((runId) => Text.jsonLine({ runId, gone: true }))
      ])
      seen = now
      yield* Effect.sleep(interval)
    }
  })

/** Clears the screen below where it begins. */
const home = "\u001b[H\u001b[2J"

/** The whole page, whenever it is not as it was. */
const watchText = <E, R>(
  look: Effect.Effect<Page, E, R>,
  print: (page: Page) => Effect.Effect<void>,
  paint: Colors.Paint
) =>
  Effect.gen(function*() {
    const { canAnimate } = yield* TerminalCapabilities
    let seen: string | undefined
    for (;;) {
      const page = yield* look
      const now = JSON.stringify([page.runs, Lines.table(page, paint), page.cursor])
      if (now !== seen) {
        if (canAnimate) yield* Console.log(home)
        else if (seen !== undefined) yield* Console.log("")
        yield* print(page)
      }
      seen = now
      yield* Effect.sleep(interval)
    }
  })

const shellWord = (text: string) =>
  /^[\w.:/=@%+-]+$/.test(text) ? text : `'${Text.plain(text).replaceAll("'", `'\\''`)}'`
