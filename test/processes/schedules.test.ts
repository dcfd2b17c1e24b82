/**
 * A schedule with a tick every second in real processes on one SQLite file, two at a time, of which one is
 * killed again and again: every tick has one run, none is missing, and the journal says the same.
 * `TEST_AMOUNT` says how many kills.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Runs, Storage } from "reprise"
import { temporary } from "../storage/support/local.ts"
import { random } from "../storage/support/random.ts"
import { patience, runs } from "../support/amount.ts"
import { script } from "./support/scheduleProcess.ts"
import { driverOf } from "./support/sqlStores.ts"

const seed = Number(process.env.CHAOS_SEED ?? 1)

const until = (what: string, isSo: () => boolean) =>
  Effect.gen(function*() {
    while (!isSo()) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOrElse({
    duration: patience,
    orElse: () => Effect.die(new Error(`seed ${seed}: it never came to this: ${what}`))
  }))

const idOf = (tick: string) => `beat@${tick.replace(".000Z", "Z")}`

/** So many seconds behind each other. */
const seconds = (first: string, last: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let at = Date.parse(first); at <= Date.parse(last); at += 1_000) {
    found.push(idOf(new Date(at).toISOString()))
  }
  return found
}

describe("a schedule whose processes are killed", () => {
  it.live(
    "has exactly one run for every tick, and leaves none out",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const chance = random(seed)
        const base = temporary()
        const filename = join(base, "runs.db")
        const log = join(base, "log")
        const storage = Storage.make(yield* driverOf("sqlite", filename))
        const children: Array<{ readonly child: ChildProcess; readonly ended: Promise<unknown> }> =
          []
        yield* Effect.addFinalizer(() =>
          Effect.promise(async () => {
            for (const { child } of children) child.kill("SIGKILL")
            await Promise.all(children.map(({ ended }) => ended))
          })
        )
        const start = () => {
          const child = spawn(
            process.execPath,
            ["--conditions=reprise-source", script, JSON.stringify({ filename, log })],
            {
              stdio: ["ignore", "pipe", "inherit"],
              env: { ...process.env, NODE_COMPILE_CACHE: join(base, "cache") }
            }
          )
          const one = { child, ended: once(child, "exit"), ready: once(child.stdout!, "data") }
          children.push(one)
          return one
        }
        const lines = () =>
          (existsSync(log) ? readFileSync(log, "utf8") : "").split("\n").filter((line) =>
            line !== ""
          ).map((line) => line.split(" ") as [tick: string, pid: string])
        const ticksDone = () => new Set(lines().map(([tick]) => tick)).size

        const kills = runs(4)
        let one = start(), other = start()
        yield* Effect.promise(() => Promise.all([one.ready, other.ready]))
        for (let nth = 0; nth < kills; nth++) {
          const before = ticksDone()
          yield* until("it ticks", () => ticksDone() >= before + 2)
          // Around a tick as well as between two.
          yield* Effect.sleep(chance.below(1_000))
          const victims = nth % 2 === 0 ? [one] : [one, other]
          for (const { child } of victims) child.kill("SIGKILL")
          yield* Effect.promise(() => Promise.all(victims.map(({ ended }) => ended)))
          // Nobody is there for a while when both are gone.
          if (victims.length === 2) {
            yield* Effect.sleep(1_500)
            other = start()
          }
          one = start()
          yield* Effect.promise(() => Promise.all([one.ready, other.ready]))
        }
        const before = ticksDone()
        yield* until("it ticks after the last kill", () => ticksDone() >= before + 2)
        one.child.kill("SIGTERM")
        other.child.kill("SIGTERM")
        yield* Effect.promise(() => Promise.all([one.ended, other.ended]))

        const found = (yield* storage.list({ workflow: "beat", limit: 10_000 })).runs
        const ids = found.map(({ runId }) => runId)
        const tickOf = (id: string) => id.slice("beat@".length)
        expect(ids).toEqual(seconds(tickOf(ids[0]!), tickOf(ids.at(-1)!)))
        expect(ids.length).toBeGreaterThan(2 * kills)

        // The schedule's own journal, over all sessions and processes, has each of them once.
        const provided = Effect.provideService(Storage.Storage, storage)
        const enqueued: Array<string> = []
        const chain = (yield* storage.list({ workflow: "schedule:beat" })).runs
        for (const { runId } of chain) {
          const { entries, rejected } = yield* provided(Runs.journal(runId))
          expect(rejected).toBe(0)
          for (const entry of entries) {
            if (entry.type === "step") {
              enqueued.push(
                ...(entry.result as unknown as { readonly enqueued: ReadonlyArray<string> })
                  .enqueued
              )
            }
          }
        }
        // What was begun last may not have come to the journal any more.
        expect(ids.slice(0, enqueued.length)).toEqual(enqueued)
        expect(ids.length - enqueued.length).toBeLessThanOrEqual(1)

        // Those that have ended were each given their own tick.
        for (const { runId, result, status } of found) {
          if (status === "success") expect(idOf(result as string)).toBe(runId)
        }
        const by = new Set(lines().map(([, pid]) => pid))
        console.log(
          `seed ${seed}: ${ids.length} ticks, ${kills} kills, done by ${by.size} processes`
        )
        expect(by.size).toBeGreaterThan(1)
      })),
    2 * patience
  )
})
