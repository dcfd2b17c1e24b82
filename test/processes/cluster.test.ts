/**
 * A cluster as real processes on one database: two runners, and a client that drives nothing. One runner is killed
 * in the middle of it all, or stopped for longer than a lease holds and woken. No run is lost, no outcome is told
 * twice, and what was told is never done again.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { Runs, Storage } from "reprise"
import { temporary } from "../storage/support/local.ts"
import { patience } from "../support/amount.ts"
import { createDatabase, execute } from "../support/postgres.ts"
import { type Options as ClientOptions, script as client } from "./support/clusterClient.ts"
import { type Options as RunnerOptions, script as runner } from "./support/clusterRunner.ts"
import { driverOf, prepare } from "./support/sqlStores.ts"
import { type Did, makeWorkflows } from "./support/workerProcess.ts"

const cache = join(temporary(), "cache")

// Nothing is done here: this process only looks.
const workflows = makeWorkflows(() => "nobody")
const steps = ["a", "b", "c", "d"]

type Task = ClientOptions["tasks"][number]

const taskOf = (n: number, pause: number): Task => {
  const kind = (["plain", "naps", "asks"] as const)[n % 3]!
  return { id: `${kind}-${n}`, kind, n, pause }
}
const resultOf = ({ kind, n }: Task) => kind === "asks" ? n + 12 : n + 3

interface Process {
  readonly child: ChildProcess
  readonly pid: string
  /** What a runner holds of all shards, as far as it said. */
  share: number
  /** How it ended: its code, or the signal. */
  readonly ended: Promise<string>
}

interface Line {
  readonly runId: string
  readonly step: string
  readonly by: string
  readonly pid: string
}

const freePort = async (): Promise<number> => {
  const server = createServer()
  await once(server.listen(0, "127.0.0.1"), "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** A database, the log of all its runners, and what starts these. */
const makePlace = Effect.gen(function*() {
  const { url } = yield* Effect.promise(createDatabase)
  yield* prepare("postgres", url)
  const storage = Storage.make(yield* driverOf("postgres", url))
  const log = join(temporary(), "log")
  const started = new Set<Process>()
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      for (const { child } of started) child.kill("SIGKILL")
      await Promise.all(Array.from(started, ({ ended }) => ended))
    })
  )
  const start = (script: string, options: RunnerOptions | ClientOptions): Process => {
    const child = spawn(
      process.execPath,
      ["--conditions=reprise-source", script, JSON.stringify(options)],
      {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, NODE_COMPILE_CACHE: cache }
      }
    )
    const ended = once(child, "exit").then(([code, signal]) => String(signal ?? code))
    const one: Process = { child, pid: String(child.pid), share: 0, ended }
    child.stdout!.on("data", (text) => {
      // What the cluster logs stands in between.
      for (const line of String(text).split("\n")) {
        if (/^[\d.]+$/.test(line)) one.share = Number(line)
      }
    })
    started.add(one)
    return one
  }
  /** Two runners that have both their part of the shards. */
  const runners = Effect.gen(function*() {
    const two = [
      start(runner, { url, log, port: yield* Effect.promise(freePort) }),
      start(runner, { url, log, port: yield* Effect.promise(freePort) })
    ] as const
    yield* until("both have shards", () => two.every(({ share }) => share > 0 && share < 1))
    return two
  })
  /** Enqueues them in a process that ends behind that. */
  const enqueue = Effect.fnUntraced(function*(tasks: ReadonlyArray<Task>) {
    expect(yield* Effect.promise(() => start(client, { url, tasks }).ended)).toBe("0")
  })
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
  /** The runs whose lease the process has. */
  const leases = (pid: string) =>
    Effect.map(
      Effect.promise(() => execute(url, "SELECT run_id, owner FROM reprise.leases")),
      (rows) =>
        (rows as ReadonlyArray<{ readonly run_id: string; readonly owner: string }>)
          .filter(({ owner }) => String(JSON.parse(owner).pid) === pid)
          .map(({ run_id }) => run_id)
    )
  const provided = Effect.provideService(Storage.Storage, storage)
  return { url, storage, provided, runners, enqueue, words, stepsOf, leases }
})

type Place = Effect.Success<typeof makePlace>

const until = (what: string, isSo: () => boolean) =>
  Effect.gen(function*() {
    while (!isSo()) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOrElse({
    duration: patience / 2,
    orElse: () => Effect.die(new Error(`it never came to this: ${what}`))
  }))

/** All of them have come to their end, and well. */
const untilEnded = (place: Place, tasks: ReadonlyArray<Task>) =>
  Effect.gen(function*() {
    const open = new Map<string, string>(tasks.map(({ id }) => [id, "unknown"]))
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
      orElse: () => Effect.die(new Error(`these do not end: ${JSON.stringify(Array.from(open))}`))
    }))
  })

/** Journal, result, effects and acknowledgements of an ended run say the same; gives what was done of it. */
const check = Effect.fnUntraced(function*(place: Place, task: Task) {
  const { id, kind } = task
  const journal = yield* place.provided(Runs.journal(id))
  const { entries, rejected, torn } = journal
  expect({ id, rejected, torn }).toEqual({ id, rejected: 0, torn: 0 })
  expect(workflows[kind].replay(journal)).toEqual({ _tag: "Returned", value: resultOf(task) })
  const outcomes = entries.flatMap((entry) =>
    entry.type === "step"
      ? [{ step: entry.stepId, by: (entry.result as unknown as Did).by }]
      : []
  )
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
  const stands = new Set(outcomes.map(({ by }) => by))
  return { outcomes, inVain: done.filter(({ by }) => !stands.has(by)) }
})

describe("two runners of which one is killed in the middle of its runs", () => {
  it.live(
    "lose none of them, and repeat only what was under way",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const place = yield* makePlace
        const [victim, survivor] = yield* place.runners
        const tasks = Array.from({ length: 20 }, (_, n) => taskOf(n, 300))
        yield* place.enqueue(tasks)
        yield* until("both are at work", () =>
          [victim, survivor].every(({ pid }) =>
            place.stepsOf("ack").some((line) =>
              line.pid === pid
            )
          ))
        victim.child.kill("SIGKILL")
        const killedAt = Date.now()
        yield* Effect.promise(() => victim.ended)
        const held = yield* place.leases(victim.pid)
        yield* untilEnded(place, tasks)

        const repeated: Array<Line> = []
        let latest = 0
        for (const task of tasks) {
          const { entries } = yield* place.provided(Runs.journal(task.id))
          const taken = entries.findLast(({ type }) => type === "start")
          if (held.includes(task.id)) latest = Math.max(latest, Date.parse(taken!.timestamp))
          const { inVain, outcomes } = yield* check(place, task)
          repeated.push(...inVain)
          // Who died did nothing behind what the other one did.
          const byOther = outcomes.findIndex(({ by }) => by.startsWith(`${survivor.pid}.`))
          expect(
            outcomes.slice(Math.max(0, byOther)).every(({ by }) =>
              byOther === -1 || by.startsWith(`${survivor.pid}.`)
            )
          ).toBe(true)
        }
        console.log(
          `${held.length} runs held by the dead, ${repeated.length} steps repeated, the last one continued ${
            latest - killedAt
          } ms later`
        )
        expect(held.length).toBeGreaterThan(0)
        // Of what the dead was in when it died, one step of a run.
        expect(repeated.filter(({ pid }) => pid !== victim.pid)).toEqual([])
        expect(new Set(repeated.map(({ runId }) => runId)).size).toBe(repeated.length)
        expect(repeated.filter(({ runId }) => !held.includes(runId))).toEqual([])
        expect(yield* place.storage.due(Date.now())).toEqual([])
        expect(yield* place.leases(survivor.pid)).toEqual([])
      })),
    patience
  )
})

describe("a runner that is told to end", () => {
  it.live(
    "ends its steps first, and leaves nothing to repeat and no lease",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const place = yield* makePlace
        const [leaving, staying] = yield* place.runners
        const tasks = Array.from({ length: 20 }, (_, n) => taskOf(n, 300))
        yield* place.enqueue(tasks)
        yield* until("both are at work", () =>
          [leaving, staying].every(({ pid }) =>
            place.stepsOf("ack").some((line) =>
              line.pid === pid
            )
          ))
        leaving.child.kill("SIGTERM")
        expect(yield* Effect.promise(() => leaving.ended)).toBe("130")
        expect(yield* place.leases(leaving.pid)).toEqual([])
        yield* untilEnded(place, tasks)
        for (const task of tasks) expect((yield* check(place, task)).inVain).toEqual([])
        expect(place.stepsOf("did").some(({ pid }) => pid === staying.pid)).toBe(true)
      })),
    patience
  )
})

describe("a runner that is stopped until another one has its runs, and woken", () => {
  it.live(
    "is fenced by the journals: nothing that it did in between is told",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const place = yield* makePlace
        const [zombie, other] = yield* place.runners
        const tasks = Array.from({ length: 20 }, (_, n) => taskOf(n, 500))
        yield* place.enqueue(tasks)
        const unsure = () => {
          const told = new Set(place.stepsOf("ack").map(({ by }) => by))
          return place.stepsOf("did").filter(({ by, pid }) => pid === zombie.pid && !told.has(by))
        }
        // In the middle of a step whose effect is there, and whose outcome nobody knows.
        for (;;) {
          zombie.child.kill("SIGSTOP")
          yield* Effect.sleep(20)
          if (unsure().length > 0) break
          zombie.child.kill("SIGCONT")
          yield* Effect.sleep(10)
        }
        const held = unsure().map(({ runId }) => runId)
        const before = place.stepsOf("did").length
        yield* until("the other one goes on with what it held", () => {
          const by = place.stepsOf("did").filter(({ pid }) => pid === other.pid)
          return held.every((runId) => by.some((line) => line.runId === runId))
        })
        expect(place.stepsOf("did").slice(before).filter(({ pid }) => pid === zombie.pid))
          .toEqual([])
        zombie.child.kill("SIGCONT")
        yield* untilEnded(place, tasks)

        let refused = 0
        for (const task of tasks) {
          const { inVain } = yield* check(place, task)
          const ofZombie = inVain.filter(({ pid }) => pid === zombie.pid)
          // What it was in when it was stopped, or was about to begin, and nothing behind that.
          expect(ofZombie.length).toBeLessThanOrEqual(1)
          refused += ofZombie.length
        }
        console.log(`${held.length} runs under way, ${refused} outcomes refused`)
        expect(refused).toBeGreaterThan(0)
        expect(place.words("left").filter(([, pid]) => pid === zombie.pid)).not.toEqual([])

        // It is a runner again, and does its part of what comes next.
        yield* until("both have shards", () => zombie.share > 0 && other.share < 1)
        const next = Array.from({ length: 12 }, (_, n) => taskOf(100 + n, 20))
        yield* place.enqueue(next)
        yield* untilEnded(place, next)
        for (const task of next) expect((yield* check(place, task)).inVain).toEqual([])
      })),
    patience * 2
  )
})
