/**
 * The local storage's own code under random schedules: several processes open sessions of one run and
 * append, while they crash, are overtaken, lose the power, and have the run removed under them. What one
 * was told is safe stays so, and nobody loses a run that nobody took.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import { Journal, Storage } from "reprise"
import { decode } from "../../src/storage/Files.ts"
import * as LocalDriver from "../../src/storage/LocalDriver.ts"
import { runs } from "../support/amount.ts"
import { directory, type Process, World } from "./support/simulated.ts"

interface Weather {
  readonly crashes: number
  readonly powerCuts: number
  readonly removals: number
  /** One write in so many; 0 for none. */
  readonly shortWrites: number
}

const timestamp = "2026-01-02T03:04:05.678Z"
const step = (name: string): Journal.Entry => ({ type: "step", stepId: name, name, result: "é" })

const nothing = Buffer.alloc(0)

const history = async (seed: number, weather: Weather) => {
  const world = new World(seed)
  world.shortWrites = weather.shortWrites
  const { chance, log } = world
  /** What was told to be safe: the sums of an incarnation's first entries. */
  const safe = new Map<string, Array<string>>()
  let acknowledged = 0
  let wrong: string | undefined
  const fail = (what: string) => wrong ??= what
  let incarnations = 0
  let serial = 0

  let last:
    | { readonly bytes: Buffer; readonly journal: ReturnType<typeof Journal.read> }
    | undefined
  const standing = () => {
    const bytes = world.file("r.jsonl")?.bytes ?? nothing
    if (last?.bytes !== bytes) last = { bytes, journal: Journal.read("r", decode(bytes)) }
    return last.journal
  }
  const check = () => {
    const journal = standing()
    if (Result.isFailure(journal)) {
      return fail(`a sound journal is refused: ${journal.failure.message}`)
    }
    const { entries, head } = journal.success
    for (const [offset, sum] of (safe.get(head.incarnation) ?? []).entries()) {
      if (entries[offset]?.sum !== sum) return fail(`acknowledged entry ${offset} is not accepted`)
    }
  }

  /** Opens sessions and appends until it is killed. */
  const owner = ({ name }: Process): Effect.Effect<void, unknown, any> =>
    Effect.gen(function*() {
      const storage = Storage.make(yield* LocalDriver.driver(directory))
      for (let life = 0;; life++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const loaded = yield* storage.read("r")
          const { head } = loaded.journal
          const isNew = head.offset === 0
          const stamp: Journal.Stamp = {
            incarnation: isNew ? `i${++incarnations}` : head.incarnation,
            session: head.session + 1,
            writer: `${name}.${life}`
          }
          const writer = yield* storage.writer(loaded)
          const append = (...entries: ReadonlyArray<Journal.Entry>) =>
            Effect.map(
              writer.append(stamp, entries.map((entry) => Journal.stamped(entry, timestamp))),
              (isAccepted) => {
                const journal = Result.getOrThrow(standing())
                const now = journal.head
                if (isAccepted) {
                  acknowledged++
                  const { offset, prev } = writer.head()
                  log.push(
                    `${stamp.writer} is told that ${offset - entries.length} to ${
                      offset - 1
                    } are safe`
                  )
                  const sums = journal.entries.map(({ sum }) => sum)
                  // A run may be removed right after the look that found it.
                  if (now.incarnation !== stamp.incarnation) return isAccepted
                  if (sums[offset - 1] !== prev) {
                    fail(`${stamp.writer} is told that ${offset - 1} is safe, and it is not`)
                  }
                  const known = safe.get(now.incarnation) ?? []
                  if (offset > known.length) safe.set(now.incarnation, sums.slice(0, offset))
                } else {
                  log.push(`${stamp.writer} is told that someone else wrote`)
                  if (now.incarnation === stamp.incarnation && now.writer === stamp.writer) {
                    fail(`${stamp.writer} is fenced, and the run is its own`)
                  }
                }
                return isAccepted
              }
            )
          const opening: Journal.Entry = isNew
            ? { type: "start", format: 1, workflow: "w", runId: "r", metadata: "😀" }
            : { type: "start" }
          log.push(
            `${stamp.writer} opens session ${stamp.session} of ${stamp.incarnation} at ${head.offset}`
          )
          if (!(yield* append(opening, ...chance.oneIn(2) ? [step(`s${serial++}`)] : []))) return
          for (let n = chance.below(6); n > 0; n--) {
            const some = Array.from({ length: 1 + chance.below(3) }, () => step(`s${serial++}`))
            if (!(yield* append(...some))) return
          }
        }))
      }
    })

  const remover = Effect.flatMap(LocalDriver.driver(directory), (driver) => {
    log.push("the run is removed")
    return driver.remove("r")
  })

  let spawned = 0
  const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  const owners: Array<Process> = []
  const spawn = (effect: (process: Process) => Effect.Effect<unknown, unknown, any>) => {
    const { layer, process } = world.spawn(`p${spawned++}`)
    fibers.push(Effect.runFork(
      effect(process).pipe(
        Effect.provide(layer),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            world.end(process)
            if (exit._tag === "Failure" && !isFull(exit.cause)) {
              fail(`${process.name} fails: ${String(exit.cause)}`)
            }
          })
        )
      ) as Effect.Effect<unknown, unknown>
    ))
    return process
  }
  const isFull = (cause: unknown) =>
    weather.shortWrites > 0 && String(cause).includes("takes only a part")

  let { crashes, powerCuts, removals } = weather
  for (let turns = 0; turns < 250 && wrong === undefined; turns++) {
    for (const one of owners.splice(0)) if (one.isAlive) owners.push(one)
    while (owners.length < 3) owners.push(spawn(owner))
    const dice = chance.below(100)
    if (dice < 3 && crashes > 0) {
      crashes--
      world.crash(chance.pick(owners))
    } else if (dice < 4 && powerCuts > 0) {
      powerCuts--
      world.cutPower()
    } else if (dice < 6 && removals > 0 && acknowledged > 2) {
      removals--
      spawn(() => remover)
    } else if (!world.turn()) {
      // Everyone is between two operations: Effect's own scheduler is on.
      await new Promise((resolve) => setImmediate(resolve))
    }
    check()
  }
  for (const process of owners) world.end(process)
  void fibers
  return { wrong, log, acknowledged }
}

describe("random histories of processes", () => {
  const calm: Weather = { crashes: 0, powerCuts: 0, removals: 0, shortWrites: 0 }
  const weathers: ReadonlyArray<readonly [name: string, weather: Weather]> = [
    ["with pauses", calm],
    ["with crashes", { ...calm, crashes: 6 }],
    ["with crashes and power cuts", { ...calm, crashes: 4, powerCuts: 2 }],
    ["with short writes", { ...calm, crashes: 2, shortWrites: 5 }],
    ["with removed runs", { ...calm, crashes: 2, removals: 4 }],
    ["with all of it", { crashes: 4, powerCuts: 1, removals: 2, shortWrites: 6 }]
  ]
  for (const [name, weather] of weathers) {
    it(`${name} keep what was acknowledged, and fence nobody for nothing`, async () => {
      let acknowledged = 0
      for (let seed = 1; seed <= runs(30); seed++) {
        const one = await history(seed, weather)
        acknowledged += one.acknowledged
        if (one.wrong !== undefined) {
          throw new Error(`seed ${seed}: ${one.wrong}\n${one.log.join("\n")}`)
        }
      }
      expect(acknowledged).toBeGreaterThan(runs(30) * 3)
    })
  }

  it("are the same for the same seed", async () => {
    const weather = weathers.at(-1)![1]
    for (let seed = 1; seed <= 3; seed++) {
      expect(await history(seed, weather)).toEqual(await history(seed, weather))
    }
  })
})
