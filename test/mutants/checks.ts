/**
 * One short look at each thing that keeps an acknowledged entry safe. Every check takes the library as a
 * parameter, so that it can be given one with a bug in it, and throws when it sees the bug.
 */
import { NodePath } from "@effect/platform-node"
import { Effect, Exit, Layer, Result, Schema } from "effect"
import assert from "node:assert/strict"
import {
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import type * as Reprise from "reprise"
import { type Disk, failing, makeDisk } from "../storage/support/disk.ts"
import { temporary } from "../storage/support/local.ts"

export interface Library
  extends Pick<typeof Reprise, "Journal" | "LocalStorage" | "Runs" | "Storage" | "Workflow">
{
  readonly Observer: typeof import("../../src/Observer.ts")
  readonly Testing: typeof import("reprise/testing")
  readonly slice: typeof import("../../src/internal/slice.ts")["slice"]
}

export type Check = (reprise: Library) => Effect.Effect<void, unknown>

type Entry = Reprise.Journal.Entry

const timestamp = "2026-01-02T03:04:05.678Z"
const start: Entry = { type: "start", format: 1, workflow: "w", runId: "r" }
const again: Entry = { type: "start" }
const step = (name: string): Entry => ({ type: "step", stepId: name, name, result: name })
const stamped = ({ Journal }: Library, ...entries: ReadonlyArray<Entry>) =>
  entries.map((entry) => Journal.stamped(entry, timestamp))
const stamp = (session: number, writer: string, incarnation = "first") => ({
  incarnation,
  session,
  writer
})

// journals as text

const append = (
  reprise: Library,
  head: Reprise.Journal.Head,
  by: Reprise.Journal.Stamp,
  ...entries: ReadonlyArray<Entry>
) => {
  const sealed = reprise.Journal.seal(head, by, stamped(reprise, ...entries))
  return { ...sealed, text: reprise.Journal.write(sealed.lines) }
}
const read = ({ Journal }: Library, text: string) => Result.getOrThrow(Journal.read("r", text))
const names = (reprise: Library, text: string) =>
  read(reprise, text).entries.map((entry) => entry.type === "step" ? entry.name : entry.type)

const pure = (f: (reprise: Library) => void): Check => (reprise) => Effect.sync(() => f(reprise))

/** A line of a session that is over, or of one that nobody opened, does not count. */
export const sessions = pure((reprise) => {
  const { Journal } = reprise
  const one = append(reprise, Journal.emptyHead, stamp(1, "a"), start)
  const two = append(reprise, one.head, stamp(2, "b"), again)
  const strangers = [stamp(1, "a"), stamp(1, "b"), stamp(2, "c"), stamp(3, "b")]
  for (const by of strangers) {
    const late = append(reprise, two.head, by, step("late"))
    assert.deepEqual(names(reprise, one.text + two.text + late.text), ["start", "start"])
  }
  for (const session of [1, 2]) {
    const opening = append(reprise, two.head, stamp(session, "c"), again)
    assert.deepEqual(names(reprise, one.text + two.text + opening.text), ["start", "start"])
  }
})

/** A line counts only behind the line it was written behind. */
export const chain = pure((reprise) => {
  const { Journal } = reprise
  const one = append(reprise, Journal.emptyHead, stamp(1, "a"), start)
  const lost = append(reprise, one.head, stamp(1, "a"), step("lost"))
  // An append that nobody was told of, and what the same owner wrote in its place.
  const other = append(reprise, one.head, stamp(1, "a"), step("other"))
  const behind = append(reprise, lost.head, stamp(1, "a"), step("behind"))
  assert.deepEqual(names(reprise, one.text + other.text + lost.text + behind.text), [
    "start",
    "other"
  ])
})

/** No single flipped bit changes an entry in silence. */
export const bits = pure((reprise) => {
  const { Journal } = reprise
  const one = append(reprise, Journal.emptyHead, stamp(1, "a"), start, step("one"))
  const two = append(reprise, one.head, stamp(1, "a"), step("two"))
  const bytes = Buffer.from(one.text + two.text)
  const whole = JSON.stringify(read(reprise, String(bytes)).entries)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    const journal = Journal.read("r", new TextDecoder().decode(bytes))
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    if (Result.isSuccess(journal)) assert.equal(JSON.stringify(journal.success.entries), whole)
  }
})

/** A torn line does not take the next session's first line with it. */
export const tornLines = pure((reprise) => {
  const { Journal } = reprise
  const one = append(reprise, Journal.emptyHead, stamp(1, "a"), start)
  const torn = append(reprise, one.head, stamp(1, "a"), step("torn")).text
  for (let length = 1; length < torn.length; length++) {
    const left = one.text + torn.slice(0, length)
    const seen = read(reprise, left)
    const next = append(reprise, seen.head, stamp(2, "b"), again, step("next"))
    assert.deepEqual(names(reprise, left + next.text), [
      ...seen.entries.map(({ type }) => type),
      "start",
      "next"
    ])
  }
})

/** A line that has no newline yet may still be cut by a crash, so nobody may build on it. */
export const unterminated = pure((reprise) => {
  const { Journal } = reprise
  const one = append(reprise, Journal.emptyHead, stamp(1, "a"), start)
  const cut = append(reprise, one.head, stamp(1, "a"), step("cut")).text.slice(0, -1)
  assert.deepEqual(names(reprise, one.text + cut), ["start"])
})

/** Lines for a run that was removed are refused by the run that has its id now. */
export const incarnations = pure((reprise) => {
  const { Journal } = reprise
  const old = append(reprise, Journal.emptyHead, stamp(1, "a"), start)
  const late = append(reprise, old.head, stamp(1, "a"), step("late"))
  const reborn = append(reprise, Journal.emptyHead, stamp(1, "b", "second"), start)
  assert.deepEqual(names(reprise, reborn.text + late.text), ["start"])
  const [opening] = append(reprise, old.head, stamp(2, "c"), again).lines
  assert.deepEqual(names(reprise, reborn.text + Journal.write([opening!])), ["start"])
  assert.equal(read(reprise, reborn.text + late.text).rejected, 1)
})

// files

const storageOn = (reprise: Library, directory: string, disk: Disk) =>
  reprise.LocalStorage.layer(directory).pipe(
    Layer.provide(Layer.merge(disk.layer, NodePath.layer))
  )

const driverOn = (reprise: Library, directory: string, disk: Disk = makeDisk()) =>
  Effect.provide(
    reprise.LocalStorage.driver(directory),
    Layer.merge(disk.layer, NodePath.layer)
  )

const chainOf = ({ Workflow }: Library) =>
  Workflow.make("chain", function*(ctx) {
    yield* ctx.step("one", () => 1)
    yield* ctx.step("two", () => 2)
    return 3
  })

/** What was acknowledged is there after the power went. */
export const power: Check = (reprise) =>
  Effect.gen(function*() {
    const directory = join(temporary(), "runs")
    const disk = makeDisk()
    const on = storageOn(reprise, directory, disk)
    yield* Effect.provide(chainOf(reprise).start(undefined, { runId: "r" }), on)
    disk.cutPower(directory)
    const left = names(reprise, readFileSync(join(directory, "r.jsonl"), "utf8"))
    assert.deepEqual(left, ["start", "one", "two", "complete"])
  })

/** The same for what was posted. */
export const postedPower: Check = (reprise) =>
  Effect.gen(function*() {
    const directory = join(temporary(), "runs")
    const disk = makeDisk()
    const on = storageOn(reprise, directory, disk)
    yield* Effect.provide(chainOf(reprise).enqueue(undefined, { runId: "r" }), on)
    yield* Effect.provide(reprise.Runs.cancel("r", { eventId: "c" }), on)
    disk.cutPower(directory)
    assert.match(readFileSync(join(directory, "r.inbox"), "utf8"), /"eventId":"c"/)
  })

/** Nothing is acknowledged before its sync is over, and nothing goes on after one that failed. */
export const failedSync: Check = (reprise) =>
  Effect.gen(function*() {
    for (const kind of ["sync", "write"]) {
      const directory = temporary()
      const disk = makeDisk()
      let seen = 0
      disk.hook = (operation, proceed) =>
        operation.kind === kind && operation.name === "r.jsonl" && ++seen === 2
          ? Effect.andThen(Effect.sleep(20), failing("EIO", () => true)(operation, proceed))
          : proceed()
      const acknowledged: Array<string> = []
      const exit = yield* Effect.exit(
        chainOf(reprise).start(undefined, { runId: "r" }).pipe(
          Effect.provide(storageOn(reprise, directory, disk)),
          Effect.provideService(reprise.Observer.Observers, [(event) =>
            Effect.sync(() => {
              if (event.type === "entry") acknowledged.push(event.entry.type)
            })])
        )
      )
      assert.ok(Exit.isFailure(exit))
      assert.deepEqual(acknowledged, ["start"])
    }
  })

/** Of two that append behind one state, one is told that it did. */
export const twoOwners: Check = (reprise) =>
  Effect.scoped(Effect.gen(function*() {
    const { Storage } = reprise
    const directory = temporary()
    const storage = Storage.make(yield* driverOn(reprise, directory))
    const first = yield* storage.writer(yield* storage.read("r"))
    assert.equal(yield* first.append(stamp(1, "a"), stamped(reprise, start)), true)
    const seen = yield* storage.read("r")
    const b = yield* storage.writer(seen)
    const c = yield* storage.writer(seen)
    assert.equal(yield* b.append(stamp(2, "b"), stamped(reprise, again)), true)
    assert.equal(yield* c.append(stamp(2, "c"), stamped(reprise, again)), false)
    assert.equal(yield* first.append(stamp(1, "a"), stamped(reprise, step("late"))), false)
    assert.equal(yield* b.append(stamp(2, "b"), stamped(reprise, step("mine"))), true)
    const left = names(reprise, readFileSync(join(directory, "r.jsonl"), "utf8"))
    assert.deepEqual(left, ["start", "start", "mine"])
  }))

/** An owner that was paused after its write does not take a newer session's end for its own. */
export const overtaken: Check = (reprise) =>
  Effect.scoped(Effect.gen(function*() {
    const { Storage } = reprise
    const directory = temporary()
    const disk = makeDisk()
    const other = Storage.make(yield* driverOn(reprise, directory))
    const slow = Storage.make(yield* driverOn(reprise, directory, disk))
    const writer = yield* slow.writer(yield* slow.read("r"))
    assert.equal(yield* writer.append(stamp(1, "a"), stamped(reprise, start)), true)
    const overtake = Effect.scoped(Effect.gen(function*() {
      const quick = yield* other.writer(yield* other.read("r"))
      assert.equal(yield* quick.append(stamp(2, "b"), stamped(reprise, again)), true)
    }))
    let done = false
    disk.hook = (operation, proceed) => {
      if (operation.kind !== "write" || done) return proceed()
      done = true
      return Effect.tap(proceed(), () => Effect.orDie(overtake))
    }
    assert.equal(yield* writer.append(stamp(1, "a"), stamped(reprise, step("in time"))), true)
    assert.equal(yield* writer.append(stamp(1, "a"), stamped(reprise, step("late"))), false)
  }))

/** An append to a file that its path no longer names is not acknowledged. */
export const otherFile: Check = (reprise) =>
  Effect.scoped(Effect.gen(function*() {
    const { Storage } = reprise
    const directory = temporary()
    const path = join(directory, "r.jsonl")
    const disk = makeDisk()
    const storage = Storage.make(yield* driverOn(reprise, directory, disk))
    const writer = yield* storage.writer(yield* storage.read("r"))
    assert.equal(yield* writer.append(stamp(1, "a"), stamped(reprise, start)), true)
    disk.hook = (operation, proceed) =>
      operation.kind !== "write" ? proceed() : Effect.tap(proceed(), () =>
        Effect.sync(() => {
          // As long as the file that was written, and not it.
          copyFileSync(path, `${path}.copy`)
          writeFileSync(`${path}.copy`, Buffer.alloc(statSync(path).size, "\t"))
          renameSync(`${path}.copy`, path)
        }))
    assert.equal(yield* writer.append(stamp(1, "a"), stamped(reprise, step("lost"))), false)
  }))

/** A write that the disk took in part is not acknowledged as it is, and not completed in place. */
export const shortWrite: Check = (reprise) =>
  Effect.scoped(Effect.gen(function*() {
    const { Storage } = reprise
    const directory = temporary()
    const disk = makeDisk()
    const storage = Storage.make(yield* driverOn(reprise, directory, disk))
    const writer = yield* storage.writer(yield* storage.read("r"))
    assert.equal(yield* writer.append(stamp(1, "a"), stamped(reprise, start)), true)
    let isShort = true
    disk.hook = (operation, proceed) => {
      if (operation.kind !== "write" || !isShort) return proceed()
      isShort = false
      return proceed(operation.bytes!.subarray(0, 60))
    }
    assert.equal(
      yield* writer.append(stamp(1, "a"), stamped(reprise, step("one"), step("two"))),
      true
    )
    const left = names(reprise, readFileSync(join(directory, "r.jsonl"), "utf8"))
    assert.deepEqual(left, ["start", "one", "two"])
  }))

/** Files are their owner's alone, and links are not followed. */
export const places: Check = (reprise) =>
  Effect.gen(function*() {
    const directory = join(temporary(), "runs")
    const on = storageOn(reprise, directory, makeDisk())
    yield* Effect.provide(chainOf(reprise).enqueue(undefined, { runId: "r" }), on)
    assert.equal(statSync(directory).mode & 0o777, 0o700)
    const path = join(directory, "r.jsonl")
    assert.equal(statSync(path).mode & 0o777, 0o600)
    renameSync(path, `${path}.moved`)
    symlinkSync(`${path}.moved`, path)
    assert.ok(Exit.isFailure(
      yield* Effect.exit(
        Effect.provide(chainOf(reprise).resume("r"), storageOn(reprise, directory, makeDisk()))
      )
    ))
    rmSync(path)
  })

// leases

/** A lease is released by its holder only, and of two claims at once one holds. */
export const leases: Check = (reprise) =>
  Effect.gen(function*() {
    const directory = temporary()
    const disk = makeDisk()
    const one = yield* driverOn(reprise, directory)
    const two = yield* driverOn(reprise, directory, disk)
    const first = yield* one.acquire("r", 0, 1_000)
    assert.equal(first._tag, "Acquired")
    yield* two.release("r", "not it")
    assert.equal((yield* two.acquire("r", 0, 1_000))._tag, "Held")

    // Between the other's look and its claim somebody else claims, looks, and believes.
    let claims = 0
    disk.hook = (operation, proceed) =>
      operation.kind === "write" && claims++ === 0
        ? Effect.andThen(
          Effect.map(
            Effect.orDie(one.acquire("s", 0, 1_000)),
            ({ _tag }) => assert.equal(_tag, "Acquired")
          ),
          proceed()
        )
        : proceed()
    assert.equal((yield* two.acquire("s", 0, 1_000))._tag, "Held")
  })

// runs

const waitingTwice = ({ Workflow }: Library) =>
  Workflow.make("twice", { events: { go: Schema.String } }, function*(ctx) {
    return [yield* ctx.suspend("go"), yield* ctx.suspend("go")]
  })

const go = (value: string, eventId: string) => ({ eventName: "go", value, eventId }) as const

/** An event counts once, however often it is posted. */
export const repeatedEvents: Check = (reprise) =>
  Effect.gen(function*() {
    const on = storageOn(reprise, temporary(), makeDisk())
    const twice = waitingTwice(reprise)
    yield* Effect.gen(function*() {
      yield* twice.start(undefined, { runId: "r" })
      yield* twice.send("r", go("one", "e1"))
      yield* twice.send("r", go("one", "e1"))
      const result = yield* twice.resume("r")
      assert.equal(result.status, "suspended")
    }).pipe(Effect.provide(on))
  })

/** An event for a run that was removed is not given to the one that has its id now. */
export const strangeEvents: Check = (reprise) =>
  Effect.gen(function*() {
    const on = storageOn(reprise, temporary(), makeDisk())
    const twice = waitingTwice(reprise)
    yield* Effect.gen(function*() {
      yield* twice.start(undefined, { runId: "r" })
      const storage = yield* reprise.Storage.Storage
      yield* storage.post("r", { type: "event", ...go("old", "e0"), incarnation: "old", timestamp })
      const result = yield* twice.resume("r")
      assert.equal(result.status, "suspended")
      assert.equal((yield* storage.read("r")).journal.entries.length, 2)
    }).pipe(Effect.provide(on))
  })

/** What is posted after the owner's last look, while it still holds the lease, is not left lying. */
export const lateEvents: Check = (reprise) =>
  Effect.gen(function*() {
    const { Storage } = reprise
    const driver = yield* driverOn(reprise, temporary())
    const storage = Storage.make(driver)
    const twice = waitingTwice(reprise)
    let late = true
    // The poster sees a live owner and trusts it.
    const busy = Storage.Storage.of({
      ...storage,
      release: (runId, token) =>
        Effect.andThen(
          Effect.suspend(() => {
            if (!late) return Effect.void
            late = false
            return Effect.provideService(
              Effect.orDie(twice.send(runId, go("one", "e1"))),
              Storage.Storage,
              storage
            )
          }),
          storage.release(runId, token)
        )
    })
    const start = twice.start(undefined, { runId: "r" })
    yield* Effect.provideService(start, Storage.Storage, busy)
    const { journal } = yield* storage.read("r")
    const taken = journal.entries.filter((entry) => entry.type === "resume")
    assert.equal(taken.length, 1)
  })

/** Outcomes stand in the journal in the order in which the body heard of them. */
export const order: Check = (reprise) =>
  Effect.gen(function*() {
    const { Storage, Workflow } = reprise
    const racing = Workflow.make("racing", { events: { go: Schema.String } }, function*(ctx) {
      const heard: Array<string> = []
      yield* ctx.all(["a", "b", "c"].map((name) =>
        function*() {
          yield* ctx.step(name, () => name)
          heard.push(name)
        }
      ))
      yield* ctx.step(heard.join(), () => heard.length)
      yield* ctx.suspend("go")
      return heard.join()
    })
    yield* Effect.gen(function*() {
      yield* racing.start(undefined, { runId: "r" })
      const result = yield* racing.resume("r", go("on", "e1"))
      assert.equal(result.status, "success")
    }).pipe(Effect.provide(Storage.layerMemory))
  })

/** An owner that lost the run stops before the next step. */
export const fencing: Check = (reprise) =>
  Effect.gen(function*() {
    const { Storage, Workflow } = reprise
    const directory = temporary()
    const storage = Storage.make(yield* driverOn(reprise, directory))
    const ran: Array<string> = []
    const overtaken = Workflow.make("overtaken", function*(ctx) {
      yield* ctx.step("one", () =>
        Effect.orDie(Effect.scoped(Effect.gen(function*() {
          ran.push("one")
          const loaded = yield* storage.read("r")
          const { incarnation } = loaded.journal.head
          const writer = yield* storage.writer(loaded)
          yield* writer.append(stamp(2, "b", incarnation), stamped(reprise, again))
        }))))
      yield* ctx.step("two", () => {
        ran.push("two")
        return 2
      })
    })
    const exit = yield* Effect.exit(
      Effect.provideService(overtaken.start(undefined, { runId: "r" }), Storage.Storage, storage)
    )
    assert.ok(Exit.isFailure(exit))
    assert.deepEqual(ran, ["one"])
  })
