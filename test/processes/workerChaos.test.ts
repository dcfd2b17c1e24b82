/**
 * Workers and clients as processes while the worst happens to them: killed again and again, their Postgres killed
 * beneath them, their clocks set apart, all timers at one instant, their storage away when they start. Every run
 * comes to its end by itself, no outcome is told twice, and what was told is never done again.
 *
 * `TEST_AMOUNT` says how many runs and kills: with 10 it is 500 runs and 100 kills on each storage, by default a tenth
 * of that. `CHAOS_SEED` makes other chances.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Runs } from "reprise"
import { temporary } from "../storage/support/local.ts"
import { type Random, random } from "../storage/support/random.ts"
import { patience, runs } from "../support/amount.ts"
import {
  createDatabase,
  execute,
  type PostgresOptions,
  startPostgres
} from "../support/postgres.ts"
import { type Kind, prepare } from "./support/sqlStores.ts"
import {
  check,
  isAlive,
  type Line,
  makePlace,
  makeProcesses,
  type Place,
  type Process,
  ready,
  toldOf,
  until,
  untilEnded,
  workflows
} from "./support/workerChaos.ts"
import type { Task } from "./support/workerChaosProcess.ts"

const seed = Number(process.env.CHAOS_SEED ?? 1)
const kinds: ReadonlyArray<Kind> = ["sqlite", "postgres"]

const databaseOf = Effect.fnUntraced(function*(kind: Kind) {
  const place = kind === "sqlite"
    ? join(temporary(), "runs.db")
    : (yield* Effect.promise(createDatabase)).url
  yield* prepare(kind, place)
  return place
})

const serverOf = (options: PostgresOptions) =>
  Effect.acquireRelease(
    Effect.promise(() => startPostgres(options)),
    ({ stop }) => Effect.promise(stop)
  )

/** Steps, sleeps and events in all their combinations. */
const tasksOf = (count: number, chance: Random): ReadonlyArray<Task> =>
  Array.from({ length: count }, (_, n) => ({
    id: `order-${n}`,
    n,
    pause: 10 + chance.below(60),
    // Longer than a worker waits in place: it suspends.
    nap: n % 2 === 0 ? 0 : 150 + chance.below(200),
    asks: n % 3 === 0
  }))

const idsOf = (tasks: ReadonlyArray<Task>) => tasks.map(({ id }) => id)

/** Waits for so many more steps, unless there is nothing left to do; the client must not fail meanwhile. */
const progress = (
  { stepsOf, words }: Place,
  client: Process,
  many: number,
  tasks: ReadonlyArray<Task>
) => {
  const wanted = Math.min(stepsOf("did").length + many, 4 * tasks.length - 4)
  return until(`${wanted} steps are done`, () => {
    expect(words("died"), "what the client died of").toEqual([])
    expect(client.child.exitCode ?? 0).toBe(0)
    return stepsOf("did").length >= wanted
  })
}

/** Who enqueued and posted has done all of it, without being started anew. */
const wasOver = Effect.fnUntraced(
  function*(place: Place, client: Process, tasks: ReadonlyArray<Task>) {
    expect(yield* Effect.promise(() => client.ended)).toBe("0")
    expect(place.words("asked").map(([id]) => id)).toEqual(idsOf(tasks))
  }
)

describe("workers that are killed at random and started again", () => {
  for (const kind of kinds) {
    it.live(
      `bring all runs to their end on ${kind}, and do nothing again that was told`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const chance = random(seed)
          const place = yield* makePlace(kind, yield* databaseOf(kind))
          const kills = runs(10)
          const tasks = tasksOf(runs(50), chance)
          const workers = [place.start(), place.start(), place.start()]
          const killed = new Set<string>()
          const client = place.start({ tasks })
          while (killed.size < kills) {
            yield* Effect.promise(() => Promise.race(workers.map((worker) => worker.ready)))
            const left = 4 * tasks.length - place.stepsOf("did").length
            const many = Math.max(1, Math.ceil(left / (kills - killed.size)))
            yield* progress(place, client, chance.below(many), tasks)
            // Now and then one that has not even begun.
            const victims = chance.oneIn(5) ? workers : workers.filter((worker) => worker.isReady)
            const victim = chance.pick(victims)
            expect(isAlive(victim)).toBe(true)
            victim.child.kill("SIGKILL")
            killed.add(victim.pid)
            workers[workers.indexOf(victim)] = place.start()
          }
          yield* wasOver(place, client, tasks)
          yield* untilEnded(place, idsOf(tasks))

          const told = toldOf(place)
          let repeats = 0
          for (const task of tasks) {
            const { done, outcomes, refused } = yield* check(place, told, task)
            // Nobody was ever driven beside another one: the dead do nothing any more.
            expect(refused).toBe(0)
            const repeated: Array<string> = []
            for (const { by, step } of outcomes) {
              const lines = done.filter((line) => line.step === step)
              expect(lines.at(-1)).toMatchObject({ step, by })
              for (const line of lines.slice(0, -1)) repeated.push(line.pid)
            }
            // Only what was under way in a process that was killed, which was one step of a run.
            expect(repeated.filter((pid) => !killed.has(pid))).toEqual([])
            expect(new Set(repeated).size).toBe(repeated.length)
            repeats += repeated.length
          }
          const active = new Set(place.stepsOf("did").map(({ pid }) => pid))
          const hit = Array.from(killed).filter((pid) => active.has(pid))
          console.log(
            `${kind}, seed ${seed}: ${tasks.length} runs, ${killed.size} kills, ${hit.length} of who `
              + `had done a step, ${repeats} steps repeated`
          )
          // The chaos was one: without these nothing has been shown.
          expect(hit.length).toBeGreaterThan(0)
          expect(yield* place.storage.due(Date.now())).toEqual([])
        })),
      patience
    )
  }
})

describe("workers whose clocks are apart", () => {
  for (const kind of kinds) {
    it.live(
      `share runs on ${kind}: timers go by the clock of who looks, and nothing is told twice`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const chance = random(seed + 2)
          const place = yield* makePlace(kind, yield* databaseOf(kind))
          // More than a lease lasts: to the one that is ahead no lease of the others is live.
          const skews = [-20_000, 0, 60_000]
          const workers = skews.map((ahead) => place.start({ ahead }))
          yield* ready(workers)
          const skewOf = new Map(workers.map(({ pid }, nth) => [pid, skews[nth]!]))
          const tasks = tasksOf(runs(40), chance)
          const client = place.start({ tasks, ahead: -40_000 })
          yield* wasOver(place, client, tasks)
          yield* untilEnded(place, idsOf(tasks))

          const told = toldOf(place)
          const timers = place.words("timer")
          let early = 0
          let refused = 0
          for (const task of tasks) {
            const checked = yield* check(place, told, task)
            refused += checked.refused
            const due = new Map<string, { readonly wakeAt: number; readonly since: number }>()
            for (const entry of checked.journal.entries) {
              if (entry.type === "suspend") {
                for (const { since, stepId, wakeAt } of entry.waits) {
                  if (wakeAt !== undefined) due.set(stepId, { wakeAt, since })
                }
              }
              if (entry.type !== "timer") continue
              const { since, wakeAt } = due.get(entry.stepId)!
              expect(wakeAt).toBe(since + task.nap)
              const rung = timers.filter(([id, stepId]) =>
                id === task.id && stepId === entry.stepId
              )
              expect(rung).toHaveLength(1)
              const [, , pid, at] = rung[0]!
              // Not before its time, by the clock of who heard it.
              expect(Number(at)).toBeGreaterThanOrEqual(wakeAt)
              expect(Date.parse(entry.timestamp)).toBeGreaterThanOrEqual(wakeAt)
              if (Number(at) - skewOf.get(pid!)! < wakeAt) early++
            }
            expect(due.size).toBe(task.nap === 0 ? 0 : 2)
          }
          const lost = place.words("left").length
          console.log(
            `${kind}, seed ${seed}: ${early} timers early, ${lost} sessions lost, ${refused} steps refused`
          )
          expect(early).toBeGreaterThan(0)
          expect(lost).toBeGreaterThan(0)
          expect(workers.filter(isAlive)).toEqual(workers)
        })),
      patience
    )
  }
})

describe("a herd of runs whose timers go off at one instant", () => {
  /** More than there are places for, and as many as a file may well have. */
  const sizeOf = (usual: number) => Math.max(40, Math.min(1_000, runs(usual)))
  const fresh = Array.from({ length: 20 }, (_, n) => `fresh-${n}`)

  /** Wakes the herd with clocks that jump, and holds it in its first step until fresh runs wait with it. */
  const stampede = Effect.fnUntraced(function*(kind: Kind, size: number, priority: number) {
    const herd = Array.from({ length: size }, (_, n) => `herd-${n}`)
    const place = yield* makePlace(kind, yield* databaseOf(kind))
    const options = { tellsLooks: true, concurrency: 4, limits: { fresh: { priority } } }
    const workers = [place.start(options), place.start(options)]
    yield* ready(workers)
    const hour = 3_600_000
    const at = Date.now() + hour
    const gate = join(temporary(), "gate", "open")
    yield* Effect.forEach(
      herd,
      (runId) => place.provided(workflows.herd.enqueue({ at, gate }, { runId })),
      { concurrency: 8, discard: true }
    )
    const waiting = Effect.gen(function*() {
      const query = { status: "suspended", limit: size } as const
      while ((yield* place.storage.list(query)).runs.length < size) yield* Effect.sleep(50)
    })
    yield* waiting
    expect(place.stepsOf("did").filter(({ step }) => step !== "set")).toEqual([])

    for (const { child } of workers) child.send(String(at - 500 - Date.now()))
    yield* until("both are late", () => place.words("jumped").length === 2)
    yield* until(
      "both are full",
      () =>
        workers.every(({ pid }) =>
          place.stepsOf("did").filter((line) => line.step === "woke" && line.pid === pid).length
            === 4
        )
    )
    for (const [n, runId] of fresh.entries()) {
      yield* place.provided(workflows.fresh.enqueue(n, { runId }))
    }
    const looks = (pid: string) => place.words("looked").filter(([by]) => by === pid).length
    const known = new Map(workers.map(({ pid }) => [pid, looks(pid)]))
    yield* until(
      "both know the fresh ones",
      () => workers.every(({ pid }) => looks(pid) >= known.get(pid)! + 2)
    )
    mkdirSync(dirname(gate))
    writeFileSync(gate, "")
    yield* untilEnded(place, [...herd, ...fresh])

    // All of them, and each of them once.
    const stepsIn = (what: "did" | "ack", runIds: ReadonlyArray<string>) => {
      const lines = toldOf(place)[what]
      return runIds.map((runId) => [runId, (lines.get(runId) ?? []).map(({ step }) => step)])
    }
    for (const what of ["did", "ack"] as const) {
      expect(stepsIn(what, herd)).toEqual(herd.map((runId) => [runId, ["set", "woke", "end"]]))
      expect(stepsIn(what, fresh)).toEqual(fresh.map((runId) => [runId, ["fresh"]]))
    }
    for (const runId of herd) {
      const journal = yield* place.provided(Runs.journal(runId))
      expect(workflows.herd.replay(journal)).toEqual({ _tag: "Returned", value: 1 })
      expect(journal.entries.filter(({ type }) => type === "timer")).toHaveLength(2)
    }
    // Both had a part in it.
    const by = new Set(place.stepsOf("did").flatMap(({ pid, step }) => step === "woke" ? pid : []))
    expect(by).toEqual(new Set(workers.map(({ pid }) => pid)))
    const of = (step: string): ReadonlyArray<Line> =>
      place.stepsOf("ack").filter((line) => line.step === step)
    return { fresh: of("fresh"), woke: of("woke"), end: of("end") }
  })

  for (const kind of kinds) {
    it.live(
      `wakes on ${kind}, every one once, and runs that come meanwhile get their turn`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const { end, fresh } = yield* stampede(kind, sizeOf(200), 0)
          // The last to wake has another thing to do later, and these were there before that.
          const before = fresh.filter(({ at }) => at < end.at(-1)!.at)
          expect(before.length).toBeGreaterThan(fresh.length / 2)
        })),
      patience
    )
  }

  it.live(
    "lets those pass that have a higher priority",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const size = sizeOf(60)
        const { fresh, woke } = yield* stampede("sqlite", size, 1)
        // All but those that had begun are behind it.
        expect(woke.filter(({ at }) => at > fresh[0]!.at).length).toBeGreaterThan(size / 2)
      })),
    patience
  )
})

// Both have a server of their own, and wait for it most of the time.
describe.concurrent("a storage that is away", () => {
  describe("a Postgres that dies beneath its workers and clients", () => {
    it.live(
      "takes nothing with it, and they go on by themselves when it is back",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const chance = random(seed + 1)
          const server = yield* serverOf({ durable: true })
          yield* prepare("postgres", server.url)
          const place = yield* makePlace("postgres", server.url)
          const workers = [place.start(), place.start()]
          yield* ready(workers)
          const deaths = runs(4)
          const tasks = tasksOf(runs(40), chance)
          const client = place.start({ tasks })
          let forgotten = 0
          for (let nth = 0; nth < deaths; nth++) {
            const left = 4 * tasks.length - place.stepsOf("did").length
            const many = Math.max(1, Math.ceil(left / (deaths - nth)))
            yield* progress(place, client, 1 + chance.below(many), tasks)
            const held = () => execute(server.url, "SELECT run_id FROM reprise.leases")
            const before = yield* Effect.promise(held)
            // As by a power cut, or by an immediate shutdown.
            if (nth % 2 === 0) yield* Effect.promise(server.killPostmaster)
            else process.kill(server.pid, "SIGQUIT")
            yield* Effect.sleep(chance.below(100))
            yield* Effect.promise(server.restart)
            forgotten += before.length
          }
          yield* wasOver(place, client, tasks)
          yield* untilEnded(place, idsOf(tasks))

          const told = toldOf(place)
          let repeats = 0
          for (const task of tasks) {
            const { done } = yield* check(place, told, task)
            repeats += done.length - 4
          }
          const lost = place.words("left").length
          console.log(
            `seed ${seed}: ${deaths} deaths, ${forgotten} leases forgotten, ${lost} sessions lost, `
              + `${place.words("again").length} calls repeated, ${repeats} steps repeated`
          )
          expect(workers.filter(isAlive)).toEqual(workers)
          // Runs were under way when it died. Whether one is lost by that is chance: most go on where they stood.
          expect(forgotten).toBeGreaterThan(0)
          expect(yield* place.storage.due(Date.now())).toEqual([])
        })),
      patience
    )
  })

  describe("a worker whose storage is away when it starts", () => {
    /** The same process drives a run that comes when its storage is there. */
    const works = Effect.fnUntraced(function*(place: Place, worker: Process) {
      const task: Task = { id: "order-1", n: 1, pause: 5, nap: 0, asks: false }
      yield* place.provided(workflows.order.enqueue(task, { runId: task.id }))
      yield* untilEnded(place, [task.id])
      const { done } = yield* check(place, toldOf(place), task)
      expect(done.map(({ pid }) => pid)).toEqual(Array.from({ length: 4 }, () => worker.pid))
      expect(isAlive(worker)).toBe(true)
    })
    const sentences = (words: ReadonlyArray<ReadonlyArray<string>>) =>
      words.map((line) => line.join(" "))

    it.live(
      "says so, and comes up when the storage does",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* serverOf({})
          yield* prepare("postgres", server.url)
          yield* Effect.promise(() => execute(server.url, "CREATE DATABASE empty"))
          const other = new URL(server.url)
          other.pathname = "/empty"
          yield* Effect.promise(server.killPostmaster)
          // It opens its database when it is asked for something.
          const lazy = yield* makeProcesses({ kind: "postgres", place: server.url })
          const late = lazy.start()
          // It makes its tables first, and is tried anew as a whole.
          const eager = yield* makeProcesses({
            kind: "postgres",
            place: other.href,
            opens: "layer"
          })
          const later = eager.start()

          const filename = join(temporary(), "runs.db")
          yield* prepare("sqlite", filename)
          const db = new DatabaseSync(filename)
          db.exec("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE")
          const locked = yield* makeProcesses({ kind: "sqlite", place: filename, opens: "layer" })
          const last = locked.start()

          yield* until(
            "the health of the one tells of it",
            () => lazy.words("health").some(([, how]) => how === "ill")
          )
          yield* until(
            "the others do",
            () => eager.words("away").length > 0 && locked.words("away").length > 0
          )
          expect([late, later, last].map(isAlive)).toEqual([true, true, true])
          expect([late, later, last].map(({ isReady }) => isReady)).toEqual([false, false, false])
          expect(sentences(lazy.words("health"))[0]).toMatch(/ill .*(refused|connect|unavailable)/i)
          expect(sentences(eager.words("away"))[0]).toMatch(/StorageError/)
          expect(sentences(locked.words("away"))[0]).toMatch(/StorageError.*locked/)

          yield* Effect.promise(server.restart)
          db.close()
          yield* ready([late, later, last])
          yield* until(
            "its health is well again",
            () => lazy.words("health").at(-1)?.[1] === "well"
          )
          yield* works(yield* makePlace("postgres", server.url, lazy), late)
          yield* works(yield* makePlace("postgres", other.href, eager), later)
          yield* works(yield* makePlace("sqlite", filename, locked), last)
        })),
      patience
    )
  })
})
