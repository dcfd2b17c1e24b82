/**
 * Steps that hold pipelines, and branches: what goes in and comes out of them, what their hooks hear, how
 * they are repeated, limited and cancelled, and how deep they may stand. Every journal a test leaves is
 * replayed from every prefix.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { entriesOf, run } from "../support/together.ts"
import { comesTo, type Fields, type Loose, make, outcome, runId, world } from "./support/loose.ts"

const fails = () => {
  throw new Error("no")
}

/** A step that takes a while. */
const takes = (millis: number, out: object = {}) => () => Effect.as(Effect.sleep(millis), out)

/** Hooks that write down what they hear. */
const recorder = () => {
  const heard: Array<string> = []
  const events: Array<Fields> = []
  const write = (what: string) => (event: Fields) => {
    heard.push(`${what} ${event["stepName"]}`)
    events.push(event)
  }
  return {
    heard,
    events,
    hooks: {
      onStepComplete: write("completed"),
      onStepError: write("failed"),
      onStepSkipped: write("skipped")
    }
  }
}

describe("a nested pipeline", () => {
  it("is given the context, and what it changed and added is merged when it is over", () => {
    const seen: Array<Fields> = []
    const inner = make("q")
      .step("one", (c: Fields) => {
        seen.push({ ...c })
        return { a: c["a"] + 1, one: 1 }
      })
      .step("two", (c: Fields) => {
        seen.push({ ...c })
        return { two: c["one"] + 1 }
      })
    expect(comesTo(make().step("x", () => ({ x: 1 })).step("n", inner), { a: 1 }))
      .toEqual({ context: { a: 2, x: 1, one: 1, two: 2 } })
    expect(seen).toEqual([{ a: 1, x: 1 }, { a: 2, x: 1, one: 1 }])
  })

  it("beside others sees the context as it was, and not what they do", () => {
    const seen: Array<Fields> = []
    const look = (c: Fields) => void seen.push({ ...c })
    const pipeline = make().step(
      "n",
      make("q").step("a", () => ({ a: 2, q: 1 })).step("look", takes(5)).step("x", look),
      make("r").step("a", takes(2, { a: 3, r: 1 })).step("look", takes(5)).step("x", look),
      (c: Fields) => {
        look(c)
        return { f: 1 }
      }
    )
    expect(comesTo(pipeline, { a: 1 })).toEqual({ context: { a: 3, q: 1, r: 1, f: 1 } })
    expect(seen).toEqual([{ a: 1 }, { a: 2, q: 1 }, { a: 3, r: 1 }])
  })

  it("merges in the order of the parts, not in that in which they end", () => {
    const of = (...millis: ReadonlyArray<number>) =>
      comesTo(make().step("n", ...millis.map((n) => make("q").step("i", takes(n, { last: n })))))
    expect(of(30, 20, 10)).toEqual({ context: { last: 10 } })
    expect(of(10, 20, 30)).toEqual({ context: { last: 30 } })
    const many = Array.from({ length: 12 }, (_, n) => 120 - n)
    expect(of(...many)).toEqual({ context: { last: 109 } })
  })

  it("that replaces its context contributes what is new in it, and takes nothing away", () => {
    const inner = make("q").step("i", () => ({ i: 1 })).transform(() => ({ t: 1 }))
    expect(comesTo(make().step("n", inner).step("z", ({ a }: Fields) => ({ z: a })), { a: 1 }))
      .toEqual({ context: { a: 1, t: 1, z: 1 } })
  })

  it("may be used twice, also beside itself", () => {
    let ran = 0
    const inner = make("q").step("i", ({ n = 0 }: Fields) => {
      ran++
      return { n: n + 1 }
    })
    expect(comesTo(make().step("a", inner).step("b", inner).step("a", inner)))
      .toEqual({ context: { n: 3 } })
    expect(ran).toBe(3)
    expect(comesTo(make().step("a", inner, inner))).toEqual({ context: { n: 1 } })
    expect(ran).toBe(5)
    expect(inner.describe()).toEqual(["i"])
    expect(comesTo(inner)).toEqual({ context: { n: 1 } })
  })

  it("may be empty", () => {
    expect(comesTo(make().step("n", make("q")).step("m", make("q"), make("q")), { a: 1 }))
      .toEqual({ context: { a: 1 } })
  })

  for (const length of [1, 100, 190]) {
    it(`may stand five deep, in branches and beside others, with names of ${length} characters`, () => {
      const name = "n".repeat(length)
      const recorded = recorder()
      let inner = make("q").step("deepest", ({ depth }: Fields) => ({ deepest: depth }))
      const path: Array<string> = []
      for (let depth = 5; depth > 0; depth--) {
        const before = make("q").step(name, () => ({ depth }))
        inner = depth % 2 === 0
          ? before.branchOn("b", { when: () => false, then: make("q") }, {
            name: "c",
            default: inner
          })
          : before.step("o", inner, make("q").step("beside", () => ({ [`beside${depth}`]: 1 })))
        path.unshift(...depth % 2 === 0 ? ["b", "c"] : ["o"])
      }
      expect(comesTo(inner, {}, recorded.hooks))
        .toEqual({ context: { depth: 5, deepest: 5, beside1: 1, beside3: 1, beside5: 1 } })
      expect(recorded.heard).toContain(`completed ${[...path, "deepest"].join("/")}`)
      const named = recorded.heard.filter((one) =>
        one.endsWith(`/${name}`) || one.endsWith(` ${name}`)
      )
      expect(named.length).toBe(5)
    })
  }

  it("that skips what remains skips only its own", () => {
    const inner = make("q")
      .step("a", () => ({ a: 1 }))
      .step({ name: "bad", onError: "skip-remaining" }, fails)
      .step("b", () => ({ b: 1 }))
    expect(
      comesTo(
        make().step("n", inner, make("r").step("c", () => ({ c: 1 }))).step("z", () => ({ z: 1 }))
      )
    )
      .toEqual({ context: { a: 1, c: 1, z: 1 } })
  })

  it("that fails and is gone on from leaves nothing of itself in the context", () => {
    const seen: Array<Fields> = []
    const bad = make("q").step("a", () => ({ a: 9, q: 1 })).step("bad", fails)
    const slow = make("r").step("s", takes(20, { s: 1 })).step("t", () => ({ t: 1 }))
    for (const parts of [[bad], [bad, slow], [slow, bad], [bad, takes(5, { f: 1 })]]) {
      const recorded = recorder()
      const pipeline = make()
        .step({ name: "n", onError: "continue" }, ...parts)
        .step("look", (c: Fields) => void seen.push({ ...c }))
        .step({ name: "m", onError: "skip-remaining" }, ...parts)
      expect(comesTo(pipeline, { a: 1 }, recorded.hooks)).toEqual({ context: { a: 1 } })
      const look = recorded.events.find(({ stepName }) => stepName === "look")
      expect(look?.["context"]).toEqual({ a: 1 })
    }
    expect(seen).toEqual([{ a: 1 }, { a: 1 }, { a: 1 }, { a: 1 }])
  })

  it("that is settled merges what the others gave, and waits for them", () => {
    const pipeline = make().step(
      { name: "n", parallelMode: "settled" },
      make("q").step("a", () => ({ a: 1 })).step("bad", fails),
      make("r").step("s", takes(20, { s: 1 })),
      fails,
      takes(10, { f: 1 })
    )
    expect(comesTo(pipeline, { x: 1 })).toEqual({ context: { x: 1, s: 1, f: 1 } })
    expect(comesTo(make().step({ name: "n", parallelMode: "settled" }, make("q").step("b", fails))))
      .toEqual({ context: {} })
  })
})

describe("parts of which one fails", () => {
  it("are cancelled: what runs is interrupted, its signal is heard, and nothing more begins", () => {
    const ran: Array<string> = []
    const ended: Array<string> = []
    const waits = (name: string) => (_: Fields, { signal }: Fields) => {
      ran.push(name)
      signal.addEventListener("abort", () => ended.push(`${name} aborted`))
      return Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended.push(name)))
    }
    const next = (name: string) => () => void ran.push(name)
    const pipeline = make().step(
      { name: "n", onError: "continue" },
      make("q").step("bad", () => Effect.andThen(Effect.sleep(10), Effect.fail("no"))),
      make("r").step("w1", waits("w1")).step("n1", next("n1")),
      make("s").branchOn("b", { default: make("t").step("w2", waits("w2")).step("n2", next("n2")) })
        .step("n3", next("n3")),
      waits("w3")
    ).step("after", next("after"))
    expect(comesTo(pipeline)).toEqual({ context: {} })
    expect(ran.toSorted()).toEqual(["after", "w1", "w2", "w3"])
    expect(ended.toSorted())
      .toEqual(["w1", "w1 aborted", "w2", "w2 aborted", "w3", "w3 aborted"])
  })

  it("are cancelled even where their own steps go on after errors", () => {
    const ran: Array<string> = []
    const pipeline = make().step(
      { name: "n", onError: "continue" },
      make("q").step("bad", () => Effect.andThen(Effect.sleep(10), Effect.fail("no"))),
      make("r")
        .step({ name: "w", onError: "continue", retries: 5 }, () => Effect.never)
        .step("never", () => void ran.push("never"))
    ).step("after", (c: Fields) => ({ after: Object.keys(c) }))
    expect(comesTo(pipeline, { a: 1 })).toEqual({ context: { a: 1, after: ["a"] } })
    expect(ran).toEqual([])
  })

  it.live("tell Promises by their signal, and leave no context behind", () =>
    Effect.gen(function*() {
      let heard = 0
      const pipeline = make().step(
        { name: "n", onError: "continue" },
        make("q").step("x", () => ({ x: 1 })).step(
          "w",
          (_: Fields, { signal }: Fields) =>
            new Promise(() => signal.addEventListener("abort", () => heard++))
        ),
        make("r").step("bad", async () => {
          await new Promise((resolve) => setTimeout(resolve, 5))
          throw new Error("no")
        })
      )
      expect(yield* outcome(pipeline, { a: 1 })).toEqual({ context: { a: 1 } })
      expect(heard).toBe(1)
    }).pipe(Effect.provide(world)))
})

describe("a container that is repeated", () => {
  it("runs all of it anew, each time from the context there was", () => {
    const seen: Array<Fields> = []
    let tries = 0
    const inner = make("q")
      .step("a", (c: Fields) => {
        seen.push({ ...c })
        return { a: (c["a"] ?? 0) + 1 }
      })
      .step("b", () => ++tries < 3 ? fails() : { b: tries })
    for (
      const add of [
        (p: Loose) => p.step({ name: "n", retries: 2 }, inner),
        (p: Loose) => p.branchOn({ name: "n", retries: 2 }, { default: inner })
      ]
    ) {
      tries = 0
      seen.length = 0
      expect(comesTo(add(make()))).toEqual({ context: { a: 1, b: 3 } })
      expect(seen).toEqual([{}, {}, {}])
    }
  })

  it("takes the same branch again, and asks once", () => {
    let asked = 0
    let tries = 0
    const pipeline = make().branchOn(
      { name: "r", retries: 3 },
      {
        name: "c",
        when: () => ++asked === 1,
        then: make("q").step("i", () => ++tries < 3 ? fails() : { c: 1 })
      },
      { default: make("q").step("i", () => ({ d: 1 })) }
    )
    expect(comesTo(pipeline)).toEqual({ context: { c: 1 } })
    expect([asked, tries]).toEqual([1, 3])
  })

  it("asks for each delay with the attempts that failed and an Error, and waits as long", () => {
    const asked: Array<unknown> = []
    const at: Array<number> = []
    const pipeline = make().step(
      {
        name: "n",
        retries: 2,
        retryDelayMs: (attempt: number, error: Error) => {
          asked.push(`${attempt} ${error instanceof Error} ${error.message}`)
          return attempt * 20_000
        },
        shouldRetry: (error: Error) => error instanceof Error
      },
      make("q").step(
        "i",
        () =>
          Effect.flatMap(Effect.clockWith((clock) => clock.currentTimeMillis), (now) => {
            at.push(now)
            return Effect.fail("no")
          })
      )
    )
    expect(comesTo(pipeline)).toMatchObject({ error: { _tag: "StepFailed" } })
    expect(at.map((time) => time - at[0]!)).toEqual([0, 20_000, 60_000])
    expect([...new Set(asked)]).toEqual(["1 true no", "2 true no"])
  })

  it("may wait for a time that is made by chance, as jitter is", () => {
    let tries = 0
    const pipeline = make().step(
      { name: "n", retries: 3, retryDelayMs: () => Math.floor(Math.random() * 1000) },
      make("q").step("i", () => ++tries < 3 ? fails() : { tries })
    )
    expect(comesTo(pipeline)).toEqual({ context: { tries: 3 } })
  })

  it("does not ask shouldRetry again for what the journal has", () => {
    let asked = 0
    const pipeline = make().step(
      { name: "n", retries: 1, shouldRetry: () => ++asked === 1 },
      make("q").step("i", () => asked === 0 ? fails() : { i: 1 })
    ).step("z", () => ({ z: 1 }))
    run(Effect.gen(function*() {
      yield* pipeline.workflow.start({}, {
        runId,
        onStepComplete: ({ stepName, stop }) => stepName === "n" && stop()
      })
      expect(yield* pipeline.workflow.resume(runId))
        .toMatchObject({ status: "success", result: { i: 1, z: 1 } })
    }))
  })

  it("keeps its steps' names, and those of a later step of the same name", () => {
    const recorded = recorder()
    let tries = 0
    const pipeline = make()
      .step({ name: "n", retries: 1 }, make("q").step("i", () => ++tries < 2 ? fails() : { a: 1 }))
      .branchOn("n", { name: "c", default: make("q").step("j", () => ({ b: 1 })) })
    expect(comesTo(pipeline, {}, recorded.hooks)).toEqual({ context: { a: 1, b: 1 } })
    expect(recorded.heard)
      .toEqual(["failed n/i", "completed n/i", "completed n", "completed n/c/j", "completed n"])
  })

  it("says nothing of its pauses", () => {
    const recorded = recorder()
    let tries = 0
    const pipeline = make().step(
      { name: "n", retries: 1, retryDelayMs: 50 },
      make("q").step("i", () => ++tries < 2 ? fails() : { a: 1 })
    )
    comesTo(pipeline, {}, recorded.hooks)
    expect(recorded.heard).toEqual(["failed n/i", "completed n/i", "completed n"])
  })
})

describe("a container's time limit", () => {
  it("is one attempt's, ends what runs in it, and its error names it", () => {
    let interrupted = 0
    let tries = 0
    const inner = make("q").step("a", () => ({ a: 1 })).step("w", () =>
      ++tries < 3
        ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        : Effect.succeed({ tries }))
    expect(comesTo(make().step({ name: "n", timeout: 100, retries: 2 }, inner)))
      .toEqual({ context: { a: 1, tries: 3 } })
    expect(interrupted).toBe(2)
    tries = 0
    const { error } = comesTo(make().step({ name: "n", timeout: 100 }, inner)) as Fields
    expect(error).toMatchObject({ _tag: "StepTimeout", timeout: 100 })
    expect(error.message).toContain(`"n"`)
  })

  it("leaves nothing of it in the context, wherever it stood", () => {
    for (const last of [true, false]) {
      const late = make("q").step("a", () => ({ a: 9 })).step("w", () => Effect.never)
      const limited = make().step({ name: "n", timeout: 10, onError: "continue" }, late, late)
      const pipeline = last ? limited : limited.step("look", (c: Fields) => ({ seen: { ...c } }))
      expect(comesTo(pipeline, { x: 1 }))
        .toEqual({ context: last ? { x: 1 } : { x: 1, seen: { x: 1 } } })
    }
  })

  it("does not change what its steps are called", () => {
    const recorded = recorder()
    const pipeline = make()
      .step({ name: "timeout", timeout: 100 }, make("q").step("timeout", () => ({ a: 1 })))
      .step({ name: "n", timeout: 100 }, make("q").step("i", () => ({ b: 1 })))
      .branchOn({ name: "r", timeout: 100 }, {
        name: "timeout",
        default: make("q").step({ name: "m", timeout: 50 }, make("s").step("j", () => ({ c: 1 })))
      })
    expect(comesTo(pipeline, {}, recorded.hooks)).toEqual({ context: { a: 1, b: 1, c: 1 } })
    expect(recorded.heard).toEqual([
      "completed timeout/timeout",
      "completed timeout",
      "completed n/i",
      "completed n",
      "completed r/timeout/m/j",
      "completed r/timeout/m",
      "completed r"
    ])
  })
})

describe("a branch", () => {
  const give = (name: string) => make(name).step(name, () => ({ taken: name }))

  it("takes the first case that says yes, asks no other, else the default, else none", () => {
    const asked: Array<string> = []
    const says = (name: string, answer: unknown) => () => {
      asked.push(name)
      return answer
    }
    const of = (a: unknown, b: unknown, hasDefault = true) => {
      asked.length = 0
      const rest = hasDefault ? [{ default: give("d") }] : []
      const pipeline = make().branchOn(
        "r",
        { when: says("a", a), then: give("a") },
        ...rest,
        { when: says("b", b), then: give("b") }
      )
      return [comesTo(pipeline), asked.join("")]
    }
    expect(of(true, true)).toEqual([{ context: { taken: "a" } }, "a"])
    expect(of(false, "yes")).toEqual([{ context: { taken: "b" } }, "ab"])
    expect(of(0, Effect.succeed(true))).toEqual([{ context: { taken: "b" } }, "ab"])
    expect(of(Effect.succeed(false), null)).toEqual([{ context: { taken: "d" } }, "ab"])
    expect(of(false, false, false)).toEqual([{ context: {} }, "ab"])
  })

  it.live("may be asked by Promises", () =>
    Effect.gen(function*() {
      const pipeline = make().branchOn(
        "r",
        { when: async () => false, then: give("a") },
        { when: async ({ x }: Fields) => x === 1, then: give("b") }
      )
      expect(yield* outcome(pipeline, { x: 1 })).toEqual({ context: { x: 1, taken: "b" } })
    }).pipe(Effect.provide(world)))

  it("may be built in place or reused, in several branches and pipelines", () => {
    const shared = give("s")
    const pipeline = make()
      .branchOn("one", { when: () => true, then: shared })
      .branchOn("two", { when: () => false, then: shared }, { default: shared })
      .branchOn("three", { when: () => true, then: (b: Loose) => b.step("x", () => ({ x: 1 })) })
      .step("four", shared)
    expect(comesTo(pipeline)).toEqual({ context: { taken: "s", x: 1 } })
    expect(pipeline.describe()).toEqual(["one", "two", "three", "four"])
  })

  const names = [
    "/",
    "[",
    "x[0]",
    "#",
    "x#2",
    "%",
    "?",
    ">",
    "!",
    "~",
    " ",
    "__proto__",
    "constructor",
    "toString",
    "0",
    "1",
    "n".repeat(190),
    "é😀",
    "timeout",
    "same"
  ]
  const cases = (taken: number) =>
    make().branchOn(
      "r",
      ...[...names, "same", "same-2"].map((name, k) => ({
        name,
        when: () => k === taken,
        then: make("q").step("i", () => ({ taken: k }))
      }))
    )

  it.for(names.map((name, k) => ({ k, shown: name.slice(0, 20), name })))(
    "may have a case named $shown, and its steps are named by it",
    ({ k, name }) => {
      const recorded = recorder()
      expect(comesTo(cases(k), {}, recorded.hooks)).toEqual({ context: { taken: k } })
      expect(recorded.heard).toEqual([`completed r/${name}/i`, "completed r"])
    }
  )

  it("tells cases of one name apart", () => {
    for (const taken of [names.length, names.length + 1]) {
      const recorded = recorder()
      expect(comesTo(cases(taken), {}, recorded.hooks)).toEqual({ context: { taken } })
      expect(recorded.heard[0]).toMatch(/^completed r\/same-2(-2)?\/i$/)
    }
  })

  it("in a branch in a nested pipeline in a branch is like any other", () => {
    const recorded = recorder()
    const inmost = make("q").branchOn("c", {
      name: "yes",
      when: ({ n }: Fields) => n === 3,
      then: make("q").step("deep", ({ n }: Fields) => ({ deep: n }))
    }).step("behind", () => ({ behind: 1 }))
    const pipeline = make()
      .branchOn("a", {
        name: "x",
        when: () => true,
        then: make("q").step("n", () => ({ n: 3 })).step(
          "b",
          inmost,
          make("s").step("t", () => ({ t: 1 }))
        )
      })
      .step("end", (c: Fields) => ({ end: Object.keys(c).length }))
    expect(comesTo(pipeline, {}, recorded.hooks))
      .toEqual({ context: { n: 3, deep: 3, behind: 1, t: 1, end: 4 } })
    expect(recorded.heard.toSorted()).toEqual([
      "completed a",
      "completed a/x/b",
      "completed a/x/b/behind",
      "completed a/x/b/c",
      "completed a/x/b/c/yes/deep",
      "completed a/x/b/t",
      "completed a/x/n",
      "completed end"
    ])
  })

  it("that takes no case is over at once, and is heard of", () => {
    const recorded = recorder()
    const pipeline = make().branchOn("r", { when: () => false, then: give("a") })
    expect(comesTo(pipeline, { x: 1 }, recorded.hooks)).toEqual({ context: { x: 1 } })
    expect(recorded.heard).toEqual(["completed r"])
  })
})

describe("hooks", () => {
  it("hear of every step of containers by name, id and context, and of the container last", () => {
    const recorded = recorder()
    const pipeline = make()
      .step("a", () => ({ a: 1 }))
      .step("n", make("q").step("x", () => ({ x: 1 })).step("y", () => ({ y: 1 })))
      .branchOn("r", { name: "c", default: make("q").step("x", () => ({ a: 2 })) })
    expect(comesTo(pipeline, { i: 0 }, recorded.hooks))
      .toEqual({ context: { i: 0, a: 2, x: 1, y: 1 } })
    expect(recorded.events.map(({ context, stepId, stepName }) => [stepName, stepId, context]))
      .toEqual([
        ["a", "a", { i: 0, a: 1 }],
        ["n/x", "n[0]/x", { i: 0, a: 1, x: 1 }],
        ["n/y", "n[0]/y", { i: 0, a: 1, x: 1, y: 1 }],
        ["n", "n!", { i: 0, a: 1, x: 1, y: 1 }],
        ["r/c/x", "r[c]/x", { i: 0, a: 2, x: 1, y: 1 }],
        ["r", "r!", { i: 0, a: 2, x: 1, y: 1 }]
      ])
  })

  it("see the context of the nested level they hear of, wherever another part stands by then", () => {
    const seen: Array<unknown> = []
    const pipeline = make().step(
      "n",
      make("q").step("a", takes(10, { q: 1 })).step("b", takes(20, { q: 2 })),
      make("r").step("c", takes(10, { r: 1 })).step("d", takes(20, { r: 2 })),
      takes(10, { f: 1 })
    )
    comesTo(pipeline, {}, {
      onStepComplete: (event: Fields) =>
        Effect.map(Effect.sleep(3), () => void seen.push([event["stepName"], event["context"]]))
    })
    expect(seen).toEqual([
      ["n/a", { q: 1 }],
      ["n/c", { r: 1 }],
      ["n/b", { q: 2 }],
      ["n/d", { r: 2 }],
      ["n", { q: 2, r: 2, f: 1 }]
    ])
  })

  const two = make("q").step("a", takes(100)).step("b", takes(50))
  const one = make("q").step("z", takes(5))
  const durations: ReadonlyArray<readonly [what: string, pipeline: Loose, expected: object]> = [
    ["nested", make().step("z", takes(7)).step("n", two), { z: 7, "n/a": 100, "n/b": 50, n: 150 }],
    [
      "a branch",
      make().step("z", takes(7)).branchOn("n", { name: "c", default: two }),
      { "z": 7, "n/c/a": 100, "n/c/b": 50, "n": 150 }
    ],
    ["beside another", make().step("n", two, make("r").step("c", takes(200))), { n: 200 }],
    ["with a time limit", make().step("z", takes(7)).step({ name: "n", timeout: 500 }, two), {
      n: 150
    }],
    ["in another", make().step("o", one.step("n", two)), { "o/n": 150, "o": 155 }],
    [
      "in another, beside a third",
      make().step("o", one.step("n", two), make("r").step("m", two.step("c", takes(20)))),
      { "o/n": 150, "o/m": 170, "o": 170 }
    ],
    [
      "with a condition",
      make().step("z", takes(7)).step({ name: "n", condition: () => true }, two),
      { n: 150 }
    ],
    ["of one name with another", make().step("n", two).step("n", one), { n: 5 }]
  ]

  it.for(durations.map(([what, pipeline, expected]) => ({ what, pipeline, expected })))(
    "hear of a container that it took as long as what is in it: $what",
    ({ expected, pipeline }) => {
      const recorded = recorder()
      comesTo(pipeline, {}, recorded.hooks)
      const heard = recorded.events.map(({ duration, stepName }) => [stepName, duration])
      expect(Object.fromEntries(heard)).toMatchObject(expected)
    }
  )

  it("hear of a repeated container that it took as long as all its attempts and pauses", () => {
    let tries = 0
    const recorded = recorder()
    const inner = make("q").step("a", takes(100)).step("b", () => ++tries < 2 ? fails() : {})
    comesTo(
      make().step("z", takes(7)).step({ name: "n", retries: 1, retryDelayMs: 30 }, inner),
      {},
      recorded.hooks
    )
    expect(recorded.events.at(-1)).toMatchObject({ stepName: "n", duration: 230 })
  })

  it("hear of the step in a container that failed, and of a collision as the container's", () => {
    const recorded = recorder()
    const pipeline = make()
      .step({ name: "n", onError: "continue" }, make("q").step("bad", fails))
      .step(
        { name: "m", onError: "continue", mergePolicy: "error" },
        make("q").step("i", () => ({ a: 2 }))
      )
      .branchOn({ name: "r", onError: "continue" }, { when: fails, then: make("q") })
      .step({ name: "f", onError: "continue" }, make("q"), fails)
    comesTo(pipeline, { a: 1 }, recorded.hooks)
    // The container fails with what stands in it, also where that is a function beside pipelines.
    expect(recorded.heard).toEqual([
      "failed n/bad",
      "failed n",
      "completed m/i",
      "failed m",
      "failed r",
      "failed f"
    ])
  })

  it("hear of a container whose time is up", () => {
    const recorded = recorder()
    const pipeline = make().step(
      { name: "n", timeout: 10, onError: "continue" },
      make("q").step("a", () => ({ a: 1 })).step("w", () => Effect.never)
    )
    comesTo(pipeline, {}, recorded.hooks)
    expect(recorded.heard[0]).toBe("completed n/a")
    expect(recorded.heard.slice(1).some((one) => one.startsWith("failed n"))).toBe(true)
  })
})

describe("a journal of a pipeline", () => {
  it("has one entry for each step and each decision, and none for what is not asked", () => {
    const pipeline = make()
      .step({ name: "a", condition: true }, () => ({ a: 1 }))
      .step({ name: "b", condition: () => true }, () => ({ b: 1 }))
      .step({ name: "c", condition: false }, () => ({ c: 1 }))
      .step("n", make("q").step("i", () => ({ i: 1 })), () => ({ f: 1 }))
      .branchOn("r", { name: "x", when: () => true, then: make("q").step("j", () => ({ j: 1 })) })
    run(Effect.gen(function*() {
      yield* outcome(pipeline)
      const steps = (yield* entriesOf(runId)).flatMap((entry) =>
        entry.type === "step" ? [[entry.stepId, entry.result]] : []
      )
      expect(steps).toEqual([
        ["a", { a: 1 }],
        ["b?", true],
        ["b", { b: 1 }],
        ["c?", false],
        ["n[0]/i", { i: 1 }],
        ["n[1]/n()", { f: 1 }],
        ["n!", undefined],
        ["r>", "x"],
        ["r[x]/j", { j: 1 }],
        ["r!", undefined]
      ])
    }))
  })
})
