/**
 * The Postgres that tests run on, and the proxy that comes between: the server can be killed and comes
 * back with what was committed, nothing of it is left behind, and each fault does what it says and no more.
 */
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Result } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlError } from "effect/sql/SqlError"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { onTestFinished } from "vitest"
import {
  createDatabase,
  execute,
  type PostgresOptions,
  postgresUrl,
  startPostgres
} from "./postgres.ts"
import { startProxy } from "./tcpProxy.ts"

const database = await createDatabase()
await execute(database.url, "CREATE TABLE done (name text PRIMARY KEY)")

/** One client of `url` with at most one connection, for as long as `use` runs. */
const client = <A>(
  url: string,
  use: (sql: PgClient.PgClient) => Effect.Effect<A, SqlError>
): Promise<A> =>
  PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(
    Effect.flatMap(use),
    Effect.scoped,
    Effect.provide(Reactivity.layer),
    Effect.runPromise
  )

/** Asked past the proxy. */
const names = (url = database.url) =>
  client(url, (sql) => sql<{ name: string }>`SELECT name FROM done ORDER BY name`)
    .then((rows) => rows.map(({ name }) => name))

const insert = (sql: PgClient.PgClient, name: string) =>
  sql`INSERT INTO done ${sql.insert({ name })}`

const started = async (options?: PostgresOptions) => {
  const server = await startPostgres(options)
  onTestFinished(server.stop)
  return server
}

const proxied = async () => {
  await execute(database.url, "TRUNCATE done")
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.close)
  return proxy
}

/** Polls: what is waited for happens in another process, which tells nobody. */
const until = async (holds: () => boolean) => {
  while (!holds()) await sleep(10)
}

const alive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** A process that starts a server and then does what `rest` says. */
const owned = async (rest: string) => {
  const module = new URL("../../scripts/postgres.ts", import.meta.url).href
  const script = `
    const { startPostgres } = await import(${JSON.stringify(module)})
    const server = await startPostgres()
    const { pid, dataDirectory } = server
    console.log(JSON.stringify({ pid, dataDirectory }))
    ${rest}`
  const owner = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  onTestFinished(() => void owner.kill("SIGKILL"))
  const [line] = await once(owner.stdout, "data")
  const server: { pid: number; dataDirectory: string } = JSON.parse(String(line))
  return { owner, server }
}

const reason = (result: Result.Result<unknown, SqlError>) =>
  Result.isFailure(result) ? result.failure.reason._tag : "succeeded"

describe("the server", () => {
  it("is one for the whole run, with a database for whoever asks", async () => {
    const another = await createDatabase()
    expect(await postgresUrl()).toBe(await postgresUrl())
    expect(another.name).not.toBe(database.name)
    const count = "SELECT count(*)::int AS n FROM pg_tables WHERE schemaname = 'public'"
    expect(await execute(another.url, count)).toEqual([{ n: 0 }])
    expect(await execute(database.url, count)).toEqual([{ n: 1 }])
  })

  it("drops a database under a client that is still connected to it", async () => {
    const server = await postgresUrl()
    const another = await createDatabase()
    const exists = () =>
      execute(server, `SELECT 1 AS here FROM pg_database WHERE datname = '${another.name}'`)
    const end = await client(another.url, (sql) =>
      sql`SELECT 1`.pipe(
        Effect.andThen(Effect.promise(another.drop)),
        Effect.andThen(Effect.promise(exists))
      ))
    expect(end).toEqual([])
  })

  it("keeps what was committed when it is killed, and loses what was not", async () => {
    const server = await started({ durable: true })
    await execute(server.url, "CREATE TABLE done (name text PRIMARY KEY)")
    const { pid } = server
    const open = await client(server.url, (sql) =>
      insert(sql, "committed").pipe(
        Effect.andThen(
          sql.withTransaction(
            insert(sql, "open").pipe(Effect.andThen(Effect.promise(server.killPostmaster)))
          )
        ),
        Effect.result
      ))
    expect(reason(open)).toBe("ConnectionError")
    expect(alive(pid)).toBe(false)

    await server.restart()
    expect(server.pid).not.toBe(pid)
    expect(server.url).toContain(`:${server.port}/`)
    expect(await names(server.url)).toEqual(["committed"])
  })

  it("syncs when it is to be durable, and only then", async () => {
    const settings =
      "SELECT current_setting('fsync') AS f, current_setting('synchronous_commit') AS s"
    const durable = await started({ durable: true })
    expect(await execute(durable.url, settings)).toEqual([{ f: "on", s: "on" }])
    const fast = await started()
    expect(await execute(fast.url, settings)).toEqual([{ f: "off", s: "off" }])
  })

  it("restarts in good order when it was not killed, and stops twice without harm", async () => {
    const server = await started()
    await execute(server.url, "CREATE TABLE done (name text PRIMARY KEY)")
    await execute(server.url, "INSERT INTO done VALUES ('kept')")
    const { pid } = server
    await server.restart()
    expect(alive(pid)).toBe(false)
    expect(await names(server.url)).toEqual(["kept"])
    await server.stop()
    expect(alive(server.pid)).toBe(false)
    expect(existsSync(server.dataDirectory)).toBe(false)
  })

  it("does not outlive the process that started it, even one that is killed", async () => {
    const { owner, server } = await owned("setInterval(() => {}, 1000)")
    expect(alive(server.pid)).toBe(true)
    owner.kill("SIGKILL")
    await until(() => !alive(server.pid) && !existsSync(server.dataDirectory))
  })

  it("lets a process end that forgot to stop it", async () => {
    const { owner, server } = await owned("")
    if (owner.exitCode === null) await once(owner, "exit")
    expect(owner.exitCode).toBe(0)
    await until(() => !alive(server.pid) && !existsSync(server.dataDirectory))
  })

  it("holds the process until it is killed, restarted and stopped, if that is awaited", async () => {
    const { owner, server } = await owned(`
      await server.killPostmaster()
      await server.restart()
      await server.restart()
      await server.stop()
      process.exitCode = 7`)
    if (owner.exitCode === null) await once(owner, "exit")
    expect(owner.exitCode).toBe(7)
    expect(existsSync(server.dataDirectory)).toBe(false)
  })
})

describe("the proxy", () => {
  it("passes everything on when it is told nothing", async () => {
    const proxy = await proxied()
    await client(
      proxy.url,
      (sql) => sql.withTransaction(Effect.all([insert(sql, "a"), insert(sql, "b")]))
    )
    expect(await names()).toEqual(["a", "b"])
    expect(proxy.counts.statements.filter((statement) => /BEGIN|COMMIT/.test(statement)))
      .toEqual(["BEGIN", "COMMIT"])
    expect(proxy.counts).toMatchObject({ accepted: 1, refused: 0, cut: 0, delayed: 0, lost: [] })
  })

  it("loses the answer to the second COMMIT, which the server executed", async () => {
    const proxy = await proxied()
    proxy.loseAnswer(/^COMMIT$/, 2)
    const results = await client(
      proxy.url,
      (sql) =>
        Effect.forEach(
          ["a", "b", "c"],
          (name) => Effect.result(sql.withTransaction(insert(sql, name)))
        )
    )
    expect(results.map(reason)).toEqual(["succeeded", "ConnectionError", "succeeded"])
    expect(await names()).toEqual(["a", "b", "c"])
    expect(proxy.counts.lost).toEqual([{ statement: "COMMIT", answer: "COMMIT" }])
    expect(proxy.counts).toMatchObject({ accepted: 2, cut: 1 })
  })

  it("loses a COMMIT on its way, and the server rolls back", async () => {
    const proxy = await proxied()
    proxy.loseRequest(/^COMMIT$/)
    const results = await client(
      proxy.url,
      (sql) =>
        Effect.forEach(["a", "b"], (name) => Effect.result(sql.withTransaction(insert(sql, name))))
    )
    expect(results.map(reason)).toEqual(["ConnectionError", "succeeded"])
    expect(await names()).toEqual(["b"])
    expect(proxy.counts.lost).toEqual([{ statement: "COMMIT", answer: undefined }])
  })

  it("loses the answer to a statement outside a transaction, once it is committed", async () => {
    const proxy = await proxied()
    proxy.loseAnswer(/^INSERT/)
    const result = await client(proxy.url, (sql) => Effect.result(insert(sql, "a")))
    expect(reason(result)).toBe("ConnectionError")
    expect(await names()).toEqual(["a"])
    expect(proxy.counts.lost.map(({ answer }) => answer)).toEqual(["INSERT 0 1"])
  })

  it("loses the answer to a statement that failed, and knows why it did", async () => {
    const proxy = await proxied()
    await execute(database.url, "INSERT INTO done VALUES ('a')")
    proxy.loseAnswer(/^INSERT/)
    const result = await client(proxy.url, (sql) => Effect.result(insert(sql, "a")))
    expect(reason(result)).toBe("ConnectionError")
    // unique_violation
    expect(proxy.counts.lost.map(({ answer }) => answer)).toEqual(["23505"])
  })

  it("finds the statement again behind a prepared one", async () => {
    const proxy = await proxied()
    proxy.loseAnswer(/^INSERT/, 3)
    const results = await client(
      proxy.url,
      (sql) => Effect.forEach(["a", "b", "c"], (name) => Effect.result(insert(sql, name)))
    )
    expect(results.map(reason)).toEqual(["succeeded", "succeeded", "ConnectionError"])
    expect(await names()).toEqual(["a", "b", "c"])
  })

  it("answers the statements that came before the lost one on the same connection", async () => {
    const proxy = await proxied()
    proxy.loseAnswer(/^INSERT/, 2)
    const results = await PgClient.make({
      url: Redacted.make(proxy.url),
      maxConnections: 1,
      multiplex: true
    }).pipe(
      Effect.flatMap((sql) =>
        sql`SELECT 1`.pipe(
          Effect.andThen(
            Effect.all(["a", "b"].map((name) => Effect.result(insert(sql, name))), {
              concurrency: "unbounded"
            })
          )
        )
      ),
      Effect.scoped,
      Effect.provide(Reactivity.layer),
      Effect.runPromise
    )
    expect(results.map(reason)).toEqual(["succeeded", "ConnectionError"])
    expect(proxy.counts.accepted).toBe(1)
    expect(await names()).toEqual(["a", "b"])
  })

  it("cuts every connection, and the client opens another", async () => {
    const proxy = await proxied()
    const results = await client(proxy.url, (sql) =>
      Effect.gen(function*() {
        const before = yield* Effect.result(insert(sql, "a"))
        const during = yield* Effect.result(sql.withTransaction(
          insert(sql, "b").pipe(Effect.tap(() => Effect.sync(proxy.cutAll)))
        ))
        const after = yield* Effect.result(insert(sql, "c"))
        return [before, during, after]
      }))
    expect(results.map(reason)).toEqual(["succeeded", "ConnectionError", "succeeded"])
    expect(await names()).toEqual(["a", "c"])
    expect(proxy.counts).toMatchObject({ accepted: 2, cut: 1 })
  })

  it("refuses new connections for as long as it is told", async () => {
    const proxy = await proxied()
    proxy.refuse = true
    const refused = await client(proxy.url, (sql) => insert(sql, "a")).then(
      () => "succeeded",
      (error: SqlError) => error.reason._tag
    )
    expect(refused).toBe("ConnectionError")
    const times = proxy.counts.refused
    expect(times).toBeGreaterThan(0)
    proxy.refuse = false
    await client(proxy.url, (sql) => insert(sql, "b"))
    expect(proxy.counts).toMatchObject({ accepted: 1, refused: times })
    expect(await names()).toEqual(["b"])
  })

  it("holds everything back until it is let go, and then passes it on in order", async () => {
    const proxy = await proxied()
    let release = () => {}
    const gate = new Promise<void>((resolve) => release = resolve)
    const { held, end } = await client(proxy.url, (sql) =>
      Effect.gen(function*() {
        yield* insert(sql, "a")
        proxy.delay = () => gate
        const fiber = yield* Effect.forkChild(insert(sql, "b"))
        yield* Effect.promise(() => until(() => proxy.counts.delayed > 0))
        const held = yield* Effect.promise(() => names())
        proxy.delay = 0
        release()
        const end = yield* Effect.exit(Fiber.join(fiber))
        return { held, end }
      }))
    expect(held).toEqual(["a"])
    expect(Exit.isSuccess(end)).toBe(true)
    expect(await names()).toEqual(["a", "b"])
  })

  it("delays each piece by some milliseconds and counts the pieces", async () => {
    const proxy = await proxied()
    proxy.delay = 1
    await client(proxy.url, (sql) => Effect.all([insert(sql, "a"), insert(sql, "b")]))
    expect(await names()).toEqual(["a", "b"])
    // Both ways: at least the greeting, two statements and their answers.
    expect(proxy.counts.delayed).toBeGreaterThanOrEqual(6)
  })
})
