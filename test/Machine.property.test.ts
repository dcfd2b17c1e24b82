/**
 * Random bodies on the replay machine: whatever the order of outcomes, events and cancels, and wherever an
 * owner crashes, a replay of the journal sees what was seen live.
 *
 * A failure prints its seed and path; give them to `fc.assert` as `{ seed, path }` to run it again.
 * `TEST_AMOUNT=100` draws a hundred times as many.
 */
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { drawn, patience } from "./support/amount.ts"
import { at } from "./support/hand.ts"
import {
  begin,
  checkReplays,
  type History,
  type Life,
  play,
  rebuild,
  type Recorded,
  sealed,
  snapshot
} from "./support/owner.ts"
import { type Program, programs } from "./support/programs.ts"

vi.setConfig({ testTimeout: patience })

const everything = programs({
  fans: ["all", "race", "any", "each"],
  shared: true,
  throws: true,
  fails: true,
  once: true
})
const sequential = programs({ fans: [], shared: true, throws: true, fails: true, once: true })
const choices = fc.array(fc.nat(1_000), { maxLength: 120, size: "max" })

describe("a random body", () => {
  it("with branches replays every prefix of its journal to what it was live", () => {
    fc.assert(
      fc.property(everything, choices, (program, choices) => {
        checkReplays(program, play(program, choices))
      }),
      drawn(2_500)
    )
  })

  it("without branches does so too", () => {
    fc.assert(
      fc.property(sequential, choices, (program, choices) => {
        checkReplays(program, play(program, choices))
      }),
      drawn(1_000)
    )
  })

  it("is the same on a machine fed at once and on one that was rebuilt on the way", () => {
    fc.assert(
      fc.property(everything, choices, fc.nat(), (program, choices, where) => {
        const { journal, states } = play(program, choices)
        const cut = where % (journal.length + 1)
        const life = rebuild(program, journal.slice(0, cut))
        for (const { entry, session, timestamp } of journal.slice(cut)) {
          life.machine.feed(sealed(entry, session), timestamp)
        }
        expect(snapshot(life)).toBe(states.at(-1))
      }),
      drawn(200)
    )
  })

  it("ends when it is cancelled and its clean-up is answered, or at once the second time", () => {
    fc.assert(
      fc.property(everything, fc.nat(30), fc.boolean(), (program, before, twice) => {
        const life = begin(program, true)
        const { machine } = life
        for (let k = 0; k < before && machine.outcome === undefined; k++) answer(life, k, 0)
        if (machine.outcome !== undefined) return
        machine.feed({ type: "cancel", eventId: "c1" }, at(1))
        let answers = 0
        if (twice && machine.outcome === undefined) {
          machine.feed({ type: "cancel", eventId: "c2" }, at(2))
        } else {
          while (machine.outcome === undefined && answers < 1_000) answer(life, answers++, 0)
        }
        expect(answers).toBeLessThan(1_000)
        expect(machine.outcome).toBeDefined()
        expect(machine.pending.size).toBe(0)
        expect(machine.cancelled).toBeDefined()
      }),
      drawn(300)
    )
  })
})

/** Answers one thing that is pending, the `n`th. */
const answer = ({ machine }: Life, k: number, n: number): Recorded["entry"] => {
  const all = [...machine.pending.values()]
  const p = all[n % all.length]!
  const { instruction } = p
  if (instruction.op !== "step" && instruction.op !== "suspend") {
    throw new Error("not in these programs")
  }
  const entry: Recorded["entry"] = instruction.op === "step"
    ? { type: "step", stepId: p.id, name: instruction.name, result: `r ${p.id}` }
    : {
      type: "resume",
      stepId: machine.taker(instruction.name, instruction.key)!.id,
      eventName: instruction.name,
      ...(instruction.key === undefined ? undefined : { key: instruction.key }),
      value: "an event",
      eventId: `a${k}`
    }
  machine.feed(entry, at(k))
  return entry
}

/** Every order in which what is pending can be answered: one journal each, at most `most`. */
const orders = (program: Program, most: number): Array<Array<Recorded>> => {
  const out: Array<Array<Recorded>> = []
  const go = (journal: Array<Recorded>) => {
    if (out.length >= most) return
    const life = rebuild(program, journal)
    const { size } = life.machine.pending
    if (life.machine.outcome !== undefined || size === 0) return void out.push(journal)
    for (let n = 0; n < size; n++) {
      const branch = n === 0 ? life : rebuild(program, journal)
      const entry = answer(branch, journal.length, n)
      go([...journal, { entry, session: 1, timestamp: at(journal.length) }])
    }
  }
  go([])
  return out
}

/** What a live machine goes through on the way. */
const watched = (program: Program, journal: ReadonlyArray<Recorded>): History => {
  const life = begin(program, true)
  const states = journal.map(({ entry, timestamp }) => {
    life.machine.feed(entry, timestamp)
    return snapshot(life)
  })
  return { journal, states, crashes: 0 }
}

const step = (name: string) => ({ t: "step", name }) as const
const branches = (...bodies: ReadonlyArray<Program>) =>
  bodies.map((body) => ({ form: "function", body }) as const)
const fan = (op: "all" | "race" | "any", ...bodies: ReadonlyArray<Program>) =>
  ({ t: "fan", op, record: true, branches: branches(...bodies) }) as const
const pair: Program = [step("a"), { t: "set", variable: 0 }, step("b")]
const tidy: Program = [{ t: "try", body: pair, swallow: false, finally: [step("c")] }]

describe("every order of completion", () => {
  const shapes: Record<string, readonly [program: Program, orders: number]> = {
    "four steps": [[fan("all", [step("a")], [step("a")], [step("a")], [step("a")])], 24],
    "three pairs": [[fan("all", pair, pair, pair)], 90],
    "three pairs, two at a time": [[{ ...fan("all", pair, pair, pair), concurrency: 2 }], 24],
    "a race of three pairs": [[fan("race", pair, pair, pair)], 33],
    "a race whose losers clean up": [[fan("race", tidy, tidy), step("after")], 20],
    "any of three": [[fan("any", pair, [step("a")], [step("b")])], 5],
    "a race in an all in a race": [
      [fan("race", [fan("all", [fan("race", pair, pair)], pair)], pair)],
      562
    ],
    "waits and steps": [
      [fan("all", [{ t: "wait", event: "x" }], [{ t: "wait", event: "x" }, step("b")], pair)],
      20
    ]
  }

  it.each(Object.entries(shapes))("replays to itself: %s", (_, [program, count]) => {
    const all = orders(program, 10_000)
    for (const journal of all) checkReplays(program, watched(program, journal))
    expect(all).toHaveLength(count)
  })

  it("replays to itself for random bodies", () => {
    fc.assert(
      fc.property(everything, (program) => {
        for (const journal of orders(program, 12)) checkReplays(program, watched(program, journal))
      }),
      drawn(60)
    )
  })

  it("gives each branch's outcomes to that branch: the results are the same in every order", () => {
    const independent = programs({
      fans: ["all", "each"],
      shared: false,
      throws: false,
      fails: false,
      once: false
    })
    fc.assert(
      fc.property(independent, choices, (program, choices) => {
        const [first, other] = [[], choices].map((choices) => {
          const life = begin(program, false)
          for (let k = 0; life.machine.outcome === undefined; k++) answer(life, k, choices[k] ?? 0)
          return life.machine.outcome
        })
        expect(other).toEqual(first)
      }),
      drawn(400)
    )
  })
})
