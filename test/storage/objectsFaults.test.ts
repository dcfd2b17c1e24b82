/**
 * Object storage over an S3 that loses requests and answers, answers wrongly, late or not at all, and lists
 * what was: what was acknowledged stands, once and in order, and nobody is stuck.
 *
 * `TEST_SEED` names other faults, `TEST_AMOUNT` more of them.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Option, Result, Schema } from "effect"
import { Journal, Runs, Storage, Workflow } from "reprise"
import type { ObjectStorage } from "reprise/objects"
import { patience, runs } from "../support/amount.ts"
import { type Chances, makeFakeS3 } from "../support/fakeS3.ts"
import { hurried, openOn } from "./support/objects.ts"
import { type Random, random } from "./support/random.ts"

const seed = Number(process.env.TEST_SEED ?? 1)

/** One in twenty of each kind, whatever its variants. */
const chances: Chances["chances"] = {
  "response lost": 0.05,
  "late": 0.05,
  "409": 0.05,
  "412 after own write": 0.05,
  "500": 0.02,
  "500 after": 0.01,
  "503": 0.02,
  "error under 200": 0.04,
  "error under 200 after": 0.01,
  "cut": 0.025,
  "short": 0.025,
  "stale list": 0.05,
  "request lost": 0.01
}

const wrong = (name: string, more: Chances["chances"] = chances): Chances => ({
  seed: `${seed}:${name}`,
  chances: more
})

/** As if with 60 times as many seconds in one. */
const fast = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Clock.Clock, hurried(60))

/** So many processes on one store that works well until `fail` is called. */
const world = (processes: number, options: Partial<ObjectStorage.S3Options> = {}) =>
  Effect.gen(function*() {
    const fake = makeFakeS3()
    const drivers = yield* Effect.forEach(
      Array.from({ length: processes }),
      () => openOn(fake, options)
    )
    return {
      fake,
      drivers,
      /** The store works again, and all that was on its way has arrived. */
      calm: Effect.promise(() => {
        fake.setFaults(undefined)
        return fake.land()
      })
    }
  })

const idsOf = (entries: ReadonlyArray<Journal.Recorded>) =>
  entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])

interface Acknowledged {
  readonly sum: string
  readonly offset: number
  /** When it was begun and when it was acknowledged, in the order of all that happens. */
  readonly began: number
  readonly ended: number
}

/** A run, its owners, and what they were told. */
class Owned {
  readonly acknowledged: Array<Acknowledged> = []
  readonly tried = new Set<string>()
  appends = 0
  /** Sessions that lost the run. */
  lost = 0
  private now = 0
  private serial = 0
  readonly runId: string
  private readonly goal: number

  constructor(runId: string, goal: number) {
    this.runId = runId
    this.goal = goal
  }

  /** What `entries` must have of what was acknowledged before the read began. */
  check(entries: ReadonlyArray<Journal.Recorded>, before = this.acknowledged.length): void {
    for (const { offset, sum } of this.acknowledged.slice(0, before)) {
      if (entries[offset]?.sum !== sum) {
        throw new Error(`${this.runId}: what was acknowledged at ${offset} is not there`)
      }
    }
  }

  /** Opens sessions and appends until the run has had enough. */
  owner(driver: Storage.Driver, chance: Random) {
    const storage = Storage.make(driver)
    return Effect.gen({ self: this }, function*() {
      while (this.appends < this.goal) {
        const before = this.acknowledged.length
        const found = yield* Effect.result(storage.read(this.runId))
        if (Result.isFailure(found)) {
          if (found.failure._tag !== "StorageError") throw found.failure
          continue
        }
        this.check(found.success.journal.entries, before)
        yield* Effect.scoped(this.session(storage, found.success, chance))
        yield* Effect.sleep(chance.below(8_000))
      }
    })
  }

  private session(storage: Storage.Storage["Service"], loaded: Storage.Loaded, chance: Random) {
    return Effect.gen({ self: this }, function*() {
      const { head } = loaded.journal
      const writer = yield* storage.writer(loaded)
      const stamp: Journal.Stamp = {
        incarnation: head.incarnation || `i${++this.serial}`,
        session: head.session + 1,
        writer: `w${++this.serial}`
      }
      const append = (entries: ReadonlyArray<Journal.Entry>) =>
        Effect.gen({ self: this }, function*() {
          const began = ++this.now
          const from = writer.head().offset
          const stamped = entries.map((entry) => Journal.stamped(entry, "2026-01-02T03:04:05.678Z"))
          const { lines } = Journal.seal(writer.head(), stamp, stamped)
          const done = yield* Effect.result(writer.append(stamp, stamped))
          if (Result.isFailure(done)) {
            if (done.failure._tag !== "StorageError") throw done.failure
            return "unknown"
          }
          if (!done.success) return "lost"
          this.appends++
          const ended = ++this.now
          lines.forEach((line, n) => {
            const { sum } = JSON.parse(line) as Journal.Recorded
            this.acknowledged.push({ sum, offset: from + n, began, ended })
          })
          return "acknowledged"
        })
      const steps = () =>
        Array.from({ length: chance.oneIn(4) ? 3 : 1 }, (): Journal.Entry => {
          const stepId = `s${++this.serial}`
          this.tried.add(stepId)
          return { type: "step", stepId, name: stepId, result: chance.below(1_000_000) }
        })
      const { runId } = this
      const opening: Journal.Entry = head.offset === 0
        ? { type: "start", format: Journal.format, workflow: "w", runId, metadata: null, seed: "s" }
        : { type: "start" }
      if ((yield* append([opening])) !== "acknowledged") return
      for (let left = 20 + chance.below(60); left > 0 && this.appends < this.goal; left--) {
        const outcome = yield* append(steps())
        if (outcome === "unknown") return
        if (outcome === "lost") {
          this.lost++
          const again = yield* append(steps())
          if (again === "acknowledged") throw new Error(`${runId}: acknowledged after it was lost`)
          return
        }
      }
    })
  }

  /** All that must hold of the journal in the end. */
  verify(journal: Journal.Journal): void {
    const { entries, rejected, torn } = journal
    expect([this.runId, rejected, torn]).toEqual([this.runId, 0, 0])
    this.check(entries)
    const ids = idsOf(entries)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.filter((id) => !this.tried.has(id))).toEqual([])
    // Whoever begins when another has been acknowledged stands behind it.
    const offsets = new Set(this.acknowledged.map(({ offset }) => offset))
    expect(offsets.size).toBe(this.acknowledged.length)
    let furthest = -1
    const byEnd = this.acknowledged.toSorted((a, b) => a.ended - b.ended)
    let next = 0
    for (const { began, offset } of this.acknowledged.toSorted((a, b) => a.began - b.began)) {
      for (; byEnd[next] !== undefined && byEnd[next]!.ended < began; next++) {
        furthest = Math.max(furthest, byEnd[next]!.offset)
      }
      expect(offset).toBeGreaterThan(furthest)
    }
  }
}

interface Contest {
  readonly runs: number
  /** Appends to each. */
  readonly goal: number
  readonly segmentBytes: number
  readonly chances?: Chances["chances"]
  readonly timeout?: number
}

/** Runs that two processes fight for. */
const contest = (name: string, { goal, segmentBytes, timeout, ...more }: Contest) =>
  Effect.gen(function*() {
    const { calm, drivers, fake } = yield* world(2, { segmentBytes, timeout })
    fake.setFaults(wrong(name, more.chances))
    const all = yield* Effect.forEach(
      Array.from({ length: more.runs }, (_, n) => new Owned(`${name}-${n}`, goal)),
      (run, n) =>
        Effect.as(
          Effect.forEach(
            [0, 1],
            (at, k) => run.owner(drivers[at]!, random(seed * 1_000_003 + n * 31 + k)),
            { concurrency: "unbounded" }
          ),
          run
        ),
      { concurrency: 24 }
    )
    const { faults } = fake.counts()
    yield* calm
    const reader = Storage.make(yield* openOn(fake, { segmentBytes }))
    for (const run of all) run.verify((yield* reader.read(run.runId)).journal)
    const sum = (of: (run: Owned) => number) => all.reduce((total, run) => total + of(run), 0)
    return { faults, appends: sum((run) => run.appends), lost: sum((run) => run.lost) }
  }).pipe(fast)

describe(`an S3 that fails (seed ${seed})`, () => {
  it.live(
    "keeps what was acknowledged once and in order, in segments of many appends",
    () =>
      Effect.gen(function*() {
        const count = Math.ceil(runs(20_000) / 60)
        const done = yield* contest("many", { runs: count, goal: 60, segmentBytes: 12_000 })
        expect(done.appends).toBeGreaterThanOrEqual(count * 60)
        expect(done.lost).toBeGreaterThan(0)
        for (const fault of Object.keys(chances)) {
          if (fault !== "stale list") expect(Object.keys(done.faults)).toContain(fault)
        }
      }),
    3 * patience
  )

  const small: ReadonlyArray<readonly [string, Contest]> = [
    ["a few appends", { runs: runs(15), goal: 30, segmentBytes: 1_000 }],
    ["one append", { runs: runs(15), goal: 20, segmentBytes: 0 }]
  ]
  for (const [what, options] of small) {
    it.live(
      `keeps what was acknowledged once and in order, in segments of ${what}`,
      () =>
        Effect.gen(function*() {
          const { appends } = yield* contest(what, options)
          expect(appends).toBeGreaterThanOrEqual(options.runs * options.goal)
        }),
      patience
    )
  }

  it.live(
    "keeps what was acknowledged when it does not answer either",
    () =>
      Effect.gen(function*() {
        const { appends, faults } = yield* contest("hanging", {
          runs: runs(24),
          goal: 20,
          segmentBytes: 2_000,
          timeout: 100,
          chances: { ...chances, "hangs": 0.02, "hangs after": 0.03 }
        })
        expect(appends).toBeGreaterThanOrEqual(runs(24) * 20)
        expect(Object.keys(faults)).toEqual(expect.arrayContaining(["hangs", "hangs after"]))
      }),
    patience
  )

  it.live(
    "gives every post to the reader once, each poster's in order",
    () =>
      Effect.gen(function*() {
        const { calm, drivers, fake } = yield* world(2)
        fake.setFaults(wrong("inbox"))
        const storages = drivers.map((driver) => Storage.make(driver))
        const each = 12
        const posted: Array<Effect.Effect<void, unknown>> = []
        yield* Effect.forEach(
          Array.from({ length: runs(12) }, (_, n) => `inbox-${n}`),
          (runId) =>
            Effect.gen(function*() {
              const told: Array<string> = []
              const failed = new Set<string>()
              const tried: Array<string> = []
              const poster = (name: string, storage: Storage.Storage["Service"]) =>
                Effect.forEach(Array.from({ length: each }), (_, n) => {
                  const eventId = `${name}${n}`
                  tried.push(eventId)
                  return Effect.match(
                    storage.post(runId, {
                      type: "event",
                      eventName: "go",
                      eventId,
                      incarnation: "i",
                      timestamp: "2026-01-02T03:04:05.678Z"
                    }),
                    { onFailure: () => failed.add(eventId), onSuccess: () => told.push(eventId) }
                  )
                })
              let cursor = ""
              const heard: Array<string> = []
              const look = Effect.fnUntraced(function*(storage: Storage.Storage["Service"]) {
                const before = told.slice()
                const found = yield* Effect.result(storage.inbox(runId, "i", cursor))
                if (Result.isFailure(found)) return
                cursor = found.success.cursor
                heard.push(...found.success.items.map(({ eventId }) => eventId))
                expect(heard).toEqual(expect.arrayContaining(before))
              })
              let isOver = false
              const [first, second] = storages as [
                Storage.Storage["Service"],
                Storage.Storage["Service"]
              ]
              yield* Effect.all([
                Effect.ensuring(
                  Effect.all([poster("a", first), poster("b", second), poster("c", second)], {
                    concurrency: "unbounded"
                  }),
                  Effect.sync(() => {
                    isOver = true
                  })
                ),
                Effect.gen(function*() {
                  while (!isOver) {
                    yield* look(second)
                    yield* Effect.sleep(500)
                  }
                })
              ], { concurrency: "unbounded" })
              // Nothing that fails now arrives later: it is read when all is calm.
              posted.push(
                Effect.gen(function*() {
                  yield* look(Storage.make(yield* openOn(fake)))
                  expect(new Set(heard).size).toBe(heard.length)
                  expect(told.filter((id) => !heard.includes(id))).toEqual([])
                  expect(heard.filter((id) => !told.includes(id) && !failed.has(id))).toEqual([])
                  for (const name of ["a", "b", "c"]) {
                    const own = heard.filter((id) => id.startsWith(name) && told.includes(id))
                    expect(own).toEqual(tried.filter((id) => own.includes(id)))
                  }
                  expect(told.length).toBeGreaterThan(0)
                })
              )
            }),
          { concurrency: 20, discard: true }
        )
        yield* calm
        yield* Effect.all(posted.splice(0), { discard: true })
      }).pipe(fast),
    patience
  )

  it.live(
    "never has two holders of a lease, and no lease outlives its time",
    () =>
      Effect.gen(function*() {
        const { calm, drivers, fake } = yield* world(2)
        fake.setFaults(wrong("lease"))
        const length = 100
        let last = 0
        yield* Effect.forEach(
          Array.from({ length: runs(25) }, (_, n) => n),
          (n) =>
            Effect.gen(function*() {
              const runId = `lease-${n}`
              /** From when to when somebody was told to hold it. */
              const held: Array<{ readonly from: number; until: number }> = []
              let now = 0
              let acquired = 0
              const contender = (driver: Storage.Driver, chance: Random) =>
                Effect.gen(function*() {
                  for (let turn = 0; turn < 12; turn++) {
                    now += chance.below(40)
                    const from = now
                    last = Math.max(last, from + length)
                    const claim = yield* Effect.option(driver.acquire(runId, from, from + length))
                    if (Option.isNone(claim) || claim.value._tag === "Held") {
                      yield* Effect.sleep(chance.below(200))
                      continue
                    }
                    acquired++
                    const { token } = claim.value
                    const mine = { from, until: from + length }
                    // By the time of the answer: who asked long ago may come behind those whose time was over since.
                    const other = held.find((one) => one.from < mine.until && now < one.until)
                    expect([runId, mine, other]).toEqual([runId, mine, undefined])
                    held.push(mine)
                    if (chance.oneIn(2)) {
                      const until = now + length
                      last = Math.max(last, until)
                      const renewed = yield* Effect.option(driver.renew(runId, token, until))
                      if (Option.isSome(renewed) && renewed.value) mine.until = until
                    }
                    // Else its process died.
                    if (chance.oneIn(3)) continue
                    // From here on anybody may have it, also who asked before with an earlier time.
                    mine.until = -Infinity
                    yield* Effect.ignore(driver.release(runId, token))
                  }
                })
              yield* Effect.forEach(
                [0, 1, 1],
                (at, k) => contender(drivers[at]!, random(seed * 7_919 + n * 31 + k)),
                { concurrency: "unbounded" }
              )
              expect(acquired).toBeGreaterThan(0)
            }),
          { concurrency: 20, discard: true }
        )
        yield* calm
        const [driver] = drivers
        for (let n = 0; n < runs(25); n++) {
          const claim = yield* driver!.acquire(`lease-${n}`, last, last + length)
          expect([n, claim._tag]).toEqual([n, "Acquired"])
        }
      }).pipe(fast),
    patience
  )

  it.live(
    "frees a lease that was given back, whatever became of the answer",
    () =>
      Effect.gen(function*() {
        const { drivers, fake } = yield* world(1)
        fake.setFaults(wrong("give back"))
        const [driver] = drivers
        let released = 0
        yield* Effect.forEach(Array.from({ length: runs(60) }), (_, n) =>
          Effect.gen(function*() {
            const runId = `back-${n}`
            for (let turn = 0; turn < 4; turn++) {
              const claim = yield* Effect.option(driver!.acquire(runId, turn, turn + 1_000))
              // It failed: whether it is held is not known.
              if (Option.isNone(claim)) return
              expect([runId, turn, claim.value._tag]).toEqual([runId, turn, "Acquired"])
              if (claim.value._tag === "Held") return
              const { token } = claim.value
              const renewed = yield* Effect.option(driver!.renew(runId, token, turn + 2_000))
              // Nobody else was there to take it.
              if (Option.isSome(renewed)) {
                expect([runId, turn, renewed.value]).toEqual([runId, turn, true])
              }
              const done = yield* Effect.exit(driver!.release(runId, token))
              if (Exit.isFailure(done)) {
                return
              }
              released++
            }
          }), { concurrency: 20 })
        expect(released).toBeGreaterThan(0)
      }).pipe(fast),
    patience
  )

  it.live("lets whole workflows end right, driven by whoever comes", () =>
    Effect.gen(function*() {
      const { calm, drivers, fake } = yield* world(2, { segmentBytes: 3_000 })
      fake.setFaults(wrong("workflow"))
      let ran = 0
      const order = Workflow.make(
        "order",
        { input: Schema.String, events: { approve: Schema.String } },
        function*(ctx, item) {
          const reserved = yield* ctx.step("reserve", () => `${item} ${++ran}`)
          const parts = yield* ctx.forEach(
            ["a", "b", "c"],
            (part) => ctx.step("pack", () => `${part} ${++ran}`),
            { key: (part) => part }
          )
          const by = yield* ctx.suspend("approve")
          yield* ctx.sleep("1 second")
          const shipped = yield* ctx.step("ship", () => `${by} ${++ran}`)
          return [reserved, ...parts, shipped]
        }
      )
      const storages = drivers.map((driver) => Storage.make(driver))
      const on = (at: number) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.provideService(effect, Storage.Storage, storages[at]!)
      /** A client that never gives up, at one process or the other. */
      const insisting = <A, E, R>(
        effect: Effect.Effect<A, E, R>,
        isDone: (value: A) => boolean
      ) =>
        Effect.gen(function*() {
          for (let turn = 0; turn < 200; turn++) {
            const result = yield* Effect.result(on(turn % 2)(effect))
            if (Result.isSuccess(result) && isDone(result.success)) return result.success
            if (Result.isFailure(result)) {
              const tag = (result.failure as { readonly _tag?: string })._tag
              if (tag !== "StorageError" && tag !== "Fenced") {
                return yield* Effect.fail(result.failure)
              }
            }
            yield* Effect.sleep("3 seconds")
          }
          throw new Error("it never ends")
        })
      const ids = Array.from({ length: runs(60) }, (_, n) => `workflow-${n}`)
      yield* Effect.forEach(
        ids,
        (runId) =>
          Effect.gen(function*() {
            yield* insisting(order.start("tea", { runId }), ({ status }) => status === "suspended")
            // Somebody sends while others drive.
            yield* Effect.all([
              insisting(
                order.send(runId, { eventName: "approve", value: "Ada", eventId: "e1" }),
                () => true
              ),
              insisting(order.resume(runId), ({ status }) => status === "success")
            ], { concurrency: "unbounded" })
          }),
        { concurrency: 15, discard: true }
      )
      yield* calm
      const reader = Storage.make(yield* openOn(fake, { segmentBytes: 3_000 }))
      const there = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.provideService(effect, Storage.Storage, reader)
      for (const runId of ids) {
        const journal = yield* there(Runs.journal(runId))
        const steps = journal.entries.filter((entry) => entry.type === "step")
        expect([runId, steps.map(({ stepId }) => stepId).toSorted()]).toEqual([
          runId,
          ["each[a]/pack", "each[b]/pack", "each[c]/pack", "reserve", "ship"]
        ])
        expect(journal.entries.filter(({ type }) => type === "resume").length).toBe(1)
        expect(journal.entries.at(-1)).toMatchObject({
          type: "complete",
          result: ["reserve", "each[a]/pack", "each[b]/pack", "each[c]/pack", "ship"].map((id) =>
            steps.find(({ stepId }) => stepId === id)?.result
          )
        })
        expect(journal.rejected).toBe(0)
        expect((yield* there(order.start("tea", { runId }))).status).toBe("success")
      }
      const listed = yield* there(Runs.list({ workflow: "order", limit: 1_000 }))
      expect(listed.runs.map(({ runId }) => runId)).toEqual(ids.toSorted())
    }).pipe(fast), patience)
})
