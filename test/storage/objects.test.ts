/**
 * Object storage: which stores it refuses, what a run costs, who is refused when two write one run, what is
 * left of a removed one, and what becomes of packs, keys, listings and errors.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Redacted, Result } from "effect"
import { Journal, Storage, Workflow } from "reprise"
import { ObjectStorage } from "reprise/objects"
import {
  completes,
  event,
  posted,
  posting,
  start,
  step
} from "../../src/testing/contract/Entries.ts"
import { begin, epoch, type Hand, rival } from "../../src/testing/contract/Hand.ts"
import { allFaults, type Call, type Fault, type Quirks } from "../support/fakeS3.ts"
import { bucket, fakeOf, hurried, openOn, s3Of, trialOn } from "./support/objects.ts"

const fast = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Clock.Clock, hurried(200))

/** One store as two processes see it. */
const two = (options: { readonly segmentBytes?: number } = {}, fake = fakeOf()) =>
  Effect.gen(function*() {
    const driver = yield* openOn(fake, options)
    const other = yield* openOn(fake, options)
    fake.reset()
    return { fake, driver, other, trial: trialOn(driver, other) }
  })

const journalOf = (driver: Storage.Driver, runId: string) =>
  Effect.map(driver.read(runId), ({ text }) => Result.getOrThrow(Journal.read(runId, text)))

/** The steps in a journal, by their ids, with a number for each `start`. */
const storyOf = (driver: Storage.Driver, runId: string) =>
  Effect.map(journalOf(driver, runId), ({ entries, rejected }) => {
    expect(rejected).toBe(0)
    return entries.map((entry) =>
      entry.type === "step" ? entry.stepId : entry.type === "start" ? entry.session : entry.type
    )
  })

/** A journal entry of about 600 bytes. */
const large = (name: string) => step(name, "x".repeat(400))

/** Appends `names` one by one. */
const steps = (hand: Hand, names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) => hand.append(step(name)), { discard: true })

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => `s${from + n}`)

/** A request of this kind is held until it is let go; the others pass. */
const gate = (is: (call: Call) => boolean) => {
  const reached = Deferred.makeUnsafe<void>()
  let isOpen = false
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return {
    reached: Deferred.await(reached),
    open: Effect.sync(() => {
      isOpen = true
      open()
    }),
    hold: (call: Call) => {
      if (isOpen || !is(call)) return undefined
      Deferred.doneUnsafe(reached, Exit.void)
      return opened
    }
  }
}

describe("a store is tried before it is used", () => {
  const refused: Readonly<Record<string, readonly [Quirks, string]>> = {
    "ignores If-Match": [{ ifMatch: "ignored" }, "ignores If-Match"],
    "ignores If-None-Match": [{ ifNoneMatch: "ignored" }, "ignores If-None-Match"],
    "ignores both": [{ ifMatch: "ignored", ifNoneMatch: "ignored" }, "ignores"],
    "writes where If-Match finds nothing": [
      { ifMatchOnMissing: "writes" },
      "where there is no object"
    ],
    "does not implement If-Match": [{ ifMatch: "refused" }, "501"],
    "does not implement If-None-Match": [{ ifNoneMatch: "refused" }, "501"]
  }
  for (const [what, [quirks, reason]] of Object.entries(refused)) {
    it.live(`one that ${what} is refused as unsupported`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(openOn(fakeOf({ quirks }), { prefix: "p/" }))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported" })
        expect(error.message).toContain(reason)
      }))

    it.live(`nothing of ours is left in one that ${what}`, () =>
      Effect.gen(function*() {
        const fake = fakeOf({ quirks })
        yield* Effect.flip(openOn(fake, { prefix: "p/" }))
        expect(fake.keys(bucket)).toEqual([])
      }))
  }

  const taken: ReadonlyArray<Quirks> = [
    {},
    { ifMatchOnMissing: "PreconditionFailed" },
    { etags: "unique" }
  ]
  it.live("one that honours conditions is taken, and nothing of ours is left in it", () =>
    Effect.gen(function*() {
      for (const quirks of taken) {
        const fake = fakeOf({ quirks })
        yield* openOn(fake, { prefix: "p/" })
        expect(fake.keys(bucket)).toEqual([])
      }
    }))

  it.live("an answer that is lost or wrong makes nobody believe that a good one is unsupported", () =>
    Effect.gen(function*() {
      for (const fault of allFaults) {
        for (let nth = 0; nth < 8; nth++) {
          const fake = fakeOf({ faults: ({ index }) => index === nth ? fault : undefined })
          const result = yield* Effect.result(openOn(fake, { timeout: 50 }))
          const reason = Result.isFailure(result) ? result.failure.reason : "none"
          expect([fault, nth, reason]).not.toEqual([fault, nth, "Unsupported"])
        }
      }
    }).pipe(fast))
})

describe("what a run costs", () => {
  const sizes = [50, 100, 200, 400]

  /** Bytes that were sent for each byte of the journal, and requests for each append, at growing lengths. */
  const costs = (segmentBytes: number) =>
    Effect.gen(function*() {
      const { fake, trial } = yield* two({ segmentBytes })
      const hand = yield* begin(trial, "r")
      const ratios: Array<number> = []
      const requests: Array<number> = []
      let length = 0
      for (const size of sizes) {
        const before = fake.counts().total
        yield* steps(hand, numbered(size - length, length))
        requests.push((fake.counts().total - before) / (size - length))
        length = size
        const { uploaded } = fake.counts()
        ratios.push(uploaded / hand.place.lines.reduce((sum, line) => sum + line.length + 1, 0))
      }
      return { ratios, requests }
    })

  for (const segmentBytes of [0, 2_000, 8_000]) {
    it.live(`bytes sent grow with the journal, and requests with its steps (segments of ${segmentBytes})`, () =>
      Effect.gen(function*() {
        const { ratios, requests } = yield* costs(segmentBytes)
        // An append writes at most a segment and its own line.
        for (const ratio of ratios) expect(ratio).toBeLessThan(segmentBytes / 150 + 2)
        expect(ratios.at(-1)! / ratios[1]!).toBeLessThan(1.3)
        for (const one of requests) expect(one).toBeLessThanOrEqual(2)
        expect(requests.at(-1)! / requests[0]!).toBeLessThan(1.1)
      }))
  }

  it.live("packs cost no more than what is in them once again, however often it is read", () =>
    Effect.gen(function*() {
      const { driver, fake, trial } = yield* two({ segmentBytes: 0 })
      const hand = yield* begin(trial, "r")
      for (let n = 0; n < 40; n++) {
        yield* steps(hand, numbered(10, n * 10))
        const { length } = (yield* driver.read("r")).text
        expect(fake.counts().uploaded / length).toBeLessThan(3.1)
      }
      expect(fake.object(bucket, "packs/r/pack")).toBeDefined()
    }))

  it.live("one object for all would grow with the square", () =>
    Effect.gen(function*() {
      const { ratios } = yield* costs(Infinity)
      expect(ratios.at(-1)! / ratios[1]!).toBeGreaterThan(3)
    }))

  it.live("a step of a workflow costs as much at the end of a long run as in a short one", () =>
    Effect.gen(function*() {
      const { driver, fake } = yield* two({ segmentBytes: 4_000 })
      const storage = Storage.make(driver)
      const chain = Workflow.make("chain", function*(ctx, length: number) {
        for (let n = 0; n < length; n++) yield* ctx.step("s", () => n)
      })
      const totals: Array<number> = []
      for (const length of [20, 120, 220]) {
        fake.reset()
        yield* Effect.provideService(
          chain.start(length, { runId: `r${length}` }),
          Storage.Storage,
          storage
        )
        totals.push(fake.counts().total)
      }
      const [short = 0, middle = 0, long = 0] = totals
      expect((long - middle) / 100).toBeLessThan(1.5)
      expect(Math.abs((long - middle) - (middle - short))).toBeLessThan(10)
    }))
})

describe("two who write one run", () => {
  it.live("a new session first writes its start into the current segment", () =>
    Effect.gen(function*() {
      const { driver, fake, trial } = yield* two({ segmentBytes: 700 })
      const zombie = yield* begin(trial, "r")
      for (const name of numbered(7)) {
        const process = yield* openOn(fake, { segmentBytes: 700 })
        const keys = fake.keys(bucket)
        const before = fake.keys(bucket).map((key) => fake.object(bucket, key)!.etag)
        const owner = yield* rival(trial, zombie, { driver: process })
        yield* owner.append(start)
        const after = fake.keys(bucket)
        const last = keys.at(-1)!
        const isSealed = after.length > keys.length
        // All but the one it wrote is as it was.
        expect(after.filter((key, n) => fake.object(bucket, key)!.etag !== before[n])).toEqual([
          isSealed ? after.at(-1) : last
        ])
        expect(yield* zombie.attempt(step("zombie"))).toBe("Moved")
        yield* driver.read("r")
        zombie.place = owner.place
        yield* zombie.append(step(name))
      }
      expect(fake.keys(bucket).length).toBeGreaterThan(2)
      expect((yield* storyOf(driver, "r")).filter((one) => one === "zombie")).toEqual([])
    }))

  it.live("a zombie that sealed a segment is refused when a new session opened the next", () =>
    Effect.gen(function*() {
      const { driver, fake, trial } = yield* two({ segmentBytes: 500 })
      const zombie = yield* begin(trial, "r", [large("a")])
      expect(new TextDecoder().decode(fake.object(bucket, "runs/r")!.body)).toMatch(/\nsealed\n$/)
      const owner = yield* rival(trial, zombie)
      yield* owner.append(start)
      expect(yield* zombie.attempt(step("zombie"))).toBe("Moved")
      yield* owner.append(step("b"))
      expect(yield* storyOf(driver, "r")).toEqual([1, "a", 2, "b"])
    }))

  it.live("a new session is refused when the owner opened the next segment before, and comes behind it", () =>
    Effect.gen(function*() {
      const { driver, other, trial } = yield* two({ segmentBytes: 500 })
      const owner = yield* begin(trial, "r", [large("a")])
      const late = yield* rival(trial, owner)
      yield* owner.append(step("b"))
      expect(yield* late.attempt(start)).toBe("Moved")
      late.place = { ...owner.place, at: (yield* other.read("r")).version }
      yield* late.append(start)
      expect(yield* owner.attempt(step("zombie"))).toBe("Moved")
      expect(yield* storyOf(driver, "r")).toEqual([1, "a", "b", 2])
    }))

  for (const [what, names] of [["an open", ["a"]], ["a sealed", ["a", "b", "c"]]] as const) {
    it.live(`a zombie whose append is on its way behind ${what} segment is refused`, () =>
      Effect.gen(function*() {
        const held = gate(({ key, nth, op }) => op === "put" && armed && key !== "" && nth >= 0)
        let armed = false
        const fake = fakeOf({ before: held.hold })
        const { driver, trial } = yield* two({ segmentBytes: 700 }, fake)
        const zombie = yield* begin(trial, "r")
        for (const name of names) yield* zombie.append(step(name))
        armed = true
        const pending = yield* Effect.forkChild(zombie.attempt(step("zombie")))
        yield* held.reached
        armed = false
        const owner = yield* rival(trial, zombie)
        yield* owner.append(start)
        yield* held.open
        expect(yield* Fiber.join(pending)).toBe("Moved")
        yield* owner.append(step("z"))
        expect(yield* storyOf(driver, "r")).toEqual([1, ...names, 2, "z"])
      }))
  }

  it.live("a sealed segment takes no more, whoever knows its ETag", () =>
    Effect.gen(function*() {
      const { fake, trial } = yield* two({ segmentBytes: 500 })
      const hand = yield* begin(trial, "r", [large("a")])
      const sealed = fake.object(bucket, "runs/r")!.etag
      yield* steps(hand, numbered(30))
      expect(fake.object(bucket, "runs/r")!.etag).toBe(sealed)
      const bodies = fake.keys(bucket).map((key) =>
        new TextDecoder().decode(fake.object(bucket, key)!.body)
      )
      for (const body of bodies) expect(body.indexOf("sealed\n")).toBeOneOf([-1, body.length - 7])
    }))

  for (const segmentBytes of [100_000, 900]) {
    it.live(`of many zombies with old states none gets anything in (segments of ${segmentBytes})`, () =>
      Effect.gen(function*() {
        const { driver, other, trial } = yield* two({ segmentBytes })
        const owner = yield* begin(trial, "r")
        const zombies: Array<Hand> = []
        for (const name of numbered(12)) {
          zombies.push(yield* rival(trial, owner, { driver }), yield* rival(trial, owner))
          yield* owner.append(step(name))
        }
        for (const zombie of zombies) {
          expect(yield* zombie.attempt(step("zombie"))).toBe("Moved")
          expect(yield* zombie.attempt(start)).toBe("Moved")
        }
        expect(yield* storyOf(other, "r")).toEqual([1, ...numbered(12)])
      }))
  }

  it.live("an owner keeps the run when a look that began earlier in its process ends later", () =>
    Effect.gen(function*() {
      let armed = false
      const held = gate(({ op }) => op === "get" && armed)
      const fake = fakeOf({ after: held.hold })
      const { driver, trial } = yield* two({}, fake)
      const owner = yield* begin(trial, "r")
      armed = true
      const look = yield* Effect.forkChild(driver.read("r"))
      yield* held.reached
      armed = false
      yield* owner.append(step("a"))
      yield* held.open
      yield* Fiber.join(look)
      expect(yield* owner.attempt(step("b"))).toBe("appended")
      expect(yield* storyOf(driver, "r")).toEqual([1, "a", "b"])
    }))

  /** What a write of an append may meet, once. */
  const once: ReadonlyArray<Fault> = allFaults.filter((fault) =>
    fault !== "stale list" && fault !== "cut" && fault !== "short"
  )
  for (const segmentBytes of [100_000, 0]) {
    it.live(`a session goes on after any answer to its write, with each line once (segments of ${segmentBytes})`, () =>
      Effect.gen(function*() {
        for (const fault of once) {
          for (let nth = 0; nth < 3; nth++) {
            const fake = fakeOf()
            const driver = yield* openOn(fake, { segmentBytes, timeout: 50 })
            const storage = Storage.make(driver)
            const stamp = { incarnation: "i", session: 1, writer: "w" }
            let writes = 0
            fake.setFaults(({ op }) => op === "put" && writes++ === nth ? fault : undefined)
            yield* Effect.scoped(Effect.gen(function*() {
              const writer = yield* storage.writer(yield* storage.read("r"))
              for (const entry of [start, step("a"), step("b"), completes]) {
                const done = yield* writer.append(stamp, [
                  Journal.stamped(entry, new Date(epoch).toISOString())
                ])
                expect([fault, nth, entry.type, done]).toEqual([fault, nth, entry.type, true])
              }
            }))
            yield* Effect.promise(fake.land)
            expect(yield* storyOf(driver, "r")).toEqual([1, "a", "b", "complete"])
          }
        }
      }).pipe(fast))
  }

  it.live("a lease is renewed although its own write is answered as a conflict", () =>
    Effect.gen(function*() {
      const { driver, fake } = yield* two()
      const claim = yield* driver.acquire("r", 0, 10)
      if (claim._tag !== "Acquired") throw new Error("not acquired")
      let writes = 0
      fake.setFaults(({ op }) => op === "put" && writes++ === 0 ? "412 after own write" : undefined)
      expect(yield* driver.renew("r", claim.token, 20)).toBe(true)
      expect(yield* driver.holder("r", 15)).toMatchObject({ until: 20 })
    }))
})

describe("a removed run", () => {
  const places: Readonly<Record<string, readonly [number, ReadonlyArray<string>]>> = {
    "in its first segment": [100_000, ["a"]],
    "in a later segment": [700, ["a", "b", "c", "d", "e"]],
    "behind a sealed segment": [0, ["a", "b"]]
  }
  for (const [where, [segmentBytes, names]] of Object.entries(places)) {
    it.live(`takes nothing more from an owner ${where}, and nothing is left`, () =>
      Effect.gen(function*() {
        const { driver, fake, other, trial } = yield* two({ segmentBytes })
        const owner = yield* begin(trial, "r")
        yield* steps(owner, names)
        yield* other.post("r", posting(event(owner.incarnation, "e1")))
        yield* other.acquire("r", 0, 10)
        yield* other.blobs!.put("r", "h", "blob")
        yield* other.remove("r")
        expect(fake.keys(bucket)).toEqual([])
        expect(yield* owner.attempt(step("zombie"))).toBe("Moved")
        expect(yield* driver.version("r")).toBe("")
        expect(fake.keys(bucket)).toEqual([])
      }))

    it.live(`takes nothing from an owner ${where} when it was made anew`, () =>
      Effect.gen(function*() {
        const { driver, other, trial } = yield* two({ segmentBytes })
        const owner = yield* begin(trial, "r")
        yield* steps(owner, names)
        yield* other.remove("r")
        const fresh = yield* begin(trial, "r", [], { driver: other })
        yield* steps(fresh, names)
        expect(yield* owner.attempt(step("zombie"))).toBe("Moved")
        yield* fresh.append(step("z"))
        expect(yield* storyOf(driver, "r")).toEqual([1, ...names, "z"])
      }))

    it.live(`takes nothing from an owner ${where} when its removal died half-way`, () =>
      Effect.gen(function*() {
        const { driver, fake, other, trial } = yield* two({ segmentBytes })
        const owner = yield* begin(trial, "r")
        yield* steps(owner, names)
        yield* other.post("r", posting(event(owner.incarnation, "e1")))
        yield* other.post("r", posting(event(owner.incarnation, "e2")))
        let deleted = 0
        fake.setFaults(({ op }) => op === "delete" && deleted++ > 0 ? "500" : undefined)
        expect(yield* Effect.flip(other.remove("r"))).toMatchObject({ _tag: "StorageError" })
        fake.setFaults(undefined)
        expect(fake.keys(bucket).length).toBeGreaterThan(0)
        expect(yield* other.version("r")).toBe("")
        // An owner in a later segment hears of it by its next look.
        if (where !== "in a later segment") {
          expect(yield* owner.attempt(step("zombie"))).toBe("Moved")
        }
        expect(yield* driver.version("r")).toBe("")
        // It can be repeated, and then the run is gone.
        yield* other.remove("r")
        expect(fake.keys(bucket)).toEqual([])
      }).pipe(fast))
  }

  it.live("leaves nothing when its owner opens a segment meanwhile", () =>
    Effect.gen(function*() {
      let armed = false
      const held = gate(({ key, op }) => op === "put" && armed && key.startsWith("segments/"))
      const fake = fakeOf({ before: held.hold })
      const { other, trial } = yield* two({ segmentBytes: 0 }, fake)
      const owner = yield* begin(trial, "r", [step("a")])
      armed = true
      const pending = yield* Effect.forkChild(owner.attempt(step("zombie")))
      yield* held.reached
      yield* other.remove("r")
      yield* held.open
      expect(yield* Fiber.join(pending)).toBe("Moved")
      expect(fake.keys(bucket)).toEqual([])
    }))

  it.live("leaves segments that nobody reads when its removal died half-way", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* two({ segmentBytes: 0 })
      const owner = yield* begin(trial, "r")
      yield* steps(owner, numbered(5))
      fake.tamper(bucket, "runs/r", undefined)
      expect(yield* storyOf(other, "r")).toEqual([])
      const fresh = yield* begin(trial, "r", [], { driver: other })
      yield* fresh.append(step("b"))
      expect(yield* storyOf(driver, "r")).toEqual([1, "b"])
      expect(yield* storyOf(other, "r")).toEqual([1, "b"])
    }))

  it.live("does not keep events from a run made anew when its removal died half-way", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* two()
      const owner = yield* begin(trial, "r")
      for (const id of ["e1", "e2", "e3"]) {
        yield* other.post("r", posting(event(owner.incarnation, id)))
      }
      // The first two posts were removed, the third was not.
      for (const key of ["runs/r", "inbox/r/0000000001", "inbox/r/0000000002"]) {
        fake.tamper(bucket, key, undefined)
      }
      const fresh = yield* begin(trial, "r", [], { driver: other })
      const mine = posting(event(fresh.incarnation, "mine"))
      yield* other.post("r", mine)
      expect(posted(yield* driver.inbox("r", ""))).toContain(mine.line)
    }))

  it.live("does not keep events from a run made anew when a post to it came late", () =>
    Effect.gen(function*() {
      let armed = false
      const held = gate(({ key, op }) => op === "put" && armed && key.startsWith("inbox/"))
      const fake = fakeOf({ before: held.hold })
      const { driver, other, trial } = yield* two({}, fake)
      const owner = yield* begin(trial, "r")
      yield* driver.post("r", posting(event(owner.incarnation, "e1")))
      armed = true
      const late = yield* Effect.forkChild(
        driver.post("r", posting(event(owner.incarnation, "e2")))
      )
      yield* held.reached
      yield* other.remove("r")
      yield* held.open
      yield* Fiber.join(late)
      const fresh = yield* begin(trial, "r", [], { driver: other })
      const mine = posting(event(fresh.incarnation, "mine"))
      yield* other.post("r", mine)
      expect(posted(yield* driver.inbox("r", ""))).toContain(mine.line)
    }))

  it.live("does not keep events from a run made anew when a listing is old", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* two({}, fakeOf({ staleBy: 2 }))
      const owner = yield* begin(trial, "r")
      yield* other.post("r", posting(event(owner.incarnation, "e1")))
      yield* other.remove("r")
      const fresh = yield* begin(trial, "r", [], { driver: other })
      const mine = posting(event(fresh.incarnation, "mine"))
      fake.setFaults(({ op }) => op === "list" ? "stale list" : undefined)
      yield* other.post("r", mine)
      expect(posted(yield* driver.inbox("r", ""))).toContain(mine.line)
    }))

  for (const [what, kind] of [["entries", "segments/"], ["events", "inbox/"]] as const) {
    it.live(`does not take ${what} with it of a run that is made anew meanwhile`, () =>
      Effect.gen(function*() {
        let armed = false
        const held = gate(({ key, op }) => op === "delete" && armed && key.startsWith(kind))
        const fake = fakeOf({ before: held.hold })
        const { driver, other, trial } = yield* two({ segmentBytes: 0 }, fake)
        const old = yield* begin(trial, "r")
        yield* old.append(step("a"))
        yield* driver.post("r", posting(event(old.incarnation, "old")))
        armed = true
        const removal = yield* Effect.forkChild(other.remove("r"))
        yield* held.reached
        armed = false
        const fresh = yield* begin(trial, "r")
        yield* fresh.append(step("b"))
        const mine = posting(event(fresh.incarnation, "mine"))
        yield* driver.post("r", mine)
        yield* held.open
        yield* Fiber.join(removal)
        expect(yield* storyOf(driver, "r")).toEqual([1, "b"])
        expect(posted(yield* driver.inbox("r", ""))).toContain(mine.line)
      }))
  }
})

describe("a pack", () => {
  const pack = "packs/r/pack"
  /** A run of so many appends in as many segments. */
  const packed = (appends: number) =>
    Effect.gen(function*() {
      const opened = yield* two({ segmentBytes: 0 })
      const hand = yield* begin(opened.trial, "r")
      yield* steps(hand, numbered(appends - 1))
      return { ...opened, hand }
    })
  const textOf = (fake: ReturnType<typeof fakeOf>, key: string) =>
    new TextDecoder().decode(fake.object(bucket, key)!.body)
  const bytes = (text: string) => new TextEncoder().encode(text)

  it.live("is left behind by who reads 64 sealed segments, and makes the next reading cheap", () =>
    Effect.gen(function*() {
      const { driver, fake, hand, other } = yield* packed(64)
      yield* driver.read("r")
      expect(fake.object(bucket, pack)).toBeUndefined()
      yield* hand.append(step("more"))
      fake.reset()
      const { text } = yield* driver.read("r")
      const dear = fake.counts().total
      expect(fake.object(bucket, pack)).toBeDefined()
      fake.reset()
      expect((yield* other.read("r")).text).toBe(text)
      expect(fake.counts().total).toBeLessThan(dear / 5)
      expect(yield* storyOf(other, "r")).toEqual([1, ...numbered(63), "more"])
    }))

  it.live("that is old is as good, and is written anew when there is twice as much", () =>
    Effect.gen(function*() {
      const { driver, fake, hand, other } = yield* packed(70)
      yield* driver.read("r")
      const old = textOf(fake, pack)
      yield* steps(hand, numbered(30, 100))
      const story = [1, ...numbered(69), ...numbered(30, 100)]
      expect(yield* storyOf(other, "r")).toEqual(story)
      expect(textOf(fake, pack)).toBe(old)
      yield* steps(hand, numbered(60, 200))
      expect(yield* storyOf(other, "r")).toEqual([...story, ...numbered(60, 200)])
      expect(textOf(fake, pack).length).toBeGreaterThan(2 * old.length)
      expect(yield* storyOf(other, "r")).toEqual([...story, ...numbered(60, 200)])
      // One from before comes back: a writer was slow.
      fake.tamper(bucket, pack, bytes(old))
      expect(yield* storyOf(other, "r")).toEqual([...story, ...numbered(60, 200)])
    }))

  it.live("of another run, of an earlier one of the same id, or of nothing is not read", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* packed(70)
      yield* driver.read("r")
      const old = textOf(fake, pack)
      const another = yield* begin(trial, "q")
      yield* steps(another, numbered(66, 500))
      yield* driver.read("q")
      const foreign = textOf(fake, "packs/q/pack")
      yield* other.remove("r")
      const fresh = yield* begin(trial, "r")
      yield* steps(fresh, numbered(3, 300))
      for (const body of [old, foreign, "", "\n", "sealed\n", "no pack at all", "a 1 sealed b c"]) {
        fake.tamper(bucket, pack, bytes(body))
        expect(yield* storyOf(other, "r")).toEqual([1, ...numbered(3, 300)])
      }
    }))

  it.live("that is damaged is found out by the sums, and never believed", () =>
    Effect.gen(function*() {
      const { driver, fake, other } = yield* packed(70)
      const { text } = yield* driver.read("r")
      const whole = textOf(fake, pack)
      const at = Math.floor(whole.length / 2)
      const lines = whole.split("\n")
      const damaged = {
        "a changed byte": `${whole.slice(0, at)}~${whole.slice(at + 1)}`,
        "a missing line": lines.toSpliced(30, 1).join("\n"),
        "a line twice": lines.toSpliced(30, 0, lines[30]!).join("\n"),
        "no text before its last field": lines.slice(-2).join("\n"),
        "cut in the middle": whole.slice(0, at),
        "cut at a line": lines.slice(0, 40).join("\n") + "\n"
      }
      for (const [what, body] of Object.entries(damaged)) {
        fake.tamper(bucket, pack, bytes(body))
        const read = yield* Effect.result(Storage.make(other).read("r"))
        const seen = Result.isSuccess(read)
          ? read.success.journal.entries.length
          : read.failure._tag
        expect([what, seen]).toBeOneOf([[what, 70], [what, "JournalCorrupt"]])
      }
      fake.tamper(bucket, pack, undefined)
      expect((yield* other.read("r")).text).toBe(text)
    }))

  it.live("that cannot be written or read is no failure, or one that may be tried again", () =>
    Effect.gen(function*() {
      const { fake, other } = yield* packed(70)
      fake.setFaults(({ op }) => op === "put" ? "500" : undefined)
      expect((yield* storyOf(other, "r")).length).toBe(70)
      expect(fake.object(bucket, pack)).toBeUndefined()
    }))
})

describe("keys", () => {
  const ids = [
    ".",
    "..",
    "a b",
    "a+b",
    "a%2fb",
    "%",
    "~",
    "~61",
    "a",
    "A",
    "aB",
    "Ab",
    "a~20b",
    "?list-type=2&prefix=",
    "#top",
    "<Key>x</Key>",
    "&amp;",
    "'\"`",
    "a:b",
    "*",
    "z".repeat(200),
    "~".repeat(200)
  ]

  it.live("hostile ids, and ids that differ only in case, are runs of their own", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* two({ segmentBytes: 0 })
      for (const [n, id] of ids.entries()) {
        const hand = yield* begin(trial, id)
        yield* hand.append(step(`own ${n}`))
        yield* driver.post(id, posting(event(hand.incarnation, `e${n}`)))
        expect((yield* driver.acquire(id, epoch, epoch + 10))._tag).toBe("Acquired")
      }
      for (const key of fake.keys(bucket)) expect(key).toMatch(/^[a-z]+\/[A-Za-z0-9_~-]+(\/|$)/)
      for (const [n, id] of ids.entries()) {
        expect(yield* storyOf(other, id)).toEqual([1, `own ${n}`])
        expect(posted(yield* other.inbox(id, ""))).toEqual([expect.stringContaining(`"e${n}"`)])
      }
      const listed = yield* other.list({}, epoch)
      expect(listed.runs.map(({ runId }) => runId)).toEqual(ids.toSorted())
      for (const [n, id] of ids.entries()) {
        yield* other.remove(id)
        const left = ids.slice(n + 1)
        const { runs } = yield* other.list({}, epoch)
        expect(runs.map(({ runId }) => runId)).toEqual(left.toSorted())
      }
      expect(fake.keys(bucket)).toEqual([])
    }))

  it.live("storages under different prefixes of one bucket do not see each other", () =>
    Effect.gen(function*() {
      const fake = fakeOf()
      const prefixes = ["", "app/", "app/x/", "app", "app/runs/", "runs/", "runs/r"]
      const drivers = yield* Effect.forEach(
        prefixes,
        (prefix) => openOn(fake, { prefix, segmentBytes: 0 })
      )
      for (const [n, driver] of drivers.entries()) {
        const hand = yield* begin(trialOn(driver), "r")
        yield* hand.append(step(`own ${n}`))
        yield* driver.post("r", posting(event(hand.incarnation, `e${n}`)))
        yield* driver.blobs!.put("r", "h", `blob ${n}`)
      }
      for (const [n, driver] of drivers.entries()) {
        expect(yield* storyOf(driver, "r")).toEqual([1, `own ${n}`])
        expect(posted(yield* driver.inbox("r", ""))).toEqual([expect.stringContaining(`"e${n}"`)])
        const { runs, unreadable } = yield* driver.list({}, epoch)
        expect([n, runs.map(({ runId }) => runId), unreadable]).toEqual([n, ["r"], []])
        expect([n, yield* driver.due(epoch)]).toEqual([n, ["r"]])
      }
      for (const [n, driver] of drivers.entries()) {
        yield* driver.remove("r")
        for (const [k, other] of drivers.entries()) {
          const story = k > n ? [1, `own ${k}`] : []
          expect([n, k, yield* storyOf(other, "r")]).toEqual([n, k, story])
          const blob = yield* other.blobs!.get("r", "h")
          expect([n, k, blob]).toEqual([n, k, k > n ? `blob ${k}` : undefined])
        }
      }
      expect(fake.keys(bucket)).toEqual([])
    }))
})

describe("a listing is a hint", () => {
  it.live("a removed run that it still shows is not listed and not due", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* two({}, fakeOf({ staleBy: 1 }))
      for (const id of ["a", "b", "c"]) yield* begin(trial, id)
      yield* driver.remove("b")
      fake.setFaults(({ op }) => op === "list" ? "stale list" : undefined)
      const { keys } = yield* Effect.flatMap(s3Of(fake), (store) => store.list("runs/"))
      expect(keys).toContain("runs/b")
      for (const one of [driver, other]) {
        const { runs, unreadable } = yield* one.list({}, epoch)
        expect(runs.map(({ runId }) => runId)).not.toContain("b")
        expect(unreadable).toEqual([])
        expect(yield* one.due(epoch)).not.toContain("b")
      }
      expect(fake.counts().faults["stale list"]).toBeGreaterThan(4)
    }))

  it.live("a run that it does not show yet is there for whoever knows its id", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* two()
      fake.setFaults(({ op }) => op === "list" ? "stale list" : undefined)
      const hand = yield* begin(trial, "new", [step("a")])
      yield* driver.post("new", posting(event(hand.incarnation, "e1")))
      yield* driver.post("new", posting(event(hand.incarnation, "e2")))
      expect((yield* other.list({}, epoch)).runs).toEqual([])
      expect(yield* storyOf(other, "new")).toEqual([1, "a"])
      expect(posted(yield* other.inbox("new", "")).length).toBe(2)
      fake.setFaults(undefined)
      expect((yield* other.list({}, epoch)).runs.map(({ runId }) => runId)).toEqual(["new"])
    }))

  it.live("what it says of a run is what its journal says", () =>
    Effect.gen(function*() {
      const { driver, fake, other, trial } = yield* two({}, fakeOf({ staleBy: 1 }))
      const hand = yield* begin(trial, "r")
      expect(yield* other.due(epoch)).toEqual(["r"])
      yield* hand.append(completes)
      fake.setFaults(({ op }) => op === "list" ? "stale list" : undefined)
      const { runs } = yield* driver.list({}, epoch)
      expect(runs.map(({ status }) => status)).toEqual(["success"])
      expect(yield* other.due(epoch)).toEqual([])
    }))

  const damages: Readonly<Record<string, readonly [string, string]>> = {
    "a damaged journal": ["runs/b", "{\"type\":\"start\"}\n"],
    "a journal of other bytes": ["runs/b", "\u0000\u0001 no journal\n"],
    "a damaged lease": ["leases/b", "no lease"],
    "a lease without an owner": ["leases/b", "{\"token\":\"t\",\"until\":99999999999999}"]
  }
  for (const [what, [key, body]] of Object.entries(damages)) {
    it.live(`a run with ${what} hides no other`, () =>
      Effect.gen(function*() {
        const { fake, other, trial } = yield* two()
        for (const id of ["a", "b", "c"]) yield* begin(trial, id)
        fake.tamper(bucket, key, new TextEncoder().encode(body))
        const { runs, unreadable } = yield* other.list({}, epoch)
        const shown = runs.map(({ runId }) => runId)
        expect(shown).toEqual(expect.arrayContaining(["a", "c"]))
        expect([...shown, ...unreadable.map(({ runId }) => runId)].toSorted())
          .toEqual(["a", "b", "c"])
        expect(yield* other.due(epoch)).toEqual(expect.arrayContaining(["a", "c"]))
      }))
  }

  it.live("a run that cannot be read for now hides no other", () =>
    Effect.gen(function*() {
      const { fake, other, trial } = yield* two()
      for (const id of ["a", "b", "c"]) yield* begin(trial, id)
      fake.setFaults(({ key, op }) => op === "get" && key === "runs/b" ? "503" : undefined)
      const { runs, unreadable } = yield* other.list({}, epoch)
      expect(runs.map(({ runId }) => runId)).toEqual(["a", "c"])
      expect(unreadable).toMatchObject([{ runId: "b", error: { reason: "Unavailable" } }])
      expect(yield* other.due(epoch)).toEqual(["a", "c"])
    }).pipe(fast))
})

describe("what a store answers", () => {
  const fine = { accessKeyId: "AKIDEXAMPLE" }
  it.live("with other credentials is Denied, and says what to look at", () =>
    Effect.gen(function*() {
      const wrong = [
        { ...fine, secretAccessKey: Redacted.make("other") },
        { accessKeyId: "nobody" }
      ]
      for (const options of wrong) {
        const fake = fakeOf()
        const error = yield* Effect.flip(openOn(fake, options))
        expect(error).toMatchObject({ reason: "Denied", isRetryable: false })
        expect(error.message).toMatch(/403.*Check that the storage exists and lets this user write/)
        expect(error.message).not.toContain("other")
        expect(fake.keys(bucket)).toEqual([])
        // The clean-up of the probe is the other one.
        expect(fake.counts().total).toBe(2)
      }
    }))

  it.live("when the bucket is not there is Denied, whatever is asked", () =>
    Effect.gen(function*() {
      const store = yield* s3Of(fakeOf({ buckets: [] }))
      expect(yield* Effect.flip(ObjectStorage.make(store))).toMatchObject({ reason: "Denied" })
      const asks: Readonly<Record<string, Effect.Effect<unknown, Storage.StorageError>>> = {
        get: store.get("k"),
        put: store.put("k", "x"),
        "put, if none": store.put("k", "x", { ifNoneMatch: "*" }),
        "put, if match": store.put("k", "x", { ifMatch: "\"e\"" }),
        list: store.list("")
      }
      for (const [what, ask] of Object.entries(asks)) {
        const error = yield* Effect.flip(ask)
        expect([what, error.reason]).toEqual([what, "Denied"])
        expect(error.message).toContain("NoSuchBucket")
      }
    }))

  it.live("when rights are taken away is Denied at once, and the run goes on with them", () =>
    Effect.gen(function*() {
      const { driver, fake, trial } = yield* two()
      let isDenied = false
      const asking = yield* openOn({
        fetch: (input, init) =>
          isDenied
            ? Promise.resolve(
              new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 })
            )
            : fake.fetch(input, init)
      })
      const storage = Storage.make(asking)
      const once = Workflow.make("once", function*(ctx) {
        yield* ctx.step("a", () => 1)
        return yield* ctx.step("b", () => {
          isDenied = true
          return 2
        })
      })
      const started = once.start(undefined, { runId: "r" }).pipe(
        Effect.provideService(Storage.Storage, storage)
      )
      const error = yield* Effect.flip(started)
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied" })
      expect(yield* storyOf(driver, "r")).toEqual([1, "a"])
      isDenied = false
      // The lease could not be given back: its time passes.
      yield* trial.driver.remove("none")
      fake.tamper(bucket, "leases/r", undefined)
      const again = Workflow.make("once", function*(ctx) {
        yield* ctx.step("a", () => 1)
        return yield* ctx.step("b", () => 2)
      })
      const done = yield* again.start(undefined, { runId: "r" }).pipe(
        Effect.provideService(Storage.Storage, storage)
      )
      expect(done).toMatchObject({ status: "success", result: 2 })
    }))

  it.live("is read whole or not at all", () =>
    Effect.gen(function*() {
      const { fake, other, trial } = yield* two()
      yield* begin(trial, "r", [step("a"), step("b")])
      for (const fault of ["cut", "short", "error under 200"] as const) {
        const store = yield* s3Of(fake)
        fake.setFaults(() => fault)
        expect(yield* Effect.flip(store.get("runs/r"))).toMatchObject({ reason: "Unavailable" })
        let times = 0
        fake.setFaults(({ op }) => op === "get" && times++ < 2 ? fault : undefined)
        expect(yield* storyOf(other, "r")).toEqual([1, "a", "b"])
      }
    }).pipe(fast))
})

describe("blobs", () => {
  const odd = [
    "",
    "\ufeffa mark of order",
    "\r\n",
    "\u0000",
    "sealed\n",
    "é\u{1F600}\u2028",
    "<Error>"
  ]

  it.live("are read back as they were, byte for byte", () =>
    Effect.gen(function*() {
      const { driver, other } = yield* two()
      for (const [n, text] of odd.entries()) yield* driver.blobs!.put("r", `h${n}`, text)
      const read = yield* Effect.forEach(odd, (_, n) => other.blobs!.get("r", `h${n}`))
      expect(read).toEqual(odd)
    }))

  it.live("are written although an answer is lost", () =>
    Effect.gen(function*() {
      const { driver, fake, other } = yield* two()
      let times = 0
      fake.setFaults(({ op }) => op === "put" && times++ < 3 ? "response lost" : undefined)
      yield* driver.blobs!.put("r", "h", "text")
      expect(yield* other.blobs!.get("r", "h")).toBe("text")
      expect(fake.keys(bucket)).toEqual(["blobs/r/h"])
    }).pipe(fast))
})
