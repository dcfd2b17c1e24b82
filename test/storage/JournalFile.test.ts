/**
 * Appends to a journal file when others append too, when the file is taken away, and when the disk takes
 * only a part: what is acknowledged is what every reader accepts, and nobody is fenced for nothing.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Scope } from "effect"
import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Journal, LocalStorage, Storage } from "reprise"
import { type Disk, failing, makeDisk, passing, reusing } from "./support/disk.ts"
import { journalOf, platform, temporary } from "./support/local.ts"

type Entry = Journal.Entry

const timestamp = "2026-01-02T03:04:05.678Z"
const opens = (runId = "r"): Entry => ({
  type: "start",
  format: 1,
  workflow: "w",
  runId,
  metadata: { text: "grüße 😀" },
  seed: "7"
})
const again: Entry = { type: "start" }
const step = (name: string, result: string = name): Entry => ({
  type: "step",
  stepId: name,
  name,
  result
})

/** One session of one process, with what it was told is safe. */
interface Owner {
  readonly append: (...entries: ReadonlyArray<Entry>) => Effect.Effect<boolean, unknown>
  readonly hasMoved: Effect.Effect<boolean, unknown>
  /** The sums of acknowledged entries, by offset. */
  readonly acknowledged: Map<number, string>
}

const owner = (
  storage: Storage.Storage["Service"],
  loaded: Storage.Loaded,
  name: string,
  incarnation = loaded.journal.head.incarnation || "first"
): Effect.Effect<Owner, unknown, Scope.Scope> =>
  Effect.map(storage.writer(loaded), (writer) => {
    const stamp = { incarnation, session: loaded.journal.head.session + 1, writer: name }
    const acknowledged = new Map<number, string>()
    return {
      acknowledged,
      hasMoved: writer.hasMoved,
      append: (...entries) =>
        Effect.tap(
          writer.append(stamp, entries.map((entry) => Journal.stamped(entry, timestamp))),
          (accepted) =>
            Effect.sync(() => {
              const { offset, prev } = writer.head()
              if (accepted) acknowledged.set(offset - 1, prev)
            })
        )
    }
  })

const open = (
  directory: string,
  disk?: Disk
): Effect.Effect<
  { readonly storage: Storage.Storage["Service"]; readonly driver: Storage.Driver }
> =>
  LocalStorage.driver(directory).pipe(
    Effect.map((driver) => ({ driver, storage: Storage.make(driver) })),
    Effect.provide(platform(disk))
  )

/** Every acknowledged entry stands where its owner was told it stands. */
const nothingLost = (path: string, ...owners: ReadonlyArray<Owner>) => {
  const { entries } = journalOf(path)
  for (const { acknowledged } of owners) {
    for (const [offset, sum] of acknowledged) expect(entries[offset]?.sum).toBe(sum)
  }
}

const names = (path: string) =>
  journalOf(path).entries.map((entry) => entry.type === "step" ? entry.name : entry.type)

/** Runs `other` once, between a write that `when` picks and what the writer does next. */
const afterWrite = (disk: Disk, at: number, other: Effect.Effect<unknown, unknown>) => {
  let writes = 0
  disk.hook = (operation, proceed) =>
    operation.kind !== "write" || ++writes !== at
      ? proceed()
      : Effect.tap(proceed(), () => Effect.orDie(other))
}

describe("two owners of one run", () => {
  it.live("acknowledges the first of two sessions opened from one state", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const { storage } = yield* open(directory)
      const first = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* first.append(opens())).toBe(true)

      const seen = yield* storage.read("r")
      const b = yield* owner(storage, seen, "b")
      const c = yield* owner(storage, seen, "c")
      expect(yield* b.append(again)).toBe(true)
      expect(yield* c.append(again)).toBe(false)
      expect(yield* first.append(step("late"))).toBe(false)
      expect(yield* b.append(step("mine"))).toBe(true)

      const path = join(directory, "r.jsonl")
      expect(names(path)).toEqual(["start", "start", "mine"])
      expect(journalOf(path).rejected).toBe(2)
      nothingLost(path, first, b, c)
    }))

  it.live("acknowledges one of two that create the run at the same time", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const { storage } = yield* open(directory)
      const seen = yield* storage.read("r")
      const owners = yield* Effect.forEach(
        ["a", "b", "c", "d"],
        (name) => owner(storage, seen, name, `i${name}`)
      )
      const answers = yield* Effect.forEach(owners, (one) => one.append(opens()), {
        concurrency: "unbounded"
      })
      expect(answers.filter(Boolean)).toHaveLength(1)
      expect(names(join(directory, "r.jsonl"))).toEqual(["start"])
      nothingLost(join(directory, "r.jsonl"), ...owners)
    }))

  // The owner is paused between its write and its own look at the file, long enough to lose the run.
  for (const more of [0, 1, 5]) {
    it.live(`never acknowledges behind a newer session that it read past (${more} entries of it)`, () =>
      Effect.gen(function*() {
        const directory = temporary()
        const disk = makeDisk()
        const { storage } = yield* open(directory, disk)
        const other = yield* open(directory)
        const slow = yield* owner(storage, yield* storage.read("r"), "slow")
        expect(yield* slow.append(opens(), step("one"))).toBe(true)

        let quick: Owner | undefined
        const overtake = Effect.gen(function*() {
          quick = yield* owner(other.storage, yield* other.storage.read("r"), "quick")
          expect(yield* quick.append(again)).toBe(true)
          for (let n = 0; n < more; n++) expect(yield* quick.append(step(`q${n}`))).toBe(true)
        })
        const scope = yield* Effect.scope
        afterWrite(disk, 1, Effect.provideService(overtake, Scope.Scope, scope))
        // The write was in time, so it counts for both.
        expect(yield* slow.append(step("two"))).toBe(true)
        disk.hook = passing
        // An owner that only waits learns it from this.
        expect(yield* slow.hasMoved).toBe(true)
        expect(yield* slow.append(step("zombie"))).toBe(false)
        expect(yield* slow.append(step("zombie again"))).toBe(false)
        expect(yield* quick!.append(step("last"))).toBe(true)

        const path = join(directory, "r.jsonl")
        expect(names(path)).toEqual([
          "start",
          "one",
          "two",
          "start",
          ...Array.from({ length: more }, (_, n) => `q${n}`),
          "last"
        ])
        nothingLost(path, slow, quick!)
      }))
  }

  it.live("goes on when a zombie's line got in between", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory)
      const zombie = yield* owner(storage, yield* storage.read("r"), "zombie")
      expect(yield* zombie.append(opens())).toBe(true)
      const mine = yield* open(directory, disk)
      const live = yield* owner(mine.storage, yield* mine.storage.read("r"), "live")
      expect(yield* live.append(again)).toBe(true)

      afterWrite(disk, 1, zombie.append(step("late")))
      expect(yield* live.append(step("one"))).toBe(true)
      disk.hook = passing
      expect(yield* zombie.append(step("later"))).toBe(false)
      expect(yield* live.append(step("two"), step("three"))).toBe(true)
      expect(yield* live.append(step("four"))).toBe(true)
      const path = join(directory, "r.jsonl")
      expect(names(path)).toEqual(["start", "start", "one", "two", "three", "four"])
      nothingLost(path, live, zombie)
    }))
})

describe("a disk that takes only a part", () => {
  for (const taken of [1, 2, 40, -1]) {
    it.live(`writes anew what a short write of ${taken} bytes lost, in the same session`, () =>
      Effect.gen(function*() {
        const directory = temporary()
        const disk = makeDisk()
        const { storage } = yield* open(directory, disk)
        const one = yield* owner(storage, yield* storage.read("r"), "a")
        expect(yield* one.append(opens())).toBe(true)
        let short = true
        disk.hook = (operation, proceed) => {
          if (operation.kind !== "write" || !short) return proceed()
          short = false
          return proceed(operation.bytes!.subarray(0, taken))
        }
        expect(yield* one.append(step("one"), step("two"), step("three"))).toBe(true)
        expect(yield* one.append(step("four"))).toBe(true)
        const path = join(directory, "r.jsonl")
        expect(names(path)).toEqual(["start", "one", "two", "three", "four"])
        expect(journalOf(path).torn).toBe(taken === 1 || taken === 2 ? 0 : 1)
        nothingLost(path, one)
      }))
  }

  it.live("keeps the lines that a short write did take", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      let short = true
      disk.hook = (operation, proceed) => {
        if (operation.kind !== "write" || !short) return proceed()
        short = false
        // Up to and with the first line's newline, and a little of the second.
        const second = operation.bytes!.indexOf(10, 2) + 1
        return proceed(operation.bytes!.subarray(0, second + 10))
      }
      expect(yield* one.append(step("one"), step("two"))).toBe(true)
      const path = join(directory, "r.jsonl")
      expect(names(path)).toEqual(["start", "one", "two"])
      expect(readFileSync(path, "utf8").match(/"name":"one"/g)).toHaveLength(1)
      nothingLost(path, one)
    }))

  it.live("gives up as full, not as fenced, when every write is cut short", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      disk.hook = (operation, proceed) =>
        operation.kind === "write" ? proceed(operation.bytes!.subarray(0, 30)) : proceed()
      expect(yield* Effect.flip(one.append(step("one")))).toMatchObject({
        _tag: "StorageError",
        reason: "Full"
      })
      disk.hook = passing
      const two = yield* owner(storage, yield* storage.read("r"), "b")
      expect(yield* two.append(again, step("one"))).toBe(true)
      expect(names(join(directory, "r.jsonl"))).toEqual(["start", "start", "one"])
      nothingLost(join(directory, "r.jsonl"), one, two)
    }))

  it.live("opens a run whose first write was cut short", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      let short = true
      disk.hook = (operation, proceed) => {
        if (operation.kind !== "write" || !short) return proceed()
        short = false
        return proceed(operation.bytes!.subarray(0, 100))
      }
      expect(yield* one.append(opens(), step("one"))).toBe(true)
      expect(names(join(directory, "r.jsonl"))).toEqual(["start", "one"])
      nothingLost(join(directory, "r.jsonl"), one)
    }))
})

describe("a disk that fails", () => {
  const cases: ReadonlyArray<
    readonly [code: string, kind: "write" | "sync", reason: Storage.StorageError["reason"]]
  > = [
    ["ENOSPC", "write", "Full"],
    ["EDQUOT", "write", "Full"],
    ["EFBIG", "write", "Full"],
    ["EIO", "write", "Unknown"],
    ["EIO", "sync", "Unknown"],
    ["EROFS", "write", "Denied"]
  ]
  for (const [code, kind, reason] of cases) {
    it.live(`does not acknowledge after ${code} on ${kind}, and the next session goes on`, () =>
      Effect.gen(function*() {
        const directory = temporary()
        const disk = makeDisk()
        const { storage } = yield* open(directory, disk)
        const one = yield* owner(storage, yield* storage.read("r"), "a")
        expect(yield* one.append(opens())).toBe(true)
        disk.hook = failing(code, (operation) => operation.kind === kind)
        const before = disk.operations.length
        const error = yield* Effect.flip(one.append(step("one")))
        expect(error).toMatchObject({ _tag: "StorageError", reason, isRetryable: false })
        expect((error as Error).message).toContain(`append to run "r"`)
        // A second sync may succeed without having written what the first one lost.
        expect(
          disk.operations.slice(before).filter((operation) => operation.kind === kind)
        ).toHaveLength(1)
        expect(one.acknowledged.size).toBe(1)

        disk.hook = passing
        const two = yield* owner(storage, yield* storage.read("r"), "b")
        expect(yield* two.append(again, step("two"))).toBe(true)
        nothingLost(join(directory, "r.jsonl"), one, two)
      }))
  }

  it.live("fails with EMFILE on opening the journal, and creates nothing else", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      disk.hook = failing(
        "EMFILE",
        (operation) => operation.kind === "open" && operation.name === "r.jsonl"
      )
      expect(yield* Effect.flip(one.append(opens()))).toMatchObject({
        _tag: "StorageError",
        reason: "Full"
      })
      disk.hook = passing
      expect(yield* one.append(opens())).toBe(true)
      nothingLost(join(directory, "r.jsonl"), one)
    }))
})

describe("a run that is removed", () => {
  it.live("is not made again by a writer that had it open", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const { driver, storage } = yield* open(directory)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      yield* storage.remove("r")
      expect(yield* one.append(step("one"))).toBe(false)
      expect(yield* driver.version("r")).toBe("")
    }))

  it.live("is not made again by a writer that had only read it", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const { driver, storage } = yield* open(directory)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      const two = yield* owner(storage, yield* storage.read("r"), "b")
      yield* storage.remove("r")
      expect(yield* two.append(again)).toBe(false)
      expect(yield* driver.version("r")).toBe("")
    }))

  it.live("and made again takes no line of an owner of the old one", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const { storage } = yield* open(directory)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      yield* storage.remove("r")
      const two = yield* owner(storage, yield* storage.read("r"), "b", "second")
      expect(yield* two.append(opens())).toBe(true)
      expect(yield* one.append(step("one"))).toBe(false)
      expect(yield* two.append(step("two"))).toBe(true)
      expect(names(join(directory, "r.jsonl"))).toEqual(["start", "two"])
      nothingLost(join(directory, "r.jsonl"), two)
    }))

  // File systems give the number of a removed file to the next one, which may be as long.
  it.live("and made again at the same size is not taken for the old one", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      disk.hook = reusing(passing)
      const { storage } = yield* open(directory, disk)
      const make = (incarnation: string) =>
        Effect.scoped(Effect.gen(function*() {
          const one = yield* owner(storage, yield* storage.read("r"), "a", incarnation)
          expect(yield* one.append(opens())).toBe(true)
        }))
      yield* make("old")
      const seen = yield* storage.read("r")
      yield* storage.remove("r")
      yield* make("new")

      const zombie = yield* owner(storage, seen, "z")
      expect(yield* zombie.append(again)).toBe(false)
      expect(yield* zombie.append(step("late"))).toBe(false)
      const live = yield* owner(storage, yield* storage.read("r"), "b")
      expect(yield* live.append(again, step("one"))).toBe(true)
      expect(names(join(directory, "r.jsonl"))).toEqual(["start", "start", "one"])
      nothingLost(join(directory, "r.jsonl"), zombie, live)
    }))

  it.live("and is about to be made again is not begun by an owner of the old one", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const old = makeDisk()
      old.hook = reusing(passing)
      const { storage } = yield* open(directory, old)
      yield* Effect.scoped(Effect.gen(function*() {
        const one = yield* owner(storage, yield* storage.read("r"), "a", "old")
        expect(yield* one.append(opens(), step("one"))).toBe(true)
      }))
      const zombie = yield* owner(storage, yield* storage.read("r"), "z")
      yield* storage.remove("r")

      // The new file is there and empty when the zombie comes.
      const creating = yield* open(directory, disk)
      const live = yield* owner(creating.storage, yield* storage.read("r"), "b", "new")
      let late: boolean | undefined
      disk.hook = reusing((operation, proceed) =>
        operation.kind === "write" && late === undefined
          ? Effect.andThen(
            Effect.map(Effect.orDie(zombie.append(again)), (accepted) => {
              late = accepted
            }),
            proceed()
          )
          : proceed()
      )
      expect(yield* live.append(opens())).toBe(true)
      expect(late).toBe(false)
      expect(yield* live.append(step("two"))).toBe(true)
      expect(names(join(directory, "r.jsonl"))).toEqual(["start", "two"])
      nothingLost(join(directory, "r.jsonl"), live)
    }))

  it.live("while an owner writes is noticed by the look behind the write", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      const path = join(directory, "r.jsonl")
      afterWrite(disk, 1, Effect.sync(() => rmSync(path)))
      expect(yield* one.append(step("one"))).toBe(false)
    }))
})

describe("damage", () => {
  it.live("that an owner meets stops it: it does not write into a journal it cannot read", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      const path = join(directory, "r.jsonl")
      afterWrite(disk, 1, Effect.sync(() => appendFileSync(path, "garbage\n")))
      expect(yield* Effect.flip(one.append(step("one")))).toMatchObject({
        _tag: "JournalCorrupt",
        runId: "r",
        file: "journal",
        line: 5
      })
    }))
})

describe("the power", () => {
  it.live("may go after any acknowledgement: what was acknowledged is there", () =>
    Effect.gen(function*() {
      for (let appends = 1; appends <= 4; appends++) {
        const directory = join(temporary(), "runs")
        const disk = makeDisk()
        const { storage } = yield* open(directory, disk)
        const one = yield* owner(storage, yield* storage.read("r"), "a")
        expect(yield* one.append(opens())).toBe(true)
        for (let n = 1; n < appends; n++) expect(yield* one.append(step(`s${n}`))).toBe(true)
        disk.cutPower(directory)
        nothingLost(join(directory, "r.jsonl"), one)
      }
    }))

  it.live("may go after the first run in directories that were all made for it", () =>
    Effect.gen(function*() {
      const directory = join(temporary(), "data", "app", "runs")
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const one = yield* owner(storage, yield* storage.read("r"), "a")
      expect(yield* one.append(opens())).toBe(true)
      disk.cutPower(directory)
      nothingLost(join(directory, "r.jsonl"), one)
    }))

  it.live("may go after a run whose creator died before it synced the directory", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const dead = yield* owner(storage, yield* storage.read("r"), "a")
      // The creator gets as far as an empty file.
      disk.hook = failing(
        "EIO",
        (operation) => operation.kind === "open" && operation.path === directory
      )
      yield* Effect.flip(dead.append(opens()))
      disk.hook = passing
      const next = yield* owner(storage, yield* storage.read("r"), "b", "i2")
      expect(yield* next.append(opens())).toBe(true)
      disk.cutPower(directory)
      nothingLost(join(directory, "r.jsonl"), next)
    }))

  it.live("may go after a post whose predecessor died before it synced the directory", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const { storage } = yield* open(directory, disk)
      const post = (eventId: string) =>
        storage.post("r", { type: "cancel", eventId, incarnation: "i", timestamp })
      disk.hook = failing(
        "EIO",
        (operation) => operation.kind === "open" && operation.path === directory
      )
      yield* Effect.flip(post("e1"))
      disk.hook = passing
      yield* post("e2")
      disk.cutPower(directory)
      const path = join(directory, "r.inbox")
      expect(existsSync(path) && readFileSync(path, "utf8").includes(`"e2"`)).toBe(true)
    }))
})
