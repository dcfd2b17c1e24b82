/** The verbs that take code, as processes of their own that load TypeScript modules, on every storage. */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { Runs, type Storage, Workflow } from "reprise"
import { afterAll } from "vitest"
import * as CliStorage from "../../src/cli/storage.ts"
import { temporary } from "../storage/support/local.ts"
import { credentials, startFakeS3 } from "../support/fakeS3.ts"
import { createDatabase } from "../support/postgres.ts"

const s3 = await startFakeS3({ credentials, buckets: ["b"] })
afterAll(s3.dispose)
const database = await createDatabase()

const env = {
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  AWS_ENDPOINT_URL_S3: s3.endpoint
}
const scratch = temporary()

const storages = [
  { name: "files", url: `file:${join(scratch, "runs")}` },
  { name: "SQLite", url: `sqlite:${join(scratch, "runs.db")}` },
  { name: "Postgres", url: database.url },
  { name: "S3", url: "s3://b/runs" }
]

// A program's directory, with the packages it would have installed.
mkdirSync(join(scratch, "node_modules"))
symlinkSync(resolve("."), join(scratch, "node_modules", "reprise"), "dir")
symlinkSync(resolve("node_modules/effect"), join(scratch, "node_modules", "effect"), "dir")
writeFileSync(join(scratch, "package.json"), `{"type":"module"}`)
const moduleOf = (name: string, first: string, price: string) =>
  writeFileSync(
    join(scratch, name),
    `import { Workflow } from "reprise"
import { Context, Effect, Layer, Schema } from "effect"

class Prices extends Context.Service<Prices, { readonly of: (amount: number) => number }>()("app/Prices") {}

export const layer = Layer.succeed(Prices, { of: (amount) => ${price} })

export default [
  Workflow.make("order", { events: { paid: Schema.Struct({ on: Schema.Date }) } }, function*(ctx, amount: number) {
    const price: number = yield* ctx.step("${first}", Effect.map(Prices, ({ of }) => of(amount)))
    const { on } = yield* ctx.suspend("paid")
    yield* ctx.log("paid")
    return price + on.getUTCFullYear()
  })
]
`
  )
moduleOf("same.ts", "price", "amount * 2")
moduleOf("other.ts", "cost", "amount * 3")
writeFileSync(join(scratch, "broken.ts"), "export const x: = 1\n")

const isBroken = { price: true }
const order = Workflow.make("order", {
  events: { paid: Schema.Struct({ on: Schema.Date }) }
}, function*(ctx, amount: number) {
  const price = yield* ctx.step("price", () => {
    if (isBroken.price) throw new Error("no prices")
    return amount * 2
  })
  const { on } = yield* ctx.suspend("paid")
  return price + on.getUTCFullYear()
})

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

const command = ["--conditions=reprise-source", resolve("src/cli/main.ts")]

/** The command on a storage, in a pipe, where the modules are. */
const reprise = (url: string, ...args: ReadonlyArray<string>) =>
  Effect.promise(() =>
    new Promise<Said>((done) => {
      execFile(
        process.execPath,
        [...command, ...args, "--storage", url],
        { cwd: scratch, env: { ...process.env, ...env } },
        (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err })
      )
    })
  )

const library = (url: string) => <A, E>(effect: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.provide(effect, CliStorage.layer(url, "make")).pipe(
    Effect.provide([
      NodeServices.layer,
      ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
    ])
  )

describe.each(storages)("on $name, the command", ({ url }) => {
  const here = library(url)

  it.live("checks, resumes and retries with the code of a module", () =>
    Effect.gen(function*() {
      isBroken.price = true
      yield* here(order.start(4, { runId: "fails" }))
      isBroken.price = false
      yield* here(order.start(5, { runId: "waits" }))

      const checked = yield* reprise(url, "check", "--workflow", "other.ts")
      expect({ code: checked.code, err: checked.err }).toEqual({ code: 2, err: "" })
      expect(JSON.parse(checked.out)).toMatchObject({
        fits: 0,
        breaks: [{
          runId: "waits",
          problem: {
            offset: 1,
            expected: "the outcome of step \"price\"",
            actual: "pending: step \"cost\"",
            source: expect.stringMatching(/other\.ts:10:\d+$/)
          }
        }]
      })
      expect((yield* here(Runs.status("waits"))).session).toBe(1)

      const paid = `{"on":"2020-01-02T00:00:00.000Z"}`
      const resumed = yield* reprise(url, "resume", "waits", "paid", paid, "--workflow", "same.ts")
      expect(resumed.code).toBe(0)
      expect(JSON.parse(resumed.out)).toMatchObject({ status: "success", result: 2030 })
      // What is logged is no part of the answer.
      expect(resumed.err).toContain("paid")
      expect(yield* here(order.status("waits"))).toMatchObject({ status: "success", result: 2030 })

      const retry = ["retry", "fails", "--new-run-id", "again", "--workflow", "./same.ts"]
      const retried = yield* reprise(url, ...retry)
      expect({ code: retried.code, err: retried.err }).toEqual({ code: 0, err: "" })
      expect(JSON.parse(retried.out)).toMatchObject({ runId: "again", status: "suspended" })
      expect(yield* here(order.status("again"))).toMatchObject({ event: "paid" })
      expect(yield* here(Runs.status("again"))).toMatchObject({ source: { runId: "fails" } })
    }), 120_000)
})

describe("the command", () => {
  const { url } = storages[0]!

  it.live(
    "replays for people, and fails in one line for a module that does not parse",
    () =>
      Effect.gen(function*() {
        const broken = join(scratch, "broken.ts")
        yield* library(url)(order.start(5, { runId: "r" }))
        const { code, err, out } = yield* reprise(
          url,
          "replay",
          "r",
          "--no-json",
          "--workflow",
          join(scratch, "other.ts")
        )
        expect({ code, err }).toEqual({ code: 2, err: "" })
        expect(out).toContain("code      pending: step \"cost\"\nsource    ")
        const failed = yield* reprise(url, "check", "--workflow", broken)
        expect({ code: failed.code, out: failed.out }).toEqual({ code: 1, out: "" })
        expect(failed.err).toMatch(
          /^Module ".*broken\.ts" could not be loaded: SyntaxError: .*\(.*broken\.ts:1\)\. .*\n$/
        )
      }),
    120_000
  )
})
