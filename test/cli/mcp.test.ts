/** An agent that has nothing but the tools: what happened, where did it stop, where can it be done again. */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { McpClient, McpProtocol, McpTest } from "effect/ai"
import { ChildProcess } from "effect/process"
import { resolve } from "node:path"
import { Runs, Storage, Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { registrations } from "../../src/cli/mcp/server.ts"
import { temporary } from "../storage/support/local.ts"

const Card = Schema.Struct({ number: Workflow.secret(Schema.String) })

const order = Workflow.make("order", {
  input: Schema.Struct({ card: Card, note: Schema.String }),
  events: { approve: Schema.Struct({ by: Schema.String }) }
}, function*(ctx, { card, note }) {
  const price = yield* ctx.step("price", () => 42)
  yield* ctx.step("remember", () => ({ note: note.repeat(1_000) }))
  const { by } = yield* ctx.suspend("approve", { reason: "more than 40" })
  yield* ctx.step(
    "charge",
    () => Effect.fail(new Error(`declined: ${Redacted.value(card.number).length} ${price}`))
  )
  return by
})

const input = { card: { number: Redacted.make("4111 1111") }, note: "\u001b[31mred </script>" }

/** One run that waits, and one that failed. */
const some = Effect.gen(function*() {
  yield* order.start(input, { runId: "waits" })
  yield* order.start(input, { runId: "broke" })
  yield* order.resume("broke", { eventName: "approve", value: { by: "ada" } })
})

const connected = (isWriting: boolean) =>
  Effect.map(
    McpTest.makeClient(registrations(isWriting), { protocols: [McpProtocol.v2025_11_25] }),
    (client) => ({
      client,
      /** What a tool answers; what it refuses is a text. */
      call: (name: string, args: Record<string, unknown> = {}) =>
        Effect.map(client.callTool({ name, arguments: args }), (answer): any =>
          answer.isError === true
            ? (answer.content[0] as { readonly text: string }).text
            : answer.structuredContent)
    })
  )

const onMemory = Effect.provide(Storage.layerMemory)

describe("an agent", () => {
  it.effect("finds the run that failed, why, and from where to do it again", () =>
    Effect.gen(function*() {
      yield* some
      const { call } = yield* connected(true)
      const { runs } = yield* call("list_runs", { status: "failed" })
      expect(runs).toHaveLength(1)
      const [{ runId }] = runs
      const { events, open, run, total } = yield* call("show_run", { runId })
      expect(run).toMatchObject({ status: "failed", workflow: "order" })
      expect(open).toMatchObject([{ stepId: "charge", state: "failed" }])
      expect(open[0].error.message).toBe("declined: 9 42")
      expect(events).toMatchObject([{ type: "resume", eventName: "approve", value: { by: "ada" } }])
      expect(total).toBe(4)

      const { points } = yield* call("fork_points", { runId })
      expect(points[0]).toMatchObject({ fromStep: "charge", state: "failed" })
      const forked = yield* call("fork_run", {
        runId,
        fromStep: points[0].fromStep,
        override: { price: 7 }
      })
      const { items, run: begun } = yield* call("show_run", { runId: forked.runId })
      expect(begun).toMatchObject({ status: "pending", source: { runId: "broke" } })
      expect(items[0]).toMatchObject({ stepId: "price", value: 7 })
      expect(yield* call("retry_run", { runId, newRunId: "again" }))
        .toMatchObject({ runId: "again" })
    }).pipe(Effect.scoped, onMemory))

  it.effect("finds what a run waits for, and sends it", () =>
    Effect.gen(function*() {
      yield* some
      const { call } = yield* connected(true)
      const { next, run } = yield* call("show_run", { runId: "waits" })
      expect(run.waits).toMatchObject([{ event: "approve", reason: "more than 40" }])
      expect(next).toEqual([`order.resume("waits", { eventName: "approve", value: … })`])
      yield* call("send_event", { runId: "waits", eventName: "approve", value: { by: "bob" } })
      expect(yield* Runs.due()).toEqual(["waits"])
      const sent = yield* call("show_run", { runId: "waits" })
      expect(sent.run.posted).toMatchObject([{ type: "event", value: { by: "bob" } }])
      expect(sent.next).toEqual([`order.resume("waits")`])
      yield* call("cancel_run", { runId: "waits", reason: "no more" })
      expect(yield* order.resume("waits")).toMatchObject({ status: "cancelled" })
    }).pipe(Effect.scoped, onMemory))

  it.effect("is shown no secrets, and long values whole only when it asks for the journal", () =>
    Effect.gen(function*() {
      yield* some
      const { call } = yield* connected(false)
      const shown = yield* call("show_run", { runId: "broke" })
      expect(JSON.stringify(shown)).not.toContain("4111")
      expect(shown.run.input.card).toEqual({ number: "<redacted>" })
      const remembered = shown.items.find(({ stepId }: any) => stepId === "remember")
      expect(remembered.value.characters).toBeGreaterThan(10_000)
      expect(remembered.value.cut).toHaveLength(2_000)
      const { entries, rejected, torn, total } = yield* call("read_journal", {
        runId: "broke",
        from: 1,
        count: 2
      })
      expect({ rejected, torn }).toEqual({ rejected: 0, torn: 0 })
      expect(total).toBeGreaterThan(3)
      expect(entries.map(({ offset }: any) => offset)).toEqual([1, 2])
      expect(entries.some((entry: any) => entry.result?.note === input.note.repeat(1_000)))
        .toBe(true)
    }).pipe(Effect.scoped, onMemory))

  it.effect("may only look, unless it was let do more", () =>
    Effect.gen(function*() {
      yield* some
      const names = (isWriting: boolean) =>
        Effect.gen(function*() {
          const { client } = yield* connected(isWriting)
          const { tools } = yield* client.listTools()
          return tools.map(({ annotations, name }) => [name, annotations?.readOnlyHint])
        }).pipe(Effect.scoped)
      const reading = ["list_runs", "show_run", "read_journal", "fork_points"]
      const writing = ["send_event", "cancel_run", "fork_run", "retry_run"]
      expect(yield* names(false)).toEqual(reading.map((name) => [name, true]))
      expect(yield* names(true)).toEqual([
        ...reading.map((name) => [name, true]),
        ...writing.map((name) => [name, false])
      ])
      const { client } = yield* connected(false)
      const refused = yield* Effect.flip(
        client.callTool({ name: "cancel_run", arguments: { runId: "waits" } })
      )
      expect(refused.message).toContain("cancel_run")
      expect(yield* Runs.due()).toEqual([])
    }).pipe(Effect.scoped, onMemory))

  it.effect("is told what it asked wrong", () =>
    Effect.gen(function*() {
      yield* some
      const { call } = yield* connected(true)
      expect(yield* call("show_run", { runId: "nope" })).toMatch(/^There is no run "nope"/)
      expect(yield* call("show_run", { runId: "../x" })).toContain("is no run id")
      expect(yield* call("fork_run", { runId: "broke" })).toContain(
        "it was not said where to cut it"
      )
      expect(yield* call("fork_run", { runId: "broke", fromStep: "x" })).toContain(
        "has no step \"x\""
      )
      expect(yield* call("retry_run", { runId: "waits" })).toContain("it has not failed")
      expect(yield* call("send_event", { runId: "broke", eventName: "approve" }))
        .toContain("\"broke\"")
      for (const args of [{}, { runId: 1 }, { runId: "broke", count: 201 }, { from: -1 }]) {
        expect(yield* call("show_run", args)).toMatch(/^Invalid parameters for tool 'show_run'/)
      }
    }).pipe(Effect.scoped, onMemory))

  it.live("goes through a run of ten thousand steps a page at a time", () =>
    Effect.gen(function*() {
      const long = Workflow.make("long", { events: { more: Schema.Void } }, function*(ctx) {
        for (let n = 0; n < 10_000; n++) yield* ctx.step(`s${n}`, () => n)
        yield* ctx.suspend("more")
      })
      const unlimited = { warn: Infinity, stop: Infinity }
      yield* Effect.provideService(
        long.start(undefined, { runId: "long" }),
        Workflow.JournalLimits,
        unlimited
      )
      const { call } = yield* connected(false)
      const { items, open, total } = yield* call("show_run", { runId: "long", from: 9_990 })
      expect(total).toBe(10_001)
      expect(items).toHaveLength(11)
      expect(open).toMatchObject([{ stepId: "more", state: "waiting" }])
      const { points } = yield* call("fork_points", { runId: "long", from: 9_999, count: 1 })
      expect(points).toMatchObject([{ fromStep: "s9999" }])
    }).pipe(Effect.scoped, onMemory))
})

describe("reprise mcp", () => {
  it.live("is what an agent's client starts, and speaks with nothing else on stdout", () =>
    Effect.gen(function*() {
      const directory = temporary()
      yield* Effect.provide(some, NodeLocalStorage.layer(directory))
      const client = yield* Layer.build(
        McpClient.layerStdio({
          name: "agent",
          version: "1",
          protocol: McpProtocol.v2025_11_25,
          command: ChildProcess.make(process.execPath, [
            "--conditions=reprise-source",
            resolve("src/cli/main.ts"),
            "mcp",
            "--storage",
            `file:${directory}`
          ])
        }).pipe(Layer.provide(NodeServices.layer))
      ).pipe(
        Effect.map(Context.get(McpClient.McpClient))
      )
      expect(client.serverInfo).toMatchObject({ name: "reprise" })
      expect(client.instructions).toContain("show_run")
      const tools = yield* client.listTools()
      const tool = tools.find(({ name }) => name === "show_run")!
      const { structuredContent } = yield* client.callTool({ tool, arguments: { runId: "broke" } })
      expect(structuredContent).toMatchObject({ open: [{ stepId: "charge" }] })
      expect(tools.map(({ name }) => name)).not.toContain("send_event")
    }).pipe(Effect.scoped))
})
