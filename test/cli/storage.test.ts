/** Which storage the command opens, what it opens by a URL and what it refuses; nothing is made by reading. */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Schema } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Runs, Storage, Workflow } from "reprise"
import { ObjectStorage } from "reprise/objects"
import { PostgresStorage } from "reprise/postgres"
import { SqliteStorage } from "reprise/sqlite"
import { onTestFinished } from "vitest"
import { run } from "../../src/cli/reprise.ts"
import * as CliStorage from "../../src/cli/storage.ts"
import { shown } from "../../src/cli/storage/rejected.ts"
import { tables } from "../../src/cli/storage/version.ts"
import { temporary } from "../storage/support/local.ts"
import { s3Of } from "../storage/support/objects.ts"
import { poolOf, query, storageOf } from "../storage/support/transfers.ts"
import { credentials, startFakeS3 } from "../support/fakeS3.ts"
import { createDatabase } from "../support/postgres.ts"
import { startProxy } from "../support/tcpProxy.ts"
import { stderr, terminal } from "./support/command.ts"

type Env = Record<string, string>

const environment = (env: Env) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

/** The command in `cwd`; gives the storage that it asked for. */
const asked = (cwd: string, args: ReadonlyArray<string>, env: Env = {}) =>
  Effect.gen(function*() {
    const before = process.cwd()
    process.chdir(cwd)
    onTestFinished(() => process.chdir(before))
    const opened: Array<string> = []
    yield* run(args, (storage) => {
      opened.push(storage)
      return Storage.layerMemory
    }).pipe(
      Effect.provide([NodeServices.layer, environment(env)]),
      Effect.provideService(TerminalCapabilities.TerminalCapabilities, terminal)
    )
    return opened
  })

const one = Workflow.make("one", { input: Schema.Int }, function*(ctx, n) {
  return yield* ctx.step("double", () => n * 2)
})

/** The ids of the runs in a storage as the command opens it. */
const idsIn = (storage: string, env: Env = {}) =>
  Effect.map(Runs.list(), ({ runs }) => runs.map(({ runId }) => runId)).pipe(
    Effect.provide(CliStorage.layer(storage, "look")),
    Effect.provide([NodeServices.layer, environment(env)])
  )
const refused = (storage: string, env: Env = {}) =>
  Effect.map(Effect.flip(idsIn(storage, env)), (error) => error.message)

// ---------------------------------------------------------------------------------------------------

describe("the storage", () => {
  const project = () => {
    const top = temporary()
    const below = join(top, "a", "b")
    mkdirSync(below, { recursive: true })
    writeFileSync(join(top, "reprise.json"), JSON.stringify({ storage: "sqlite:data/runs.db" }))
    return { top, below }
  }

  it.effect("is that of the flag, then of the environment, then of reprise.json, then .reprise", () =>
    Effect.gen(function*() {
      const { below, top } = project()
      const env = { REPRISE_STORAGE: "file:of-environment" }
      expect(yield* asked(below, ["list", "--storage", "file:of-flag"], env)).toEqual([
        "file:of-flag"
      ])
      expect(yield* asked(below, ["list"], env)).toEqual(["file:of-environment"])
      expect(yield* asked(below, ["list"])).toEqual([`sqlite:${join(top, "data/runs.db")}`])
      expect(yield* asked(below, ["list"], { REPRISE_STORAGE: "" })).toEqual([
        `sqlite:${join(top, "data/runs.db")}`
      ])
      expect(yield* asked(temporary(), ["list"])).toEqual(["file:.reprise"])
    }))

  it.effect("is opened for what the verb does with it", () =>
    Effect.gen(function*() {
      const purposes = (...args: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          yield* Effect.exit(
            run(args, (_, purpose) => {
              seen.push(purpose)
              return Storage.layerMemory
            })
          ).pipe(
            Effect.provide([NodeServices.layer, environment({})]),
            Effect.provideService(TerminalCapabilities.TerminalCapabilities, terminal)
          )
          return seen
        })
      for (const verb of ["list", "fsck", "doctor"]) expect(yield* purposes(verb)).toEqual(["look"])
      expect(yield* purposes("show", "r1")).toEqual(["look"])
      expect(yield* purposes("cancel", "r1")).toEqual(["go on"])
      expect(yield* purposes("copy", "--all", "--to", "file:x")).toEqual(["go on", "make"])
    }))

  it.effect("of a file is that of the nearest one, its paths relative to that file", () =>
    Effect.gen(function*() {
      const { below } = project()
      const write = (storage: string) =>
        writeFileSync(join(below, "..", "reprise.json"), JSON.stringify({ storage }))
      write("file:../runs")
      expect(yield* asked(below, ["list"])).toEqual([`file:${join(below, "../../runs")}`])
      write("file:/var/runs")
      expect(yield* asked(below, ["list"])).toEqual(["file:/var/runs"])
      write("postgres://me@host/db")
      expect(yield* asked(below, ["list"])).toEqual(["postgres://me@host/db"])
    }))

  it.effect.each([
    ["{\"storage\": \"postgres://u:hunter2@h/d\"", "it is not JSON"],
    ["[\"postgres://u:hunter2@h/d\"]", "it is not a JSON object"],
    [
      "{\"storge\": \"postgres://u:hunter2@h/d\"}",
      "it has \"storge\", and only \"storage\" and \"workflows\" are known"
    ],
    ["{\"storage\": 5}", "its \"storage\" is no text"],
    ["{\"storage\": \"\"}", "its \"storage\" is no text"]
  ])("is not guessed at when reprise.json says %s", ([text = "", saw]) =>
    Effect.gen(function*() {
      const cwd = temporary()
      const file = join(cwd, "reprise.json")
      writeFileSync(file, text)
      const error = yield* Effect.flip(asked(cwd, ["list"]))
      expect(error).toMatchObject({ _tag: "ConfigRejected" })
      expect(yield* stderr).toBe(
        `${file} names no storage: ${saw}. Write {"storage": "file:.reprise"} into it, `
          + "or name the storage by --storage."
      )
      expect(yield* asked(cwd, ["list", "--storage", "file:x"])).toEqual(["file:x"])
    }))

  it.effect("is .reprise where reprise.json has only the workflows", () =>
    Effect.gen(function*() {
      const cwd = temporary()
      writeFileSync(join(cwd, "reprise.json"), "{\"workflows\": \"./w.ts\"}")
      expect(yield* asked(cwd, ["list"])).toEqual(["file:.reprise"])
    }))

  it.effect("is not looked for above a reprise.json that cannot be read", () =>
    Effect.gen(function*() {
      const { below } = project()
      mkdirSync(join(below, "reprise.json"))
      yield* Effect.flip(asked(below, ["list"]))
      expect(yield* stderr).toContain(
        `${join(below, "reprise.json")} names no storage: it cannot be`
      )
    }))

  it.effect("is named without its password, also where there is nothing to show", () =>
    Effect.gen(function*() {
      yield* asked(temporary(), ["list", "--storage", "postgres://me:hunter2@host:1/db?password=x"])
      expect(yield* stderr).toBe("No runs in postgres://me@host:1/db.")
    }))

  it.each([
    ["postgres://me:hunter2@host/db?sslmode=require&password=hunter2", "postgres://me@host/db"],
    ["postgresql://:hunter2@host:5/db", "postgresql://host:5/db"],
    ["postgres://me:hunter2/x@host/db", "postgres:…"],
    ["postgres:me:hunter2@host/db", "postgres:…"],
    ["postgres://me:hunter2", "postgres:…"],
    ["mysql://me:hunter2@host/db", "mysql:…"],
    ["//me:hunter2@host/db", ":…"],
    ["s3://key:hunter2@bucket/a", "s3://key@bucket/a"],
    ["s3://bucket/a/b", "s3://bucket/a/b"],
    ["file:a@b:c", "file:a@b:c"],
    ["somewhere", "somewhere"]
  ])("%s is shown as %s", (storage, name) => {
    expect(shown(storage)).toBe(name)
  })

  it.live.each(["", "somewhere", "file:", "mysql://u:hunter2@h/d", "https://h/x"])(
    "%j is none that can be opened",
    (storage) =>
      Effect.gen(function*() {
        const message = yield* refused(storage)
        expect(message).toContain("is none that this command can open. Use file:DIR, sqlite:FILE, ")
        expect(message).not.toContain("hunter2")
      })
  )
})

describe("sqlite:", () => {
  const written = Effect.gen(function*() {
    const filename = join(temporary(), "runs.db")
    yield* Effect.provide(one.start(1, { runId: "r1" }), SqliteStorage.layer({ filename }))
    return filename
  })

  it.live("reads what is there and leaves it as it is", () =>
    Effect.gen(function*() {
      const filename = yield* written
      const before = readFileSync(filename)
      expect(yield* idsIn(`sqlite:${filename}`)).toEqual(["r1"])
      expect(readFileSync(filename).equals(before)).toBe(true)
    }))

  it.live("makes no file by reading, and no directory", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const filename = join(directory, "sub", "runs.db")
      expect(yield* refused(`sqlite:${filename}`)).toBe(
        `The storage "sqlite:${filename}" is not there. Name the file that your program opens; `
          + "nothing was made."
      )
      expect(yield* refused("sqlite::memory:")).toContain("is not there")
      expect(readdirSync(directory)).toEqual([])
    }))

  it.live("makes no tables in a database of somebody else's", () =>
    Effect.gen(function*() {
      const filename = join(temporary(), "shop.db")
      const db = new DatabaseSync(filename)
      db.exec("CREATE TABLE orders (id INTEGER)")
      db.close()
      const before = readFileSync(filename)
      expect(yield* refused(`sqlite:${filename}`)).toContain("has no journals in it")
      expect(readFileSync(filename).equals(before)).toBe(true)
      expect(readdirSync(join(filename, ".."))).toEqual(["shop.db"])
    }))

  it.live("says what is no database", () =>
    Effect.gen(function*() {
      const filename = join(temporary(), "notes.txt")
      writeFileSync(filename, "no database, but long enough to be one".repeat(20))
      expect(yield* refused(`sqlite:${filename}`)).toContain("file is not a database")
    }))

  it.live("says what it may not open", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const message = yield* refused(`sqlite:${directory}`)
      expect(message).toMatch(/^Could not open the database .*unable to open database file\. Check/)
    }))

  it.live.each(
    [
      ["newer", tables + 1, "Install the version of reprise that made them."],
      ["older", tables - 1, "brings them up to date"]
    ] as const
  )("refuses tables of a %s version", ([, version, advice]) =>
    Effect.gen(function*() {
      const filename = yield* written
      const db = new DatabaseSync(filename)
      db.exec(`UPDATE reprise_migrations SET migration_id = ${version}`)
      db.close()
      const message = yield* refused(`sqlite:${filename}`)
      expect(message).toContain(
        `has tables of version ${version}, and this command knows version 1`
      )
      expect(message).toContain(advice)
    }))

  it.live("makes what is not there for those who write", () =>
    Effect.gen(function*() {
      const filename = join(temporary(), "new.db")
      yield* one.start(1, { runId: "r1" }).pipe(
        Effect.provide(CliStorage.layer(`sqlite:${filename}`, "make")),
        Effect.provide(NodeServices.layer)
      )
      expect(existsSync(filename)).toBe(true)
      expect(yield* idsIn(`sqlite:${filename}`)).toEqual(["r1"])
      const db = new DatabaseSync(filename)
      db.exec(`UPDATE reprise_migrations SET migration_id = ${tables + 1}`)
      db.close()
      const newer = yield* Effect.flip(
        Runs.list().pipe(
          Effect.provide(CliStorage.layer(`sqlite:${filename}`, "make")),
          Effect.provide(NodeServices.layer)
        )
      )
      expect(newer.message).toContain("Install the version")
    }))
})

describe("postgres://", () => {
  const fresh = Effect.promise(async () => (await createDatabase()).url)
  const written = Effect.gen(function*() {
    const url = yield* fresh
    yield* Effect.provide(one.start(1, { runId: "r1" }), storageOf(url))
    return url
  })
  const as = (url: string, user: string, password: string) => {
    const own = new URL(url)
    own.username = user
    own.password = password
    return own.href
  }

  it.live("reads what is there, by either name of the scheme", () =>
    Effect.gen(function*() {
      const url = yield* written
      expect(yield* idsIn(url)).toEqual(["r1"])
      expect(yield* idsIn(url.replace(/^postgres\w*:/, "postgresql:"))).toEqual(["r1"])
    }))

  it.live("makes no schema by reading, and one for those who write", () =>
    Effect.gen(function*() {
      const url = yield* fresh
      expect(yield* refused(url)).toContain("schema \"reprise\" has no tables yet")
      const schemas = yield* Effect.provide(
        query<{ n: number }>(`SELECT 1 AS n FROM pg_namespace WHERE nspname = 'reprise'`),
        poolOf(url)
      )
      expect(schemas).toEqual([])
      yield* one.start(1, { runId: "r1" }).pipe(
        Effect.provide(CliStorage.layer(url, "make")),
        Effect.provide(NodeServices.layer)
      )
      expect(yield* idsIn(url)).toEqual(["r1"])
    }))

  it.live("refuses tables of another version", () =>
    Effect.gen(function*() {
      const url = yield* written
      yield* Effect.provide(
        query(`UPDATE reprise.migrations SET migration_id = ${tables + 1}`),
        poolOf(url)
      )
      const message = yield* refused(url)
      expect(message).toContain(`has tables of version ${tables + 1}`)
      expect(message).toContain("Install the version")
    }))

  it.live("says no more of who may not than the server does", () =>
    Effect.gen(function*() {
      const url = yield* written
      const role = `reprise_${randomUUID().replaceAll("-", "")}`
      yield* Effect.gen(function*() {
        yield* Effect.acquireRelease(
          query(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'`),
          () => Effect.orDie(query(`DROP ROLE ${role}`))
        )
        const denied = yield* refused(as(url, role, "hunter2"))
        expect(denied).toMatch(/permission denied for schema reprise\. Check/)
        expect(denied).not.toContain("hunter2")
        const nobody = yield* refused(as(url, `no-${role}`, "hunter2"))
        expect(nobody).toMatch(/^Could not open postgresq?l?:\/\/no-/)
        expect(nobody).not.toContain("hunter2")
      }).pipe(Effect.scoped, Effect.provide(poolOf(url)))
    }))

  it.live("says which server does not answer, and what is no URL", () =>
    Effect.gen(function*() {
      const message = yield* refused("postgres://me:hunter2@127.0.0.1:1/db")
      expect(message).toContain("Could not open postgres://me@127.0.0.1:1/db: connect ECONNREFUSED")
      expect(message).not.toContain("hunter2")
      const broken = yield* refused("postgres://me:hun/ter2@host/db")
      expect(broken).toMatch(/^The storage "postgres:…" is no URL\. Use postgres:\/\/user/)
    }))

  it.live("looks once for a server, and waits for one that is starting when there is more to do", () =>
    Effect.gen(function*() {
      const server = yield* written
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => startProxy(server)),
        (proxy) => Effect.promise(() => proxy.close())
      )
      proxy.refuse = true
      expect(yield* refused(proxy.url)).toMatch(
        /^Could not open postgres.* The run is unharmed; try/
      )
      expect(proxy.counts.refused).toBe(1)

      const opens = yield* Effect.forkChild(
        Effect.map(Runs.list(), ({ runs }) => runs.length).pipe(
          Effect.provide(CliStorage.layer(proxy.url, "go on")),
          Effect.provide(NodeServices.layer)
        )
      )
      while (proxy.counts.refused < 3) yield* Effect.sleep(5)
      proxy.refuse = false
      expect(yield* Fiber.join(opens)).toBe(1)
    }))

  it.live("has tables of the version that this command knows", () =>
    Effect.gen(function*() {
      const [made] = yield* query<{ version: number }>(
        "SELECT max(migration_id) AS version FROM reprise.migrations"
      ).pipe(Effect.provide(poolOf(yield* written)))
      expect(made?.version).toBe(tables)
      const count = Effect.map(
        Effect.flatMap(SqlClient.SqlClient, (sql) =>
          sql<{ version: number }>`SELECT max(migration_id) AS version FROM reprise_migrations`),
        ([row]) =>
          row?.version
      )
      expect(yield* Effect.provide(count, SqliteStorage.layer({ filename: ":memory:" }))).toBe(
        tables
      )
      expect(PostgresStorage.migrationStatements().join("\n")).toContain(`VALUES (${tables}, `)
    }))
})

describe("s3://", () => {
  const keys = {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey
  }
  const server = Effect.acquireRelease(
    Effect.promise(() => startFakeS3({ credentials, buckets: ["b"] })),
    ({ dispose }) => Effect.promise(dispose)
  )

  it.live("reads what is under the prefix, or under that of ObjectStorage, and writes nothing", () =>
    Effect.gen(function*() {
      const fake = yield* server
      const env = { ...keys, AWS_ENDPOINT_URL: fake.endpoint }
      yield* Effect.provide(one.start(1, { runId: "r1" }), ObjectStorage.layer(s3Of(fake)))
      yield* Effect.provide(
        one.start(1, { runId: "r2" }),
        ObjectStorage.layer(s3Of(fake), { prefix: "a/b/" })
      )
      fake.reset()
      expect(yield* idsIn("s3://b", env)).toEqual(["r1"])
      expect(yield* idsIn("s3://b/", env)).toEqual(["r1"])
      expect(yield* idsIn("s3://b/a/b", env)).toEqual(["r2"])
      expect(yield* idsIn("s3://b/a/b//", env)).toEqual(["r2"])
      expect(yield* idsIn("s3://b/other", env)).toEqual([])
      expect(fake.counts().requests).toMatchObject({ put: 0, delete: 0 })
    }).pipe(Effect.scoped))

  it.live("does not write before it has seen that the store keeps conditions", () =>
    Effect.gen(function*() {
      const fake = yield* Effect.acquireRelease(
        Effect.promise(() =>
          startFakeS3({ credentials, buckets: ["b"], quirks: { ifNoneMatch: "ignored" } })
        ),
        ({ dispose }) => Effect.promise(dispose)
      )
      const env = { ...keys, AWS_ENDPOINT_URL_S3: fake.endpoint, AWS_ENDPOINT_URL: "http://no" }
      expect(yield* idsIn("s3://b/p", env)).toEqual([])
      const error = yield* Effect.flip(
        one.start(1, { runId: "r1" }).pipe(
          Effect.provide(CliStorage.layer("s3://b/p")),
          Effect.provide([NodeServices.layer, environment(env)])
        )
      )
      expect(error.message).toContain("ignores If-None-Match")
      expect(fake.keys("b")).toEqual([])
    }).pipe(Effect.scoped))

  it.live("says what it may not read, and which bucket is not there", () =>
    Effect.gen(function*() {
      const fake = yield* server
      const env = { ...keys, AWS_ENDPOINT_URL: fake.endpoint, AWS_SECRET_ACCESS_KEY: "hunter2" }
      const denied = yield* refused("s3://b/p", env)
      expect(denied).toMatch(/^Could not list p\/runs\/: the store answered 403 /)
      expect(denied).not.toContain("hunter2")
      expect(yield* refused("s3://c", { ...env, ...keys })).toContain("NoSuchBucket")
    }).pipe(Effect.scoped))

  it.live("says what it needs", () =>
    Effect.gen(function*() {
      expect(yield* refused("s3://b", { AWS_ACCESS_KEY_ID: "a" })).toMatch(
        /^The storage "s3:\/\/b" needs keys\. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/
      )
      expect(yield* refused("s3:b/x", keys)).toContain("names no bucket. Use s3://bucket")
      expect(yield* refused("s3://", keys)).toContain("names no bucket")
      for (const endpoint of ["s3.example.com", "http://u:hunter2@h"]) {
        const message = yield* refused("s3://b", { ...keys, AWS_ENDPOINT_URL: endpoint })
        expect(message).toContain("has no endpoint that can be asked. Set AWS_ENDPOINT_URL_S3 or")
        expect(message).not.toContain("hunter2")
      }
    }))
})
