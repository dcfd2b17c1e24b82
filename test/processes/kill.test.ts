/**
 * `kill -9` at every write and every sync of a run, and at times that have nothing to do with either:
 * another process goes on, nothing acknowledged is lost, and no step runs again whose outcome was safe.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Journal } from "reprise"
import { type Disk, makeDisk } from "../storage/support/disk.ts"
import { journalOf, local, temporary } from "../storage/support/local.ts"
import { random } from "../storage/support/random.ts"
import { runs } from "../support/amount.ts"
import { counts, momentsOf } from "./support/dying.ts"
import { approval, input, makeOrder, result, steps } from "./support/order.ts"

const script = fileURLToPath(new URL("support/orderProcess.ts", import.meta.url))
const cache = join(temporary(), "cache")

interface Place {
  readonly directory: string
  readonly log: string
}
const place = (): Place => {
  const base = temporary()
  return { directory: join(base, "runs"), log: join(base, "log") }
}

/** Runs the order in a process of its own; gives how that ended. */
const child = (
  { directory, log }: Place,
  at: {
    readonly operation?: number
    readonly moment?: string
    readonly pause?: number
    readonly killAfter?: number
  }
) =>
  Effect.promise(async () => {
    const { killAfter, moment = "", operation = 0, pause = 0 } = at
    const started = spawn(
      process.execPath,
      [
        "--conditions=reprise-source",
        script,
        directory,
        log,
        "r",
        String(operation),
        moment,
        String(pause)
      ],
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, NODE_COMPILE_CACHE: cache } }
    )
    const ended = once(started, "exit")
    if (killAfter !== undefined) {
      await once(started.stdout, "data")
      setTimeout(() => started.kill("SIGKILL"), killAfter)
    }
    const [code, signal] = await ended as [number | null, NodeJS.Signals | null]
    return signal ?? String(code)
  })

const linesOf = ({ log }: Place, kind: string) =>
  (existsSync(log) ? readFileSync(log, "utf8") : "").split("\n").flatMap((line) =>
    line.startsWith(`${kind} `) ? [line.slice(kind.length + 1)] : []
  )

const path = ({ directory }: Place) => join(directory, "r.jsonl")
const standing = (where: Place) => existsSync(path(where)) ? journalOf(path(where)).entries : []

const envelope = ["session", "offset", "incarnation", "writer", "prev", "sum"]
/** An entry as the observer is told of it. */
const told = (recorded: Journal.Recorded) => {
  const { timestamp, ...rest } = recorded
  const entry = Object.fromEntries(
    Object.entries(rest).filter(([name]) => !envelope.includes(name))
  )
  return JSON.stringify({ type: "entry", runId: "r", entry, timestamp })
}

const nameOf = (stepId: string) =>
  stepId.replace(/^each\[(.*)\]\/pack$/, "pack $1").replace(/^.*\//, "")

/** Goes on with what a killed process left, here, and checks what came of it. */
const goOn = (where: Place, disk?: Disk) =>
  Effect.gen(function*() {
    const left = standing(where)
    const safe = left.flatMap((entry) => entry.type === "step" ? [nameOf(entry.stepId)] : [])
    const acknowledged = linesOf(where, "ack")
    const before = linesOf(where, "did")

    // Zero acknowledged entries lost.
    const stands = left.map(told)
    expect(stands.filter((line) => acknowledged.includes(line))).toEqual(acknowledged)
    // At most what was under way had no outcome yet: one step a branch.
    expect(before.filter((step) => !safe.includes(step)).length).toBeLessThanOrEqual(2)

    const again: Array<string> = []
    const order = makeOrder((step) => again.push(step))
    const on = local(where.directory, disk)
    const known = left.length > 0
    const first = yield* Effect.result(Effect.provide(order.resume("r"), on))
    if (known) expect(first).toMatchObject({ _tag: "Success" })
    else expect(first).toMatchObject({ _tag: "Failure", failure: { _tag: "RunNotFound" } })
    yield* Effect.provide(order.start(input, { runId: "r" }), on)
    const done = yield* Effect.provide(order.resume("r", approval), on)
    expect(done).toEqual({ status: "success", result, runId: "r" })

    // No step ran again whose outcome stood in the journal, and none more than once here.
    expect(again.filter((step) => safe.includes(step))).toEqual([])
    expect(new Set(again).size).toBe(again.length)
    expect(new Set([...safe, ...again]).size).toBe(steps)

    const end = standing(where)
    expect(end.slice(0, left.length)).toEqual(left)
    const outcomes = end.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
    expect(outcomes).toHaveLength(steps)
    expect(new Set(outcomes).size).toBe(steps)
    expect(end.filter((entry) => entry.type === "resume")).toHaveLength(1)
    expect(end.at(-1)?.type).toBe("complete")
    return { again, safe }
  })

/** A whole run in this process: what it writes and syncs. */
const operations = Effect.gen(function*() {
  const disk = makeDisk()
  const where = place()
  const order = makeOrder(() => {})
  const on = local(where.directory, disk)
  yield* Effect.provide(order.start(input, { runId: "r" }), on)
  const done = yield* Effect.provide(order.resume("r", approval), on)
  expect(done).toMatchObject({ status: "success", result })
  return disk.operations.filter(counts)
})

describe("kill -9", () => {
  it.live("is not needed: a process of its own gets to the end", () =>
    Effect.gen(function*() {
      const where = place()
      expect(yield* child(where, {})).toBe("0")
      expect(JSON.parse(linesOf(where, "end")[0]!)).toEqual({
        status: "success",
        result,
        runId: "r"
      })
      expect(linesOf(where, "did")).toHaveLength(steps)
      expect(linesOf(where, "ack")).toEqual(standing(where).map(told))
      expect((yield* goOn(where)).again).toEqual([])
    }))

  it.live(
    "at every write and every sync of a run loses and repeats nothing",
    () =>
      Effect.gen(function*() {
        const points = (yield* operations).flatMap((operation, n) =>
          momentsOf(operation).map((moment) => ({ operation: n + 1, moment }))
        )
        expect(points.length).toBeGreaterThanOrEqual(50)
        let cut = 0
        yield* Effect.forEach(points, (at) =>
          Effect.gen(function*() {
            const where = place()
            expect([at, yield* child(where, at)]).toEqual([at, "SIGKILL"])
            const { again } = yield* goOn(where)
            if (again.length > 0 && again.length < steps) cut++
          }), { concurrency: 3 })
        expect(cut).toBeGreaterThan(25)
      }),
    120_000
  )

  it.live(
    "of a process that was going on with a killed one's run loses and repeats nothing",
    () =>
      Effect.gen(function*() {
        const count = (yield* operations).length
        const chance = random(20260102)
        yield* Effect.forEach(Array.from({ length: runs(6) }), () =>
          Effect.gen(function*() {
            const where = place()
            const moment = () => chance.pick(["before", "after"])
            const first = { operation: 1 + chance.below(count - 4), moment: moment() }
            const second = { operation: 1 + chance.below(4), moment: moment() }
            const third = { operation: 1 + chance.below(4), moment: moment() }
            for (const at of [first, second, third]) yield* child(where, at)
            yield* goOn(where)
          }), { concurrency: 3 })
      }),
    120_000
  )

  it.live("at any time loses and repeats nothing", () =>
    Effect.gen(function*() {
      const times = Array.from({ length: runs(10) }, (_, n) => 6 * n)
      yield* Effect.forEach(times, (killAfter) =>
        Effect.gen(function*() {
          const where = place()
          yield* child(where, { pause: 5, killAfter })
          yield* goOn(where)
        }), { concurrency: 2 })
    }), 120_000)
})
