/** `reprise ui` as a process of its own: on every storage, and when it cannot serve. */
import { NodeServices } from "@effect/platform-node"
import { ConfigProvider, Effect, Schema } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { join, resolve } from "node:path"
import { Runs, type Storage, Workflow } from "reprise"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { buildInspector } from "../../scripts/build-inspector.ts"
import * as CliStorage from "../../src/cli/storage.ts"
import { temporary } from "../storage/support/local.ts"
import { credentials, startFakeS3 } from "../support/fakeS3.ts"
import { createDatabase } from "../support/postgres.ts"

const s3 = await startFakeS3({ credentials, buckets: ["b"] })
afterAll(s3.dispose)
const database = await createDatabase()

const scratch = temporary()
const token = "a-token-of-the-tests"
const env = {
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  AWS_ENDPOINT_URL_S3: s3.endpoint
}

const storages = [
  ["files", `file:${join(scratch, "runs")}`],
  ["SQLite", `sqlite:${join(scratch, "runs.db")}`],
  ["Postgres", database.url],
  ["S3", "s3://b/runs"]
] as const

const review = Workflow.make("review", {
  events: { verdict: Schema.Struct({ approved: Schema.Boolean }) }
}, function*(ctx) {
  const { approved } = yield* ctx.suspend("verdict")
  return approved
})

const library = <A, E>(url: string, effect: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.runPromise(
    Effect.provide(effect, CliStorage.layer(url, "make")).pipe(
      Effect.provide([
        NodeServices.layer,
        ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
      ])
    )
  )

const stops: Array<() => Promise<void>> = []

const start = (args: ReadonlyArray<string>, more: Readonly<Record<string, string>> = {}) => {
  const child = spawn(
    process.execPath,
    ["--conditions=reprise-source", resolve("src/cli/main.ts"), "ui", ...args],
    { cwd: scratch, env: { ...process.env, ...env, ...more } }
  )
  const said = { out: "", err: "" }
  child.stdout.on("data", (data) => said.out += data)
  child.stderr.on("data", (data) => said.err += data)
  const exited = once(child, "exit").then(([code]) => code as number | null)
  stops.push(async () => {
    child.kill()
    await exited
  })
  return { child, exited, said }
}

/** The server, once it listens. */
const serving = async (args: ReadonlyArray<string>) => {
  const { child, exited, said } = start(["--json", "--port", "0", ...args], {
    REPRISE_TOKEN: token
  })
  await Promise.race([once(child.stdout, "data"), exited])
  expect(said.err).toBe("")
  const told = JSON.parse(said.out) as { readonly url: string; readonly workflows: unknown }
  const { origin } = new URL(told.url)
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(origin + path, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    return { status: answer.status, json: await answer.json() as any }
  }
  return { call, exited, told, stop: () => void child.kill("SIGTERM") }
}

beforeAll(() => buildInspector())

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

describe.each(storages)("on %s, reprise ui", (_, url) => {
  it("shows runs, takes what they wait for, and stops when it is told to", async () => {
    await library(url, review.start(undefined, { runId: "r 1" }))
    const { call, exited, stop, told } = await serving(["--storage", url])
    expect(told.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=a-token-of-the-tests$/)
    expect((await call("GET", "/api/runs")).json.runs).toMatchObject([{ runId: "r 1" }])
    expect(await call("GET", "/api/runs/r%201")).toMatchObject({
      status: 200,
      json: { status: "suspended", waits: [{ event: "verdict" }] }
    })
    const event = { eventName: "verdict", value: { approved: true } }
    expect((await call("POST", "/api/runs/r%201/events", event)).status).toBe(202)
    expect((await call("POST", "/api/runs/none/events", event)).status).toBe(404)
    stop()
    expect(await exited).not.toBe(1)
    // It is durable, and the next who drives takes it.
    expect(await library(url, review.resume("r 1"))).toMatchObject({ result: true })
  })
})

describe("reprise ui", () => {
  it("drives runs of the code it is given", async () => {
    const url = `file:${join(scratch, "driven")}`
    await library(url, review.start(undefined, { runId: "r1" }))
    const quickstart = resolve("examples", "01-quickstart", "workflows.ts")
    const { call, told } = await serving(["--storage", url, "--workflow", quickstart])
    expect(told.workflows).toEqual(["triage"])
    expect((await call("GET", "/api/session")).json).toMatchObject({
      drives: true,
      workflows: [{ name: "triage", events: { "manual-review": { schema: { type: "object" } } } }]
    })
    const ticket = { id: "t1", subject: "How do I export?", body: "" }
    const begun = await call("POST", "/api/runs", { workflow: "triage", input: ticket })
    expect(begun.status).toBe(201)
    const ended = await library(url, Runs.end(begun.json.runId))
    expect(ended).toMatchObject({ status: "success", workflow: "triage" })
    // What it has no code of is left.
    expect((await call("GET", "/api/runs/r1/status")).json.status).toBe("suspended")
  })

  it("says in a line why it cannot serve, and serves nothing", async () => {
    const taken = createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    const { port } = taken.address() as { readonly port: number }
    const refusals = [
      [["--port", String(port)], /^Could not listen on 127\.0\.0\.1, port \d+: .*EADDRINUSE/],
      [["--storage", "sqlite:none.db"], /is not there/],
      [["--workflow", "none.ts"], /"none\.ts" is not there/]
    ] as const
    for (const [args, why] of refusals) {
      const { exited, said } = start(args)
      expect({ args, code: await exited }).toEqual({ args, code: 1 })
      expect(said.err).toMatch(why)
      expect(said.err.trimEnd().split("\n")).toHaveLength(1)
      expect(said.out).toBe("")
    }
    taken.close()
    const weak = start(["--port", "0"], { REPRISE_TOKEN: "short" })
    expect(await weak.exited).toBe(1)
    expect(weak.said.err).toMatch(/token "ui" is too short/)
    expect(weak.said.err).not.toMatch(/"short"|=short/)
  })
})
