/**
 * Workers as real processes on one database: killed at random, stopped and woken, drained, and of old and new
 * code beside each other. Every run comes to its end, no outcome is told twice, and what was told is never done
 * again. `TEST_AMOUNT` says how many runs and kills.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type Journal, Runs, Storage } from "reprise"
import { temporary } from "../storage/support/local.ts"
import { random } from "../storage/support/random.ts"
import { patience, runs } from "../support/amount.ts"
import { createDatabase, execute } from "../support/postgres.ts"
import { driverOf, type Kind, prepare } from "./support/sqlStores.ts"
import { type Did, makeWorkflows, type Options, script } from "./support/workerProcess.ts"

const seed = Number(process.env.CHAOS_SEED ?? 1)
const cache = join(temporary(), "cache")
const kinds: ReadonlyArray<Kind> = ["sqlite", "postgres"]

// Nothing is done here: this process only enqueues, posts and looks.
const { asks, naps, new: changed, old, once: charges, plain } = makeWorkflows(() => "nobody")

interface Process {
  readonly child: ChildProcess
  readonly pid: string
  readonly ready: Promise<unknown>
  isReady: boolean
  /** How it ended: its code, or the signal. */
  readonly ended: Promise<string>
}

interface Line {
  readonly runId: string
  readonly step: string
  readonly by: string
  readonly pid: string
}

/** A database, the log of all its workers, and what starts these. */
const makePlace = Effect.fnUntraced(function*(kind: Kind) {
  const base = temporary()
  const place = kind === "sqlite"
    ? join(base, "runs.db")
    : (yield* Effect.promise(createDatabase)).url
  yield* prepare(kind, place)
  const storage = Storage.make(yield* driverOf(kind, place))
  const log = join(base, "log")
  const started = new Set<Process>()
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      for (const { child } of started) child.kill("SIGKILL")
      await Promise.all(Array.from(started, ({ ended }) => ended))
    })
  )

  const start = (options: Partial<Options> = {}): Process => {
    const whole: Options = {
      kind,
      place,
      log,
      code: "short",
      concurrency: 8,
      poll: 100,
      drain: 20_000,
      ...options
    }
    const child = spawn(
      process.execPath,
      ["--conditions=reprise-source", script, JSON.stringify(whole)],
      {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, NODE_COMPILE_CACHE: cache }
      }
    )
    const ended = once(child, "exit").then(([code, signal]) => String(signal ?? code))
    const one: Process = {
      child,
      pid: String(child.pid),
      isReady: false,
      ready: Promise.race([once(child.stdout!, "data"), ended]).then(() => {
        one.isReady = true
      }),
      ended
    }
    started.add(one)
    return one
  }

  const words = (what: string) =>
    (existsSync(log) ? readFileSync(log, "utf8") : "").split("\n").flatMap((line) =>
      line.startsWith(`${what} `) ? [line.split(" ").slice(1)] : []
    )
  const stepsOf = (what: "did" | "ack"): ReadonlyArray<Line> =>
    words(what).map(([runId, step, by]) => ({
      runId: runId!,
      step: step!,
      by: by!,
      pid: by!.split(".")[0]!
    }))

  const sqlite = <A>(use: (db: DatabaseSync) => A): A => {
    const db = new DatabaseSync(place)
    try {
      return use(db)
    } finally {
      db.close()
    }
  }
  /** The runs whose lease the process has. */
  const leases = (pid: string) =>
    Effect.map(
      kind === "sqlite"
        ? Effect.sync(() => sqlite((db) => db.prepare("SELECT * FROM reprise_leases").all()))
        : Effect.promise(() => execute(place, "SELECT * FROM reprise.leases")),
      (rows) =>
        (rows as unknown as ReadonlyArray<{ readonly run_id: string; readonly owner: string }>)
          .filter(({ owner }) => String(JSON.parse(owner).pid) === pid)
          .map(({ run_id }) => run_id)
    )

  /**
   * Stops the process in the middle of a step and lets its leases run out, as they do by themselves when it
   * stays so.
   */
  const stop = Effect.fnUntraced(function*({ child, pid }: Process) {
    for (;;) {
      child.kill("SIGSTOP")
      const held = yield* leases(pid)
      const told = new Set(stepsOf("ack").map(({ by }) => by))
      if (stepsOf("did").some(({ by, runId }) => held.includes(runId) && !told.has(by))) {
        const where = `WHERE run_id IN (${held.map((runId) => `'${runId}'`).join()})`
        const done = kind === "postgres"
          ? yield* Effect.promise(() =>
            execute(place, `UPDATE reprise.leases SET until = 1 ${where}`)
          ).pipe(Effect.as(true))
          : sqlite((db) => {
            try {
              db.exec(`UPDATE reprise_leases SET until = 1 ${where}`)
              return true
            } catch {
              // It was stopped in the middle of a transaction, which nobody else gets past.
              return false
            }
          })
        if (done) return held
      }
      child.kill("SIGCONT")
      yield* Effect.sleep(10)
    }
  })
  const provided = Effect.provideService(Storage.Storage, storage)
  return { storage, provided, start, words, stepsOf, leases, stop }
})

type Place = Effect.Success<ReturnType<typeof makePlace>>

const until = (what: string, isSo: () => boolean) =>
  Effect.gen(function*() {
    while (!isSo()) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOrElse({
    duration: patience / 2,
    orElse: () => Effect.die(new Error(`seed ${seed}: it never came to this: ${what}`))
  }))

const ready = (processes: ReadonlyArray<Process>) =>
  Effect.promise(() => Promise.all(processes.map((one) => one.ready)))

/** All of them have come to their end, and well. */
const untilEnded = (place: Place, runIds: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const open = new Map<string, string>(runIds.map((runId) => [runId, "unknown"]))
    yield* Effect.gen(function*() {
      while (open.size > 0) {
        for (const runId of Array.from(open.keys())) {
          const { status } = yield* place.provided(Runs.status(runId))
          if (status === "success") open.delete(runId)
          else open.set(runId, status)
        }
        if (open.size > 0) yield* Effect.sleep(50)
      }
    }).pipe(Effect.timeoutOrElse({
      duration: patience / 2,
      orElse: () =>
        Effect.die(
          new Error(`seed ${seed}: these do not end: ${JSON.stringify(Array.from(open))}`)
        )
    }))
  })

interface Task {
  readonly id: string
  readonly kind: "plain" | "naps" | "asks"
  readonly n: number
}
const steps = ["a", "b", "c", "d"]
const workflows = { plain, naps, asks }
const resultOf = ({ kind, n }: Task) => kind === "asks" ? n + 12 : n + 3

const taskOf = (n: number): Task => {
  const kind = (["plain", "naps", "asks"] as const)[n % 3]!
  return { id: `${kind}-${n}`, kind, n }
}
const enqueue = (place: Place, { id, kind, n }: Task, pause: number) =>
  place.provided(workflows[kind].enqueue({ id, n, pause }, { runId: id }))

const answer = (place: Place, { id, kind }: Task) =>
  kind === "asks"
    ? place.provided(asks.send(id, { eventName: "more", value: 10, eventId: `more-${id}` }))
    : Effect.void

const outcomesOf = ({ entries }: Journal.Journal) =>
  entries.flatMap((entry) =>
    entry.type === "step"
      ? [{ step: entry.stepId, by: (entry.result as unknown as Did).by }]
      : []
  )

/** Journal, result, effects and acknowledgements of an ended run say the same; gives all who did its steps. */
const check = Effect.fnUntraced(function*(place: Place, task: Task) {
  const { id, kind } = task
  const journal = yield* place.provided(Runs.journal(id))
  const { rejected, torn } = journal
  expect({ id, rejected, torn }).toEqual({ id, rejected: 0, torn: 0 })
  expect(workflows[kind].replay(journal)).toEqual({ _tag: "Returned", value: resultOf(task) })
  expect(yield* place.provided(Runs.status(id)))
    .toMatchObject({ status: "success", result: resultOf(task) })
  const outcomes = outcomesOf(journal)
  expect({ id, steps: outcomes.map(({ step }) => step) }).toEqual({ id, steps })
  const acks = place.stepsOf("ack").filter(({ runId }) => runId === id)
  // Once at most, and never another one's.
  expect({ id, steps: acks.map(({ step }) => step).toSorted() }).toEqual({
    id,
    steps: Array.from(new Set(acks.map(({ step }) => step))).toSorted()
  })
  for (const { by, step } of acks) expect(outcomes).toContainEqual({ step, by })
  const done = place.stepsOf("did").filter(({ runId }) => runId === id)
  for (const { by, step } of outcomes) {
    expect(done.filter((line) => line.step === step).map((line) => line.by)).toContain(by)
  }
  return { outcomes, done }
})

/** What was journaled was not done again: of all who did a step, the last one's outcome stands. */
const neverAgain = (
  { done, outcomes }: Effect.Success<ReturnType<typeof check>>,
  killed: ReadonlySet<string>
) => {
  const repeated: Array<string> = []
  for (const { by, step } of outcomes) {
    const lines = done.filter((line) => line.step === step)
    expect(lines.at(-1)).toMatchObject({ step, by })
    for (const line of lines.slice(0, -1)) repeated.push(line.pid)
  }
  // Only what was under way in a process that was killed, which was one step of a run.
  expect(repeated.filter((pid) => !killed.has(pid))).toEqual([])
  expect(new Set(repeated).size).toBe(repeated.length)
  return repeated.length
}

describe("two workers of which one is killed again and again", () => {
  for (const kind of kinds) {
    it.live(
      `bring every run to its end on ${kind}, and repeat only what was under way`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const place = yield* makePlace(kind)
          const chance = random(seed)
          const kills = runs(20)
          const count = runs(60)
          const tasks = Array.from({ length: count }, (_, n) => taskOf(n))
          const workers = [place.start(), place.start()]
          const killed = new Set<string>()
          let enqueued = 0
          for (let nth = 0; nth < kills; nth++) {
            yield* Effect.promise(() => Promise.race(workers.map((worker) => worker.ready)))
            const next = tasks.slice(enqueued, Math.ceil(count * (nth + 1) / kills))
            for (const task of next) yield* enqueue(place, task, 10 + chance.below(90))
            // Of those before, so that most of them wait by now.
            for (const task of tasks.slice(Math.max(0, enqueued - next.length), enqueued)) {
              yield* answer(place, task)
            }
            enqueued += next.length
            yield* Effect.sleep(100 + chance.below(200))
            const victims = workers.filter((worker) => worker.isReady)
            const victim = chance.pick(victims)
            expect(victim.child.exitCode).toBe(null)
            victim.child.kill("SIGKILL")
            killed.add(victim.pid)
            workers[workers.indexOf(victim)] = place.start()
          }
          for (const task of tasks) yield* answer(place, task)
          yield* untilEnded(place, tasks.map(({ id }) => id))

          let repeats = 0
          for (const task of tasks) {
            repeats += neverAgain(yield* check(place, task), killed)
          }
          const active = new Set(place.stepsOf("did").map(({ pid }) => pid))
          const hit = Array.from(killed).filter((pid) => active.has(pid))
          console.log(
            `${kind}, seed ${seed}: ${count} runs, ${killed.size} kills, ${hit.length} of who had done a step, `
              + `${repeats} steps repeated`
          )
          expect(killed.size).toBe(kills)
          // The chaos was one: without these nothing has been shown.
          expect(hit.length).toBeGreaterThan(0)
          expect(yield* place.storage.due(Date.now())).toEqual([])
        })),
      patience
    )
  }
})

describe("a worker that is stopped until its leases have run out, and woken", () => {
  for (const kind of kinds) {
    it.live(
      `is fenced on ${kind}: another one goes on, and nothing is told twice`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const place = yield* makePlace(kind)
          const zombie = place.start()
          yield* ready([zombie])
          const tasks = Array.from({ length: 9 }, (_, n) => taskOf(n))
          for (const [n, task] of tasks.entries()) {
            yield* enqueue(place, task, n % 2 === 0 ? 100 : 600)
            yield* answer(place, task)
          }
          yield* until("the first worker is at work", () => place.stepsOf("did").length >= 4)
          const held = yield* place.stop(zombie)
          const before = place.stepsOf("did")

          // Some have ended when it wakes, and others are under way.
          const other = place.start()
          yield* until("the other one goes on with what it held", () => {
            const by = place.stepsOf("did").filter(({ pid }) => pid === other.pid)
            const unsure = before.filter(({ runId, step }) =>
              held.includes(runId)
              && !place.stepsOf("ack").some((line) => line.runId === runId && line.step === step)
            )
            return by.length > 0
              && unsure.every(({ runId }) => by.some((line) => line.runId === runId))
          })
          expect(place.stepsOf("did").slice(before.length).filter(({ pid }) => pid === zombie.pid))
            .toEqual([])
          zombie.child.kill("SIGCONT")
          yield* untilEnded(place, tasks.map(({ id }) => id))

          // It is well again: what is left to do it does alone.
          other.child.kill("SIGTERM")
          yield* Effect.promise(() => other.ended)
          const last = taskOf(300)
          yield* enqueue(place, last, 0)
          yield* untilEnded(place, [last.id])
          zombie.child.kill("SIGTERM")
          expect(yield* Effect.promise(() => zombie.ended)).toBe("130")
          expect(yield* place.leases(zombie.pid)).toEqual([])

          const lost = new Set(
            place.words("left").flatMap(([runId, pid]) => pid === zombie.pid ? [runId!] : [])
          )
          let refused = 0
          for (const task of [...tasks, last]) {
            const { done, outcomes } = yield* check(place, task)
            const stands = new Set(outcomes.map(({ by }) => by))
            const fruitless = done.filter(({ by }) => !stands.has(by))
            const inVain = fruitless.filter(({ pid }) => pid === zombie.pid)
            // What it was in when it was stopped, or was about to begin, and nothing behind that.
            expect(inVain.length).toBeLessThanOrEqual(1)
            // One that had only its lease by then begins its session behind the other one's.
            expect(fruitless.length).toBeLessThanOrEqual(2)
            if (inVain.length === 0) continue
            expect(Array.from(lost)).toContain(task.id)
            refused++
          }
          console.log(`${kind}: ${held.length} runs held, ${refused} outcomes refused`)
          expect(refused).toBeGreaterThan(0)
        })),
      patience
    )
  }
})

describe("a worker that is told to end", () => {
  for (const kind of kinds) {
    it.live(
      `ends its steps first on ${kind}, and leaves nothing to repeat and no lease`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const place = yield* makePlace(kind)
          const leaving = place.start({ concurrency: 4 })
          yield* ready([leaving])
          const tasks = Array.from({ length: 18 }, (_, n) => taskOf(n))
          for (const task of tasks) {
            yield* enqueue(place, task, 200)
            yield* answer(place, task)
          }
          yield* until("it is at work", () => place.stepsOf("did").length >= 2)
          const staying = place.start({ concurrency: 4 })
          leaving.child.kill("SIGTERM")
          expect(yield* Effect.promise(() => leaving.ended)).toBe("130")
          expect(yield* place.leases(leaving.pid)).toEqual([])
          const done = place.stepsOf("did").filter(({ pid }) => pid === leaving.pid)
          expect(done.length).toBeGreaterThan(0)
          // All of it is in journals, now that it is gone.
          for (const { by, runId, step } of done) {
            const journal = yield* place.provided(Runs.journal(runId))
            expect(outcomesOf(journal)).toContainEqual({ step, by })
          }
          yield* untilEnded(place, tasks.map(({ id }) => id))
          for (const task of tasks) {
            expect(neverAgain(yield* check(place, task), new Set())).toBe(0)
          }
          // It did not stay for what it had not begun.
          const others = place.stepsOf("did").filter(({ pid }) => pid === staying.pid)
          expect(others.length).toBeGreaterThan(0)
        })),
      patience
    )

    it.live(
      `hands back on ${kind} what takes longer than it may, and another one goes on`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const place = yield* makePlace(kind)
          // Its steps take longer than this test may.
          const leaving = place.start({ drain: 50, pause: 10 * patience })
          yield* ready([leaving])
          const tasks = Array.from({ length: 6 }, (_, n) => taskOf(n))
          for (const task of tasks) yield* enqueue(place, task, 0)
          const isBegun = ({ id, kind }: Task) =>
            place.stepsOf("did").some(({ runId, step }) =>
              runId === id && step === (kind === "asks" ? "b" : "a")
            )
          yield* until("all are begun", () => tasks.every(isBegun))
          leaving.child.kill("SIGTERM")
          expect(yield* Effect.promise(() => leaving.ended)).toBe("130")
          expect(yield* place.leases(leaving.pid)).toEqual([])
          for (const task of tasks) yield* answer(place, task)
          place.start()
          yield* untilEnded(place, tasks.map(({ id }) => id))
          for (const task of tasks) {
            // Of each the step that was cut short.
            expect(neverAgain(yield* check(place, task), new Set([leaving.pid]))).toBe(1)
          }
        })),
      patience
    )
  }
})

describe("a run that a worker has left blocked", () => {
  for (const kind of kinds) {
    it.live(
      `goes on there when another process settles it on ${kind}`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const place = yield* makePlace(kind)
          const first = place.start({ pause: 10 * patience })
          const runId = "once-1"
          yield* place.provided(charges.enqueue({ id: runId, n: 1, pause: 0 }, { runId }))
          yield* until("it charges", () => place.stepsOf("did").length === 1)
          first.child.kill("SIGKILL")
          const second = place.start()
          yield* ready([second])
          // Something to look at it for, which does not help it.
          yield* place.provided(charges.send(runId, { eventName: "note", value: "?" }))
          yield* until("the other one leaves it blocked", () =>
            place.words("blocked").some(([id, pid]) => id === runId && pid === second.pid))
          yield* place.provided(
            Runs.settle(runId, "charge", { value: { value: 7, by: "hand.1" } })
          )
          yield* untilEnded(place, [runId])
          expect(yield* place.provided(Runs.status(runId)))
            .toMatchObject({ status: "success", result: 8 })
          expect(place.stepsOf("did").map(({ pid, step }) => [step, pid])).toEqual([
            ["charge", first.pid],
            ["ship", second.pid]
          ])
        })),
      patience
    )
  }
})

describe("old and new code at the same time", () => {
  for (const kind of kinds) {
    it.live(
      `leave each run to the code that has its version on ${kind}`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const place = yield* makePlace(kind)
          const ids = (what: string) => [0, 1, 2, 3].map((n) => `${what}-${n}`)
          const go = (runIds: ReadonlyArray<string>) =>
            Effect.forEach(runIds, (runId) =>
              place.provided(
                changed.send(runId, { eventName: "go", value: null, eventId: `go-${runId}` })
              ), { discard: true })
          const begun = (runIds: ReadonlyArray<string>, version: "1" | "2") =>
            Effect.forEach(runIds, (runId) =>
              place.provided(
                (version === "1" ? old : changed).enqueue({ id: runId, n: 0, pause: 5 }, { runId })
              ), { discard: true })
          const hasDone = (runIds: ReadonlyArray<string>, step: string) => () =>
            runIds.every((runId) =>
              place.stepsOf("ack").some((line) => line.runId === runId && line.step === step)
            )
          const blockedBy = (runIds: ReadonlyArray<string>, { pid }: Process) => () =>
            runIds.every((runId) =>
              place.words("blocked").some(([id, by]) => id === runId && by === pid)
            )

          // The old code alone: runs that are of the new one are not its business.
          const first = place.start({ code: "old" })
          yield* begun(ids("old"), "1")
          yield* until("the old code has begun its runs", hasDone(ids("old"), "reserve"))
          yield* begun(ids("new"), "2")
          yield* until("the old code leaves the new runs", blockedBy(ids("new"), first))
          expect(place.stepsOf("did").filter(({ runId }) => runId.startsWith("new"))).toEqual([])

          // Both at once: runs of the old code may go on in either, new ones only in the new one.
          const second = place.start({ code: "new" })
          yield* until("the new code has begun its runs", hasDone(ids("new"), "reserve"))
          yield* begun(ids("later"), "2")
          yield* begun(ids("late"), "1")
          yield* until(
            "both have begun",
            () => hasDone(ids("later"), "reserve")() && hasDone(ids("late"), "reserve")()
          )
          yield* go([...ids("old").slice(0, 2), ...ids("new").slice(0, 2)])
          yield* untilEnded(place, [...ids("old").slice(0, 2), ...ids("new").slice(0, 2)])

          // The new code is rolled back: what it has begun waits, and what is old goes on.
          second.child.kill("SIGTERM")
          yield* Effect.promise(() => second.ended)
          yield* go([...ids("later"), ...ids("late").slice(0, 2)])
          yield* untilEnded(place, ids("late").slice(0, 2))
          yield* until("the old code leaves what goes on", blockedBy(ids("later"), first))
          for (const runId of ids("later")) {
            const { status } = yield* place.provided(Runs.status(runId))
            expect(["suspended", "pending"]).toContain(status)
          }
          expect(
            place.words("blocked").filter(([runId]) => !/^(new|later)/.test(runId!))
          ).toEqual([])

          // And is rolled out again, for good: it goes on with all that is left.
          const third = place.start({ code: "new" })
          yield* untilEnded(place, ids("later"))
          first.child.kill("SIGTERM")
          yield* Effect.promise(() => first.ended)
          const left = [...ids("old"), ...ids("late"), ...ids("new")]
          yield* go(left)
          yield* untilEnded(place, left)

          const news = new Set([second.pid, third.pid])
          for (const runId of [...left, ...ids("later")]) {
            const isNew = /^(new|later)/.test(runId)
            const journal = yield* place.provided(Runs.journal(runId))
            const names = isNew ? ["check", "reserve", "pack", "ship"] : ["reserve", "ship"]
            expect({ runId, names: outcomesOf(journal).map(({ step }) => step) })
              .toEqual({ runId, names })
            expect(journal.entries[0]).toMatchObject({ version: isNew ? "2" : "1" })
            expect((isNew ? changed : old).replay(journal))
              .toEqual({ _tag: "Returned", value: isNew ? "two" : "one" })
            const done = place.stepsOf("did").filter((line) => line.runId === runId)
            expect({ runId, names: done.map(({ step }) => step) }).toEqual({ runId, names })
            if (isNew) expect(done.filter(({ pid }) => !news.has(pid))).toEqual([])
          }
          // Old runs that were left to the new code ended there.
          const ended = place.stepsOf("did").filter(({ runId, step }) =>
            step === "ship" && ids("old").slice(2).includes(runId)
          )
          expect(ended.map(({ pid }) => pid)).toEqual([third.pid, third.pid])
        })),
      patience
    )
  }
})
