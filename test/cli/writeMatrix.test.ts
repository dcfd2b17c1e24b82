/** The verbs that write, as processes of their own, on every storage: what one did is what the library finds there. */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Fiber, Schema } from "effect"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { Runs, Storage, Workflow } from "reprise"
import { afterAll } from "vitest"
import * as CliStorage from "../../src/cli/storage.ts"
import { temporary } from "../storage/support/local.ts"
import { credentials, startFakeS3 } from "../support/fakeS3.ts"
import { createDatabase } from "../support/postgres.ts"

const s3 = await startFakeS3({ credentials, buckets: ["b"] })
afterAll(s3.dispose)
const [database, empty] = [await createDatabase(), await createDatabase()]

const env = {
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  AWS_ENDPOINT_URL_S3: s3.endpoint
}
const scratch = temporary()

/** Each with an empty one to copy to, which nobody has made yet. */
const storages = [
  { name: "files", url: `file:${join(scratch, "runs")}`, to: `sqlite:${join(scratch, "new.db")}` },
  { name: "SQLite", url: `sqlite:${join(scratch, "runs.db")}`, to: empty.url },
  { name: "Postgres", url: database.url, to: "s3://b/copied" },
  { name: "S3", url: "s3://b/runs", to: `file:${join(scratch, "copied")}` }
]

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

const command = ["--conditions=reprise-source", resolve("src/cli/main.ts")]

/** The command on a storage, in a pipe. */
const reprise = (url: string, args: ReadonlyArray<string>, stdin = "") =>
  Effect.promise(() =>
    new Promise<Said>((done) => {
      const child = execFile(
        process.execPath,
        [...command, ...args, "--storage", url],
        { cwd: scratch, env: { ...process.env, ...env } },
        (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err })
      )
      child.stdin?.end(stdin)
    })
  )
/** What it answers, when that is all it says. */
const answers = (url: string, args: ReadonlyArray<string>, stdin?: string) =>
  Effect.map(reprise(url, args, stdin), ({ code, err, out }) => {
    expect({ code, err }).toEqual({ code: 0, err: "" })
    return out.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
  })
/** Why it fails, in a line. */
const refused = (url: string, args: ReadonlyArray<string>) =>
  Effect.map(reprise(url, args), ({ code, err, out }) => {
    expect({ code, out, lines: err.trimEnd().split("\n").length }).toEqual({
      code: 1,
      out: "",
      lines: 1
    })
    return err
  })

const order = Workflow.make(
  "order",
  { events: { go: Schema.Json } },
  function*(ctx, amount: number) {
    const price = yield* ctx.step("price", () => amount * 2)
    const told = yield* ctx.suspend("go", { key: "k" })
    return yield* ctx.step("bill", () => ({ price, told }))
  }
)
/** Its step is begun and never done. */
const pay = (began: Deferred.Deferred<void>) =>
  Workflow.make("pay", function*(ctx) {
    return yield* ctx.step(
      "charge",
      () =>
        Effect.andThen(Deferred.succeed(began, undefined), Effect.never as Effect.Effect<number>),
      { delivery: "at-most-once" }
    )
  })

const library = (url: string) => <A, E>(effect: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.provide(effect, CliStorage.layer(url, "make")).pipe(
    Effect.provide([
      NodeServices.layer,
      ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
    ])
  )
const ids = Effect.map(Runs.list(), ({ runs }) => runs.map(({ runId }) => runId))

describe.each(storages)("on $name, the command", ({ to, url }) => {
  const here = library(url)

  it.live("sends, cancels and settles", () =>
    Effect.gen(function*() {
      const began = yield* Deferred.make<void>()
      yield* here(Effect.gen(function*() {
        yield* order.start(21, { runId: "r1" })
        yield* order.start(1, { runId: "r2" })
        const fiber = yield* Effect.forkChild(pay(began).start(undefined, { runId: "p1" }))
        yield* Deferred.await(began)
        yield* Fiber.interrupt(fiber)
      }))
      const bad = "\u001b[2J\u202e é"
      const sent = [
        "send",
        "r1",
        "go",
        "-",
        "--key",
        "k",
        "--event-id",
        `${bad}${"x".repeat(3_000)}`
      ]
      expect(yield* answers(url, sent, JSON.stringify({ bad }))).toMatchObject([
        { runId: "r1", eventName: "go", key: "k", value: { bad }, isAwaited: true }
      ])
      expect(yield* answers(url, ["cancel", "r2", "--reason", bad])).toMatchObject([
        { runId: "r2", reason: bad }
      ])
      expect(yield* answers(url, ["settle", "p1", "charge", "--value", "7"])).toMatchObject([
        { runId: "p1", stepId: "charge", settled: { value: 7 } }
      ])
      yield* here(Effect.gen(function*() {
        expect(yield* order.resume("r1")).toMatchObject({
          status: "success",
          result: { price: 42, told: { bad } }
        })
        expect(yield* order.resume("r2")).toMatchObject({ status: "cancelled", reason: bad })
        expect(yield* pay(began).resume("p1")).toMatchObject({ status: "success", result: 7 })
      }))
      expect(yield* refused(url, ["send", "nope", "go"])).toContain("There is no run \"nope\"")
    }), 120_000)

  it.live("forks, and prints a checkpoint", () =>
    Effect.gen(function*() {
      const before = yield* here(Runs.journal("r1"))
      const args = ["fork", "r1", "--from-step", "bill", "--override", "price=1"]
      expect(yield* answers(url, [...args, "--new-run-id", "f 1"])).toMatchObject([
        { runId: "f 1", workflow: "order", source: { runId: "r1" }, overridden: ["price"] }
      ])
      const { code, err, out } = yield* reprise(url, ["checkpoint", "r1", "--after", "price"])
      expect({ code, err }).toEqual({ code: 0, err: "" })
      expect(out).toMatch(/^[\w.-]+\n$/)
      yield* here(Effect.gen(function*() {
        expect(yield* order.resume("f 1")).toMatchObject({
          status: "success",
          result: { price: 1 }
        })
        expect(yield* order.runCheckpoint(out.trim(), { runId: "c" }))
          .toMatchObject({ status: "suspended" })
        expect(yield* Runs.journal("r1")).toEqual(before)
      }))
    }), 120_000)

  it.live("copies runs to a storage that nobody has made yet", () =>
    Effect.gen(function*() {
      const all = yield* here(ids)
      const copied = yield* answers(url, ["copy", "--all", "--to", to])
      expect(copied.map(({ runId }) => runId)).toEqual(all)
      expect(yield* here(Runs.journal("c"))).toEqual(yield* library(to)(Runs.journal("c")))
      expect(yield* library(to)(order.resume("c", { eventName: "go", key: "k", value: null })))
        .toMatchObject({ status: "success", result: { price: 42 } })
      expect(yield* here(Runs.status("c"))).toMatchObject({ status: "suspended" })
    }), 120_000)

  it.live("removes runs", () =>
    Effect.gen(function*() {
      expect(yield* refused(url, ["rm", "f 1", "c", "--yes"])).toContain("run \"c\" is suspended")
      expect(yield* answers(url, ["rm", "f 1", "--yes"])).toEqual([{ runId: "f 1", removed: true }])
      const all = yield* here(ids)
      const old = ["gc", "--older-than", "0 seconds"]
      const dry = yield* answers(url, [...old, "--dry-run"])
      expect(yield* here(ids)).toEqual(all)
      const removed = yield* answers(url, old)
      expect(removed).toEqual(dry.map(({ runId }) => ({ runId, removed: true })))
      expect(new Set(removed.map(({ runId }) => runId))).toEqual(new Set(["p1", "r1", "r2"]))
      expect(yield* here(ids)).toEqual(["c"])
    }), 120_000)
})

describe("the command on a storage that it cannot open", () => {
  it.live(
    "neither writes to it nor copies there, and shows no password",
    () =>
      Effect.gen(function*() {
        const [from, url] = [`file:${join(scratch, "runs")}`, "mysql://me:hunter2@host/db"]
        expect(yield* refused(url, ["send", "r1", "go"])).not.toContain("hunter2")
        expect(yield* refused(from, ["copy", "--all", "--to", url])).not.toContain("hunter2")
      }),
    120_000
  )

  it.live("makes no file for what is sent to a run", () =>
    Effect.gen(function*() {
      const url = `sqlite:${join(scratch, "none.db")}`
      expect(yield* refused(url, ["send", "r1", "go"])).toContain("is not there")
      expect(existsSync(join(scratch, "none.db"))).toBe(false)
    }), 120_000)
})
