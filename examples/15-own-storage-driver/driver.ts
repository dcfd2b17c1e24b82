/**
 * A storage of one's own in one file: a log of all that is written, by any process of the machine.
 *
 * Each write is one line behind the others, and their order in the file decides. Every process does what
 * the lines say to a store in its memory, so all have the same one, and who came second is told so. Small
 * and durable; the file only grows.
 */
import { Effect, type Exit } from "effect"
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs"
import { Storage } from "reprise"

type Verb<Args extends ReadonlyArray<unknown>, A, E> = (...args: Args) => Effect.Effect<A, E>

/** The driver over the log in `filename`, which is made when it is not there. */
export const make = (filename: string) =>
  Effect.gen(function*() {
    const file = yield* Effect.acquireRelease(
      Effect.sync(() => openSync(filename, "a+", 0o600)),
      (file) => Effect.sync(() => closeSync(file))
    )
    const store = Storage.memoryDriver()
    const verbs = new Map<string, Verb<Array<any>, unknown, unknown>>()
    let position = 0

    /** Does what the file has behind `position`; gives what came of the line with this id. */
    const catchUp = (mine?: string): Exit.Exit<unknown, unknown> | undefined => {
      const news = Buffer.alloc(fstatSync(file).size - position)
      const size = readSync(file, news, 0, news.length, position)
      // Behind the last newline another process may still be writing.
      const whole = news.subarray(0, news.lastIndexOf(10, size) + 1)
      position += whole.length
      let came: Exit.Exit<unknown, unknown> | undefined
      for (const line of whole.toString().split("\n")) {
        const [id, verb, ...args] = parse(line)
        const done = verb === undefined ? undefined : Effect.runSyncExit(verbs.get(verb)!(...args))
        if (id === mine) came = done
      }
      return came
    }

    const reads = <Args extends Array<any>, A, E>(f: Verb<Args, A, E>): typeof f => (...args) =>
      Effect.andThen(Effect.sync(() => catchUp()), Effect.suspend(() => f(...args)))

    /** What comes of `f` must follow from its arguments and the calls before it alone. */
    const writes = <Args extends Array<any>, A, E>(verb: string, f: Verb<Args, A, E>) => {
      verbs.set(verb, f as Verb<Array<any>, A, E>)
      return (...args: Args): Effect.Effect<A, E | Storage.StorageError> =>
        Effect.suspend((): Effect.Effect<A, E | Storage.StorageError> => {
          const id = crypto.randomUUID()
          // A line that a crash cut short ends where this one begins.
          const line = Buffer.from(`\n${JSON.stringify([id, verb, ...args])}\n`)
          try {
            if (writeSync(file, line) < line.length) throw new Error("the disk took a part of it")
            fsyncSync(file)
            return catchUp(id) as Exit.Exit<A, E>
          } catch (cause) {
            return new Storage.StorageError({ reason: "Unknown", doing: verb, cause })
          }
        })
    }

    const append = writes("append", (runId: string, at: string, lines: ReadonlyArray<string>) =>
      Effect.scoped(
        Effect.flatMap(store.writer(runId), (writer) =>
          writer.append(at, lines, noRow))
      ))

    return {
      read: reads(store.read),
      version: reads(store.version),
      writer: (runId) =>
        Effect.succeed({ append: (at, lines) => append(runId, at, lines) }),
      post: writes("post", store.post),
      inbox: reads(store.inbox),
      acquire: writes("acquire", store.acquire),
      renew: writes("renew", store.renew),
      release: writes("release", store.release),
      holder: reads(store.holder),
      list: reads(store.list),
      due: reads(store.due),
      remove: writes("remove", store.remove),
      blobs: { put: writes("put", store.blobs!.put), get: reads(store.blobs!.get) },
      watch: store.watch,
      // What another process writes shows only to who looks.
      seesAll: false
    } satisfies Storage.Driver as Storage.Driver
  })

/** Id, verb and arguments; nothing of a line that is empty or torn. */
const parse = (line: string): [id?: string, verb?: string, ...args: Array<any>] => {
  try {
    return line === "" ? [] : JSON.parse(line)
  } catch {
    return []
  }
}

const noRow = () => {
  throw new Error("the store in memory asks for no row of an index")
}
