/**
 * Four processes on one run for twenty seconds, killed, stopped and woken at random, half of them blind to
 * the lease: no acknowledgement is lost, no two contradict each other, and every look at the journal shows
 * a longer prefix of the same entries.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Journal } from "reprise"
import { decode } from "../../src/storage/Files.ts"
import { local, temporary } from "../storage/support/local.ts"
import { random } from "../storage/support/random.ts"
import { makeLoop } from "./support/loop.ts"

const script = fileURLToPath(new URL("support/contender.ts", import.meta.url))
const seconds = Number(process.env.CHAOS_SECONDS ?? 20)
const seed = Number(process.env.CHAOS_SEED ?? 1)

const wait = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Contenders that come and go; gives how often each thing was done to them. */
const chaos = async (base: string, look: () => void) => {
  const chance = random(seed)
  const kinds = ["polite", "bold", "polite", "bold"]
  const done = { spawned: 0, kills: 0, stops: 0, looks: 0 }
  const cache = join(base, "cache")
  const stopped = new Set<ChildProcess>()
  /** A process that has not begun yet would only be killed for nothing. */
  const ready = new Set<ChildProcess>()
  const enter = (kind: string): ChildProcess => {
    const log = join(base, `log-${done.spawned++}`)
    const one = spawn(
      process.execPath,
      [
        "--conditions=reprise-source",
        script,
        join(base, "runs"),
        log,
        join(base, "stop"),
        kind,
        String(chance.below(2 ** 31))
      ],
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, NODE_COMPILE_CACHE: cache } }
    )
    one.stdout.once("data", () => ready.add(one))
    return one
  }
  const contenders = kinds.map(enter)
  try {
    const end = performance.now() + seconds * 1_000
    while (performance.now() < end) {
      await wait(5 + chance.below(40))
      const at = chance.below(contenders.length)
      const one = contenders[at]!
      const dice = chance.below(10)
      if (!ready.has(one)) continue
      if (stopped.has(one)) {
        if (dice < 4) {
          one.kill("SIGCONT")
          stopped.delete(one)
        }
      } else if (dice < 4) {
        one.kill("SIGSTOP")
        stopped.add(one)
        done.stops++
      } else if (dice < 6 || one.exitCode !== null) {
        one.kill("SIGKILL")
        contenders[at] = enter(chance.pick(kinds))
        done.kills++
      }
      if (++done.looks % 10 === 0) look()
    }
  } finally {
    for (const one of contenders) one.kill("SIGKILL")
  }
  for (const one of contenders) {
    if (one.exitCode === null && one.signalCode === null) await once(one, "exit")
  }
  return done
}

describe("four processes that are killed and stopped at random", () => {
  it.live("lose no acknowledgement and contradict none", () =>
    Effect.gen(function*() {
      const base = temporary()
      const path = join(base, "runs", "r.jsonl")
      const stopFile = join(base, "stop")
      const loop = makeLoop(stopFile)
      const on = local(join(base, "runs"))
      yield* Effect.provide(loop.enqueue(undefined, { runId: "r" }), on)

      const read = () => {
        const journal = Journal.read("r", decode(readFileSync(path)))
        if (Result.isFailure(journal)) throw new Error(`seed ${seed}: ${journal.failure.message}`)
        return journal.success
      }
      let seen: ReadonlyArray<string> = []
      const look = () => {
        const sums = read().entries.map(({ sum }) => sum)
        expect(sums.length).toBeGreaterThanOrEqual(seen.length)
        for (const [offset, sum] of seen.entries()) {
          if (sums[offset] !== sum) throw new Error(`seed ${seed}: entry ${offset} changed`)
        }
        seen = sums
      }
      const done = yield* Effect.promise(() => chaos(base, look))
      look()

      const { entries, head, rejected } = read()
      const logs = readdirSync(base).filter((name) => name.startsWith("log-")).map((name) =>
        readFileSync(join(base, name), "utf8").split("\n")
      )
      const acks = logs.flat().filter((line) => line.startsWith("ack "))
      const wrong = acks.filter((line) => {
        const [_, offset, sum] = line.split(" ")
        return entries[Number(offset)]?.sum !== sum
      })
      const bad = logs.flat().filter((line) => line.startsWith("bad "))
      const fenced = logs.flat().filter((line) => line === "lost Fenced").length
      console.log(
        `seed ${seed}: ${acks.length} acknowledgements, ${entries.length} entries, ${head.session} sessions, `
          + `${fenced} fenced, ${rejected} lines refused, ${done.kills} kills, ${done.stops} stops`
      )
      expect({ seed, wrong: wrong.slice(0, 5), count: wrong.length, bad }).toEqual({
        seed,
        wrong: [],
        count: 0,
        bad: []
      })
      // The chaos was one: without these nothing has been shown.
      expect(acks.length).toBeGreaterThan(50)
      expect(fenced).toBeGreaterThan(0)
      expect(done.kills).toBeGreaterThan(0)
      expect(done.stops).toBeGreaterThan(0)

      writeFileSync(stopFile, "")
      const end = yield* Effect.provide(loop.resume("r"), on)
      expect(end.status).toBe("success")
      const { result } = end as Extract<typeof end, { status: "success" }>
      expect(result.sum).toBe(result.round * (result.round - 1) / 2)
      const after = read()
      expect(after.entries.slice(0, entries.length)).toEqual(entries)
      const outcomes = after.entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
      expect(new Set(outcomes).size).toBe(outcomes.length)
    }), (seconds + 60) * 1_000)
})
