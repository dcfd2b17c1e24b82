/** The verbs that only read, as processes of their own, on every storage that somebody else wrote. */
import { Effect, type Layer, Redacted, Schema } from "effect"
import { execFile } from "node:child_process"
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type Storage, Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { ObjectStorage } from "reprise/objects"
import { SqliteStorage } from "reprise/sqlite"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { temporary } from "../storage/support/local.ts"
import { s3Of } from "../storage/support/objects.ts"
import { storageOf } from "../storage/support/transfers.ts"
import { credentials, type FakeS3Server, startFakeS3 } from "../support/fakeS3.ts"
import { createDatabase, execute } from "../support/postgres.ts"

const triage = Workflow.make("triage", {
  input: Schema.Struct({ card: Workflow.secret(Schema.String) }),
  events: { review: Schema.Boolean }
}, function*(ctx) {
  yield* ctx.step("classify", () => ({ severity: 5 }))
  return yield* ctx.suspend("review", { reason: "severity 5" })
})

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

const command = ["--conditions=reprise-source", resolve("src/cli/main.ts")]

const spawned = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  cwd = process.cwd()
) =>
  new Promise<Said>((done) => {
    const options = { cwd, env: { ...process.env, REPRISE_STORAGE: "", ...env } }
    execFile(process.execPath, [...command, ...args], options, (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })

const write = (storage: Layer.Layer<Storage.Storage, unknown>) => {
  const card = { card: Redacted.make("4111 1111") }
  return Effect.runPromise(Effect.provide(
    Effect.gen(function*() {
      yield* triage.start(card, { runId: "r1" })
      yield* triage.start(card, { runId: "Long Name" })
      yield* triage.resume("Long Name", { eventName: "review", value: true })
    }),
    storage
  ))
}

interface Place {
  readonly url: string
  readonly env?: Readonly<Record<string, string>>
  /** What may tell that somebody wrote. */
  readonly state: () => unknown
  /** Changes a letter in the journal of `r1`. */
  readonly damage: () => unknown
}

const damaged = (text: string) => text.replace("\"classify\"", "\"clarify!\"")

const database = await createDatabase()
let s3: FakeS3Server
beforeAll(async () => {
  s3 = await startFakeS3({ credentials, buckets: ["b"] })
})
afterAll(() => s3.dispose())

const places: Readonly<Record<string, () => Promise<Place>>> = {
  "file:": async () => {
    const directory = join(temporary(), "runs")
    await write(NodeLocalStorage.layer(directory))
    const file = join(directory, "r1.jsonl")
    return {
      url: `file:${directory}`,
      state: () =>
        readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), "utf8")]),
      damage: () => writeFileSync(file, damaged(readFileSync(file, "utf8")))
    }
  },
  "sqlite:": async () => {
    const filename = join(temporary(), "runs.db")
    await write(SqliteStorage.layer({ filename }))
    return {
      url: `sqlite:${filename}`,
      state: () => readFileSync(filename).toString("base64"),
      damage: () => {
        const db = new DatabaseSync(filename)
        db.exec(
          `UPDATE reprise_entries SET line = replace(line, 'classify', 'clarify!')
          WHERE id >> 32 = (SELECT key FROM reprise_runs WHERE run_id = 'r1')`
        )
        db.close()
      }
    }
  },
  "postgres://": async () => {
    await write(storageOf(database.url))
    const { url } = database
    return {
      url,
      state: async () => [
        await execute(url, "SELECT * FROM reprise.entries ORDER BY run, \"offset\""),
        await execute(url, "SELECT * FROM reprise.leases"),
        await execute(url, "SELECT tablename FROM pg_tables ORDER BY schemaname, tablename")
      ],
      damage: () =>
        execute(
          url,
          `UPDATE reprise.entries SET line = replace(line, 'classify', 'clarify!')
          WHERE run = (SELECT key FROM reprise.runs WHERE run_id = 'r1')`
        )
    }
  },
  "s3://": async () => {
    await write(ObjectStorage.layer(s3Of(s3), { prefix: "my/runs/" }))
    const key = "my/runs/runs/r1"
    return {
      url: "s3://b/my/runs",
      env: {
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_ENDPOINT_URL: s3.endpoint
      },
      state: () => s3.keys("b").map((name) => [name, s3.object("b", name)?.etag]),
      damage: () => {
        const text = new TextDecoder().decode(s3.object("b", key)!.body)
        s3.tamper("b", key, new TextEncoder().encode(damaged(text)))
      }
    }
  }
}

describe.each(Object.entries(places))("on %s", (_, make) => {
  it("the command reads, writes nothing, and tells what it finds", async () => {
    const { damage, env, state, url } = await make()
    const reprise = (...args: ReadonlyArray<string>) => spawned(["--storage", url, ...args], env)
    const before = await state()

    const [list, show] = await Promise.all([reprise("list"), reprise("show", "Long Name")])
    expect({ code: list.code, err: list.err }).toEqual({ code: 0, err: "" })
    expect(list.out.trimEnd().split("\n").map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ runId: "Long Name", status: "success", result: true }),
      expect.objectContaining({ runId: "r1", status: "suspended", workflow: "triage" })
    ])
    expect({ code: show.code, err: show.err }).toEqual({ code: 0, err: "" })
    expect(JSON.parse(show.out)).toMatchObject({ status: "success", input: { card: "<redacted>" } })

    const [journal, unknown] = await Promise.all([
      reprise("journal", "r1", "--offset", "1"),
      reprise("journal", "nope")
    ])
    expect({ code: journal.code, err: journal.err }).toEqual({ code: 0, err: "" })
    expect(journal.out.trimEnd().split("\n").map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ type: "step", stepId: "classify", offset: 1 }),
      expect.objectContaining({ type: "suspend", offset: 2 })
    ])
    expect(unknown).toMatchObject({ code: 1, out: "" })
    expect(unknown.err).toMatch(/^There is no run "nope" in this storage\. [^\n]*\n$/)

    const [fsck, doctor] = await Promise.all([
      reprise("fsck", "--no-json"),
      reprise("doctor")
    ])
    expect(fsck).toEqual({
      code: 0,
      out: expect.stringMatching(/^2 runs, \d+ sound entries, nothing damaged\n$/),
      err: ""
    })
    expect({ code: doctor.code, err: doctor.err }).toEqual({ code: 0, err: "" })
    const checks = doctor.out.trimEnd().split("\n").map((line) => JSON.parse(line))
    expect(checks.filter((check) => check.state !== "ok")).toEqual([])
    expect(checks.at(-2)).toEqual({ check: "runs", state: "ok", saw: "2 can be read" })
    expect(await state()).toEqual(before)

    await damage()
    const [found, sound] = await Promise.all([
      reprise("fsck"),
      reprise("verify", "Long Name", "--no-json")
    ])
    expect(found.code).toBe(2)
    expect(found.out.trimEnd().split("\n").map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ runId: "Long Name", state: "sound" }),
      expect.objectContaining({ runId: "r1", state: "damaged", entries: 1, file: "journal" })
    ])
    expect(found.err).toMatch(/^1 of 2 runs cannot be read/)
    expect(sound.code).toBe(0)
  })
})

describe("what is not there, or not for this user", () => {
  const failed = async (args: ReadonlyArray<string>, env = {}, cwd?: string) => {
    const { code, err, out } = await spawned(args, env, cwd)
    expect({ code, out, lines: err.trimEnd().split("\n").length }).toEqual({
      code: 1,
      out: "",
      lines: 1
    })
    return err
  }

  it("is told in a line, without a password", async () => {
    const directory = temporary()
    symlinkSync(directory, join(directory, "linked.jsonl"))
    const wrong = new URL(database.url)
    wrong.pathname = "/nowhere"
    wrong.password = "hunter2"
    writeFileSync(join(directory, "reprise.json"), "{\"storage\": \"sqlite:none.db\"}")
    const keys = {
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: "hunter2",
      AWS_ENDPOINT_URL: s3.endpoint
    }
    expect(await failed(["list"], {}, directory)).toMatch(
      new RegExp(`^The storage "sqlite:${join(directory, "none.db")}" is not there\\.`)
    )
    const postgres = await failed(["list"], { REPRISE_STORAGE: wrong.href })
    expect(postgres).toMatch(/^Could not open postgres[^ ]*nowhere: /)
    const bucket = await failed(["fsck", "--storage", "s3://b/x"], keys)
    expect(bucket).toMatch(/the store answered 403/)
    const link = await failed(["journal", "linked", "--storage", `file:${directory}`])
    expect(link).toMatch(/^Could not read the journal of run "linked": ELOOP/)
    expect(postgres + bucket).not.toContain("hunter2")
    expect(readdirSync(directory).toSorted()).toEqual(["linked.jsonl", "reprise.json"])
  })

  it("is a package to install", async () => {
    const without = (name: string) =>
      `--import=data:text/javascript,${
        encodeURIComponent(`
          import { registerHooks } from "node:module"
          registerHooks({
            resolve: (specifier, context, next) => {
              if (!specifier.startsWith("${name}")) return next(specifier, context)
              const error = new Error("Cannot find package '${name}' imported from here")
              throw Object.assign(error, { code: "ERR_MODULE_NOT_FOUND" })
            }
          })`)
      }`
    const [postgres, bucket] = await Promise.all([
      failed(["list", "--storage", "postgres://u:hunter2@h/d"], {
        NODE_OPTIONS: without("@effect/sql-pg")
      }),
      failed(["list", "--storage", "s3://b"], { NODE_OPTIONS: without("aws4fetch") })
    ])
    expect(postgres).toBe(
      "The storage \"postgres://u@h/d\" needs a package that is not installed: "
        + "npm install @effect/sql-pg\n"
    )
    expect(bucket).toContain("npm install aws4fetch")
  })

  it("is an answer of the doctor's", async () => {
    const { code, err, out } = await spawned(["doctor", "--no-json", "--storage", "sqlite:/no/db"])
    expect({ code, err }).toEqual({ code: 2, err: "" })
    expect(out).toMatch(/^✗ opening +The storage "sqlite:\/no\/db" is not there\./m)
  })

  it("is told with the help where the arguments are wrong", async () => {
    const { code, err } = await spawned(["journal", "r1", "--offset", "-1"])
    expect(code).toBe(1)
    expect(err).toMatch(/ERROR[^]*offset/)
  })
})
