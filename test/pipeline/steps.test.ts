/**
 * Single steps of pipelines: what a step may be configured with, what its functions may give and what comes
 * of those that fail, are repeated, take too long or are left out; the context they are shown; a call that
 * is aborted. Every journal a test leaves is replayed from every prefix.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Logger, Result } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Runs, Storage } from "reprise"
import { entriesOf, run } from "../support/together.ts"
import {
  comesTo,
  type Fields,
  type Loose,
  make,
  outcome,
  replays,
  runId,
  world
} from "./support/loose.ts"

const live = (pipeline: Loose, input: unknown = {}, options: object = {}) =>
  Effect.provide(outcome(pipeline, input, options), world)

const turns = async () => {
  for (let n = 0; n < 20; n++) await Promise.resolve()
}

const fails = () => {
  throw new Error("no")
}

/** What a definition is refused with. */
const refusal = (f: () => unknown): unknown => {
  try {
    return f()
  } catch (error) {
    return error
  }
}

describe("a configuration", () => {
  const invalid: ReadonlyArray<readonly [option: string, config: object]> = [
    ["nAme", { nAme: "x" }],
    ["onErr", { onErr: "throw" }],
    ["__proto__", JSON.parse(`{"__proto__": 1}`)],
    ["name", { name: "" }],
    ["name", { name: 5 }],
    ["name", { name: "x".repeat(191) }],
    ["condition", { condition: null }],
    ["condition", { condition: 1 }],
    ["condition", { condition: "true" }],
    ["condition", { condition: {} }],
    ["onError", { onError: "ignore" }],
    ["onError", { onError: null }],
    ["onError", { onError: true }],
    ["onError", { onError: "" }],
    ["onError", { onError: 1n }],
    ["onError", { onError: "Throw" }],
    ["log", { log: "yes" }],
    ["log", { log: 1 }],
    ["log", { log: null }],
    ["timeout", { timeout: 0 }],
    ["timeout", { timeout: -1 }],
    ["timeout", { timeout: NaN }],
    ["timeout", { timeout: Infinity }],
    ["timeout", { timeout: "1 second" }],
    ["timeout", { timeout: null }],
    ["timeout", { timeout: 5n }],
    ["parallelMode", { parallelMode: "race" }],
    ["parallelMode", { parallelMode: null }],
    ["mergePolicy", { mergePolicy: "deep" }],
    ["mergePolicy", { mergePolicy: null }],
    ["retries", { retries: -1 }],
    ["retries", { retries: NaN }],
    ["retries", { retries: Infinity }],
    ["retries", { retries: "3" }],
    ["retries", { retries: true }],
    ["retries", { retries: null }],
    ["retryDelayMs", { retryDelayMs: -1 }],
    ["retryDelayMs", { retryDelayMs: NaN }],
    ["retryDelayMs", { retryDelayMs: Infinity }],
    ["retryDelayMs", { retryDelayMs: "1 second" }],
    ["retryDelayMs", { retryDelayMs: null }],
    ["shouldRetry", { shouldRetry: true }],
    ["shouldRetry", { shouldRetry: "yes" }],
    ["shouldRetry", { shouldRetry: null }],
    ["circuitBreaker", { circuitBreaker: true }],
    ["circuitBreaker", { circuitBreaker: null }],
    ["circuitBreaker", { circuitBreaker: 3 }],
    ["failureTreshold", { circuitBreaker: { failureTreshold: 3 } }],
    ["failureThreshold", { circuitBreaker: { failureThreshold: 0 } }],
    ["failureThreshold", { circuitBreaker: { failureThreshold: -1 } }],
    ["failureThreshold", { circuitBreaker: { failureThreshold: NaN } }],
    ["failureThreshold", { circuitBreaker: { failureThreshold: "3" } }],
    ["cooldownMs", { circuitBreaker: { cooldownMs: -1 } }],
    ["cooldownMs", { circuitBreaker: { cooldownMs: NaN } }],
    ["cooldownMs", { circuitBreaker: { cooldownMs: "1 minute" } }],
    ["behaviorOnOpen", { circuitBreaker: { behaviorOnOpen: "ignore" } }],
    ["behaviorOnOpen", { circuitBreaker: { behaviorOnOpen: null } }]
  ]

  it.for(invalid.map(([option, config], k) => ({ option, config, k })))(
    "with an invalid $option ($k) is a TypeError that names it, for every kind of step",
    ({ config, option }) => {
      const inner = make("q").step("i", () => ({ a: 1 }))
      const steps: ReadonlyArray<() => Loose> = [
        () => make().step(config, () => ({ a: 1 })),
        () => make().step(config, inner),
        () => make().step(config, () => ({ a: 1 }), inner),
        () => make().branchOn(config, { default: inner }),
        () => make().transform(config, () => ({ a: 1 }))
      ]
      for (const step of steps) {
        expect(step).toThrow(TypeError)
        expect(step).toThrow(option)
        expect(step).not.toThrow("Cannot read properties")
      }
    }
  )

  it("may hold undefined for every option, and the greatest and least values", () => {
    const none = {
      condition: undefined,
      onError: undefined,
      log: undefined,
      timeout: undefined,
      parallelMode: undefined,
      mergePolicy: undefined,
      retries: undefined,
      retryDelayMs: undefined,
      shouldRetry: undefined,
      circuitBreaker: undefined
    }
    const edges = {
      name: "n".repeat(190),
      timeout: 1,
      retries: 0,
      retryDelayMs: 0,
      circuitBreaker: {
        failureThreshold: undefined,
        cooldownMs: undefined,
        behaviorOnOpen: undefined
      }
    }
    const pipeline = make()
      .step(none, () => ({ a: 1 }))
      .step(edges, () => ({ b: 1 }))
      .step({ retries: Number.MAX_SAFE_INTEGER, timeout: 2 ** 40 }, () => ({ c: 1 }))
    expect(comesTo(pipeline)).toEqual({ context: { a: 1, b: 1, c: 1 } })
    expect(pipeline.describe()).toEqual(["step-1", "n".repeat(190), "step-3"])
  })

  it("is read once: what is done to it afterwards changes nothing", () => {
    const config: Fields = { name: "a", condition: true, onError: "throw" }
    const pipeline = make().step(config, () => ({ a: 1 }))
    Object.assign(config, { name: "b", condition: false, onError: "continue", bogus: 1 })
    expect(pipeline.describe()).toEqual(["a"])
    expect(comesTo(pipeline)).toEqual({ context: { a: 1 } })
  })

  it("or a part that is none of those allowed is a TypeError, and nothing has run", () => {
    const ran: Array<string> = []
    const ok = () => void ran.push("ok")
    const inner = make("q").step("i", ok)
    const wrong: Readonly<Record<string, () => unknown>> = {
      "no part": () => make().step("x"),
      "no part, with a configuration": () => make().step({ name: "x" }),
      "nothing": () => make().step(),
      "undefined": () => make().step(undefined, ok),
      "null": () => make().step(null, ok),
      "a number": () => make().step(5, ok),
      "an object as a part": () => make().step("x", {}),
      "a null part": () => make().step("x", ok, null),
      "a Promise as a part": () => make().step("x", Promise.resolve({})),
      "an Effect as a part": () => make().step("x", Effect.succeed({})),
      "an empty name": () => make().step("", ok),
      "a transform of nothing": () => make().transform("x"),
      "a transform of a pipeline": () => make().transform("x", inner),
      "a transform of a pipeline alone": () => make().transform(inner),
      "no case": () => make().branchOn("x"),
      "an empty case": () => make().branchOn("x", {}),
      "a null case": () => make().branchOn("x", null),
      "a when that is no function": () => make().branchOn("x", { when: true, then: inner }),
      "no then": () => make().branchOn("x", { when: () => true }),
      "a then that gives nothing": () => make().branchOn("x", { when: ok, then: () => 5 }),
      "two defaults": () => make().branchOn("x", { default: inner }, { default: inner }),
      "a pipeline as a branch": () => make().branchOn(inner),
      "a breaker around pipelines": () =>
        make().step({ circuitBreaker: { failureThreshold: 1 } }, inner),
      "a breaker around a branch": () =>
        make().branchOn({ circuitBreaker: { failureThreshold: 1 } }, { default: inner }),
      "a pipeline without a name": () => make("")
    }
    for (const [what, f] of Object.entries(wrong)) {
      expect([what, refusal(f)]).toEqual([what, expect.any(TypeError)])
    }
    expect(ran).toEqual([])
  })
})

describe("a condition", () => {
  const conditions: ReadonlyArray<readonly [what: string, condition: unknown, runs: boolean]> = [
    ["true", true, true],
    ["false", false, false],
    ["a function", () => true, true],
    ["a function that says no", () => false, false],
    ["a truthy value", () => "yes", true],
    ["an empty text", () => "", false],
    ["zero", () => 0, false],
    ["null", () => null, false],
    ["nothing", () => {}, false],
    ["an object", () => ({}), true],
    ["a Promise of true", async () => true, true],
    ["a Promise of false", async () => false, false],
    ["a Promise of zero", async () => (await turns(), 0), false],
    ["an Effect of true", () => Effect.succeed(true), true],
    ["an Effect of false", () => Effect.succeed(false), false],
    ["an Effect of nothing", () => Effect.void, false],
    ["an Effect that takes a while", () => Effect.as(Effect.sleep(1), true), true],
    ["the context", ({ a }: Fields) => a === 1, true]
  ]

  it.live.each(conditions)("of %s decides", ([what, condition, runs]) =>
    Effect.gen(function*() {
      let ran = 0
      const pipeline = make()
        .step({ name: "x", condition }, () => ({ x: ++ran }))
        .transform({ name: "t", condition }, (context: Fields) => ({ ...context, t: 1 }))
        .step({ name: "n", condition }, make("q").step("i", () => ({ n: 1 })))
        .branchOn({ name: "b", condition }, {
          when: () => true,
          then: make("q").step("i", () => ({ b: 1 }))
        })
      const expected = runs ? { a: 1, x: 1, t: 1, n: 1, b: 1 } : { a: 1 }
      expect([what, yield* live(pipeline, { a: 1 })]).toEqual([what, { context: expected }])
      expect(ran).toBe(runs ? 1 : 0)
    }))

  it("is asked once a run, in order, with the context as it is there", () => {
    const asked: Array<unknown> = []
    const ask = (name: string) => (context: Fields) => {
      asked.push([name, { ...context }])
      return true
    }
    const pipeline = make()
      .step({ name: "a", condition: ask("a") }, () => ({ a: 1 }))
      .step({ name: "b", condition: ask("b"), retries: 2 }, () => ({ b: 1 }))
    run(Effect.gen(function*() {
      yield* outcome(pipeline)
      yield* pipeline.run({}, { runId })
    }))
    expect(asked).toEqual([["a", {}], ["b", { a: 1 }]])
  })

  it("gets its services from the call", () => {
    class Flag extends Context.Service<Flag, boolean>()("test/Flag") {}
    const pipeline = Pipeline.make("p").step(
      { name: "a", condition: () => Effect.map(Flag, (on) => on) },
      () => ({ a: 1 })
    )
    for (const on of [true, false]) {
      expect(run(Effect.provideService(pipeline.run({}), Flag, on))).toEqual(on ? { a: 1 } : {})
    }
  })

  it("that says no is heard of as a step left out, and that alone", () => {
    const heard: Array<string> = []
    const hooks = {
      onStepComplete: ({ stepName }: Fields) => void heard.push(`completed ${stepName}`),
      onStepError: ({ stepName }: Fields) => void heard.push(`failed ${stepName}`),
      onStepSkipped: ({ reason, stepName }: Fields) => void heard.push(`${reason} ${stepName}`)
    }
    const no = { condition: () => false }
    const pipeline = make()
      .step({ name: "a", ...no }, () => ({ a: 1 }))
      .step({ name: "b", condition: () => true }, () => ({ b: 1 }))
      .transform({ name: "t", ...no }, () => ({ t: 1 }))
      .step({ name: "n", ...no }, make("q").step("i", () => ({ n: 1 })))
      .branchOn({ name: "r", ...no }, { default: make("q").step("i", () => ({ n: 1 })) })
      .step({ name: "e", condition: fails, onError: "continue" }, () => ({ e: 1 }))
    expect(comesTo(pipeline, {}, hooks)).toEqual({ context: { b: 1 } })
    expect(heard).toEqual([
      "condition a",
      "completed b",
      "condition t",
      "condition n",
      "condition r",
      "failed e"
    ])
  })
})

/** Everything of a step that can fail. `onError` stands in `config`. */
const failures: Readonly<Record<string, (pipeline: Loose, config: object) => Loose>> = {
  "a function that throws": (p, config) => p.step(config, fails),
  "a function that throws no Error": (p, config) =>
    p.step(config, () => {
      // oxlint-disable-next-line typescript/only-throw-error
      throw "no"
    }),
  "a function that throws undefined": (p, config) =>
    p.step(config, () => {
      // oxlint-disable-next-line typescript/only-throw-error
      throw undefined
    }),
  "a Promise": (p, config) => p.step(config, async () => fails()),
  "a Promise of undefined": (p, config) => p.step(config, () => Promise.reject()),
  "an Effect": (p, config) => p.step(config, () => Effect.fail("no")),
  "an Effect that fails with an object": (p, config) =>
    p.step(config, () => Effect.fail({ _tag: "No", why: "no" })),
  "a defect": (p, config) => p.step(config, () => Effect.die(new Error("no"))),
  "an interruption from inside": (p, config) => p.step(config, () => Effect.interrupt),
  "a time limit": (p, config) => p.step({ ...config, timeout: 5 }, () => Effect.never),
  "a time limit of a Promise": (p, config) =>
    p.step({ ...config, timeout: 5 }, () => new Promise(() => {})),
  "one of several functions": (p, config) => p.step(config, () => ({ x: 1 }), fails),
  "one of several Promises": (p, config) =>
    p.step(config, async () => ({ x: 1 }), async () => fails()),
  "all retries": (p, config) => p.step({ ...config, retries: 2 }, fails),
  "a condition": (p, config) => p.step({ ...config, condition: fails }, () => ({ x: 1 })),
  "a condition's Promise": (p, config) =>
    p.step({ ...config, condition: async () => fails() }, () => ({ x: 1 })),
  "a condition's Effect": (p, config) =>
    p.step({ ...config, condition: () => Effect.fail("no") }, () => ({ x: 1 })),
  "a condition of a transform": (p, config) =>
    p.transform({ ...config, condition: fails }, () => ({ x: 1 })),
  "a condition of a nested pipeline": (p, config) =>
    p.step({ ...config, condition: fails }, make("q").step("i", () => ({ x: 1 }))),
  "a when": (p, config) =>
    p.branchOn(config, { when: fails, then: make("q").step("i", () => ({ x: 1 })) }),
  "a when's Promise": (p, config) =>
    p.branchOn(config, { when: async () => fails(), then: make("q") }),
  "a when's Effect": (p, config) =>
    p.branchOn(config, { when: () => Effect.fail("no"), then: make("q") }),
  "a transform": (p, config) => p.transform(config, fails),
  "a transform's Promise": (p, config) => p.transform(config, async () => fails()),
  "a transform that gives nothing": (p, config) => p.transform(config, () => {}),
  "a transform that gives an array": (p, config) => p.transform(config, () => [1]),
  "a collision": (p, config) =>
    p.step({ ...config, mergePolicy: "error" }, () => ({ before: 2, x: 1 })),
  "a collision of two functions": (p, config) =>
    p.step({ ...config, mergePolicy: "error" }, () => ({ x: 1 }), () => ({ x: 2 })),
  "a collision of a nested pipeline": (p, config) =>
    p.step({ ...config, mergePolicy: "error" }, make("q").step("i", () => ({ before: 2 }))),
  "a collision of a branch": (p, config) =>
    p.branchOn({ ...config, mergePolicy: "error" }, {
      default: make("q").step("i", () => ({ before: 2 }))
    }),
  "an array": (p, config) => p.step(config, () => [1]),
  "a text": (p, config) => p.step(config, () => "x"),
  "null": (p, config) => p.step(config, () => null),
  "an instance of a class": (p, config) => p.step(config, () => new Date(0)),
  "a nested pipeline": (p, config) =>
    p.step(config, make("q").step("x", () => ({ x: 1 })).step("i", fails)),
  "one of two nested pipelines": (p, config) =>
    p.step(config, make("q").step("x", () => ({ x: 1 })), make("q").step("i", fails)),
  "a function beside a nested pipeline": (p, config) =>
    p.step(config, make("q").step("x", () => ({ x: 1 })), fails),
  "a branch": (p, config) =>
    p.branchOn(config, { default: make("q").step("x", () => ({ x: 1 })).step("i", fails) }),
  "the time limit of a nested pipeline": (p, config) =>
    p.step(
      { ...config, timeout: 20 },
      make("q").step("x", () => ({ x: 1 })).step("i", () => Effect.never)
    ),
  "the time limit of a branch": (p, config) =>
    p.branchOn({ ...config, timeout: 20 }, { default: make("q").step("i", () => Effect.never) }),
  "all retries of a nested pipeline": (p, config) =>
    p.step({ ...config, retries: 2 }, make("q").step("i", fails))
}

/** Where a step may stand. */
const places: Readonly<Record<string, (pipeline: Loose) => Loose>> = {
  "at the root": (inner) => inner,
  "nested": (inner) => make().step("outer", inner),
  "beside another": (inner) => make().step("outer", make("o").step("o", () => ({})), inner),
  "in a branch": (inner) => make().branchOn("outer", { when: () => true, then: inner }),
  "in a nested branch": (inner) =>
    make().step("far", make("f").branchOn("outer", { name: "c", default: inner }))
}

describe("onError", () => {
  for (const [what, failing] of Object.entries(failures)) {
    it.live(`holds for ${what}, wherever it stands`, () =>
      Effect.gen(function*() {
        for (const [where, placed] of Object.entries(places)) {
          for (const onError of ["throw", "continue", "skip-remaining"] as const) {
            const before = make("q").step("before", () => ({ before: 1 }))
            const inner = failing(before, { name: "bad", onError })
              .step("after", () => ({ after: 1 }))
            const pipeline = placed(inner).step("last", () => ({ last: 1 }))
            const came = yield* live(pipeline)
            const said = [where, onError, "error" in came ? "an error" : came.context]
            // The last step stands in the same pipeline where that is the root.
            const rest = where === "at the root" ? {} : { last: 1 }
            expect(said).toEqual([
              where,
              onError,
              onError === "throw"
                ? "an error"
                : onError === "continue"
                ? { before: 1, after: 1, last: 1 }
                : { before: 1, ...rest }
            ])
            if ("error" in came) {
              expect(String((came.error as Fields)["_tag"])).toMatch(/^Step(Failed|Timeout)$/)
            }
          }
        }
      }))
  }

  it("says which step failed, and how", () => {
    expect(comesTo(make().step("bad", fails)))
      .toMatchObject({ error: { _tag: "StepFailed", step: "bad", tag: "Error", message: "no" } })
    expect(comesTo(make().step("o", make("q").step("bad", () => Effect.die(new RangeError("r"))))))
      .toMatchObject({ error: { step: "o[0]/bad", tag: "RangeError", defect: true } })
    expect(comesTo(make().step({ name: "bad", timeout: 50 }, () => Effect.never)))
      .toMatchObject({ error: { _tag: "StepTimeout", step: "bad", timeout: 50 } })
  })

  it("does not hide what is no failure of a step: a value that JSON cannot hold", () => {
    for (const onError of ["throw", "continue", "skip-remaining"]) {
      const pipeline = make().step({ name: "x", onError }, () => ({ a: { b: [1, new Date(0)] } }))
      const { error } = comesTo(pipeline) as Fields
      expect(error).toMatchObject({ _tag: "Unserializable" })
      expect(error.message).toContain("$.a.b[1]")
    }
  })
})

describe("a step that is repeated", () => {
  it("has as many attempts as it says and one more, and counts them from 1", () => {
    const attempts: Array<number> = []
    const pipeline = make().step({ name: "a", retries: 3 }, (_: Fields, { attempt }: Fields) => {
      attempts.push(attempt)
      return fails()
    })
    expect(comesTo(pipeline)).toMatchObject({ error: { _tag: "StepFailed", attempts: 4 } })
    expect(attempts).toEqual([1, 2, 3, 4])
  })

  it("stops at the first success, and gives that", () => {
    const pipeline = make().step(
      { name: "a", retries: 9 },
      (_: Fields, { attempt }: Fields) =>
        attempt < 3 ? Effect.fail("no") : Effect.succeed({ attempt })
    )
    expect(comesTo(pipeline)).toEqual({ context: { attempt: 3 } })
  })

  it.live("is repeated for throws, Promises, Effects, defects of plain functions and time limits", () =>
    Effect.gen(function*() {
      const kinds: Readonly<Record<string, () => unknown>> = {
        throw: fails,
        promise: async () => fails(),
        effect: () => Effect.fail("no"),
        limit: () => Effect.never,
        output: () => [1]
      }
      for (const [kind, fail] of Object.entries(kinds)) {
        let ran = 0
        const pipeline = make().step(
          { name: "a", retries: 2, timeout: 20 },
          () => ++ran < 3 ? fail() : { a: 1 }
        )
        expect([kind, yield* live(pipeline), ran]).toEqual([kind, { context: { a: 1 } }, 3])
      }
    }))

  it("asks for each delay with the attempts that failed and an Error, whatever was thrown", () => {
    const asked: Array<unknown> = []
    const thrown = [new RangeError("r"), "text", undefined, null, { a: 1 }, 7]
    const pipeline = make().step(
      {
        name: "a",
        retries: thrown.length,
        retryDelayMs: (attempt: number, error: unknown) => {
          asked.push([attempt, error instanceof Error])
          return 10 * attempt
        },
        shouldRetry: (error: unknown) => {
          asked.push(error instanceof Error)
          return true
        }
      },
      (_: Fields, { attempt }: Fields) => {
        // oxlint-disable-next-line typescript/only-throw-error
        if (attempt <= thrown.length) throw thrown[attempt - 1]
        return { a: attempt }
      }
    )
    expect(comesTo(pipeline)).toEqual({ context: { a: 7 } })
    expect(asked).toEqual(thrown.flatMap((_, k) => [true, [k + 1, true]]))
  })

  it("is shown the very error that was thrown, or one whose cause that is", () => {
    const seen: Array<Error> = []
    const range = new RangeError("r")
    const object = { why: "no" }
    const pipeline = make().step(
      { name: "a", retries: 2, shouldRetry: (error: Error) => seen.push(error) > 0 },
      (_: Fields, { attempt }: Fields) => {
        // oxlint-disable-next-line typescript/only-throw-error
        throw attempt === 1 ? range : object
      }
    )
    comesTo(pipeline)
    expect(seen[0]).toBe(range)
    expect(seen[1]!.cause).toBe(object)
  })

  it("is repeated no more once shouldRetry says no", () => {
    let ran = 0
    const pipeline = make().step(
      { name: "a", retries: 5, shouldRetry: (error: Error) => error.message !== "final" },
      () => {
        throw new Error(++ran < 3 ? "busy" : "final")
      }
    )
    expect(comesTo(pipeline)).toMatchObject({ error: { message: "final", attempts: 3 } })
  })

  it("waits as long as it says", () => {
    const at: Array<number> = []
    const pipeline = make().step(
      { name: "a", retries: 3, retryDelayMs: (attempt: number) => attempt * 1000 },
      () =>
        Effect.flatMap(Effect.clockWith((clock) => clock.currentTimeMillis), (now) => {
          at.push(now)
          return Effect.fail("no")
        })
    )
    comesTo(pipeline)
    expect(at.map((time) => time - at[0]!)).toEqual([0, 1000, 3000, 6000])
  })

  it("goes on with its count and its delays in another process where they are long", () => {
    const ran: Array<number> = []
    const asked: Array<number> = []
    const pipeline = make().step(
      {
        name: "a",
        retries: 3,
        retryDelayMs: (attempt: number) => {
          asked.push(attempt)
          return 60_000 * attempt
        }
      },
      (_: Fields, { attempt }: Fields) => {
        ran.push(attempt)
        return attempt < 4 ? fails() : { attempt }
      }
    ).step("b", () => ({ b: 1 }))
    run(Effect.gen(function*() {
      let result = yield* pipeline.workflow.start({}, { runId })
      const wakes: Array<number> = []
      while (result.status === "suspended") {
        const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        wakes.push(result.wakeAt! - now)
        yield* Effect.sleep(result.wakeAt! - now)
        result = yield* pipeline.workflow.resume(runId)
      }
      expect(result).toMatchObject({ status: "success", result: { attempt: 4, b: 1 } })
      expect(wakes).toEqual([60_000, 120_000, 180_000])
      const retries = (yield* entriesOf(runId)).filter(({ type }) => type === "retry")
      expect(retries.map((entry) => "attempt" in entry && entry.attempt)).toEqual([1, 2, 3])
      yield* replays(pipeline)
    }))
    expect(ran).toEqual([1, 2, 3, 4])
    expect(asked.at(-1)).toBe(3)
  })

  it("fails where shouldRetry or retryDelayMs throws, and the run can be gone on with", () => {
    for (const kind of ["shouldRetry", "retryDelayMs"] as const) {
      let isMended = false
      const asked = () => {
        if (!isMended) throw new Error(`${kind} is broken`)
        return kind === "shouldRetry" ? true : 1
      }
      const pipeline = make().step(
        { name: "a", retries: 1, [kind]: asked },
        () => isMended ? { a: 1 } : fails()
      )
      run(Effect.gen(function*() {
        const exit = yield* Effect.exit(pipeline.run({}, { runId }))
        expect(Exit.isFailure(exit)).toBe(true)
        // A bug of the user's is a typed error like any other: no defect of the engine.
        expect([kind, Exit.isFailure(exit) && Cause.hasDies(exit.cause)]).toEqual([kind, false])
        isMended = true
        const { status } = yield* pipeline.workflow.status(runId)
        if (status !== "failed") expect(yield* pipeline.run({}, { runId })).toEqual({ a: 1 })
      }))
    }
  })

  it("does not wait for ever where retryDelayMs gives something that is no time", () => {
    for (const delay of [NaN, -1, Infinity, undefined, "5"]) {
      const pipeline = make().step({ name: "a", retries: 1, retryDelayMs: () => delay }, fails)
      const exit = run(Effect.exit(Effect.timeout(pipeline.run({}, { runId }), "1 hour")))
      expect([delay, Exit.isFailure(exit)]).toEqual([delay, true])
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) as Fields : {}
      expect([delay, error["_tag"]]).not.toEqual([delay, "TimeoutError"])
      expect([delay, Exit.isFailure(exit) && Cause.hasDies(exit.cause)]).toEqual([delay, false])
    }
  })
})

describe("a time limit", () => {
  it("is one attempt's, and its signal is heard", () => {
    const heard: Array<number> = []
    let interrupted = 0
    const pipeline = make().step(
      { name: "a", timeout: 100, retries: 2 },
      (_: Fields, { attempt, signal }: Fields) => {
        signal.addEventListener("abort", () => heard.push(attempt))
        return attempt < 3
          ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
          : Effect.as(Effect.sleep(99), { attempt })
      }
    )
    expect(comesTo(pipeline)).toEqual({ context: { attempt: 3 } })
    expect(heard).toEqual([1, 2])
    expect(interrupted).toBe(2)
  })

  it.live("ends a Promise's wait, and its late rejection is nobody's", () =>
    Effect.gen(function*() {
      let reject = (_: Error) => {}
      let aborted = false
      const pipeline = make().step(
        { name: "a", timeout: 10, onError: "continue" },
        (_: Fields, { signal }: Fields) => {
          signal.addEventListener("abort", () => (aborted = true))
          return new Promise((_, no) => (reject = no))
        }
      )
      expect(yield* live(pipeline)).toEqual({ context: {} })
      expect(aborted).toBe(true)
      expect(yield* unhandledIn(() => reject(new Error("late")))).toEqual([])
    }))
})

/** Rejections that nobody handles while something is done; by default they would end the process. */
const unhandledIn = (f: () => unknown) =>
  Effect.promise(async () => {
    const heard: Array<string> = []
    const listener = (error: unknown) => void heard.push(String(error))
    const others = process.listeners("unhandledRejection")
    process.removeAllListeners("unhandledRejection")
    process.on("unhandledRejection", listener)
    try {
      await f()
      await new Promise((resolve) => setTimeout(resolve, 20))
    } finally {
      process.off("unhandledRejection", listener)
      for (const other of others) process.on("unhandledRejection", other)
    }
    return heard
  })

describe("several functions in one step", () => {
  it("run beside each other, and their results are merged in their order", () => {
    const order: Array<string> = []
    const part = (name: string, millis: number) => () =>
      Effect.gen(function*() {
        order.push(`+${name}`)
        yield* Effect.sleep(millis)
        order.push(`-${name}`)
        return { [name]: 1, last: name }
      })
    expect(comesTo(make().step("s", part("a", 30), part("b", 20), part("c", 10))))
      .toEqual({ context: { a: 1, b: 1, c: 1, last: "c" } })
    expect(order).toEqual(["+a", "+b", "+c", "-c", "-b", "-a"])
  })

  it("may give nothing, and all of them stand in one entry", () => {
    const pipeline = make().step("s", () => {}, () => ({ a: 1 }), () => Effect.void, () => ({}))
    run(Effect.gen(function*() {
      expect(yield* outcome(pipeline)).toEqual({ context: { a: 1 } })
      expect((yield* entriesOf(runId)).filter(({ type }) => type === "step")).toMatchObject([
        { stepId: "s", result: { a: 1 } }
      ])
    }))
  })

  it("are cancelled when one fails", () => {
    let interrupted = 0
    let aborted = 0
    const pipeline = make().step(
      "s",
      (_: Fields, { signal }: Fields) => {
        signal.addEventListener("abort", () => aborted++)
        return Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      },
      () => Effect.andThen(Effect.sleep(10), Effect.fail("no"))
    )
    expect(comesTo(pipeline)).toMatchObject({ error: { _tag: "StepFailed", message: "no" } })
    expect(interrupted).toBe(1)
    expect(aborted).toBe(1)
  })

  it.live("that are Promises are told by their signal when one fails", () =>
    Effect.gen(function*() {
      let aborted = 0
      const pipeline = make().step(
        "s",
        (_: Fields, { signal }: Fields) =>
          new Promise(() => signal.addEventListener("abort", () => aborted++)),
        async () => (await turns(), fails())
      )
      expect(yield* live(pipeline)).toMatchObject({ error: { message: "no" } })
      expect(aborted).toBe(1)
    }))

  it.live("that fail together leave no rejection that nobody handles", () =>
    Effect.gen(function*() {
      const late = () => new Promise((_, reject) => setTimeout(() => reject(new Error("late")), 5))
      const soon = async () => fails()
      const steps: ReadonlyArray<ReadonlyArray<() => unknown>> = [
        [fails, soon],
        [soon, fails],
        [fails, late],
        [() => Effect.fail("no"), late],
        [soon, late, soon],
        [late, () => Effect.die("no")]
      ]
      for (const [k, functions] of steps.entries()) {
        for (const parallelMode of ["all", "settled"]) {
          const pipeline = make().step(
            { name: "s", parallelMode, onError: "continue" },
            ...functions
          )
          const heard = yield* unhandledIn(() => Effect.runPromise(live(pipeline)))
          expect([k, parallelMode, heard]).toEqual([k, parallelMode, []])
        }
      }
    }))

  it("that are settled merge what succeeded, and wait for all", () => {
    let ran = 0
    const pipeline = make().step(
      { name: "s", parallelMode: "settled" },
      fails,
      () => Effect.as(Effect.sleep(50), { slow: 1 }),
      () => Effect.fail("no"),
      () => Effect.die("no"),
      () => ({ a: ++ran })
    )
    expect(comesTo(pipeline)).toEqual({ context: { slow: 1, a: 1 } })
  })

  it("that are settled and all fail merge nothing; one function may be settled, too", () => {
    expect(comesTo(make().step({ parallelMode: "settled" }, fails, fails), { a: 1 }))
      .toEqual({ context: { a: 1 } })
    expect(comesTo(make().step({ parallelMode: "settled" }, fails), { a: 1 }))
      .toEqual({ context: { a: 1 } })
  })

  it("that are settled say of what failed in the log", () => {
    const said: Array<string> = []
    const logger = Logger.make(({ message }) => void said.push(String(message)))
    const pipeline = make().step({ parallelMode: "settled" }, fails, () => ({ a: 1 }))
    return Effect.runPromise(
      Effect.provide(live(pipeline), Logger.layer([logger]))
    ).then((came) => {
      expect(came).toEqual({ context: { a: 1 } })
      expect(said.filter((line) => line.includes("Error: no")).length).toBe(1)
    })
  })
})

describe("a transform", () => {
  it("replaces the whole context", () => {
    const pipeline = make().step("a", () => ({ a: 1 })).transform(({ a }: Fields) => ({ b: a + 1 }))
    expect(comesTo(pipeline, { z: 1 })).toEqual({ context: { b: 2 } })
    expect(comesTo(pipeline.transform(() => ({})))).toEqual({ context: {} })
  })

  it("whose failure is settled leaves the context as it is", () => {
    const pipeline = make().transform({ name: "t", parallelMode: "settled" }, fails)
    const { context } = comesTo(pipeline, { z: 1 }) as Fields
    // It may fail instead; what it must not do is to clear the context.
    expect(context ?? { z: 1 }).toEqual({ z: 1 })
  })

  it("does not ask for a merge policy", () => {
    for (const mergePolicy of ["override", "error", "warn", "skip"]) {
      const pipeline = make().transform({ mergePolicy }, ({ a }: Fields) => ({ a: a + 1 }))
      expect(comesTo(pipeline, { a: 1 })).toEqual({ context: { a: 2 } })
    }
  })

  it("takes one function", () => {
    expect(() => make().transform("t", () => ({ a: 1 }), () => ({ b: 1 }))).toThrow(TypeError)
  })
})

describe("a merge policy", () => {
  const parts: Readonly<Record<string, ReadonlyArray<unknown>>> = {
    "a function": [() => ({ old: 2, new: 1 })],
    "two functions": [() => ({ old: 2 }), () => ({ new: 1 })],
    "a nested pipeline": [make("q").step("i", () => ({ old: 2, new: 1 }))],
    "nested pipelines beside each other": [
      make("q").step("i", () => ({ old: 2 })),
      make("q").step("i", () => ({ new: 1 }))
    ],
    "a function beside a nested pipeline": [
      () => ({ old: 2 }),
      make("q").step("i", () => ({ new: 1 }))
    ]
  }

  it("says what becomes of a key that is there already, whatever gives it", () => {
    for (const [what, given] of Object.entries(parts)) {
      const of = (mergePolicy: string) =>
        comesTo(make().step({ name: "s", mergePolicy }, ...given), { old: 1 })
      expect([what, of("override")]).toEqual([what, { context: { old: 2, new: 1 } }])
      expect([what, of("warn")]).toEqual([what, { context: { old: 2, new: 1 } }])
      expect([what, of("skip")]).toEqual([what, { context: { old: 1, new: 1 } }])
      expect([what, of("error")])
        .toMatchObject([what, { error: { _tag: "StepFailed", tag: "KeyCollision" } }])
      expect((of("error") as Fields)["error"].message).toContain(`"old"`)
    }
  })

  it("holds between the parts of one step, too, in their order", () => {
    const x = (x: number) => [
      () => ({ x }),
      make("q").step("i", () => Effect.as(Effect.sleep(10 - x), { x }))
    ]
    for (const first of [0, 1]) {
      for (const second of [0, 1]) {
        const given = [x(1)[first], x(2)[second]]
        const of = (mergePolicy: string) =>
          comesTo(make().step({ name: "s", mergePolicy }, ...given))
        expect(of("override")).toEqual({ context: { x: 2 } })
        expect(of("warn")).toEqual({ context: { x: 2 } })
        expect(of("skip")).toEqual({ context: { x: 1 } })
        expect(of("error")).toMatchObject({ error: { tag: "KeyCollision" } })
      }
    }
  })

  it("does not take what a nested pipeline leaves as it was for a collision", () => {
    const same = make("q")
      .step("a", () => ({ old: { deep: [1] } }))
      .step("b", () => ({ new: 1 }))
      .transform((context: Fields) => ({ ...context }))
    expect(comesTo(make().step({ mergePolicy: "error" }, same), { old: { deep: [1] } }))
      .toEqual({ context: { old: { deep: [1] }, new: 1 } })
  })

  it("of warn says which keys, once", () => {
    const said: Array<string> = []
    const logger = Logger.make(({ message }) => void said.push(String(message)))
    const pipeline = make()
      .step({ name: "s", mergePolicy: "warn" }, () => ({ a: 2, b: 1 }))
      .step({ name: "n", mergePolicy: "warn" }, make("q").step("i", () => ({ b: 2 })))
    return Effect.runPromise(
      Effect.provide(live(pipeline, { a: 1 }), Logger.layer([logger]))
    ).then((came) => {
      expect(came).toEqual({ context: { a: 2, b: 2 } })
      expect(said.filter((line) => line.includes(`"s"`) && line.includes(`"a"`)).length).toBe(1)
      expect(said.filter((line) => line.includes(`"n"`) && line.includes(`"b"`)).length).toBe(1)
    })
  })

  it("knows only keys that the context itself has", () => {
    const keys = ["toString", "constructor", "hasOwnProperty", "__proto__"]
    for (const mergePolicy of ["error", "skip"]) {
      const given = Object.fromEntries(keys.map((key) => [key, 1]))
      const pipeline = make().step({ mergePolicy }, () => given)
      const { context } = comesTo(pipeline) as Fields
      expect(Object.keys(context).toSorted()).toEqual(keys.toSorted())
    }
  })
})

describe("a circuit breaker", () => {
  /** A step that calls a dependency, which works or not. */
  const guarded = (config: object, circuitBreaker: object, fail: () => unknown = fails) => {
    const state = { calls: 0, works: false }
    const pipeline = make().step(
      {
        name: "call",
        circuitBreaker: { failureThreshold: 2, cooldownMs: 1000, ...circuitBreaker },
        ...config
      },
      () => {
        state.calls++
        return state.works ? { called: state.calls } : fail()
      }
    ).step("after", () => ({ after: 1 }))
    return { state, pipeline }
  }
  const tagOf = (came: Fields) => came["error"]?.tag ?? came["error"]?._tag

  it.effect("opens after so many failures in a row, for all runs, and lets one through when time has passed", () =>
    Effect.gen(function*() {
      const { pipeline, state } = guarded({}, {})
      expect(tagOf(yield* live(pipeline))).toBe("Error")
      expect(tagOf(yield* live(pipeline))).toBe("Error")
      const open = (yield* live(pipeline)) as Fields
      expect(tagOf(open)).toBe("StepCircuitOpen")
      expect(open["error"].message).toContain(`"call"`)
      expect(state.calls).toBe(2)
      yield* TestClock.adjust(999)
      expect(tagOf(yield* live(pipeline))).toBe("StepCircuitOpen")
      yield* TestClock.adjust(1)
      // Half-open: one more failure opens it again.
      expect(tagOf(yield* live(pipeline))).toBe("Error")
      expect(tagOf(yield* live(pipeline))).toBe("StepCircuitOpen")
      expect(state.calls).toBe(3)
      yield* TestClock.adjust(1000)
      state.works = true
      expect(yield* live(pipeline)).toEqual({ context: { called: 4, after: 1 } })
      state.works = false
      // Closed: it counts from the beginning.
      expect(tagOf(yield* live(pipeline))).toBe("Error")
      expect(tagOf(yield* live(pipeline))).toBe("Error")
      expect(tagOf(yield* live(pipeline))).toBe("StepCircuitOpen")
    }))

  it.effect("counts failures in a row only", () =>
    Effect.gen(function*() {
      const { pipeline, state } = guarded({}, {})
      for (let n = 0; n < 3; n++) {
        state.works = false
        expect(tagOf(yield* live(pipeline))).toBe("Error")
        state.works = true
        expect(yield* live(pipeline)).toMatchObject({ context: { after: 1 } })
      }
    }))

  it.effect("counts every kind of failure", () =>
    Effect.gen(function*() {
      const kinds: Readonly<Record<string, () => unknown>> = {
        throw: fails,
        promise: async () => fails(),
        effect: () => Effect.fail("no"),
        defect: () => Effect.die("no")
      }
      for (const [kind, fail] of Object.entries(kinds)) {
        const { pipeline, state } = guarded({}, {}, fail)
        yield* live(pipeline)
        yield* live(pipeline)
        expect([kind, tagOf(yield* live(pipeline)), state.calls]).toEqual([
          kind,
          "StepCircuitOpen",
          2
        ])
      }
    }))

  it.live("counts an attempt that takes too long", () =>
    Effect.gen(function*() {
      const { pipeline, state } = guarded({ timeout: 5 }, {}, () => new Promise(() => {}))
      expect(tagOf(yield* live(pipeline))).toBe("StepTimeout")
      expect(tagOf(yield* live(pipeline))).toBe("StepTimeout")
      expect(tagOf(yield* live(pipeline))).toBe("StepCircuitOpen")
      expect(state.calls).toBe(2)
    }))

  it.effect("that skips leaves the step out, which is heard of", () =>
    Effect.gen(function*() {
      const { pipeline } = guarded({}, { behaviorOnOpen: "skip" })
      yield* live(pipeline)
      yield* live(pipeline)
      const heard: Array<string> = []
      const came = yield* live(pipeline, {}, {
        onStepComplete: ({ stepName }: Fields) => void heard.push(`completed ${stepName}`),
        onStepError: ({ stepName }: Fields) => void heard.push(`failed ${stepName}`),
        onStepSkipped: ({ reason, stepName }: Fields) => void heard.push(`${reason} ${stepName}`)
      })
      expect(came).toEqual({ context: { after: 1 } })
      expect(heard).toEqual(["circuit call", "completed after"])
    }))

  it.effect("does what onError says when it is open, but to skip is no failure", () =>
    Effect.gen(function*() {
      for (const behaviorOnOpen of ["throw", "skip"]) {
        const { pipeline } = guarded({ onError: "skip-remaining" }, { behaviorOnOpen })
        expect(yield* live(pipeline)).toEqual({ context: {} })
        expect(yield* live(pipeline)).toEqual({ context: {} })
        expect(yield* live(pipeline))
          .toEqual({ context: behaviorOnOpen === "skip" ? { after: 1 } : {} })
      }
    }))

  it.effect("takes only its own rejection for one, whatever the function fails with", () =>
    Effect.gen(function*() {
      for (const _tag of ["CircuitOpen", "CircuitBreakerError"]) {
        const { pipeline, state } = guarded(
          { retries: 1 },
          { failureThreshold: 9, behaviorOnOpen: "skip" },
          () => Effect.fail({ _tag, message: "the dependency's own", reason: { _tag: "X" } })
        )
        expect([_tag, yield* live(pipeline)])
          .toMatchObject([_tag, { error: { message: "the dependency's own" } }])
        expect([_tag, state.calls]).toEqual([_tag, 2])
      }
    }))

  it.effect("is not hammered by retries once it is open", () =>
    Effect.gen(function*() {
      const { pipeline, state } = guarded({ retries: 50 }, { failureThreshold: 3 })
      expect(tagOf(yield* live(pipeline))).toBe("StepCircuitOpen")
      expect(state.calls).toBe(3)
      expect(tagOf(yield* live(pipeline))).toBe("StepCircuitOpen")
      expect(state.calls).toBe(3)
    }))

  it.effect("is the step's, not that of one with the same name elsewhere", () =>
    Effect.gen(function*() {
      const one = guarded({}, {})
      const other = guarded({}, {})
      yield* live(one.pipeline)
      yield* live(one.pipeline)
      expect(tagOf(yield* live(one.pipeline))).toBe("StepCircuitOpen")
      expect(tagOf(yield* live(other.pipeline))).toBe("Error")
      const twice = make()
        .step({ name: "x", onError: "continue", circuitBreaker: { failureThreshold: 1 } }, fails)
        .step(
          { name: "x", onError: "continue", circuitBreaker: { failureThreshold: 1 } },
          () => ({ a: 1 })
        )
      yield* live(twice)
      expect(yield* live(twice)).toEqual({ context: { a: 1 } })
    }))

  it.effect("lets one of several runs at once through when it is half open", () =>
    Effect.gen(function*() {
      const { pipeline, state } = guarded({}, {})
      yield* live(pipeline)
      yield* live(pipeline)
      yield* TestClock.adjust(1000)
      state.works = true
      let go = () => {}
      const gate = new Promise<void>((resolve) => (go = resolve))
      const slow = make().step(
        { name: "s", circuitBreaker: { failureThreshold: 1, cooldownMs: 1000 } },
        async () => {
          if (slowState.works) await gate
          else fails()
          return { calls: ++slowState.calls }
        }
      )
      const slowState = { calls: 0, works: false }
      yield* live(slow)
      yield* TestClock.adjust(1000)
      slowState.works = true
      const probe = yield* Effect.forkChild(live(slow))
      yield* Effect.promise(turns)
      for (let n = 0; n < 20; n++) yield* Effect.yieldNow
      const others = yield* Effect.all([live(slow), live(slow)], { concurrency: "unbounded" })
      expect(others.map(tagOf)).toEqual(["StepCircuitOpen", "StepCircuitOpen"])
      go()
      expect(yield* Fiber.join(probe)).toEqual({ context: { calls: 1 } })
      expect(yield* live(slow)).toEqual({ context: { calls: 2 } })
      expect(yield* live(pipeline)).toMatchObject({ context: { after: 1 } })
    }))

  it.effect("never opens without a threshold", () =>
    Effect.gen(function*() {
      let calls = 0
      const pipeline = make().step({ name: "a", circuitBreaker: {} }, () => (calls++, fails()))
      for (let n = 0; n < 20; n++) expect(tagOf(yield* live(pipeline))).toBe("Error")
      expect(calls).toBe(20)
    }))

  it.effect("sees several functions as one call", () =>
    Effect.gen(function*() {
      let calls = 0
      const pipeline = make().step(
        { name: "a", circuitBreaker: { failureThreshold: 2 } },
        () => (calls++, fails()),
        async () => ({ x: 1 })
      )
      for (let n = 0; n < 5; n++) yield* live(pipeline)
      expect(calls).toBe(2)
    }))
})

describe("the context", () => {
  it("cannot be written to, in any way, at any depth", () => {
    const writes: Readonly<Record<string, (context: Fields) => unknown>> = {
      set: (c) => (c["a"] = 2),
      add: (c) => (c["b"] = 2),
      delete: (c) => delete c["a"],
      define: (c) => Object.defineProperty(c, "b", { value: 1 }),
      assign: (c) => Object.assign(c, { a: 3 }),
      prototype: (c) => Object.setPrototypeOf(c, null),
      proto: (c) => (c["__proto__"] = {}),
      freeze: (c) => Object.freeze(c),
      reflect: (c) => {
        Reflect.set(c, "a", 5)
        throw new TypeError("read-only")
      },
      "nested set": (c) => (c["deep"].x = 2),
      "nested add": (c) => (c["deep"].y = 2),
      "nested delete": (c) => delete c["deep"].x,
      push: (c) => c["list"].push(1),
      sort: (c) => c["list"].sort(),
      "in a list": (c) => (c["list"][0].n = 2),
      "of a step before": (c) => (c["from"].step.x = 2)
    }
    for (const [what, write] of Object.entries(writes)) {
      let seen: Fields = {}
      const pipeline = make()
        .step("before", () => ({ from: { step: { x: 1 } } }))
        .step({ name: "writes", onError: "continue" }, write)
        .step("reads", (context: Fields) => {
          seen = { ...context }
        })
      const input = { a: 1, deep: { x: 1 }, list: [{ n: 1 }, { n: 0 }] }
      run(Effect.gen(function*() {
        const came = yield* outcome(pipeline, input)
        const expected = {
          a: 1,
          deep: { x: 1 },
          list: [{ n: 1 }, { n: 0 }],
          from: { step: { x: 1 } }
        }
        expect([what, came]).toEqual([what, { context: expected }])
        expect([what, seen]).toEqual([what, expected])
        expect((yield* entriesOf(runId)).find((entry) => "error" in entry && entry.error))
          .toMatchObject({ stepId: "writes", error: { tag: "TypeError" } })
      }))
      // What the caller gave is the caller's.
      expect(Object.isFrozen(input.deep)).toBe(false)
    }
  })

  it("says what to do instead of writing to it", () => {
    const { error } = comesTo(make().step("s", (c: Fields) => void (c["total"] = 2))) as Fields
    expect(error.message).toContain("read-only")
    expect(error.message).toContain("total")
  })

  it("can be read like any object", () => {
    const pipeline = make().step("s", (c: Fields) => {
      const { a, ...rest } = c
      return {
        keys: Object.keys(c),
        entries: Object.entries(c).length,
        json: JSON.stringify(c),
        spread: { ...c },
        in: ["a" in c, "zz" in c],
        own: [Object.hasOwn(c, "a"), Object.hasOwn(c, "toString")],
        clone: structuredClone(c["deep"]),
        cloned: structuredClone({ ...c }),
        rest,
        a,
        missing: c["zz"] === undefined,
        for: (() => {
          const all = []
          for (const key in c) all.push(key)
          return all
        })()
      }
    })
    const input = { a: 1, deep: { x: [1] } }
    expect(comesTo(pipeline, input)).toEqual({
      context: {
        ...input,
        keys: ["a", "deep"],
        entries: 2,
        json: `{"a":1,"deep":{"x":[1]}}`,
        spread: input,
        in: [true, false],
        own: [true, false],
        clone: { x: [1] },
        cloned: input,
        rest: { deep: { x: [1] } },
        a: 1,
        missing: true,
        for: ["a", "deep"]
      }
    })
  })

  it("may be returned as it is, and what is made of it", () => {
    expect(comesTo(make().step("s", (c: Fields) => c), { a: { b: 1 } }))
      .toEqual({ context: { a: { b: 1 } } })
    expect(comesTo(make().transform((c: Fields) => c).step("x", () => ({ x: 1 })), { a: 1 }))
      .toEqual({ context: { a: 1, x: 1 } })
    expect(comesTo(make().step("s", (c: Fields) => ({ copy: c })), { a: { b: 1 } }))
      .toEqual({ context: { a: { b: 1 }, copy: { a: { b: 1 } } } })
  })

  it("holds odd keys as any others, also through pipelines, branches and checkpoints", () => {
    const odd = JSON.parse(
      `{"__proto__": {"x": 1}, "constructor": 1, "toString": 2, "0": 3, "-1": 4, "1.5": 5, "": 6,`
        + ` "ключ": 7, "😀": 8, "a b": 9, "a.b": 10, "hasOwnProperty": 11, "then": 12, "length": 13,`
        + ` "toJSON": 14, "valueOf": 15, "\\u0000": 16, "\\ud800": 17}`
    ) as Fields
    const give = () => odd
    const pipelines: Readonly<Record<string, Loose>> = {
      step: make().step("s", give),
      input: make().step("s", () => ({})),
      several: make().step("s", give, () => ({})),
      nested: make().step("s", make("q").step("i", give)),
      branch: make().branchOn("s", { default: make("q").step("i", give) }),
      transform: make().transform("s", give),
      copied: make().step("s", give).transform((c: Fields) => ({ ...c })),
      effect: make().step("s", () => Effect.succeed(odd))
    }
    // Neither a thenable nor a proxy: a key is a key.
    for (const [what, pipeline] of Object.entries(pipelines)) {
      const { context } = comesTo(pipeline, what === "input" ? odd : {}) as Fields
      expect([what, JSON.stringify(context)]).toEqual([what, JSON.stringify(odd)])
      expect([what, Object.getPrototypeOf(context) === Object.prototype]).toEqual([what, true])
    }
  })

  it("may be large, and hold many keys", () => {
    const big = {
      list: Array.from({ length: 20_000 }, (_, n) => ({ n })),
      text: "x".repeat(200_000)
    }
    let pipeline = make().step("big", () => big)
    for (let n = 0; n < 50; n++) pipeline = pipeline.step(`s${n}`, () => ({ [`k${n}`]: n }))
    const done = run(pipeline.run({}))
    expect(Object.keys(done).length).toBe(52)
    expect(done["list"].length).toBe(20_000)
  })

  it("is not shared with the caller: what a caller does to input or result changes nothing", () => {
    const input = { list: [1] }
    const pipeline = make()
      .step("a", ({ list }: Fields) => {
        input.list.push(2)
        return { sum: list.length }
      })
      .step("b", ({ list }: Fields) => ({ again: list.length }))
    run(Effect.gen(function*() {
      const first = yield* pipeline.run(input, { runId })
      expect(first).toEqual({ list: [1], sum: 1, again: 1 })
      input.list.pop()
      const second = yield* pipeline.run(input, { runId })
      expect(second).toEqual(first)
    }))
  })

  it("is not shared with a function that keeps what it returned", () => {
    const kept = { list: [1] }
    const pipeline = make()
      .step("a", () => kept)
      .step("b", ({ list }: Fields) => {
        kept.list.push(2)
        return { length: list.length }
      })
    expect(comesTo(pipeline)).toEqual({ context: { list: [1], length: 1 } })
    expect(Object.isFrozen(kept.list)).toBe(false)
  })
})

describe("what a step gives", () => {
  it("must be JSON: an error names the place, nothing is journaled, and the run stays open", () => {
    const outputs: ReadonlyArray<readonly [output: () => unknown, path: string]> = [
      [() => ({ a: { at: new Date(0) } }), "$.a.at"],
      [() => ({ m: new Map() }), "$.m"],
      [() => ({ s: [new Set()] }), "$.s[0]"],
      [() => ({ n: 1n }), "$.n"],
      [() => ({ n: [0, NaN] }), "$.n[1]"],
      [() => ({ n: Infinity }), "$.n"],
      [() => ({ n: -0 }), "$.n"],
      [() => ({ f: () => 1 }), "$.f"],
      [() => ({ s: Symbol("s") }), "$.s"],
      [() => ({ u: [undefined] }), "$.u[0]"],
      [() => ({ c: new (class Foo {})() }), "$.c"],
      [() => ({ e: new Error("e") }), "$.e"],
      [() => {
        const a: Fields = {}
        a["self"] = a
        return { a }
      }, "$.a.self"]
    ]
    for (const [output, path] of outputs) {
      for (
        const add of [
          (p: Loose) => p.step("bad", output),
          (p: Loose) => p.step("bad", output, () => ({})),
          (p: Loose) => p.transform("bad", output),
          (p: Loose) => p.step("outer", make("q").step("bad", output))
        ]
      ) {
        const pipeline = add(make().step("good", () => ({ good: 1 })))
        run(Effect.gen(function*() {
          const { error } = (yield* outcome(pipeline)) as Fields
          expect([path, error._tag]).toEqual([path, "Unserializable"])
          expect(error.message).toContain(path)
          expect(error.message).toContain("bad")
          const steps = (yield* entriesOf(runId)).filter(({ type }) => type === "step")
          expect(steps).toMatchObject([{ stepId: "good" }])
          expect((yield* pipeline.workflow.status(runId)).status).not.toBe("failed")
        }))
      }
    }
  })

  it("may be nothing, an object without a prototype, or one with undefined fields", () => {
    const bare = Object.assign(Object.create(null), { a: 1 })
    const pipeline = make()
      .step("nothing", () => {})
      .step("bare", () => bare)
      .step("void", () => Effect.void)
      .step("undefined", () => ({ gone: undefined, there: null }))
    expect(comesTo(pipeline)).toEqual({ context: { a: 1, there: null } })
  })

  it("may be undefined for a key that is there, which stays as it is or goes, the same when replayed", () => {
    const pipeline = make().step("s", () => ({ a: undefined })).step("t", (c: Fields) => ({
      has: "a" in c
    }))
    const came = comesTo(pipeline, { a: 1 })
    expect(came).toEqual({ context: { a: 1, has: true } })
  })

  it("is what was journaled, live too: no identity, no prototype survives", () => {
    const shared = { n: 1 }
    const pipeline = make()
      .step("a", () => ({ x: shared, y: shared }))
      .step("b", ({ x, y }: Fields) => ({ same: x === y, mine: x === shared }))
    expect(comesTo(pipeline)).toEqual({
      context: { x: { n: 1 }, y: { n: 1 }, same: false, mine: false }
    })
  })

  it("of the input must be an object of JSON, or nothing is run", () => {
    let ran = 0
    const pipeline = make().step("a", () => void ran++)
    for (const input of [null, undefined, 5, "x", [1], { a: new Date(0) }, { a: [NaN] }]) {
      run(Effect.gen(function*() {
        const result = yield* Effect.result(pipeline.run(input, { runId }))
        expect(Result.isFailure(result)).toBe(true)
        expect((yield* Runs.list()).runs).toEqual([])
      }))
    }
    expect(ran).toBe(0)
  })
})

describe("a name", () => {
  const names = [
    "/",
    "a/b",
    "[",
    "]",
    "x[0]",
    "#",
    "x#2",
    "#2",
    "%",
    "%23",
    "%2f",
    "?",
    "x?",
    ">",
    "x>",
    "!",
    "x!",
    "~",
    "x~",
    "()",
    "x()",
    " ",
    "a b",
    "é😀",
    "__proto__",
    "constructor",
    "toString",
    "timeout",
    "all",
    "race",
    "0",
    "-1",
    "n".repeat(190),
    "é".repeat(190)
  ]

  const any = names.map((name) => ({ name, shown: name.slice(0, 20) }))

  it.for(any)(
    "may be $shown, and is what events and describe say, wherever the step stands",
    ({ name }) => {
      const heard: Array<string> = []
      const pipeline = make()
        .step(name, () => ({ a: 1 }))
        .step("n", make("q").step(name, () => ({ b: 1 })))
        .branchOn("r", { name: "c", default: make("q").step(name, () => ({ c: 1 })) })
        .transform({ name, condition: () => true }, (c: Fields) => ({ ...c, t: 1 }))
        .step({ name, condition: () => false }, () => ({ never: 1 }))
      const came = comesTo(pipeline, {}, {
        onStepComplete: ({ stepName }: Fields) => void heard.push(stepName),
        onStepSkipped: ({ reason, stepName }: Fields) => void heard.push(`${reason} ${stepName}`)
      })
      expect(came).toEqual({ context: { a: 1, b: 1, c: 1, t: 1 } })
      expect(heard).toEqual([name, `n/${name}`, "n", `r/c/${name}`, "r", name, `condition ${name}`])
      expect(pipeline.describe()).toEqual([name, "n", "r", name, name])
    }
  )

  it.for(any)("of a container may be $shown", ({ name }) => {
    const heard: Array<string> = []
    const pipeline = make()
      .step(name, make("q").step("i", () => ({ a: 1 })))
      .branchOn(name, { name, default: make("q").step("i", () => ({ b: 1 })) })
      .step({ name, timeout: 1000 }, make("q").step("i", () => ({ c: 1 })))
    const came = comesTo(pipeline, {}, {
      onStepComplete: ({ stepName }: Fields) => void heard.push(stepName)
    })
    expect(came).toEqual({ context: { a: 1, b: 1, c: 1 } })
    expect(heard).toEqual([`${name}/i`, name, `${name}/${name}/i`, name, `${name}/i`, name])
  })

  it("that looks like one of the pipeline's own marks is still a step's", () => {
    const heard: Array<string> = []
    const pipeline = make()
      .step({ name: "a", condition: () => true }, () => ({ a: 1 }))
      .step("a?", () => ({ b: 1 }))
      .step("n", make("q").step("i", () => ({ c: 1 })))
      .step("n!", () => ({ d: 1 }))
      .branchOn("r", { name: "c", default: make("q").step("i", () => ({ e: 1 })) })
      .step("r>", () => ({ f: 1 }))
      .step("r!", () => ({ g: 1 }))
    const came = comesTo(pipeline, {}, {
      onStepComplete: ({ stepName }: Fields) => void heard.push(stepName)
    })
    expect(came).toEqual({ context: { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1 } })
    expect(heard).toEqual(["a", "a?", "n/i", "n", "n!", "r/c/i", "r", "r>", "r!"])
  })

  it("may be that of several steps, whose ids differ", () => {
    const heard: Array<string> = []
    let pipeline = make()
    for (let n = 0; n < 12; n++) pipeline = pipeline.step("same", () => ({ [`k${n}`]: n }))
    comesTo(pipeline, {}, {
      onStepComplete: ({ stepId, stepName }: Fields) => void heard.push(`${stepName} ${stepId}`)
    })
    expect(heard.length).toBe(12)
    expect(new Set(heard).size).toBe(12)
    expect(heard.every((one) => one.startsWith("same same"))).toBe(true)
  })

  it("is made of the kind and the place where none is given", () => {
    const pipeline = make()
      .step(() => ({ a: 1 }))
      .transform((c: Fields) => c)
      .branchOn({ default: make("q").step(() => ({})) })
      .step({ retries: 1 }, () => ({ b: 1 }))
      .step(make("q").step(() => ({ c: 1 })))
    expect(pipeline.describe()).toEqual(["step-1", "transform-2", "branch-3", "step-4", "step-5"])
    expect(comesTo(pipeline)).toEqual({ context: { a: 1, b: 1, c: 1 } })
  })
})

describe("a pipeline", () => {
  it("never changes: what is added gives another, and a beginning may be shared", () => {
    const ran: Array<string> = []
    const say = (name: string) => () => {
      ran.push(name)
      return { [name]: 1 }
    }
    const base = make().step("a", say("a"))
    const left = base.step("l", say("l"))
    const right = base.branchOn("r", { default: make("q").step("r", say("r")) })
    const third = base.transform("t", () => ({ t: 1 }))
    expect([base, left, right, third].map((p) => p.describe()))
      .toEqual([["a"], ["a", "l"], ["a", "r"], ["a", "t"]])
    expect(comesTo(left)).toEqual({ context: { a: 1, l: 1 } })
    expect(comesTo(base)).toEqual({ context: { a: 1 } })
    // One that has run can still be gone on from.
    expect(comesTo(base.step("z", say("z")))).toEqual({ context: { a: 1, z: 1 } })
    expect(comesTo(right)).toEqual({ context: { a: 1, r: 1 } })
    expect(comesTo(third)).toEqual({ context: { t: 1 } })
    expect(base.describe()).toEqual(["a"])
    expect(ran).toEqual(["a", "l", "a", "a", "z", "a", "r", "a"])
  })

  it("gives a list of names that is nobody else's", () => {
    const pipeline = make().step("a", () => {}).step("b", () => {})
    const names = pipeline.describe() as Array<string>
    names.reverse()
    expect(pipeline.describe()).toEqual(["a", "b"])
  })

  it("may be empty, and have very many steps", () => {
    expect(comesTo(make(), { a: 1 })).toEqual({ context: { a: 1 } })
    let long = make()
    for (let n = 0; n < 1_000; n++) long = long.step(({ n = 0 }: Fields) => ({ n: n + 1 }))
    expect(run(long.run({}))).toEqual({ n: 1_000 })
    expect(long.describe().length).toBe(1_000)
  })

  it("runs several times at once without sharing anything", () => {
    const pipeline = make()
      .step("a", ({ id }: Fields) => Effect.as(Effect.sleep(10 - id), { a: id }))
      .step("n", make("q").step("i", ({ a }: Fields) => Effect.as(Effect.sleep(a), { i: a })))
      .branchOn("r", {
        name: "odd",
        when: ({ id }: Fields) => id % 2 === 1,
        then: make("q").step("o", ({ i }: Fields) => ({ odd: i }))
      }, { default: make("q").step("e", ({ i }: Fields) => ({ even: i })) })
      .transform(({ a, ...rest }: Fields) => ({ ...rest, t: a }))
    const all = run(
      Effect.all(
        Array.from({ length: 8 }, (_, id) => pipeline.run({ id })),
        { concurrency: "unbounded" }
      )
    )
    expect(all).toEqual(
      Array.from(
        { length: 8 },
        (_, id) => ({ id, i: id, t: id, [id % 2 === 1 ? "odd" : "even"]: id })
      )
    )
  })

  it("needs no storage, and two such runs know nothing of each other", () =>
    Effect.runPromise(Effect.gen(function*() {
      let ran = 0
      const pipeline = make().step("a", () => ({ ran: ++ran }))
      expect(yield* pipeline.run({}, { runId })).toEqual({ ran: 1 })
      expect(yield* pipeline.run({}, { runId })).toEqual({ ran: 2 })
    })))

  it("with a known run id attaches to the run, or refuses another input", () => {
    let ran = 0
    const pipeline = make().step("a", () => ({ ran: ++ran }))
    run(Effect.gen(function*() {
      expect(yield* pipeline.run({ x: 1 }, { runId })).toEqual({ x: 1, ran: 1 })
      expect(yield* pipeline.run({ x: 1 }, { runId })).toEqual({ x: 1, ran: 1 })
      expect(yield* Effect.flip(pipeline.run({ x: 2 }, { runId })))
        .toMatchObject({ _tag: "RunExists" })
    }))
    expect(ran).toBe(1)
  })
})

describe("a signal", () => {
  /** A pipeline whose steps say that they run, and do something when it is their turn. */
  const abc = (turn: Readonly<Record<string, (info: Fields) => unknown>> = {}) => {
    const ran: Array<string> = []
    const step = (name: string) => (_: Fields, info: Fields) => {
      ran.push(name)
      return turn[name]?.(info) ?? { [name]: 1 }
    }
    const pipeline = make().step("a", step("a")).step("b", step("b")).step("c", step("c"))
    return { pipeline, ran }
  }

  it.live("that is aborted already lets nothing run, and nothing is recorded", () =>
    Effect.gen(function*() {
      const { pipeline, ran } = abc()
      const { error } = (yield* outcome(pipeline, {}, { signal: AbortSignal.abort() })) as Fields
      expect(error).toMatchObject({ _tag: "PipelineAborted", runId, pipeline: "p" })
      expect(ran).toEqual([])
      expect(yield* pipeline.run({}, { runId })).toEqual({ a: 1, b: 1, c: 1 })
    }).pipe(Effect.provide(world)))

  it.live("aborted while a step runs is told to it; the run stays open and goes on", () =>
    Effect.gen(function*() {
      const controller = new AbortController()
      let heard = 0
      let isFirst = true
      const { pipeline, ran } = abc({
        b: ({ signal }) => {
          if (!isFirst) return { b: 1 }
          isFirst = false
          signal.addEventListener("abort", () => heard++)
          setTimeout(() => controller.abort(), 5)
          return new Promise(() => {})
        }
      })
      const { error } = (yield* outcome(pipeline, {}, { signal: controller.signal })) as Fields
      expect(error).toMatchObject({ _tag: "PipelineAborted" })
      expect(heard).toBe(1)
      expect(ran).toEqual(["a", "b"])
      const steps = (yield* entriesOf(runId)).flatMap((e) => e.type === "step" ? [e.stepId] : [])
      expect(steps).toEqual(["a"])
      expect(yield* pipeline.workflow.resume(runId))
        .toMatchObject({ status: "success", result: { a: 1, b: 1, c: 1 } })
      expect(ran).toEqual(["a", "b", "b", "c"])
      yield* replays(pipeline)
    }).pipe(Effect.provide(world)))

  for (const [where, layer] of [["guarded", world], ["unguarded", Storage.layerMemory]] as const) {
    it.live(`aborted by a step that does not wait lets no other step begin, ${where}`, () =>
      Effect.gen(function*() {
        const controller = new AbortController()
        const { pipeline, ran } = abc({ a: () => controller.abort() })
        const { error } = (yield* outcome(pipeline, {}, { signal: controller.signal })) as Fields
        expect(error).toMatchObject({ _tag: "PipelineAborted" })
        expect(ran).toEqual(["a"])
        expect(yield* pipeline.run({}, { runId })).toEqual({ a: 1, b: 1, c: 1 })
        expect(ran).toEqual(["a", "b", "c"])
      }).pipe(Effect.provide(layer)))
  }

  it.live("aborted in a hook lets no other step begin", () =>
    Effect.gen(function*() {
      const controller = new AbortController()
      const { pipeline, ran } = abc()
      const onStepComplete = ({ stepName }: Fields) => stepName === "b" && controller.abort()
      const { error } = (yield* outcome(pipeline, {}, {
        signal: controller.signal,
        onStepComplete
      })) as Fields
      expect(error).toMatchObject({ _tag: "PipelineAborted" })
      expect(ran).toEqual(["a", "b"])
      expect(yield* pipeline.run({}, { runId })).toEqual({ a: 1, b: 1, c: 1 })
    }).pipe(Effect.provide(world)))

  it.live("aborted in a wait between attempts ends the wait", () =>
    Effect.gen(function*() {
      const controller = new AbortController()
      const pipeline = make().step({ name: "a", retries: 1, retryDelayMs: 9_000 }, () => {
        setTimeout(() => controller.abort(), 5)
        return fails()
      })
      const { error } = (yield* outcome(pipeline, {}, { signal: controller.signal })) as Fields
      expect(error).toMatchObject({ _tag: "PipelineAborted" })
    }).pipe(Effect.provide(world)))

  it.live("aborted inside containers is told to all steps that run", () =>
    Effect.gen(function*() {
      const controller = new AbortController()
      let heard = 0
      const waits = (_: Fields, { signal }: Fields) => {
        signal.addEventListener("abort", () => heard++)
        return new Promise(() => {})
      }
      const pipeline = make().step(
        { name: "n", onError: "continue", retries: 3 },
        make("q").step("i", waits),
        make("q").branchOn("r", { default: make("s").step("j", waits) }),
        waits
      )
      setTimeout(() => controller.abort(), 20)
      const { error } = (yield* outcome(pipeline, {}, { signal: controller.signal })) as Fields
      expect(error).toMatchObject({ _tag: "PipelineAborted" })
      expect(heard).toBe(3)
    }).pipe(Effect.provide(world)))

  it.live("aborted after the end means nothing, and leaves no listener behind", () =>
    Effect.gen(function*() {
      const controller = new AbortController()
      const { signal } = controller
      let listeners = 0
      const add = signal.addEventListener.bind(signal)
      const remove = signal.removeEventListener.bind(signal)
      signal.addEventListener = (...args: [any, any, any]) => {
        listeners++
        add(...args)
      }
      signal.removeEventListener = (...args: [any, any, any]) => {
        listeners--
        remove(...args)
      }
      const { pipeline } = abc({ b: () => turns().then(() => ({ b: 1 })) })
      expect(yield* outcome(pipeline, {}, { signal })).toEqual({ context: { a: 1, b: 1, c: 1 } })
      controller.abort()
      expect(listeners).toBe(0)
      expect(yield* pipeline.workflow.status(runId)).toMatchObject({ status: "success" })
    }).pipe(Effect.provide(world)))

  it.live("of the pipeline holds for calls that have none of their own", () =>
    Effect.gen(function*() {
      const pipeline = make("p", { signal: AbortSignal.abort() }).step("a", () => ({ a: 1 }))
      expect(yield* live(pipeline)).toMatchObject({ error: { _tag: "PipelineAborted" } })
      const { signal } = new AbortController()
      expect(yield* live(pipeline, {}, { signal })).toEqual({ context: { a: 1 } })
    }))
})
