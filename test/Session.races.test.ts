/**
 * Owner and posters against each other, in every order of their calls to the storage: whatever was accepted
 * for an open run is journaled by someone, once, and what is journaled replays.
 *
 * The processes are the real engine; only the moment at which each of their calls happens is chosen.
 * A failure shows the order it happened in. `TEST_AMOUNT=10` plays ten times as many random orders.
 */
import { Effect, Exit, Schema } from "effect"
import fc from "fast-check"
import { isDeepStrictEqual } from "node:util"
import { describe, expect, it, vi } from "vitest"
import type { Recorded } from "../src/Entry.ts"
import * as Instruction from "../src/Instruction.ts"
import * as Workflow from "../src/Workflow.ts"
import { drawn, patience } from "./support/amount.ts"
import { failureOf } from "./support/faults.ts"
import {
  type Actor,
  type Choice,
  explore,
  playOnce,
  type Rest,
  runId,
  type Step,
  type Story,
  withSwitches
} from "./support/interleavings.ts"

vi.setConfig({ testTimeout: patience })

// ---------------------------------------------------------------------------------------------------
// the workflow and its callers

/** A quick step, an effect, one with a timeout, a wait, an effect beside a wait, and one against a wait. */
type Letter = "S" | "E" | "T" | "W" | "P" | "R"

/** A workflow that does one letter after the other. Its effects wait for `works`, where there is one. */
const letters = (program: ReadonlyArray<Letter>, works: Step = (_, value) => Effect.sync(value)) =>
  Workflow.make("letters", { events: { go: Schema.Json } }, function*(ctx) {
    const seen: Array<Schema.Json> = []
    const slow = () => ctx.step("slow", () => works("works", () => "worked"))
    const wait = () => ctx.suspend("go")
    try {
      for (const letter of program) {
        if (letter === "S") seen.push(yield* ctx.step("quick", () => "done"))
        else if (letter === "E") seen.push(yield* slow())
        else if (letter === "T") {
          const inTime = ctx.step("slow", () => works("works", () => "worked"), { timeout: 500 })
          seen.push((yield* Instruction.result(inTime))._tag)
        } else if (letter === "W") seen.push(yield* wait())
        else if (letter === "P") seen.push(yield* ctx.all([slow(), wait()]))
        else seen.push(yield* ctx.race([slow(), wait()]))
      }
    } finally {
      yield* ctx.step("tidy", () => "tidied")
    }
    return seen
  })

const spell = (text: string) => text.split("") as Array<Letter>

const enqueued = (text: string) => letters(spell(text)).enqueue(undefined, { runId })

const driver = (name: string, text: string): Actor => ({
  name,
  does: (step) => letters(spell(text), step).resume(runId)
})
const starter = (name: string, text: string): Actor => ({
  name,
  does: (step) => letters(spell(text), step).start(undefined, { runId })
})
const resumer = (name: string, text: string, posts: string): Actor => ({
  name,
  posts,
  does: (step) =>
    letters(spell(text), step).resume(runId, { eventName: "go", value: posts, eventId: posts })
})
const canceller = (name: string, text: string, posts: string): Actor => ({
  name,
  posts,
  does: (step) => letters(spell(text), step).cancel(runId, { eventId: posts })
})

// ---------------------------------------------------------------------------------------------------
// what must hold

const ends: ReadonlySet<string> = new Set(["complete", "error", "cancelled"])

const eventIdOf = (entry: Recorded): ReadonlyArray<string> =>
  entry.type === "event" || entry.type === "cancel" || entry.type === "resume" && "value" in entry
    ? [entry.eventId]
    : []

const repeated = (ids: ReadonlyArray<string>) => ids.filter((id, n) => ids.indexOf(id) !== n)

/** What must hold of a journal, whatever happened. */
const soundness = ({ journal, rejected }: Rest, text: string) => {
  const replayed = letters(spell(text)).replay({
    runId,
    entries: journal,
    head: { incarnation: "", session: 0, writer: "", offset: 0, prev: "-" },
    rejected: 0,
    torn: 0
  })
  return {
    replays: replayed._tag !== "Diverged" && replayed._tag !== "Broke",
    rejected,
    eventsTwice: repeated(journal.flatMap(eventIdOf)),
    stepsTwice: repeated(journal.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])),
    behindTheEnd: journal.slice(0, -1).filter(({ type }) => ends.has(type)).length
  }
}
const sound = { replays: true, rejected: 0, eventsTwice: [], stepsTwice: [], behindTheEnd: 0 }

/** What is left undone of an open run. */
const leftUndone = ({ journal, posted }: Rest) => {
  const last = journal.at(-1)?.type ?? "start"
  if (ends.has(last)) return { lost: [], abandoned: false }
  const journaled = new Set(journal.flatMap(eventIdOf))
  return { lost: posted.filter((id) => !journaled.has(id)), abandoned: last !== "suspend" }
}
const nothing = { lost: [], abandoned: false }

/**
 * Nobody fails but who was overtaken, or met a storage that failed. Whoever got a value got the run's, and
 * whoever was told that the run waits had been heard.
 */
const wrongAnswers = ({ exits, failed, journal, wrote }: Rest, actors: ReadonlyArray<Actor>) => {
  const end = journal.find(({ type }) => type === "complete") as { result?: unknown } | undefined
  const journaled = new Set(journal.flatMap(eventIdOf))
  return actors.flatMap(({ name, posts }) => {
    const exit = exits[name]
    if (exit === undefined) return []
    if (Exit.isSuccess(exit)) {
      const { result, status } = (exit.value ?? {}) as { status?: string; result?: unknown }
      return status === "success" && !isDeepStrictEqual(result, end?.result)
          || status === "suspended" && posts !== undefined && !journaled.has(posts)
        ? [`${name} was told ${JSON.stringify(exit.value)}`]
        : []
    }
    const { _tag } = (failureOf(exit) ?? {}) as { _tag?: string }
    // Only who had opened a session can lose the run.
    const isAllowed = _tag === "RunClosed" || _tag === "Fenced" && wrote.has(name)
      || _tag === "StorageError" && failed > 0
    return isAllowed
      ? []
      : [`${name}: ${String(exit.cause)}`]
  })
}

/** Effects that came to their end although the journal says that they were cancelled, or lost their race. */
const worksOn = ({ trace }: Rest, text: string) => {
  const decides = text === "R" ? /^(\S+) append .*(resume|cancel)/ : /^(\S+) append .*cancel/
  const decided = trace.findIndex((line) => decides.test(line))
  const owner = decides.exec(trace[decided] ?? "")?.[1]
  return trace.slice(decided + 1).filter((line) => decided >= 0 && line === `${owner} works`)
}

const judge = ({ actors, text }: Case) => (rest: Rest) => {
  const { died, failed, isLeaseHeld, late } = rest
  const { abandoned, lost } = leftUndone(rest)
  const saw = {
    ...soundness(rest, text),
    wrongAnswers: wrongAnswers(rest, actors),
    // The dead leave things behind, and so may a caller who was told of a failure.
    ...(died.length > 0 ? nothing : { lost, abandoned: abandoned && failed === 0 }),
    isLeaseHeld,
    late,
    worksOn: worksOn(rest, text)
  }
  const should = {
    ...sound,
    wrongAnswers: [],
    ...nothing,
    isLeaseHeld: false,
    late: [],
    worksOn: []
  }
  if (!isDeepStrictEqual(saw, should)) throw new Error(JSON.stringify(saw, undefined, 2))
  // Whoever comes next finds what was left behind, and finishes it.
  const next = rest.afterwards(letters(spell(text)).resume(runId))
  const { status } = (Exit.isSuccess(next) ? next.value : {}) as { status?: string }
  if (!["success", "cancelled", "suspended"].includes(status ?? "")) {
    throw new Error(`the next one comes to ${status ?? String(next)}`)
  }
}

interface Case extends Story {
  readonly text: string
}

describe("in every order", () => {
  const cases: Record<string, Case> = {
    "an owner and a resume": {
      text: "SW",
      before: enqueued("SW"),
      actors: [driver("A", "SW"), resumer("B", "SW", "e1")]
    },
    "two resumes of a suspended run": {
      text: "WW",
      before: letters(spell("WW")).start(undefined, { runId }),
      actors: [resumer("B", "WW", "e1"), resumer("C", "WW", "e2")]
    },
    "the same event twice": {
      text: "WW",
      before: letters(spell("WW")).start(undefined, { runId }),
      actors: [resumer("B", "WW", "e1"), resumer("B'", "WW", "e1")]
    },
    "an owner and a cancel": {
      text: "SW",
      before: enqueued("SW"),
      actors: [driver("A", "SW"), canceller("X", "SW", "c1")]
    },
    "a resume and a cancel": {
      text: "WS",
      before: letters(spell("WS")).start(undefined, { runId }),
      actors: [resumer("B", "WS", "e1"), canceller("X", "WS", "c1")]
    },
    "two cancels": {
      text: "W",
      before: letters(spell("W")).start(undefined, { runId }),
      actors: [canceller("X", "W", "c1"), canceller("Y", "W", "c2")]
    },
    "two drivers": {
      text: "SS",
      before: enqueued("SS"),
      actors: [driver("A", "SS"), driver("D", "SS")]
    },
    "a driver with nothing to do and a resume": {
      text: "W",
      before: letters(spell("W")).start(undefined, { runId }),
      actors: [driver("D", "W"), resumer("B", "W", "e1")]
    },
    "two starts of one id": {
      text: "S",
      actors: [starter("A", "S"), starter("D", "S")]
    },
    "an owner and a resume, one lease runs out": {
      text: "W",
      before: enqueued("W"),
      actors: [driver("A", "W"), resumer("B", "W", "e1")],
      expiries: 1
    },
    "two drivers, one lease runs out": {
      text: "S",
      before: enqueued("S"),
      actors: [driver("A", "S"), driver("D", "S")],
      expiries: 1
    },
    "an owner and a resume, one dies": {
      text: "W",
      before: enqueued("W"),
      actors: [driver("A", "W"), resumer("B", "W", "e1")],
      deaths: 1
    },
    "an owner with an effect and a resume that it is told of": {
      text: "E",
      before: enqueued("E"),
      actors: [driver("A", "E"), resumer("B", "E", "e1")],
      watch: true
    },
    "an owner with an effect and a cancel that it is told of": {
      text: "E",
      before: enqueued("E"),
      actors: [driver("A", "E"), canceller("B", "E", "c1")],
      watch: true
    },
    "an owner with an effect and a cancel that it has to look for": {
      text: "E",
      before: enqueued("E"),
      actors: [driver("A", "E"), canceller("B", "E", "c1")],
      ticks: 1
    },
    "an owner with an effect beside a wait and a resume that it is told of": {
      text: "P",
      before: enqueued("P"),
      actors: [driver("A", "P"), resumer("B", "P", "e1")],
      watch: true
    },
    "an owner with an effect beside a wait and a cancel that it is told of": {
      text: "P",
      before: enqueued("P"),
      actors: [driver("A", "P"), canceller("B", "P", "c1")],
      watch: true
    },
    "an owner with an effect against a wait and a resume that it is told of": {
      text: "R",
      before: enqueued("R"),
      actors: [driver("A", "R"), resumer("B", "R", "e1")],
      watch: true
    },
    "an owner with an effect against a wait and a cancel that it is told of": {
      text: "R",
      before: enqueued("R"),
      actors: [driver("A", "R"), canceller("B", "R", "c1")],
      watch: true
    },
    "an owner with an effect that may take too long and a cancel": {
      text: "T",
      before: enqueued("T"),
      actors: [driver("A", "T"), canceller("B", "T", "c1")],
      ticks: 1
    },
    "an owner whose append fails and a resume": {
      text: "SW",
      before: enqueued("SW"),
      actors: [driver("A", "SW"), resumer("B", "SW", "e1")],
      failures: 1
    }
  }

  it.each(Object.entries(cases))("%s", (_, story) => {
    const { complete, orders } = explore(story, Infinity, judge(story))
    expect(complete).toBe(true)
    expect(orders).toBeGreaterThan(1)
  })
})

describe("in random orders", () => {
  const crowds: Record<string, Case> = {
    "two owners and a resume, one lease runs out": {
      text: "W",
      before: enqueued("W"),
      actors: [driver("A", "W"), driver("D", "W"), resumer("B", "W", "e1")],
      expiries: 1
    },
    "two owners whose appends are not answered, one lease runs out": {
      text: "SW",
      before: enqueued("SW"),
      actors: [driver("A", "SW"), driver("D", "SW"), resumer("B", "SW", "e1")],
      expiries: 2,
      unanswered: 2,
      ticks: 2
    },
    "an owner, two resumes, two leases run out": {
      text: "WSW",
      before: enqueued("WSW"),
      actors: [driver("A", "WSW"), resumer("B", "WSW", "e1"), resumer("C", "WSW", "e2")],
      expiries: 2
    },
    "an owner, a resume, its repeat, a driver, one lease runs out": {
      text: "WS",
      before: enqueued("WS"),
      actors: [
        driver("A", "WS"),
        resumer("B", "WS", "e1"),
        resumer("B'", "WS", "e1"),
        driver("D", "WS")
      ],
      expiries: 1
    },
    "an owner, a resume, two cancels, two leases run out": {
      text: "WE",
      before: enqueued("WE"),
      actors: [
        driver("A", "WE"),
        resumer("B", "WE", "e1"),
        canceller("X", "WE", "c1"),
        canceller("Y", "WE", "c2")
      ],
      expiries: 2,
      ticks: 2
    },
    "starters, resumes and deaths": {
      text: "PW",
      before: enqueued("PW"),
      actors: [
        starter("A", "PW"),
        starter("D", "PW"),
        resumer("B", "PW", "e1"),
        resumer("C", "PW", "e2")
      ],
      expiries: 1,
      deaths: 2,
      ticks: 2
    },
    "an owner with an effect that may take too long, a resume and a cancel": {
      text: "TPT",
      before: enqueued("TPT"),
      actors: [driver("A", "TPT"), resumer("B", "TPT", "e1"), canceller("X", "TPT", "c1")],
      watch: true,
      expiries: 1,
      ticks: 4
    },
    "two owners of an effect that both hear of a resume and a cancel": {
      text: "RPW",
      before: enqueued("RPW"),
      actors: [
        driver("A", "RPW"),
        driver("D", "RPW"),
        resumer("B", "RPW", "e1"),
        canceller("X", "RPW", "c1")
      ],
      expiries: 2,
      ticks: 3,
      watch: true
    }
  }
  const switches = fc.array(fc.tuple(fc.nat(60), fc.nat(1_000)), { maxLength: 12, size: "max" })

  it.each(Object.entries(crowds))("%s", (_, story) => {
    fc.assert(
      fc.property(switches, (switches) => {
        playOnce(story, withSwitches(switches), judge(story))
      }),
      drawn(1_000)
    )
  })
})

describe("while steps run one after the other", () => {
  it("an event that came meanwhile is taken before the run suspends", () => {
    const text = "EW"
    const story: Case = {
      text,
      before: enqueued(text),
      actors: [driver("A", text), resumer("B", text, "e1")]
    }
    // The owner gets on to its effect, which takes until all else is done.
    const rank = ({ actor, what }: Choice) => what === "works" ? 2 : actor === "A" ? 0 : 1
    const choose = (choices: ReadonlyArray<Choice>) =>
      choices.indexOf(choices.toSorted((a, b) => rank(a) - rank(b))[0]!)
    playOnce(story, choose, (rest) => {
      judge(story)(rest)
      expect(rest.journal.map(({ type }) => type)).toEqual([
        "start",
        "start",
        "step",
        "resume",
        "step",
        "complete"
      ])
    })
  })

  it.each(["E", "P", "R", "T"])("a cancel interrupts an effect, which need not end: %s", (text) => {
    const story: Case = {
      text,
      before: enqueued(text),
      actors: [driver("A", text), canceller("X", text, "c1")],
      watch: true
    }
    const rank = ({ actor, what }: Choice) => what === "works" ? 2 : actor === "A" ? 0 : 1
    const choose = (choices: ReadonlyArray<Choice>) =>
      choices.indexOf(choices.toSorted((a, b) => rank(a) - rank(b))[0]!)
    playOnce(story, choose, (rest) => {
      judge(story)(rest)
      expect(rest.trace).not.toContain("A works")
      expect(rest.journal.at(-1)?.type).toBe("cancelled")
    })
  })

  it("a cancel that comes during an append is heard before the step after next", () => {
    const text = "EEEEEEEE"
    const story: Case = {
      text,
      before: enqueued(text),
      actors: [driver("A", text), canceller("X", text, "c1")],
      watch: true
    }
    const posted = "X posts c1"
    const trace: Array<string> = []
    /** The canceller waits for the second outcome; from then on everyone is quick to look. */
    const choose = (choices: ReadonlyArray<Choice>) => {
      const appends = trace.filter((line) => line.startsWith("A append step")).length
      const rank = ({ actor, what }: Choice) =>
        actor === "X"
          ? appends === 1 && choices.some((c) => c.what.startsWith("append step")) ? 0 : 4
          : what.startsWith("reads") || what.startsWith("looks")
          ? 1
          : what.startsWith("append")
          ? 2
          : 3
      const first = choices.toSorted((a, b) => rank(a) - rank(b))[0]!
      trace.push(`${first.actor} ${first.what}`)
      return choices.indexOf(first)
    }
    playOnce(story, choose, (rest) => {
      judge(story)(rest)
      expect(trace).toContain(posted)
      const started = trace.slice(trace.indexOf(posted)).filter((line) => line === "A works")
      expect(started.length).toBeLessThanOrEqual(1)
    })
  })
})

describe("an at-most-once step that is repeated", () => {
  it("journals the intent of each attempt before it, also when that is asked during an append", () => {
    const attempts: Array<number> = []
    const makeRepeated = (works: Step) =>
      Workflow.make("repeated", function*(ctx) {
        return yield* ctx.all({
          once: ctx.step("once", ({ attempt }) =>
            Effect.flatMap(
              works(`attempt ${attempt}`, () => attempts.push(attempt)),
              () => attempt === 1 ? Effect.fail("not yet") : Effect.succeed("done")
            ), {
            delivery: "at-most-once",
            retry: 1
          }),
          other: ctx.step("other", () => works("other", () => "other"))
        })
      })
    const story: Story = {
      actors: [{
        name: "A",
        does: (step) => makeRepeated(step).start(undefined, { runId })
      }]
    }
    // The first attempt fails while the other step's outcome is on its way to the storage.
    const rank = ({ what }: Choice) =>
      what === "other" ? 0 : what === "attempt 1" ? 1 : what.startsWith("append") ? 2 : 3
    const early = ({ what }: Choice) =>
      what.startsWith("append start") || !/attempt|other|append/.test(what)
    const choose = (choices: ReadonlyArray<Choice>) =>
      choices.indexOf(choices.find(early) ?? choices.toSorted((a, b) => rank(a) - rank(b))[0]!)
    playOnce(story, choose, ({ journal, trace }) => {
      expect(attempts).toEqual([1, 2])
      const intents = journal.flatMap((entry) => entry.type === "intent" ? [entry.attempt] : [])
      expect(intents).toEqual([1, 2])
      const intended = trace.findLastIndex((line) => line.includes("append intent"))
      expect(intended).toBeGreaterThan(-1)
      expect(trace.indexOf("A attempt 2")).toBeGreaterThan(intended)
    })
  })
})
