/**
 * The same program twice: in one process with nothing installed, then on a fleet of two runners and a client, which
 * are processes of their own. One of the runners is killed in the middle of its orders; the other one goes on.
 *
 * With `DATABASE_URL` it uses a new database on that server; else a Postgres of its own. Leaves neither behind.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Clock, Console, Deferred, Effect, Layer, Logger, References } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { createInterface } from "node:readline"
import { Runs } from "reprise"
import { createDatabaseOn, startPostgres } from "../../scripts/postgres.ts"
import { client, embedded, looker, runner } from "./layers.ts"
import { orderIds, shop } from "./workflow.ts"

const count = 12

/** The URL of an empty database, which is gone afterwards. */
const database = Effect.gen(function*() {
  const given = process.env["DATABASE_URL"]
  const server = given !== undefined && given !== ""
    ? given
    : (yield* Effect.acquireRelease(
      Effect.promise(() => startPostgres()),
      (postgres) => Effect.promise(postgres.stop)
    )).url
  const { url } = yield* Effect.acquireRelease(
    Effect.promise(() => createDatabaseOn(server)),
    (database) => Effect.promise(database.drop)
  )
  return url
})

const freePort = Effect.promise(async () => {
  const server = createServer()
  await once(server.listen(0, "127.0.0.1"), "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  return String(port)
})

/** A process of its own, which is gone afterwards; `onLine` hears what it says. */
const inAnotherProcess = (args: ReadonlyArray<string>, onLine: (line: string) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        [...process.execArgv, import.meta.filename, ...args],
        { stdio: ["ignore", "pipe", "inherit"] }
      )
      createInterface(child.stdout).on("line", onLine)
      return child
    }),
    (child) => stopped(child, "SIGTERM")
  )

const stopped = (child: ChildProcess, signal: NodeJS.Signals) =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, "exit")
  })

const fleet = Effect.gen(function*() {
  const url = yield* database
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  /** Who said the last thing of each order, and how much has been said. */
  const last = new Map<string, { readonly by: string; readonly line: string }>()
  let said = 0
  /** What the runner that was killed was at, and has not been heard of since. */
  const lost = new Set<string>()
  let killedAt = 0
  const underWay = (name: string) =>
    Array.from(last).flatMap(([id, { by, line }]) =>
      by === name && !line.endsWith("shipped") ? [id] : []
    )
  /** Who is the first to have three orders in its hands. */
  const busy = yield* Deferred.make<"a" | "b">()
  const hear = (name: "a" | "b") => (line: string) => {
    const id = line.split(" ")[0]!
    const since = lost.delete(id) ? `, ${((now() - killedAt) / 1_000).toFixed(1)} s later` : ""
    console.log(`  ${name}: ${line}${since}`)
    last.set(id, { by: name, line })
    said++
    if (underWay(name).length >= 3) Deferred.doneUnsafe(busy, Effect.succeed(name))
  }
  const runners = {
    a: yield* inAnotherProcess(["runner", url, yield* freePort], hear("a")),
    b: yield* inAnotherProcess(["runner", url, yield* freePort], hear("b"))
  }
  const web = yield* inAnotherProcess(["client", url], (line) => console.log(`client: ${line}`))
  const answered = Effect.promise(async () => {
    if (web.exitCode === null) await once(web, "exit")
    return web.exitCode
  })

  const victim = yield* Deferred.await(busy)
  killedAt = now()
  yield* stopped(runners[victim], "SIGKILL")
  for (const id of underWay(victim)) lost.add(id)
  yield* Console.log(`runner ${victim} is killed, with ${lost.size} orders in its hands:`)
  yield* answered
  yield* stopped(runners[victim === "a" ? "b" : "a"], "SIGTERM")

  const steps = yield* Effect.forEach(orderIds(count), (id) => Runs.journal(id)).pipe(
    Effect.map((journals) =>
      journals.flatMap(({ entries }) => entries).filter(({ type }) => type === "step").length
    ),
    Effect.provide(looker(url))
  )
  yield* Console.log(
    `${steps} steps in ${count} journals, and ${said - steps} that were done twice`
  )
})

const demo = Effect.gen(function*() {
  yield* Console.log("in one process:")
  const shipped = yield* Effect.provide(shop(2), embedded)
  yield* Console.log(shipped.join("; "))
  yield* Console.log("on two runners, a and b:")
  yield* fleet
}).pipe(Effect.scoped)

const [command, url = "", port] = process.argv.slice(2)

const program: Effect.Effect<unknown, unknown> = command === "runner"
  ? Layer.launch(runner(url, Number(port))).pipe(
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    // What a runner prints is the orders it works at; what it has to say besides goes elsewhere.
    Effect.provideService(Logger.LogToStderr, true)
  )
  : command === "client"
  ? Effect.flatMap(
    shop(count),
    (shipped) => Console.log(`${shipped.length} orders are on their way`)
  )
    .pipe(Effect.provide(client(url)))
  : demo

NodeRuntime.runMain(program)
