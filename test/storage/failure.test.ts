/**
 * A disk that is full, broken or out of descriptors under a workflow: a typed error each, nothing told to
 * be safe that is not, the journal unharmed, and the run goes on once the disk works again.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Runs, type Storage, Workflow } from "reprise"
import { type Entry, isEnd } from "../../src/Entry.ts"
import { Observers } from "../../src/Observer.ts"
import { failing, type Hook, makeDisk, type Operation, passing } from "./support/disk.ts"
import { journalOf, local, temporary } from "./support/local.ts"

const steps = 6

/** A run of steps around a wait; `ran` counts how often each step ran, `size` pads its results. */
const make = (size = 10) => {
  const ran = new Map<string, number>()
  const work = (name: string) => () => {
    ran.set(name, (ran.get(name) ?? 0) + 1)
    return name.padEnd(size, ".")
  }
  const workflow = Workflow.make("chain", { events: {} }, function*(ctx) {
    const results: Array<string> = []
    for (let n = 0; n < steps; n++) results.push(yield* ctx.step(`s${n}`, work(`s${n}`)))
    const both = yield* ctx.all([ctx.step("left", work("left")), ctx.step("right", work("right"))])
    return [...results, ...both].map((result) => result.replaceAll(".", "")).join()
  })
  return { ran, workflow }
}
const result = "s0,s1,s2,s3,s4,s5,left,right"

/** The entries that were told to be durable. */
const watching = () => {
  const acknowledged: Array<Entry> = []
  const observe = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, Observers, [(event) =>
      Effect.sync(() => {
        if (event.type === "entry") acknowledged.push(event.entry)
      })])
  return { acknowledged, observe }
}

const key = (entry: Entry) => entry.type === "step" ? entry.stepId : entry.type

/** Everything acknowledged stands in the journal in the same order, and no step ran after that. */
const unharmed = (
  path: string,
  acknowledged: ReadonlyArray<Entry>
) => {
  const { entries } = journalOf(path)
  const standing = entries.map(key)
  let at = -1
  for (const entry of acknowledged) {
    at = standing.indexOf(key(entry), at + 1)
    expect([key(entry), at]).not.toEqual([key(entry), -1])
  }
  const outcomes = standing.filter((name) => name.startsWith("s") && name !== "start")
  expect(new Set(outcomes).size).toBe(outcomes.length)
  return entries
}

const reasons: ReadonlyArray<
  readonly [code: string, kind: Operation["kind"], reason: Storage.StorageError["reason"]]
> = [
  ["ENOSPC", "write", "Full"],
  ["EDQUOT", "write", "Full"],
  ["EFBIG", "write", "Full"],
  ["EIO", "write", "Unknown"],
  ["EIO", "sync", "Unknown"],
  ["EMFILE", "open", "Full"],
  ["ENFILE", "open", "Full"],
  ["EACCES", "open", "Denied"],
  ["EROFS", "open", "Denied"],
  ["EIO", "read", "Unknown"],
  ["EACCES", "stat", "Denied"]
]

describe("a broken disk", () => {
  for (const [code, kind, reason] of reasons) {
    it.live(`gives ${code} on ${kind} as ${reason}, wherever in the run, and the run goes on after`, () =>
      Effect.gen(function*() {
        // How often the run does this to its journal when all is well.
        const count = yield* Effect.gen(function*() {
          const disk = makeDisk()
          const on = local(temporary(), disk)
          // A run that stands there already is read too.
          if (kind === "read") {
            yield* Effect.provide(make().workflow.enqueue(undefined, { runId: "r" }), on)
          }
          disk.operations.length = 0
          yield* Effect.provide(make().workflow.start(undefined, { runId: "r" }), on)
          return disk.operations.filter((one) => one.kind === kind && one.name === "r.jsonl").length
        })
        expect(count).toBeGreaterThan(0)
        for (let nth = 1; nth <= count; nth++) {
          const directory = temporary()
          const path = join(directory, "r.jsonl")
          const disk = makeDisk()
          const { ran, workflow } = make()
          const { acknowledged, observe } = watching()
          const on = local(directory, disk)
          if (kind === "read") {
            yield* Effect.provide(workflow.enqueue(undefined, { runId: "r" }), on)
          }
          let seen = 0
          // From the nth on, until the disk is mended.
          disk.hook = failing(
            code,
            (one) => one.kind === kind && one.name === "r.jsonl" && ++seen >= nth
          )
          const error = yield* Effect.flip(
            Effect.provide(observe(workflow.start(undefined, { runId: "r" })), on)
          )
          expect([nth, error]).toMatchObject([nth, {
            _tag: "StorageError",
            reason,
            isRetryable: false
          }])
          expect(acknowledged.some(isEnd)).toBe(false)

          disk.hook = passing
          const before = new Map(ran)
          const safe = new Set(acknowledged.map(key))
          const done = yield* Effect.provide(
            observe(workflow.start(undefined, { runId: "r" })),
            on
          )
          expect(done).toMatchObject({ status: "success", result })
          const entries = unharmed(path, acknowledged)
          expect(entries.at(-1)?.type).toBe("complete")
          for (const [name, times] of ran) {
            if (safe.has(name)) expect([name, times]).toEqual([name, before.get(name)])
          }
        }
      }))
  }

  it.live("is named as the system names it, with what was attempted and what to do", () =>
    Effect.gen(function*() {
      for (const [code, kind] of reasons) {
        if (kind === "read" || kind === "stat") continue
        const disk = makeDisk()
        disk.hook = failing(code, (one) => one.kind === kind && one.name === "r.jsonl")
        const error = yield* Effect.flip(
          Effect.provide(
            make().workflow.start(undefined, { runId: "r" }),
            local(temporary(), disk)
          )
        )
        const { message } = error as Error
        expect(message).toContain(code)
        expect(message).toContain(`run "r"`)
        expect(message).toMatch(/[.] .*(resume|nothing was written)/)
      }
    }))

  it.live("that takes only a part of one write costs nothing: the session writes it anew", () =>
    Effect.gen(function*() {
      for (let nth = 1; nth <= 5; nth++) {
        const directory = temporary()
        const disk = makeDisk()
        const { ran, workflow } = make()
        const { acknowledged, observe } = watching()
        let seen = 0
        disk.hook = (operation, proceed) =>
          operation.kind === "write" && operation.name === "r.jsonl" && ++seen === nth
            ? proceed(operation.bytes!.subarray(0, operation.bytes!.length / 2))
            : proceed()
        const done = yield* Effect.provide(
          observe(workflow.start(undefined, { runId: "r" })),
          local(directory, disk)
        )
        expect(done).toMatchObject({ status: "success", result })
        const entries = unharmed(join(directory, "r.jsonl"), acknowledged)
        expect(entries.filter((entry) => entry.type === "start")).toHaveLength(1)
        expect([...ran.values()]).toEqual(Array(steps + 2).fill(1))
        expect(journalOf(join(directory, "r.jsonl")).torn).toBe(1)
      }
    }))

  it.live("fails a post with a typed error, delivers nothing, and takes it when it works again", () =>
    Effect.gen(function*() {
      const ask = Workflow.make("ask", { events: {} }, function*(ctx) {
        return yield* ctx.step("a", () => 1)
      })
      const directory = temporary()
      const disk = makeDisk()
      const on = local(directory, disk)
      yield* Effect.provide(ask.enqueue(undefined, { runId: "r" }), on)
      const faults: ReadonlyArray<readonly [Hook, Storage.StorageError["reason"]]> = [
        [failing("ENOSPC", (one) => one.kind === "write"), "Full"],
        [failing("EIO", (one) => one.kind === "sync"), "Unknown"],
        [failing("EMFILE", (one) => one.kind === "open" && one.name === "r.inbox"), "Full"],
        [
          (one, proceed) => proceed(one.kind === "write" ? one.bytes!.subarray(0, 20) : undefined),
          "Full"
        ]
      ]
      for (const [hook, reason] of faults) {
        disk.hook = hook
        expect(yield* Effect.flip(Effect.provide(Runs.cancel("r"), on))).toMatchObject({
          _tag: "StorageError",
          reason
        })
        disk.hook = passing
      }
    }))
})

describe("a full disk", () => {
  /** Fills up while the run writes, and has room again after `free`. */
  const overflow = (
    directory: string,
    on: Layer.Layer<Storage.Storage>,
    free: () => void
  ) =>
    Effect.gen(function*() {
      const { ran, workflow } = make(6_000)
      const { acknowledged, observe } = watching()
      const start = Effect.provide(observe(workflow.start(undefined, { runId: "r" })), on)
      for (let attempt = 0; attempt < 3; attempt++) {
        expect(yield* Effect.flip(start)).toMatchObject({ _tag: "StorageError", reason: "Full" })
        expect(acknowledged.some(isEnd)).toBe(false)
      }
      expect(acknowledged.filter((entry) => entry.type === "step").length).toBeGreaterThan(0)
      const before = new Map(ran)
      const safe = new Set(acknowledged.map(key))
      free()
      const done = yield* Effect.provide(observe(workflow.resume("r")), on)
      expect(done).toMatchObject({ status: "success", result })
      unharmed(join(directory, "r.jsonl"), acknowledged)
      for (const name of safe) {
        if (ran.has(name)) expect([name, ran.get(name)]).toEqual([name, before.get(name)])
      }
    })

  it.live("of 64 KiB stops a run with a typed error, and freeing space lets it go on", () => {
    const base = temporary()
    const mounted = join(base, "small")
    mkdirSync(mounted)
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", mounted])
    if (mount.status !== 0) {
      console.log(
        `No small tmpfs here (${String(mount.stderr ?? mount.error).trim()}): a simulated one`
      )
      const disk = makeDisk()
      disk.hook = limited(40_000)
      return overflow(mounted, local(mounted, disk), () => {
        disk.hook = passing
      })
    }
    const filler = join(mounted, "filler")
    writeFileSync(filler, Buffer.alloc(24 * 1024))
    return Effect.ensuring(
      Effect.gen(function*() {
        yield* overflow(mounted, local(mounted), () => rmSync(filler))
        // And once more to the brim: now nothing can be freed.
        const { workflow } = make(6_000)
        expect(
          yield* Effect.flip(
            Effect.provide(workflow.start(undefined, { runId: "second" }), local(mounted))
          )
        ).toMatchObject({ _tag: "StorageError", reason: "Full" })
      }),
      Effect.sync(() => spawnSync("umount", [mounted]))
    )
  })

  it.live("that is simulated: takes what fits of a write, then nothing", () => {
    const directory = temporary()
    const disk = makeDisk()
    disk.hook = limited(30_000)
    return overflow(directory, local(directory, disk), () => {
      disk.hook = passing
    })
  })
})

/** Room for so many bytes: the write that goes over it is cut short, the next ones fail. */
const limited = (room: number): Hook => {
  let left = room
  return (operation, proceed) => {
    if (operation.kind !== "write" || !operation.name.endsWith(".jsonl")) return proceed()
    if (left === 0) return failing("ENOSPC", () => true)(operation, proceed)
    const taken = Math.min(left, operation.bytes!.length)
    left -= taken
    return proceed(operation.bytes!.subarray(0, taken))
  }
}
