/** `reprise copy`: runs from one storage to another. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Runs from "../../Runs.ts"
import { Storage } from "../../Storage.ts"
import * as Text from "../../Text.ts"
import { ArgumentRejected } from "../json.ts"
import * as Output from "../output.ts"
import * as Progress from "../progress.ts"
import { place } from "../storage/place.ts"
import type { LayerOf } from "../verbs.ts"

/** Some runs were not copied, of which it was said why; the others were. */
export class NotAllCopied
  extends Schema.TaggedError<NotAllCopied>("reprise/NotAllCopied")("NotAllCopied", {
    runIds: Schema.Array(Schema.String),
    of: Schema.Int
  })
{
  override get message(): string {
    return `${this.runIds.length} of ${this.of} runs were not copied. Copying again is harmless.`
  }
}

/** The verb, with how the storage is opened that is copied to. */
export const copy = <E, R>(open: LayerOf<E, R>) =>
  Command.make("copy", {
    runIds: Argument.String("run-id").pipe(
      Argument.withDescription("The runs to copy"),
      Argument.variadic()
    ),
    all: Flag.Boolean("all").pipe(
      Flag.withDescription("All runs of the storage"),
      Flag.withoutNegation,
      Flag.withDefault(false)
    ),
    to: Flag.String("to").pipe(
      Flag.withDescription("The storage to copy to, named as --storage names one; made if need be"),
      Flag.withMetavar("storage")
    )
  }, ({ all, runIds, to }) =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* place
      if (all === (runIds.length > 0)) {
        return yield* new ArgumentRejected({
          argument: "copy",
          saw: all ? "was given runs and --all" : "was not told which runs",
          instead: "Name runs, or give --all"
        })
      }
      if (to === url) {
        return yield* new ArgumentRejected({
          argument: "--to",
          saw: "is the storage itself",
          instead: "Name another one"
        })
      }
      const there = Context.get(yield* Layer.build(open(to, "make")), Storage)
      const ids = all ? yield* everyId : [...new Set(runIds)]
      const done = yield* copyAll(ids, there)
      if ((yield* Output.mode) === "text" && done.copied > 0) {
        yield* Console.log(
          `Copied ${counted(done.copied, "run")}: ${counted(done.entries, "entry", "entries")}, `
            + `${counted(done.posts, "post")}, ${counted(done.blobs, "large value")}.`
        )
        yield* Console.error("Go on with them in one of the two storages only.")
      }
      if (done.failed.length > 0) {
        return yield* new NotAllCopied({ runIds: done.failed, of: ids.length })
      }
    }))).pipe(
      Command.withDescription("Copies runs to another storage; there they go on"),
      Command.withExamples([
        {
          command: "reprise copy --all --to postgres://localhost/app",
          description: "From files to a database"
        }
      ])
    )

const counted = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`

/** Ids of all runs, also of those that cannot be read. */
const everyId = Effect.gen(function*() {
  const ids: Array<string> = []
  let after: string | undefined
  do {
    const page = yield* Runs.list({ limit: 500, after })
    for (const { runId } of [...page.runs, ...page.unreadable]) ids.push(runId)
    after = page.cursor
  } while (after !== undefined)
  return ids
})

const copyAll = Effect.fnUntraced(
  function*(ids: ReadonlyArray<string>, there: Storage["Service"]) {
    const isJson = (yield* Output.mode) === "json"
    const done = { copied: 0, entries: 0, posts: 0, blobs: 0, failed: [] as Array<string> }
    for (const [i, runId] of ids.entries()) {
      if (ids.length > few) yield* Progress.show(`Copied ${i} of ${ids.length} runs`)
      const result = yield* Effect.result(Runs.copy(runId, there))
      if (Result.isFailure(result)) {
        const { failure } = result
        // One is its caller's only concern, and what a storage refuses now it refuses for the next one, too.
        if (ids.length === 1 || failure._tag === "StorageError") return yield* Effect.fail(failure)
        const { _tag, message } = failure
        done.failed.push(runId)
        yield* Progress.clear
        yield* isJson
          ? Console.log(Text.jsonLine({ runId, error: { _tag, message } }))
          : Console.error(Text.plain(message))
        continue
      }
      const copied = result.success
      done.copied++
      done.entries += copied.entries
      done.posts += copied.posts
      done.blobs += copied.blobs
      if (!isJson) continue
      yield* Progress.clear
      yield* Console.log(Text.jsonLine(copied))
    }
    return done
  },
  Effect.ensuring(Progress.clear)
)

/** So many are copied before anyone gets impatient. */
const few = 20
