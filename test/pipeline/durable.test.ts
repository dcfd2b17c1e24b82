/**
 * Pipelines as runs: killed at every append, stopped, cut, changed in between, gone on from at every step in
 * a world that never saw them. Everywhere the same end, and nothing that is done is done again.
 */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LocalStorage, Pipeline, Runs, Storage, type Workflow } from "reprise"
import * as Testing from "reprise/testing"
import { entriesOf, everywhere, failureOf, run } from "../support/together.ts"

type Fields = Record<string, any>

/** A pipeline without its types: they would only be in the way of tables. */
interface Loose {
  step(...parts: ReadonlyArray<unknown>): Loose
  branchOn(...parts: ReadonlyArray<unknown>): Loose
  transform(...parts: ReadonlyArray<unknown>): Loose
  run(input: unknown, options?: object): Effect.Effect<Fields, unknown>
  runCheckpoint(checkpoint: unknown, options?: object): Effect.Effect<Fields, unknown>
  contextOf(checkpoint: string): Effect.Effect<Fields, unknown>
  readonly workflow: Workflow.Workflow<any, any, any, any>
}

const make = (name = "p", options: Pipeline.Options = {}): Loose =>
  Pipeline.make(name, options) as unknown as Loose

const runId = "r"

/** Every journal fits its code, from every prefix on. */
const replays = (pipeline: Loose) =>
  Effect.gen(function*() {
    const { runs } = yield* Runs.list()
    for (const { runId } of runs) {
      const journal = yield* Runs.journal(runId)
      for (let n = 1; n <= journal.entries.length; n++) {
        const prefix = { ...journal, entries: journal.entries.slice(0, n) }
        expect(pipeline.workflow.replay(prefix)._tag).not.toMatch(/Diverged|Broke/)
      }
    }
  })

/** Lets the others go first so many times; unlike a sleep it needs no clock that somebody moves. */
const yields = (times: number) =>
  Effect.forEach(Array.from({ length: times }), () => Effect.yieldNow, { discard: true })

/** Steps that say that they run, and how. */
const witness = () => {
  const ran: Array<string> = []
  /** A step that takes a while and gives something. */
  const does = (name: string, out: (context: Fields) => object | void, turns = 0) => (c: Fields) =>
    Effect.suspend(() => {
      ran.push(name)
      const given = out(c)
      return turns === 0 ? Effect.succeed(given) : Effect.as(yields(turns), given)
    })
  const asks = (name: string, answer: (context: Fields) => unknown) => (c: Fields) => {
    ran.push(name)
    return answer(c)
  }
  return { ran, does, asks }
}

type Witness = ReturnType<typeof witness>

const rows: Readonly<Record<string, (witness: Witness) => Loose>> = {
  "steps in a row": ({ does }) =>
    make().step("a", does("a", () => ({ a: 1 }))).step("b", does("b", ({ a }) => ({ b: a + 1 })))
      .step("c", does("c", ({ b }) => ({ c: b + 1, a: 9 }))),
  "conditions": ({ asks, does }) =>
    make().step("a", does("a", () => ({ a: 1 })))
      .step({ name: "b", condition: asks("b?", ({ a }) => a === 1) }, does("b", () => ({ b: 1 })))
      .step({ name: "c", condition: asks("c?", ({ a }) => a !== 1) }, does("c", () => ({ c: 1 })))
      .step({ name: "d", condition: false }, does("d", () => ({ d: 1 })))
      .step("e", does("e", (c) => ({ e: Object.keys(c).length }))),
  "failures that are gone on from": ({ does }) => {
    const bad = does("bad", () => {
      throw new Error("no")
    })
    return make().step({ name: "x", onError: "continue" }, bad)
      .step(
        { name: "n", onError: "continue" },
        make("q").step("i", does("i", () => ({ i: 1 }))).step("x", bad)
      )
      .step("a", does("a", (c) => ({ a: Object.keys(c).length })))
      .step({ name: "y", onError: "skip-remaining" }, bad)
      .step("b", does("b", () => ({ b: 1 })))
  },
  "transforms": ({ does }) =>
    make().step("a", does("a", () => ({ a: 1 }))).transform("t", does("t", ({ a }) => ({ t: a })))
      .step("b", does("b", (c) => ({ b: Object.keys(c).join() })))
      .transform("u", does("u", (c) => ({ ...c, u: 1 }))),
  "several functions": ({ does }) =>
    make().step("s", does("s1", () => ({ x: 1 }), 5), does("s2", () => ({ y: 1, x: 2 })))
      .step({ name: "p", mergePolicy: "skip" }, does("p", () => ({ x: 9, z: 1 }))),
  "nested": ({ does }) =>
    make().step("a", does("a", () => ({ a: 1 }))).step(
      "n",
      make("q").step("i", does("i", ({ a }) => ({ i: a }))).step(
        "j",
        does("j", ({ i }) => ({ a: i + 1 }))
      )
    ).step("b", does("b", ({ a }) => ({ b: a }))),
  "nested beside each other": ({ does }) =>
    make().step(
      "n",
      make("q").step("i", does("i", () => ({ i: 1 }), 10)).step(
        "j",
        does("j", ({ i }) => ({ j: i }), 10)
      ),
      make("r").step("k", does("k", () => ({ k: 1 }), 5)).step(
        "l",
        does("l", ({ k }) => ({ l: k, j: 5 }), 10)
      ),
      does("f", () => ({ f: 1 }), 12)
    ).step("b", does("b", (c) => ({ b: Object.keys(c).toSorted().join() }))),
  "a branch": ({ asks, does }) =>
    make().step("a", does("a", () => ({ n: 1 }))).branchOn(
      "route",
      {
        name: "no",
        when: asks("no?", () => false),
        then: make("q").step("i", does("no", () => ({})))
      },
      {
        name: "yes",
        when: asks("yes?", ({ n }) => n === 1),
        then: make("q").step("i", does("i", () => ({ n: 2 }))).step(
          "j",
          does("j", ({ n }) => ({ j: n }))
        )
      },
      { default: make("q").step("i", does("default", () => ({}))) }
    ).step("z", does("z", ({ n }) => ({ z: n }))),
  "branches in branches": ({ asks, does }) => {
    const inner = make("q").step("i", does("i", () => ({ i: 1 }))).branchOn("in", {
      name: "deep",
      when: asks("deep?", ({ i }) => i === 1),
      then: make("s").step("d", does("d", () => ({ d: 1 }))).transform(
        "t",
        does("t", (c) => ({ ...c, t: 1 }))
      )
    }).step("k", does("k", ({ d }) => ({ k: d })))
    return make().branchOn("out", { name: "x", when: asks("x?", () => true), then: inner })
      .step(
        "n",
        make("m").step("mm", inner),
        make("o").step("oo", does("oo", () => ({ oo: 1 }), 5))
      )
      .step("z", does("z", ({ k }) => ({ z: k })))
  },
  "retries over hours, of a container and of a step": ({ does }) => {
    const now = Effect.clockWith((clock) => clock.currentTimeMillis)
    const hours = { retries: 2, retryDelayMs: 3_600_000 }
    return make().step("begin", () => Effect.map(now, (t0) => ({ t0 })))
      .step(
        { name: "n", ...hours },
        make("q").step("i", does("i", () => ({ i: 1 }))).step(
          "late",
          ({ t0 }: Fields) =>
            Effect.flatMap(
              now,
              (at) => at < t0 + 7_200_000 ? Effect.fail("early") : Effect.succeed({ late: 1 })
            )
        )
      )
      .step(
        { name: "r", ...hours },
        (_: Fields, { attempt }: Fields) =>
          attempt < 3 ? Effect.fail("busy") : Effect.succeed({ attempt })
      )
      .transform("forget", ({ t0: _, ...rest }: Fields) => rest)
      .step("z", does("z", ({ attempt }) => ({ z: attempt })))
  },
  "names that look like something else": ({ does }) =>
    make().step("a/b", does("1", () => ({ a: 1 }))).step("n[0]/i", does("2", () => ({ b: 1 })))
      .step(
        "n",
        make("q").step("i", does("3", () => ({ c: 1 }))).step("x%2f", does("4", () => ({ d: 1 })))
      )
      .step("same", does("5", () => ({ e: 1 }))).step("same", does("6", ({ e }) => ({ e: e + 1 })))
}

const ends: ReadonlyArray<string> = Object.keys(rows)

/** Those that come to the same end whenever they are begun; one asks what time it is. */
const timeless = ends.filter((name) => !name.startsWith("retries"))

/** How many steps of a row can be under way at once. */
const width: Readonly<Record<string, number>> = {
  "several functions": 2,
  "nested beside each other": 3,
  "branches in branches": 2
}
const widthOf = (name: string) => width[name] ?? 1

/** What a row comes to when it is left alone, and what ran then. */
const alone = (name: string) => {
  const w = witness()
  const pipeline = rows[name]!(w)
  const context = run(Effect.gen(function*() {
    const context = yield* pipeline.run({ input: 0 }, { runId })
    yield* replays(pipeline)
    return context
  }))
  return { context, ran: w.ran }
}

describe("a process that dies at any append", () => {
  it.effect.each(ends)(
    "leaves a run that comes to the same end, in memory: %s",
    (name) =>
      Effect.gen(function*() {
        const { workflow } = rows[name]!(witness())
        const report = yield* Testing.crashEverywhere(workflow, { input: 0 }, { runId })
        expect(report.outcome).toMatchObject({ status: "success", result: alone(name).context })
        expect(report.points).toBeGreaterThan(5)
      })
  )

  it.live("leaves a run that comes to the same end, in files", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-pipeline-"))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
      )
      let n = 0
      const driver = Effect.suspend(() => LocalStorage.driver(join(directory, String(n++)))).pipe(
        Effect.provide(NodeServices.layer)
      )
      for (const name of ["a branch", "nested beside each other"]) {
        const { workflow } = rows[name]!(witness())
        const report = yield* Testing.crashEverywhere(workflow, { input: 0 }, { driver })
        expect(report.outcome).toMatchObject({ result: alone(name).context })
      }
    }).pipe(Effect.scoped))

  it.each(ends)("repeats no more than what was under way: %s", (name) => {
    const w = witness()
    const pipeline = rows[name]!(w)
    const expected = alone(name)
    const program = Effect.suspend(() => pipeline.run({ input: 0 }, { runId }))
    w.ran.length = 0
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toEqual(expected.context)
      get(replays(pipeline))
      const again = w.ran.length - expected.ran.length
      expect(again).toBeGreaterThanOrEqual(0)
      // A decision asks all its cases in one step.
      expect(again).toBeLessThanOrEqual(name === "a branch" ? 2 : widthOf(name))
      w.ran.length = 0
    })
  })
})

/** Every checkpoint that the hooks of a run are handed, with what had run by then. */
const checkpointsOf = (name: string) => {
  const w = witness()
  const pipeline = rows[name]!(w)
  const made: Array<{
    readonly stepName: string
    readonly stepId: string
    readonly text: string
    readonly context: Fields
    readonly done: ReadonlyArray<string>
  }> = []
  const context = run(pipeline.run({ input: 0 }, {
    runId,
    onStepComplete: (event: Fields) =>
      void made.push({
        stepName: event["stepName"],
        stepId: event["stepId"],
        text: event["checkpoint"],
        context: event["context"],
        done: [...w.ran]
      })
  }))
  return { made, context, ran: w.ran }
}

describe("a checkpoint", () => {
  it.each(timeless)(
    "of every step leads to the same end elsewhere, and nothing before it runs: %s",
    (name) => {
      const { context, made, ran } = checkpointsOf(name)
      expect(made.length).toBeGreaterThan(1)
      for (const { done, stepName, text } of made) {
        const w = witness()
        const pipeline = rows[name]!(w)
        const skipped: Array<string> = []
        const heard: Array<string> = []
        const after = run(Effect.gen(function*() {
          const after = yield* pipeline.runCheckpoint(text, {
            onStepSkipped: ({ reason, stepName }: Fields) =>
              reason === "replayed" && void skipped.push(stepName),
            onStepComplete: ({ stepName }: Fields) => void heard.push(stepName)
          })
          yield* replays(pipeline)
          return after
        }))
        expect([stepName, after]).toEqual([stepName, context])
        // What was under way beside it runs again, and no more than that.
        const rest = ran.slice(done.length)
        const exactly = widthOf(name) === 1 ? rest : w.ran
        expect([stepName, w.ran]).toEqual([stepName, exactly])
        expect([stepName, w.ran]).toEqual([stepName, expect.arrayContaining(rest)])
        expect(w.ran.length).toBeLessThan(rest.length + widthOf(name))
        // Each step is told once: as done before, or as done now.
        expect([stepName, skipped.filter((one) => one === stepName).length > 0]).toEqual([
          stepName,
          true
        ])
      }
    }
  )

  it.each(timeless)("of every step says its context, without running anything: %s", (name) => {
    const { made } = checkpointsOf(name)
    for (const { context, stepName, text } of made) {
      const w = witness()
      expect([stepName, run(rows[name]!(w).contextOf(text))]).toEqual([stepName, context])
      expect(w.ran).toEqual([])
    }
  })

  it.each(timeless)(
    "of every step takes an override, which is merged into the context there: %s",
    (name) => {
      const { made } = checkpointsOf(name)
      for (const { context, stepName, text } of made) {
        const w = witness()
        const pipeline = rows[name]!(w)
        const override = { extra: { deep: [1] }, input: 7 }
        const seen: Array<Fields> = []
        const after = run(pipeline.runCheckpoint({
          checkpoint: text,
          overrideData: override,
          onStepComplete: (event: Fields) => void seen.push(event["context"])
        }))
        // A transform that follows, or a container that fails, loses it like anything else.
        const isLost = (name === "transforms" && stepName !== "b" && stepName !== "u")
          || stepName === "n/i" && name === "failures that are gone on from"
        const last = name === "transforms" && stepName === "a" ? {} : override
        const kept = isLost ? {} : last
        expect([stepName, after]).toEqual([stepName, expect.objectContaining(kept)])
        for (const one of isLost || widthOf(name) > 1 ? [] : seen) {
          expect([stepName, one]).toEqual([stepName, expect.objectContaining(last)])
        }
        // An override of what was there already changes nothing else.
        const same = run(rows[name]!(witness()).runCheckpoint(text, { override: { ...context } }))
        expect([stepName, same]).toEqual([stepName, checkpointsOf(name).context])
      }
    }
  )

  it.each(timeless)("of every step may be made a second time on the way, and again: %s", (name) => {
    const { context, made, ran } = checkpointsOf(name)
    let text = made[0]!.text
    for (let n = 0; n <= made.length; n++) {
      const w = witness()
      let next: string | undefined
      const after = run(
        rows[name]!(w).runCheckpoint(text, {
          onStepComplete: (event: Fields) => {
            next ??= event["checkpoint"] as string
          }
        })
      )
      expect(after).toEqual(context)
      if (next === undefined) break
      text = next
    }
    const last = witness()
    expect(run(rows[name]!(last).runCheckpoint(text))).toEqual(context)
    // What fails behind the last of them has no checkpoint.
    expect(last.ran).toEqual(ran.slice(made.at(-1)!.done.length))
  })

  it("holds an override with odd keys, and refuses what JSON cannot hold", () => {
    const { made } = checkpointsOf("steps in a row")
    const [{ text }] = made as [typeof made[number]]
    const odd = JSON.parse(`{"__proto__": {"x": 1}, "constructor": 2}`) as Fields
    const after = run(rows["steps in a row"]!(witness()).runCheckpoint(text, { override: odd }))
    expect(Object.keys(after)).toEqual(expect.arrayContaining(["__proto__", "constructor"]))
    run(Effect.gen(function*() {
      const pipeline = rows["steps in a row"]!(witness())
      for (const bad of [{ a: new Date(0) }, { a: () => 1 }, { a: NaN }]) {
        expect(yield* failureOf(pipeline.runCheckpoint(text, { override: bad })))
          .toMatchObject({ _tag: "CheckpointRejected", reason: "OverrideRejected" })
      }
      expect((yield* Runs.list()).runs).toEqual([])
    }))
  })

  it("of another or a changed pipeline is refused, and nothing is run or recorded", () => {
    const { made } = checkpointsOf("nested")
    const behind = made.find(({ stepName }) => stepName === "n")!.text
    const inside = made.find(({ stepName }) => stepName === "n/i")!.text
    const ran: Array<string> = []
    const say = (name: string) => () => void ran.push(name)
    const inner = make("q").step("i", say("i")).step("j", say("j"))
    const changed: ReadonlyArray<readonly [string, string, Loose, string]> = [
      ["another name", behind, make("other").step("a", say("a")), "OtherWorkflow"],
      ["a step renamed", behind, make().step("A", say("a")).step("n", inner), "ChangedDefinition"],
      ["a step removed", behind, make().step("n", inner), "ChangedDefinition"],
      [
        "a step inserted",
        behind,
        make().step("new", say("new")).step("a", say("a")).step("n", inner),
        "ChangedDefinition"
      ],
      ["another order", behind, make().step("n", inner).step("a", say("a")), "ChangedDefinition"],
      [
        "an inner step renamed",
        inside,
        make().step("a", say("a")).step("n", make("q").step("I", say("i"))),
        "ChangedDefinition"
      ],
      [
        "an inner step inserted",
        inside,
        make().step("a", say("a")).step("n", make("q").step("h", say("h")).step("i", say("i"))),
        "ChangedDefinition"
      ],
      ["no steps", inside, make(), "ChangedDefinition"]
    ]
    for (const [what, text, pipeline, reason] of changed) {
      run(Effect.gen(function*() {
        expect([what, yield* failureOf(pipeline.runCheckpoint(text))])
          .toMatchObject([what, { _tag: "CheckpointRejected", reason }])
        expect((yield* Runs.list()).runs).toEqual([])
      }))
    }
    expect(ran).toEqual([])
  })
})

/** Stops a run behind a step. */
const stopsAt = (name: string) => ({
  onStepComplete: (
    { stepName, stop }: { readonly stepName: string; readonly stop: () => void }
  ) => {
    if (stepName === name) stop()
  }
})

describe("a run that is stopped", () => {
  it.each(ends)(
    "behind every step gives the context there, and resumes to the same end: %s",
    (name) => {
      const { context, made } = checkpointsOf(name)
      for (const { context: there, stepName } of made) {
        const w = witness()
        const pipeline = rows[name]!(w)
        run(Effect.gen(function*() {
          const first = yield* pipeline.run({ input: 0 }, { runId, ...stopsAt(stepName) })
          const nth = made.findIndex((one) => one.stepName === stepName)
          expect([stepName, first]).toEqual([stepName, made[nth]!.context])
          const ranBefore = [...w.ran]
          const { status } = yield* pipeline.workflow.status(runId)
          expect([stepName, status]).toEqual([stepName, "stopped"])
          yield* replays(pipeline)
          let result = yield* pipeline.workflow.resume(runId)
          while (result.status === "suspended") {
            const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
            yield* Effect.sleep(result.wakeAt! - now)
            result = yield* pipeline.workflow.resume(runId)
          }
          expect([stepName, result]).toMatchObject([stepName, {
            status: "success",
            result: context
          }])
          expect(w.ran.length).toBe(alone(name).ran.length)
          expect(w.ran.slice(0, ranBefore.length)).toEqual(ranBefore)
          expect(there).toBeDefined()
        }))
      }
    }
  )
})

/** A branch that a run is stopped in, and the same with other code. */
const routed = (
  { asks, does }: Witness,
  { wants, cases = ["x", "y"], config = {} }: {
    readonly wants: string
    readonly cases?: ReadonlyArray<string>
    readonly config?: object
  }
) =>
  make().step("a", does("a", () => ({ a: 1 }))).branchOn(
    { name: "route", ...config },
    ...cases.map((label) => ({
      name: label,
      when: asks(`${label}?`, () => label === wants),
      then: make("q").step("one", does(`${label}1`, () => ({ one: label })))
        .step("two", does(`${label}2`, ({ one }) => ({ two: one })))
    }))
  ).step("z", does("z", ({ two }) => ({ z: two })))

describe("a run inside a branch", () => {
  it("goes on in it, although its condition would say no now, and asks nothing", () => {
    const w = witness()
    run(Effect.gen(function*() {
      yield* routed(w, { wants: "x" }).run({}, { runId, ...stopsAt("route/x/one") })
      w.ran.length = 0
      const later = routed(w, { wants: "y" })
      expect(yield* later.workflow.resume(runId))
        .toMatchObject({ result: { a: 1, one: "x", two: "x", z: "x" } })
      expect(w.ran).toEqual(["x2", "z"])
    }))
  })

  it("is gone on with in it from a checkpoint, too, and where cases were added or moved", () => {
    const w = witness()
    let text = ""
    run(
      routed(w, { wants: "y" }).run({}, {
        onStepComplete: (event: Fields) => {
          if (event["stepName"] === "route/y/one") text = event["checkpoint"]
        }
      })
    )
    for (const cases of [["x", "y"], ["y", "x"], ["new", "x", "y"], ["y"]]) {
      const again = witness()
      expect(run(routed(again, { wants: "x", cases }).runCheckpoint(text)))
        .toEqual({ a: 1, one: "y", two: "y", z: "y" })
      expect(again.ran).toEqual(["y2", "z"])
    }
  })

  it("whose case is gone from the code says so, whatever the branch does with errors, and stays open", () => {
    for (
      const config of [{}, { onError: "continue" }, { onError: "skip-remaining" }, { retries: 3 }]
    ) {
      const w = witness()
      run(Effect.gen(function*() {
        yield* routed(w, { wants: "x", config }).run({}, { runId, ...stopsAt("route/x/one") })
        w.ran.length = 0
        const before = (yield* entriesOf(runId)).filter(({ type }) => type !== "start").length
        const gone = routed(w, { wants: "y", cases: ["y", "z"], config })
        const error = (yield* failureOf(gone.workflow.resume(runId))) as Error
        expect(error.message).toContain(`"x"`)
        expect(error.message).toContain(`"route"`)
        expect(error.message).toContain(`"y"`)
        expect(w.ran).toEqual([])
        const after = (yield* entriesOf(runId)).filter(({ type }) => type !== "start").length
        expect(after).toBe(before)
        const back = routed(w, { wants: "y", config })
        expect(yield* back.workflow.resume(runId)).toMatchObject({ result: { z: "x" } })
      }))
    }
  })

  it("whose case is gone is not taken for a failed part of a settled or forgiving container around it", () => {
    const branch = (cases: ReadonlyArray<string>) =>
      make("q").branchOn(
        "route",
        ...cases.map((name) => ({
          name,
          when: () => true,
          then: make("s").step("one", () => ({ one: name })).step("two", () => ({ two: name }))
        }))
      )
    for (
      const config of [
        { parallelMode: "settled" },
        { onError: "continue" },
        { retries: 2 },
        { timeout: 60_000 }
      ]
    ) {
      const of = (cases: ReadonlyArray<string>) =>
        make().step({ name: "n", ...config }, branch(cases), make("o").step("o", () => ({ o: 1 })))
          .step("z", () => ({ z: 1 }))
      run(Effect.gen(function*() {
        yield* of(["x"]).run({}, { runId, ...stopsAt("n/route/x/one") })
        const result = yield* Effect.result(of(["y"]).workflow.resume(runId))
        expect([config, Result.isFailure(result)]).toEqual([config, true])
        expect(yield* of(["x"]).workflow.resume(runId))
          .toMatchObject({ status: "success", result: { one: "x", two: "x", o: 1, z: 1 } })
      }))
    }
  })

  it("whose case is gone is no failure even where nothing stands behind its decision", () => {
    for (
      const config of [{}, { parallelMode: "settled" }, { onError: "continue" }, { retries: 2 }]
    ) {
      const of = (name: string) =>
        make().step(
          { name: "n", ...config },
          make("q").branchOn("route", {
            name,
            when: () => true,
            then: make("s").step("one", () => ({ one: name }))
          })
        ).step("z", () => ({ z: 1 }))
      run(Effect.gen(function*() {
        yield* of("x").run({}, { runId })
        const fork = { fromStep: "n/route/x/one", runId: "f" }
        const result = yield* Effect.result(of("y").workflow.fork(runId, fork))
        expect([config, Result.isFailure(result)]).toEqual([config, true])
      }))
    }
  })

  it("does not ask its step's conditions again, whatever they would say now", () => {
    const ran: Array<string> = []
    const of = (says: boolean) =>
      make()
        .step({ name: "yes", condition: () => (ran.push("yes?"), says) }, () => ({ yes: 1 }))
        .step({ name: "no", condition: () => (ran.push("no?"), !says) }, () => ({ no: 1 }))
        .step("stop", () => ({ stop: 1 }))
        .step("z", () => ({ z: 1 }))
    run(Effect.gen(function*() {
      yield* of(true).run({}, { runId, ...stopsAt("stop") })
      expect(ran.splice(0)).toEqual(["yes?", "no?"])
      expect(yield* of(false).workflow.resume(runId))
        .toMatchObject({ result: { yes: 1, stop: 1, z: 1 } })
      expect(ran).toEqual([])
    }))
  })
})

describe("a pipeline that was changed under a run", () => {
  it("is a ReplayMismatch that names both, and nothing is appended; the old code goes on", () => {
    const say = (name: string) => () => ({ [name]: 1 })
    const old = () => make().step("a", say("a")).step("b", say("b")).step("c", say("c"))
    const changed: Readonly<Record<string, Loose>> = {
      renamed: make().step("a", say("a")).step("B", say("b")).step("c", say("c")),
      inserted: make().step("new", say("n")).step("a", say("a")).step("b", say("b")).step(
        "c",
        say("c")
      ),
      removed: make().step("b", say("b")).step("c", say("c")),
      swapped: make().step("b", say("b")).step("a", say("a")).step("c", say("c")),
      conditional: make().step({ name: "a", condition: () => true }, say("a")).step("b", say("b")),
      nested: make().step("a", make("q").step("a", say("a"))).step("b", say("b")),
      shorter: make().step("a", say("a"))
    }
    for (const [what, pipeline] of Object.entries(changed)) {
      run(Effect.gen(function*() {
        yield* old().run({}, { runId, ...stopsAt("b") })
        const before = yield* entriesOf(runId)
        const error = (yield* failureOf(pipeline.workflow.resume(runId))) as Fields
        expect([what, error["_tag"]]).toEqual([what, "ReplayMismatch"])
        expect(yield* entriesOf(runId)).toEqual(before)
        expect(yield* old().workflow.resume(runId))
          .toMatchObject({ result: { a: 1, b: 1, c: 1 } })
      }))
    }
  })

  it("behind what was done goes on with the new code", () => {
    const old = make().step("a", () => ({ a: 1 })).step("b", () => ({ b: 1 }))
    const now = make().step("a", () => ({ a: 2 })).step("b", () => ({ b: 2 })).step(
      "c",
      () => ({ c: 2 })
    )
    run(Effect.gen(function*() {
      yield* old.run({}, { runId, ...stopsAt("a") })
      expect(yield* now.workflow.resume(runId)).toMatchObject({ result: { a: 1, b: 2, c: 2 } })
    }))
  })
})

describe("forks of a pipeline's runs", () => {
  const names = {
    "steps in a row": ["a", "b", "c"],
    "nested": ["a", "n/i", "n/j", "b"],
    "a branch": ["a", "route", "route/yes/i", "route/yes/j", "z"],
    "transforms": ["a", "t", "b", "u"]
  }

  const cuts = Object.entries(names).map(([name, steps]) => ({ name, steps }))

  it.for(cuts)(
    "are cut at steps by their names, and come to the same end: $name",
    ({ name, steps }) => {
      const { context, ran } = alone(name)
      const w = witness()
      const pipeline = rows[name]!(w)
      run(Effect.gen(function*() {
        yield* pipeline.run({ input: 0 }, { runId })
        for (const fromStep of steps) {
          w.ran.length = 0
          const result = yield* pipeline.workflow.fork(runId, { fromStep })
          expect([fromStep, result]).toMatchObject([fromStep, {
            status: "success",
            result: context
          }])
          const first = fromStep === "route" ? "no?" : fromStep.split("/").at(-1)!
          expect([fromStep, w.ran]).toEqual([fromStep, ran.slice(ran.indexOf(first))])
        }
        yield* replays(pipeline)
      }))
    }
  )

  it("from a container run it again: what is in it, and its decision", () => {
    const w = witness()
    const pipeline = rows["nested"]!(w)
    run(Effect.gen(function*() {
      yield* pipeline.run({ input: 0 }, { runId })
      w.ran.length = 0
      yield* pipeline.workflow.fork(runId, { fromStep: "n" })
      expect(w.ran).toEqual(["i", "j", "b"])
    }))
  })

  it("from a step with a condition ask that again", () => {
    let asked = 0
    let ran = 0
    const pipeline = make().step("x", () => ({ x: 1 }))
      .step({ name: "a", condition: () => ++asked > 0 }, () => ({ a: ++ran }))
    run(Effect.gen(function*() {
      yield* pipeline.run({}, { runId })
      yield* pipeline.workflow.fork(runId, { fromStep: "a" })
      expect([asked, ran]).toEqual([2, 2])
    }))
  })

  it("of a failed run go on from the step that failed, also inside containers", () => {
    for (const place of ["root", "nested", "branch", "beside"]) {
      let isMended = false
      const w = witness()
      const inner = make("q").step("i", w.does("i", () => ({ i: 1 })))
        .step(
          "bad",
          w.does("bad", () => {
            if (!isMended) throw new Error("no")
            return { mended: 1 }
          })
        )
      const pipeline = (place === "root"
        ? make().step("i", w.does("i", () => ({ i: 1 }))).step(
          "bad",
          w.does("bad", () => {
            if (!isMended) throw new Error("no")
            return { mended: 1 }
          })
        )
        : place === "nested"
        ? make().step("n", inner)
        : place === "branch"
        ? make().branchOn("n", { when: () => true, then: inner })
        : make().step("n", inner, make("o").step("o", w.does("o", () => ({ o: 1 })))))
        .step("z", w.does("z", () => ({ z: 1 })))
      run(Effect.gen(function*() {
        expect(yield* failureOf(pipeline.run({}, { runId }))).toMatchObject({ _tag: "StepFailed" })
        w.ran.length = 0
        isMended = true
        const result = yield* pipeline.workflow.retryFrom(runId)
        expect([place, result]).toMatchObject([
          place,
          { status: "success", result: { i: 1, mended: 1, z: 1 } }
        ])
        expect([place, w.ran]).toEqual([place, ["bad", "z"]])
      }))
    }
  })

  it("ask what if: another context at a step, and what would come next", () => {
    const w = witness()
    const pipeline = rows["a branch"]!(w)
    run(Effect.gen(function*() {
      yield* pipeline.run({ input: 0 }, { runId })
      const journal = yield* Runs.journal(runId)
      w.ran.length = 0
      const whatIf = pipeline.workflow.whatIf(journal)
      expect(whatIf).toMatchObject({ _tag: "Returned", value: { z: 2 } })
      const upTo = journal.entries.findIndex((entry) => "stepId" in entry && entry.stepId === "z")
      const cut = { ...journal, entries: journal.entries.slice(0, upTo) }
      expect(pipeline.workflow.whatIf(cut)).toMatchObject({ _tag: "Blocked", steps: ["z"] })
      expect(w.ran).toEqual([])
    }))
  })

  it("with an override of the context go on with that", () => {
    const pipeline = rows["steps in a row"]!(witness())
    run(Effect.gen(function*() {
      yield* pipeline.run({ input: 0 }, { runId })
      expect(yield* pipeline.workflow.fork(runId, { fromStep: "b", override: { a: 10 } as never }))
        .toMatchObject({ result: { input: 0, a: 9, b: 11, c: 12 } })
    }))
  })
})

describe("a run by its id", () => {
  it("can be started by one process and gone on with by another, with hooks of what was done", () => {
    const heard: Array<string> = []
    const pipeline = rows["nested"]!(witness())
    run(Effect.gen(function*() {
      yield* pipeline.run({ input: 0 }, { runId, ...stopsAt("n/i") })
      yield* pipeline.workflow.resume(runId, undefined, {
        onStepSkipped: ({ reason, stepName }) => void heard.push(`${reason} ${stepName}`),
        onStepComplete: ({ stepName }) => void heard.push(`completed ${stepName}`)
      })
    }))
    expect(heard)
      .toEqual(["replayed a", "replayed n/i", "completed n/j", "completed n", "completed b"])
  })

  it("that was left out by its condition is told so again", () => {
    const heard: Array<string> = []
    const pipeline = make()
      .step({ name: "a", condition: () => false }, () => ({ a: 1 }))
      .step("b", () => ({ b: 1 }))
      .step("c", () => ({ c: 1 }))
    run(Effect.gen(function*() {
      yield* pipeline.run({}, { runId, ...stopsAt("b") })
      yield* pipeline.workflow.resume(runId, undefined, {
        onStepSkipped: ({ reason, stepName }) => void heard.push(`${reason} ${stepName}`)
      })
    }))
    expect(heard).toEqual(["condition a", "replayed b"])
  })

  it("can be cancelled, and no onError keeps it alive", () => {
    const w = witness()
    const pipeline = make()
      .step(
        "n",
        make("q").step({ name: "w", onError: "continue", retries: 3 }, () => Effect.never)
          .step("x", w.does("x", () => ({})))
      )
      .step("z", w.does("z", () => ({})))
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(pipeline.workflow.start({}, { runId }))
      yield* Effect.sleep(10)
      yield* Runs.cancel(runId)
      expect(yield* Fiber.join(fiber)).toMatchObject({ status: "cancelled" })
      yield* replays(pipeline)
    }))
    expect(w.ran).toEqual([])
  })

  it("of several at once is nobody else's", () => {
    const pipeline = rows["nested beside each other"]!(witness())
    const all = run(Effect.gen(function*() {
      const all = yield* Effect.all(
        Array.from({ length: 6 }, (_, n) => pipeline.run({ input: n }, { runId: `r${n}` })),
        { concurrency: "unbounded" }
      )
      yield* replays(pipeline)
      return all
    }))
    const { context } = alone("nested beside each other")
    expect(all).toEqual(Array.from({ length: 6 }, (_, input) => ({ ...context, input })))
  })

  it("keeps its durability's promise: whatever it is, the end is the same", () => {
    for (const durability of ["sync", "async", "exit"] as const) {
      const pipeline = make("p", { durability }).step("a", () => ({ a: 1 })).step(
        "b",
        () => ({ b: 1 })
      )
      run(Effect.gen(function*() {
        expect(yield* pipeline.run({}, { runId })).toEqual({ a: 1, b: 1 })
        expect((yield* entriesOf(runId)).at(-1)).toMatchObject({ type: "complete" })
      }))
    }
  })

  it("needs the storage it was started on", () => {
    const pipeline = make().step("a", () => ({ a: 1 }))
    run(Effect.gen(function*() {
      yield* Effect.provideService(
        pipeline.run({}, { runId }),
        Storage.Storage,
        Storage.make(Storage.memoryDriver())
      )
      expect(yield* failureOf(pipeline.workflow.resume(runId))).toMatchObject({
        _tag: "RunNotFound"
      })
    }))
  })
})
