/**
 * Four processes on one run, and on twenty, in a database, killed, stopped and woken at random, half of them
 * blind to the lease: no acknowledgement is lost, no two contradict each other, and every look at a journal
 * shows a longer prefix of the same entries. `CHAOS_SECONDS` and `CHAOS_SEED` say how long and which chaos.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Storage } from "reprise"
import { temporary } from "../storage/support/local.ts"
import { createDatabase } from "../support/postgres.ts"
import { makeLoop } from "./support/loop.ts"
import { chaos } from "./support/sqlChaos.ts"
import { driverOf, type Kind, prepare } from "./support/sqlStores.ts"

const script = fileURLToPath(new URL("support/sqlContender.ts", import.meta.url))
const seconds = Number(process.env.CHAOS_SECONDS ?? 6)
const seed = Number(process.env.CHAOS_SEED ?? 1)

const places: Readonly<Record<Kind, (base: string) => Promise<string>>> = {
  sqlite: async (base) => join(base, "runs.db"),
  postgres: async () => (await createDatabase()).url
}

const variants = [["sqlite", 1], ["sqlite", 20], ["postgres", 1], ["postgres", 20]] as const

describe("four processes that are killed and stopped at random", () => {
  for (const [kind, count] of variants) {
    const on = `${kind}, with ${count === 1 ? "one run" : `${count} runs`}`
    it.live(`lose no acknowledgement and contradict none on ${on}`, () =>
      Effect.gen(function*() {
        const base = temporary()
        const place = yield* Effect.promise(() => places[kind](base))
        const stopFile = join(base, "stop")
        const loop = makeLoop(stopFile)
        const runIds = Array.from({ length: count }, (_, n) => `r${n}`)
        yield* prepare(kind, place)
        const storage = Storage.make(yield* driverOf(kind, place))
        const provided = Effect.provideService(Storage.Storage, storage)
        for (const runId of runIds) yield* provided(loop.enqueue(undefined, { runId }))

        const read = (runId: string) =>
          Effect.map(storage.read(runId), ({ journal, version }) => {
            // What stands in the index is the state behind the last line.
            expect(version).toMatch(new RegExp(`^\\d+:${journal.head.offset}:${runId}$`))
            return journal
          })
        const seen = new Map<string, ReadonlyArray<string>>()
        const look = Effect.forEach(runIds, (runId) =>
          Effect.map(read(runId), ({ entries, rejected, torn }) => {
            const sums = entries.map(({ sum }) =>
              sum
            )
            const before = seen.get(runId) ?? []
            if (sums.length < before.length || before.some((sum, n) => sums[n] !== sum)) {
              throw new Error(`seed ${seed}: the journal of ${runId} changed`)
            }
            // A transaction takes all of an append or nothing.
            expect({ runId, rejected, torn }).toEqual({ runId, rejected: 0, torn: 0 })
            seen.set(runId, sums)
          }), { discard: true })
        const done = yield* Effect.promise(() =>
          chaos({
            seed,
            seconds,
            cache: join(base, "cache"),
            arguments: (nth, bearing, chance) => [
              script,
              kind,
              place,
              join(base, `log-${nth}`),
              stopFile,
              bearing,
              String(chance),
              String(count)
            ],
            look: () =>
              Effect.runPromise(look)
          })
        )
        yield* look

        const journals = new Map<string, ReadonlyArray<string>>()
        let sessions = 0
        for (const runId of runIds) {
          const { entries, head } = yield* read(runId)
          journals.set(runId, entries.map(({ sum }) => sum))
          sessions += head.session
        }
        const lines = readdirSync(base).filter((name) => name.startsWith("log-")).flatMap((name) =>
          readFileSync(join(base, name), "utf8").split("\n")
        )
        const acks = lines.filter((line) => line.startsWith("ack "))
        const wrong = acks.filter((line) => {
          const [_, runId, offset, sum] = line.split(" ")
          return journals.get(runId!)?.[Number(offset)] !== sum
        })
        const bad = lines.filter((line) => line.startsWith("bad "))
        const fenced = lines.filter((line) => line === "lost Fenced").length
        const busy = lines.filter((line) => line === "lost Unavailable").length
        const acknowledged = new Set(acks.map((line) => line.split(" ")[1]))
        const total = [...journals.values()].reduce((sum, entries) => sum + entries.length, 0)
        console.log(
          `${on}, seed ${seed}: ${acks.length} acknowledgements, ${total} entries, ${sessions} sessions, `
            + `${fenced} fenced, ${busy} times busy, ${done.kills} kills, ${done.stops} stops, ${done.looks} looks`
        )
        expect({ seed, wrong: wrong.slice(0, 5), count: wrong.length, bad }).toEqual({
          seed,
          wrong: [],
          count: 0,
          bad: []
        })
        // The chaos was one: without these nothing has been shown.
        expect(acks.length).toBeGreaterThan(50)
        expect(acknowledged.size).toBe(count)
        expect(fenced).toBeGreaterThan(0)
        expect(done.kills).toBeGreaterThan(0)
        expect(done.stops).toBeGreaterThan(0)
        expect(done.looks).toBeGreaterThan(0)

        writeFileSync(stopFile, "")
        for (const runId of runIds) {
          const end = yield* provided(loop.resume(runId))
          expect([runId, end.status]).toEqual([runId, "success"])
          const { result } = end as Extract<typeof end, { status: "success" }>
          expect(result.sum).toBe(result.round * (result.round - 1) / 2)
          const { entries } = yield* read(runId)
          const before = journals.get(runId)!
          expect(entries.slice(0, before.length).map(({ sum }) => sum)).toEqual(before)
          const outcomes = entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
          expect(new Set(outcomes).size).toBe(outcomes.length)
        }
        const page = yield* storage.list({ status: "success", limit: count + 1 })
        expect(page.runs.map(({ runId }) => runId)).toEqual(runIds.toSorted())
        expect(yield* storage.due(Date.now())).toEqual([])
      }), (seconds + 60) * 1_000)
  }
})
