/**
 * One policy for each place that checkpoints can wait in: a Map, files, SQLite, and Redis where `REDIS_URL`
 * says where one is.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { join } from "node:path"
import { approve, submit } from "./approval.ts"
import { connectTo } from "./redis.ts"
import { ofFiles, ofMap, ofRedis, ofSqlite, type Store } from "./stores.ts"

const directory = join(process.env["REPRISE_DIR"] ?? ".reprise", "11")

/** Any of these calls could be made by another process, on another machine. */
const decide = (name: string, store: Store) =>
  Effect.gen(function*() {
    yield* Console.log(`${name}:`)
    const id = crypto.randomUUID()
    const { draft } = yield* submit(store, id, "working from the moon")
    yield* Console.log(`  drafted, for the manager: ${draft}`)

    const early = yield* Effect.flip(approve(store, id, "legal", "Lex"))
    yield* Console.log(`  the lawyer is early: ${early._tag}`)

    const { reviewed } = yield* approve(store, id, "manager", "Ada")
    yield* Console.log(`  reviewed, for the lawyer: ${reviewed}`)
    const { published } = yield* approve(store, id, "legal", "Lex")
    yield* Console.log(`  published: ${published}`)
  })

const onRedis = (url: string) =>
  Effect.acquireUseRelease(
    Effect.promise(() => connectTo(url)),
    (redis) => decide("redis", ofRedis(redis)),
    (redis) => Effect.sync(redis.close)
  )

const program = Effect.gen(function*() {
  yield* decide("map", ofMap(new Map()))
  yield* decide("files", ofFiles(join(directory, "checkpoints")))
  yield* decide("sqlite", ofSqlite(join(directory, "checkpoints.db")))
  const url = process.env["REDIS_URL"]
  yield* url === undefined
    ? Console.log("redis: left out, REDIS_URL does not say where one is")
    : onRedis(url)
})

NodeRuntime.runMain(program)
