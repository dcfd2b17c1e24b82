/**
 * Pipelines, in types: the context from step to step, what of it may be missing, what a pipeline is refused
 * for, and what its calls, hooks and checkpoints know of it.
 */
import { Context, Effect } from "effect"
import { type Checkpoint, type Instruction, Pipeline, type Storage, type Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

class Shop extends Context.Service<Shop, { readonly open: boolean }>()("test/Shop") {}
class Mail extends Context.Service<Mail, { readonly count: number }>()("test/Mail") {}
class Meter extends Context.Service<Meter, { readonly on: boolean }>()("test/Meter") {}

const shop = Effect.map(Shop, ({ open }) => ({ open }))
const mail = Effect.map(Mail, ({ count }) => ({ count }))
const meter = Effect.map(Meter, ({ on }) => ({ on }))

const of = <A>() => null as unknown as A
/** `expectTypeOf`, for the context that a pipeline ends with. */
const ends = <P extends Pipeline.Pipeline<any, any, any, any, any>>(_: P) =>
  expectTypeOf(of<Pipeline.StepOutput<P>>())
/** And for what a call needs. */
const services = <R>(_: Effect.Effect<unknown, unknown, R>) => expectTypeOf(of<R>())
type Errors<F extends (...args: any) => any> = Effect.Error<ReturnType<F>>

const start = Pipeline.make<{ a: number }>("start")

describe("a context", () => {
  it("is the input at first", () => {
    start.step("one", (context) => {
      expectTypeOf(context).toEqualTypeOf<{ readonly a: number }>()
      // @ts-expect-error it has no more than that
      expectTypeOf(context.b)
      // @ts-expect-error and is only read
      context.a = 2
    })
    Pipeline.make("nothing").step("one", (context) => {
      expectTypeOf(context).toEqualTypeOf<{}>()
    })
    // @ts-expect-error what is taken must be given
    void start.run({})
    // @ts-expect-error and be what it is
    void start.run({ a: "1" })
    expectTypeOf(start.run({ a: 1 })).toBeObject()
  })

  it("has what a step gave, at once, by a Promise or by an Effect", () => {
    const three = start
      .step("now", ({ a }) => ({ b: String(a) }))
      .step("later", async ({ b }) => ({ c: b === "1" }))
      .step("effect", ({ c }) => Effect.succeed({ d: [c] }))
    ends(three).toEqualTypeOf<{
      readonly a: number
      readonly b: string
      readonly c: boolean
      readonly d: Array<boolean>
    }>()
    three.step("next", (context) => {
      // @ts-expect-error a Promise is waited for
      expectTypeOf(context.c).toEqualTypeOf<Promise<boolean>>()
      // @ts-expect-error an Effect is run
      expectTypeOf(context.d.pipe)
      // @ts-expect-error what is merged is only read
      context.b = "2"
    })
  })

  it("stays as it is where a step gives nothing, or always fails", () => {
    const same = start
      .step("void", () => {})
      .step("undefined", () => undefined)
      .step("promise", async () => {})
      .step("effect", () => Effect.void)
      .step("throws", () => {
        throw new Error("no")
      })
      .step("fails", () => Effect.fail("no"))
    ends(same).toEqualTypeOf<{ readonly a: number }>()
    // @ts-expect-error nothing came of them
    ends(same).toEqualTypeOf<{}>()
  })

  it("has what all parts of a step gave", () => {
    const parts = start.step(
      "parts",
      ({ a }) => ({ b: a }),
      async () => ({ c: "x" }),
      () => Effect.succeed({ d: true }),
      () => {}
    )
    ends(parts).toEqualTypeOf<
      { readonly a: number; readonly b: number; readonly c: string; readonly d: boolean }
    >()
    start.step("parts", () => ({ b: 1 }), (context) => {
      // @ts-expect-error they run beside each other
      expectTypeOf(context.b)
    })
  })

  it("has the last part's value where several give a key", () => {
    ends(start.step("parts", () => ({ b: 1 }), () => ({ b: "x" })))
      .toEqualTypeOf<{ readonly a: number; readonly b: string }>()
    ends(start.step({ name: "parts", mergePolicy: "skip" }, () => ({ b: 1 }), () => ({ b: "x" })))
      .toEqualTypeOf<{ readonly a: number; readonly b: number }>()
    ends(start.step("parts", () => ({ b: 1 }), () => ({ b: "x" })))
      // @ts-expect-error not both at once
      .toEqualTypeOf<{ readonly a: number; readonly b: never }>()
  })

  it("may have what some parts of a list give", () => {
    const parts: Array<() => { b: number }> = []
    ends(start.step("parts", ...parts)).toEqualTypeOf<
      { readonly a: number; readonly b?: number }
    >()
    // @ts-expect-error the list may be empty
    ends(start.step("parts", ...parts)).toEqualTypeOf<{ readonly a: number; readonly b: number }>()
  })

  it("has what all returns of a step have, and may have what some have", () => {
    const either = start.step(
      "either",
      ({ a }) => a > 1 ? { b: 1, c: "x" } : a > 0 ? { b: 2, d: true } : { b: 3 }
    )
    ends(either).toEqualTypeOf<
      { readonly a: number; readonly b: number; readonly c?: string; readonly d?: boolean }
    >()
    either.step("next", ({ c }) => {
      // @ts-expect-error the other return has none
      return void c.length
    })
    const sometimes = start.step("sometimes", async ({ a }) => {
      if (a > 1) return { b: 1 }
    })
    ends(sometimes).toEqualTypeOf<{ readonly a: number; readonly b?: number }>()
    // @ts-expect-error nor is it there where nothing was given
    ends(sometimes).toEqualTypeOf<{ readonly a: number; readonly b: number }>()
    const types = start.step("types", ({ a }) => a > 1 ? { b: 1 } : { b: "x" })
    ends(types).toEqualTypeOf<{ readonly a: number; readonly b: number | string }>()
  })

  it("may have a key that a step may leave out", () => {
    const optional = start.step("optional", () => of<{ b?: number; a?: string }>())
    ends(optional).toEqualTypeOf<{ readonly a: number | string; readonly b?: number }>()
    // @ts-expect-error what was there stays where it is left out
    ends(optional).toEqualTypeOf<{ readonly a?: string; readonly b?: number }>()
    const again = optional.step("again", () => ({ b: true }))
    ends(again).toEqualTypeOf<{ readonly a: number | string; readonly b: boolean }>()
    const record = start.step("record", () => of<Record<string, boolean>>())
    expectTypeOf<Pipeline.StepOutput<typeof record>["a"]>().toEqualTypeOf<number | boolean>()
    expectTypeOf<Pipeline.StepOutput<typeof record>["other"]>().toEqualTypeOf<boolean>()
    // @ts-expect-error the record may have that key too
    expectTypeOf<Pipeline.StepOutput<typeof record>["a"]>().toEqualTypeOf<number>()
  })

  it("keeps what is there where a field is undefined, since JSON leaves that out", () => {
    const undef = start.step("undef", () => of<{ a: string | undefined; b: string | undefined }>())
    ends(undef).toEqualTypeOf<{ readonly a: number | string; readonly b: string | undefined }>()
    // @ts-expect-error it is not overridden by nothing
    ends(undef).toEqualTypeOf<{ readonly a: string | undefined; readonly b: string | undefined }>()
  })

  it("has a key in the type that it was last given", () => {
    const over = start.step("text", ({ a }) => ({ a: String(a) }))
    ends(over).toEqualTypeOf<{ readonly a: string }>()
    ends(over.step("flag", ({ a }) => ({ a: a === "1" }))).toEqualTypeOf<{ readonly a: boolean }>()
    // @ts-expect-error it is a number no more
    ends(over).toEqualTypeOf<{ readonly a: number }>()
  })

  it("is any behind a step of which nothing is known, and a field can be any", () => {
    const any = start.step("any", () => JSON.parse("{}"))
    ends(any).toBeAny()
    any.step("next", ({ whatever }) => ({ whatever }))
    const field = start.step("field", () => ({ b: JSON.parse("1") }))
    expectTypeOf<Pipeline.StepOutput<typeof field>["b"]>().toBeAny()
    expectTypeOf<Pipeline.StepOutput<typeof field>["a"]>().toEqualTypeOf<number>()
    // @ts-expect-error a field says nothing of the others
    ends(field).toBeAny()
  })

  it("keeps the optional keys of its input", () => {
    const optional = Pipeline.make<{ a: number; b?: string }>().step("c", ({ b }) => ({
      c: b?.length ?? 0
    }))
    ends(optional)
      .toEqualTypeOf<{ readonly a: number; readonly b?: string; readonly c: number }>()
    optional.step("d", ({ b }) => {
      // @ts-expect-error it may not have been given
      return void b.length
    })
  })

  it("can be a union, which its input is, for the first step and behind it", () => {
    const union = Pipeline.make<{ kind: "a"; n: number } | { kind: "b"; s: string }>()
      .step("first", (context) => {
        if (context.kind === "a") return { size: context.n }
        // @ts-expect-error that is the other one
        expectTypeOf(context.n)
        return { size: context.s.length }
      })
      .step("second", (context) => ({ text: context.kind === "a" ? "" : context.s }))
    ends(union).toEqualTypeOf<
      | {
        readonly kind: "a"
        readonly n: number
        readonly size: number
        readonly text: string
      }
      | {
        readonly kind: "b"
        readonly s: string
        readonly size: number
        readonly text: string
      }
    >()
    void union.run({ kind: "a", n: 1 })
    // @ts-expect-error not half of each
    void union.run({ kind: "a", s: "x" })
  })

  it("is what functions from elsewhere may be written for", () => {
    const double = ({ a }: { readonly a: number }) => ({ doubled: a * 2 })
    ends(start.step("double", double))
      .toEqualTypeOf<{ readonly a: number; readonly doubled: number }>()
    // @ts-expect-error this context has none
    Pipeline.make<{ b: number }>().step("double", double)
  })
})

describe("what a step gives", () => {
  const b = () => ({ b: "x" })
  type Maybe = { readonly a: number; readonly b?: string }
  type Surely = { readonly a: number; readonly b: string }

  it("may be missing under a condition, an error that is passed over, or an open circuit", () => {
    ends(start.step({ condition: ({ a }) => a > 1 }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ condition: async ({ a }) => a > 1 }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ condition: () => Effect.succeed(true) }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ condition: false }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ condition: of<boolean>() }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ onError: "continue" }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ onError: "skip-remaining" }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ onError: of<"throw" | "continue">() }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ parallelMode: "settled" }, b)).toEqualTypeOf<Maybe>()
    ends(start.step({ circuitBreaker: { behaviorOnOpen: "skip" } }, b)).toEqualTypeOf<Maybe>()
    // @ts-expect-error it may not have run
    ends(start.step({ condition: ({ a }) => a > 1 }, b)).toEqualTypeOf<Surely>()
    // @ts-expect-error it may have failed
    ends(start.step({ onError: "continue", timeout: 5 }, b)).toEqualTypeOf<Surely>()
    start.step({ condition: ({ a }) => a > 1 }, b).step("next", ({ b }) => {
      // @ts-expect-error so it must be looked at
      return void b.length
    })
    start.step({
      // @ts-expect-error a condition sees the context before the step
      condition: ({ b }) => b === ""
    }, b)
  })

  it("is there under everything else", () => {
    ends(start.step({ condition: true }, b)).toEqualTypeOf<Surely>()
    ends(start.step({ timeout: 5 }, b)).toEqualTypeOf<Surely>()
    ends(start.step({ onError: "throw", parallelMode: "all" }, b)).toEqualTypeOf<Surely>()
    ends(start.step({ retries: 2, retryDelayMs: 5, shouldRetry: () => true, log: false }, b))
      .toEqualTypeOf<Surely>()
    ends(start.step({ circuitBreaker: { failureThreshold: 2, behaviorOnOpen: "throw" } }, b))
      .toEqualTypeOf<Surely>()
    // @ts-expect-error one that takes too long fails the run
    ends(start.step({ timeout: 5 }, b)).toEqualTypeOf<Maybe>()
  })

  it("may be missing under a configuration of which the type says nothing", () => {
    const config: Pipeline.StepConfig = { condition: false }
    ends(start.step(config, b)).toEqualTypeOf<Maybe>()
    // @ts-expect-error it may have a condition
    ends(start.step(config, b)).toEqualTypeOf<Surely>()
    const named = start.step(config, b)
    expectTypeOf<Pipeline.StepNames<typeof named>>().toEqualTypeOf<string>()
  })

  it("may leave a key of the context as it was", () => {
    const maybe = start.step({ condition: ({ a }) => a > 1 }, () => ({ a: "x", b: 1 }))
    ends(maybe).toEqualTypeOf<{ readonly a: number | string; readonly b?: number }>()
    const twice = maybe.step({ onError: "continue" }, () => ({ b: true }))
    ends(twice).toEqualTypeOf<{ readonly a: number | string; readonly b?: number | boolean }>()
    // @ts-expect-error it may not have been changed
    ends(maybe).toEqualTypeOf<{ readonly a: string; readonly b?: number }>()
  })

  it("may be missing of each part, where they are settled", () => {
    const settled = start.step(
      { parallelMode: "settled" },
      () => ({ b: 1 }),
      () => ({ b: "x", c: true })
    )
    ends(settled).toEqualTypeOf<
      { readonly a: number; readonly b?: number | string; readonly c?: boolean }
    >()
    ends(settled)
      // @ts-expect-error the second part may have failed, and the first not
      .toEqualTypeOf<{ readonly a: number; readonly b?: string; readonly c?: boolean }>()
  })

  it("does not change a key that is there, where that is skipped", () => {
    const skip = { mergePolicy: "skip" } as const
    ends(start.step(skip, () => ({ a: "x", b: 1 })))
      .toEqualTypeOf<{ readonly a: number; readonly b: number }>()
    ends(start.step({ ...skip, onError: "continue" }, () => ({ a: "x", b: 1 })))
      .toEqualTypeOf<{ readonly a: number; readonly b?: number }>()
    ends(Pipeline.make<{ a?: number }>().step(skip, () => ({ a: "x" })))
      .toEqualTypeOf<{ readonly a: number | string }>()
    ends(start.step({ mergePolicy: of<Pipeline.MergePolicy>() }, () => ({ a: "x" })))
      .toEqualTypeOf<{ readonly a: number | string }>()
    ends(start.step({ mergePolicy: "warn" }, () => ({ a: "x" })))
      .toEqualTypeOf<{ readonly a: string }>()
    ends(start.step(skip, () => ({ a: "x" })))
      // @ts-expect-error what is there stays
      .toEqualTypeOf<{ readonly a: string }>()
  })

  it("may be missing in the end behind a step that skips what remains, not for the steps there", () => {
    const ending = start
      .step({ name: "first", onError: "skip-remaining" }, () => ({ b: 1 }))
      .step("second", () => ({ c: "x", a: "text" }))
      .step("third", (context) => {
        expectTypeOf(context)
          .toEqualTypeOf<{ readonly a: string; readonly b?: number; readonly c: string }>()
        return { d: true }
      })
    ends(ending).toEqualTypeOf<{
      readonly a: number | string
      readonly b?: number
      readonly c?: string
      readonly d?: boolean
    }>()
    expectTypeOf<Pipeline.StepOutput<typeof ending, "third">>().toEqualTypeOf<{
      readonly a: string
      readonly b?: number
      readonly c: string
      readonly d: boolean
    }>()
    expectTypeOf<Effect.Success<ReturnType<typeof ending.run>>>()
      .toEqualTypeOf<Pipeline.StepOutput<typeof ending>>()
    // @ts-expect-error the first step may have ended it
    expectTypeOf<Pipeline.StepOutput<typeof ending>["d"]>().toEqualTypeOf<boolean>()
  })

  it("may be missing behind each of several steps that skip what remains", () => {
    const ending = start
      .step({ onError: "skip-remaining" }, () => ({ b: 1 }))
      .step("change", () => ({ a: "text" }))
      .step({ onError: "skip-remaining" }, () => ({ c: 1 }))
      .step("again", () => ({ a: true }))
      .transform("all", ({ a }) => ({ a, z: 1 }))
    ends(ending).toEqualTypeOf<{
      readonly a: number | string | boolean
      readonly b?: number
      readonly z?: number
    }>()
    // @ts-expect-error it may have ended between
    expectTypeOf<Pipeline.StepOutput<typeof ending>["a"]>().toEqualTypeOf<number | boolean>()
  })
})

describe("a transform", () => {
  it("replaces the context", () => {
    const replaced = start.step("b", () => ({ b: "x" })).transform(
      "c",
      ({ b }) => ({ c: b.length })
    )
    ends(replaced).toEqualTypeOf<{ readonly c: number }>()
    replaced.step("next", (context) => {
      // @ts-expect-error that is gone
      expectTypeOf(context.a)
    })
    ends(start.transform(async ({ a }) => ({ t: a }))).toEqualTypeOf<{ readonly t: number }>()
    ends(start.transform("e", () => Effect.succeed({}))).toEqualTypeOf<{}>()
    // @ts-expect-error nothing stays
    ends(replaced).toEqualTypeOf<{ readonly a: number; readonly c: number }>()
  })

  it("may not, under a condition or an error that is passed over", () => {
    const maybe = start.step("b", () => ({ b: "x" }))
    const change = ({ a }: { readonly a: number }) => ({ a: String(a), c: true })
    type Either = { readonly a: number | string; readonly b?: string; readonly c?: boolean }
    ends(maybe.transform({ condition: ({ a }) => a > 1 }, change)).toEqualTypeOf<Either>()
    ends(maybe.transform({ onError: "continue" }, change)).toEqualTypeOf<Either>()
    ends(maybe.transform({ condition: ({ a }) => a > 1 }, change))
      // @ts-expect-error the old context may have stayed
      .toEqualTypeOf<{ readonly a: string; readonly c: boolean }>()
  })

  it("needs a function that returns a plain object", () => {
    // @ts-expect-error nothing would clear it
    start.transform("t", () => {})
    // @ts-expect-error sometimes nothing would too
    start.transform("t", ({ a }) => a > 1 ? { a } : undefined)
    // @ts-expect-error a list is no context
    start.transform("t", () => [1])
    // @ts-expect-error a pipeline is nested with step
    start.transform("t", start)
    // @ts-expect-error there is nothing to do
    start.transform("t")
    // @ts-expect-error a context cannot be replaced by two
    start.transform("t", () => ({}), () => ({}))
    ends(start.transform("t", () => JSON.parse("{}"))).toBeAny()
    ends(start.transform("t", () => {
      throw new Error("no")
    })).toEqualTypeOf<{ readonly a: number }>()
  })
})

describe("a branch", () => {
  const big = Pipeline.make<{ a: number }>("big")
    .step("note", ({ a }) => ({ note: `big ${a}`, size: a }))

  it("gives what all its cases give, and maybe what some give", () => {
    const routed = start.branchOn(
      "route",
      {
        name: "big",
        when: ({ a }) => a > 10,
        then: (b) =>
          b.step("x", ({ a }) => ({ both: a, one: "x" })).step("y", () => ({ late: true }))
      },
      { name: "small", default: (b) => b.step("x", () => ({ both: 0 })) }
    )
    ends(routed).toEqualTypeOf<
      { readonly a: number; readonly both: number; readonly one?: string; readonly late?: boolean }
    >()
    routed.step("next", ({ one }) => {
      // @ts-expect-error the other case may have been taken
      return void one.length
    })
  })

  it("may give nothing without a default", () => {
    const routed = start.branchOn(
      { name: "big", when: ({ a }) => a > 10, then: (b) => b.step("x", () => ({ both: 1 })) },
      { name: "small", when: async () => true, then: (b) => b.step("x", () => ({ both: 2 })) }
    )
    ends(routed).toEqualTypeOf<{ readonly a: number; readonly both?: number }>()
    // @ts-expect-error none may have been taken
    ends(routed).toEqualTypeOf<{ readonly a: number; readonly both: number }>()
  })

  it("may give nothing under a condition", () => {
    const routed = start.branchOn(
      { name: "route", condition: ({ a }) => a > 0 },
      { default: (b) => b.step("x", () => ({ both: 2 })) }
    )
    ends(routed).toEqualTypeOf<{ readonly a: number; readonly both?: number }>()
    // @ts-expect-error it may have been left out
    ends(routed).toEqualTypeOf<{ readonly a: number; readonly both: number }>()
  })

  it("may change a key in one case alone", () => {
    const routed = start.branchOn(
      "route",
      { name: "big", when: ({ a }) => a > 10, then: (b) => b.step("x", () => ({ a: "many" })) },
      { name: "small", default: (b) => b }
    )
    ends(routed).toEqualTypeOf<{ readonly a: number | string }>()
    // @ts-expect-error the other leaves it
    ends(routed).toEqualTypeOf<{ readonly a: string }>()
  })

  it("takes reusable pipelines", () => {
    const small = Pipeline.make<{}>("small").step("note", () => ({ note: "small" }))
    const routed = start.step("b", () => ({ b: true })).branchOn(
      "route",
      { name: "big", when: ({ a }) => a > 10, then: big },
      { name: "small", default: small }
    )
    ends(routed).toEqualTypeOf<
      { readonly a: number; readonly b: boolean; readonly note: string; readonly size?: number }
    >()
    // @ts-expect-error the small one does not give it
    expectTypeOf<Pipeline.StepOutput<typeof routed>["size"]>().toEqualTypeOf<number>()
  })

  it("refuses a pipeline whose input does not fit", () => {
    const other = Pipeline.make<{ b: number }>()
    // @ts-expect-error there is no key of that name
    other.branchOn("route", { name: "big", when: () => true, then: big })
    const text = Pipeline.make<{ a: string }>()
    // @ts-expect-error it has another type
    text.branchOn({ name: "big", default: big })
    const maybe = other.step({ condition: false }, () => ({ a: 1 }))
    // @ts-expect-error it may be missing
    maybe.branchOn("route", { default: big })
    ends(other.step("a", () => ({ a: 1 })).branchOn("route", { default: big })).toBeObject()
  })

  it("is made of cases", () => {
    // @ts-expect-error there must be one
    start.branchOn("route")
    // @ts-expect-error with a pipeline
    start.branchOn("route", { name: "big", when: () => true })
    // @ts-expect-error which a function must return
    start.branchOn("route", { name: "big", default: () => ({ a: 1 }) })
    // @ts-expect-error either a condition or the default
    start.branchOn("route", { when: () => true, then: big, default: big })
    // @ts-expect-error spelled as it is called
    start.branchOn("route", { name: "big", whne: () => true, then: big })
    // @ts-expect-error and nothing else
    start.branchOn("route", { name: "big", when: () => true, then: big, retries: 1 })
    start.branchOn("route", {
      // @ts-expect-error a case sees the context before the branch
      when: ({ note }) => note === "",
      then: big
    })
  })
})

describe("a nested pipeline", () => {
  const session = Pipeline.make<{ id: string; status: string; extra?: number }>("session")
    .step("load", ({ id }) => ({ user: { name: id } }))
    .step("mark", () => ({ status: "loaded" }))
  const outer = Pipeline.make<{ id: `u-${number}`; status: "new"; other: boolean }>("outer")

  it("contributes only what its steps give", () => {
    ends(outer.step("session", session)).toEqualTypeOf<{
      readonly id: `u-${number}`
      readonly status: string
      readonly other: boolean
      readonly user: { name: string }
    }>()
    // @ts-expect-error what it just passes on keeps its type
    expectTypeOf<Pipeline.StepOutput<typeof nested>["id"]>().toEqualTypeOf<string>()
    // @ts-expect-error what it gives does not
    expectTypeOf<Pipeline.StepOutput<typeof nested>["status"]>().toEqualTypeOf<"new">()
    const nested = outer.step("session", session)
    // @ts-expect-error it was not given, and is not made up
    expectTypeOf<Pipeline.StepOutput<typeof nested>["extra"]>()
  })

  it("contributes what its transforms leave, and maybe what it skips", () => {
    const ended = Pipeline.make<{ id: string }>()
      .step({ onError: "skip-remaining" }, () => ({ b: 1 }))
      .transform("t", ({ b }) => ({ c: b ?? 0 }))
    ends(outer.step("ended", ended)).toEqualTypeOf<{
      readonly id: `u-${number}`
      readonly status: "new"
      readonly other: boolean
      readonly c?: number
    }>()
    ends(Pipeline.make<{ id: string }>().step(ended))
      // @ts-expect-error it may have ended before the transform
      .toEqualTypeOf<{ readonly id: string; readonly c: number }>()
  })

  it("is refused where its input does not fit", () => {
    // @ts-expect-error there is no status
    Pipeline.make<{ id: string }>().step("session", session)
    // @ts-expect-error it is no text
    Pipeline.make<{ id: string; status: number }>().step("session", session)
    // @ts-expect-error the optional key has another type
    Pipeline.make<{ id: string; status: string; extra: string }>().step("session", session)
    // @ts-expect-error nor without a name
    Pipeline.make<{ id: string }>().step(session)
    // @ts-expect-error nor beside a function
    Pipeline.make<{ id: string }>().step("session", () => ({}), session)
    ends(outer.step(session)).toBeObject()
  })

  it("stands beside functions and other pipelines, and may be left out", () => {
    const beside = outer.step(
      { name: "parts", parallelMode: "settled" },
      session,
      () => ({ n: 1 }),
      Pipeline.make().step("x", () => ({ x: true }))
    )
    ends(beside).toEqualTypeOf<{
      readonly id: `u-${number}`
      readonly status: string
      readonly other: boolean
      readonly user?: { name: string }
      readonly n?: number
      readonly x?: boolean
    }>()
    expectTypeOf<Pipeline.StepNames<typeof beside>>()
      .toEqualTypeOf<"parts" | "parts/load" | "parts/mark" | "parts/x">()
    // @ts-expect-error each may have failed
    expectTypeOf<Pipeline.StepOutput<typeof beside>["n"]>().toEqualTypeOf<number>()
  })
})

describe("a step's name", () => {
  const inner = Pipeline.make<{ a: number }>("inner").step("deep", ({ a }) => ({ deep: String(a) }))
  const named = start
    .step("one", () => ({ b: 1 }))
    .step({ name: "two", condition: ({ b }) => b > 1 }, () => ({ c: "x" }))
    .step("outer", Pipeline.make<{ a: number }>().step("middle", inner))
    .branchOn(
      "route",
      { name: "big", when: ({ a }) => a > 1, then: (b) => b.step("x", () => ({ x: 1 })) },
      { name: "small", default: inner }
    )
    .transform("end", ({ deep }) => ({ end: deep }))
  type Named = typeof named

  it("stands in its type, with those of nested pipelines and branches", () => {
    expectTypeOf<Pipeline.StepNames<Named>>().toEqualTypeOf<
      | "one"
      | "two"
      | "outer"
      | "outer/middle"
      | "outer/middle/deep"
      | "route"
      | "route/big/x"
      | "route/small/deep"
      | "end"
    >()
    expectTypeOf<Pipeline.StepNames<typeof start>>().toBeNever()
    // @ts-expect-error none is left out
    expectTypeOf<Pipeline.StepNames<Named>>().toEqualTypeOf<"one" | "two" | "outer" | "route">()
  })

  it("is its place where it has none", () => {
    const auto = start
      .step(() => ({ b: 1 }))
      .step({ timeout: 5 }, () => ({ c: 1 }))
      .step(inner)
      .branchOn(
        { name: "big", when: () => true, then: inner },
        { when: () => true, then: inner },
        { default: inner }
      )
      .transform(({ b }) => ({ b }))
    expectTypeOf<Pipeline.StepNames<typeof auto>>().toEqualTypeOf<
      | `step-${number}`
      | `step-${number}/deep`
      | `branch-${number}`
      | `branch-${number}/big/deep`
      | `branch-${number}/branch-case/deep`
      | `branch-${number}/default-case/deep`
      | `transform-${number}`
    >()
    const cases = start.branchOn("route", { when: () => true, then: inner }, {
      when: () => true,
      then: inner
    })
    expectTypeOf<Pipeline.StepNames<typeof cases>>().toEqualTypeOf<
      "route" | "route/branch-case/deep" | `route/branch-case-${number}/deep`
    >()
    // @ts-expect-error a case's name is not that of its branch
    expectTypeOf<"big">().toExtend<Pipeline.StepNames<typeof auto>>()
    // @ts-expect-error nor is a nested pipeline's that of its step
    expectTypeOf<"inner">().toExtend<Pipeline.StepNames<typeof auto>>()
  })

  it("finds the context before the step and behind it", () => {
    expectTypeOf<Pipeline.StepInput<Named, "one">>().toEqualTypeOf<{ readonly a: number }>()
    expectTypeOf<Pipeline.StepInput<Named, "two">>()
      .toEqualTypeOf<{ readonly a: number; readonly b: number }>()
    expectTypeOf<Pipeline.StepOutput<Named, "two">>()
      .toEqualTypeOf<{ readonly a: number; readonly b: number; readonly c?: string }>()
    expectTypeOf<Pipeline.StepInput<Named, "outer/middle/deep">>()
      .toEqualTypeOf<{ readonly a: number }>()
    expectTypeOf<Pipeline.StepOutput<Named, "outer/middle/deep">>()
      .toEqualTypeOf<{ readonly a: number; readonly deep: string }>()
    expectTypeOf<Pipeline.StepInput<Named, "route/big/x">["deep"]>().toEqualTypeOf<string>()
    expectTypeOf<Pipeline.StepOutput<Named, "route/big/x">["x"]>().toEqualTypeOf<number>()
    expectTypeOf<Pipeline.StepOutput<Named, "route">["x"]>().toEqualTypeOf<number | undefined>()
    expectTypeOf<Pipeline.StepOutput<Named, "end">>().toEqualTypeOf<{ readonly end: string }>()
    expectTypeOf<Pipeline.StepOutput<Named>>().toEqualTypeOf<{ readonly end: string }>()
    // @ts-expect-error there is no such step
    expectTypeOf<Pipeline.StepOutput<Named, "three">>()
    // @ts-expect-error nor is there without the names around it
    expectTypeOf<Pipeline.StepInput<Named, "deep">>()
    expectTypeOf<Pipeline.StepInput<Named, "two">>()
      // @ts-expect-error what it gives is behind it
      .toEqualTypeOf<Pipeline.StepOutput<Named, "two">>()
  })
})

describe("what JSON cannot hold", () => {
  it("is no input", () => {
    // @ts-expect-error a Date
    Pipeline.make<{ at: Date }>("p")
    // @ts-expect-error also without a name
    Pipeline.make<{ at: Date }>()
    // @ts-expect-error also with options
    Pipeline.make<{ at: Date }>({ version: "1" })
    // @ts-expect-error also further in
    Pipeline.make<{ list: ReadonlyArray<{ m: Map<string, number> }> }>("p")
    // @ts-expect-error nothing is known of it
    Pipeline.make<{ x: unknown }>("p")
    // @ts-expect-error a list is no context
    Pipeline.make<Array<string>>("p")
    // @ts-expect-error nor is a text
    Pipeline.make<string>("p")
    expectTypeOf(Pipeline.make<{ at?: string; list: ReadonlyArray<{ n: number | null }> }>("p"))
      .toBeObject()
  })

  it("is not given by a step", () => {
    // @ts-expect-error a Date
    start.step("s", () => ({ at: new Date() }))
    // @ts-expect-error nor as a whole
    start.step("s", () => new Date())
    // @ts-expect-error a Map, by a Promise
    start.step("s", async () => ({ m: new Map<string, number>() }))
    // @ts-expect-error a bigint, by an Effect
    start.step("s", () => Effect.succeed({ n: 1n }))
    // @ts-expect-error a function
    start.step("s", () => ({ f: () => 1 }))
    // @ts-expect-error what is not known
    start.step("s", () => ({ u: of<unknown>() }))
    // @ts-expect-error not even that it is an object
    start.step("s", () => of<unknown>())
    // @ts-expect-error also by a second part
    start.step("s", () => ({ b: 1 }), () => ({ at: new Date() }))
    // @ts-expect-error also without a name
    start.step(() => ({ at: new Date() }))
    // @ts-expect-error also by a transform
    start.transform("s", () => ({ at: new Date() }))
    // @ts-expect-error also where only one return has it
    start.step("s", ({ a }) => a > 1 ? { at: new Date() } : { b: 1 })
    ends(start.step("s", () => ({ at: new Date().toISOString() }))).toBeObject()
  })

  it("is what is no object too", () => {
    // @ts-expect-error a list
    start.step("s", () => [1])
    // @ts-expect-error a text
    start.step("s", async () => "x")
    // @ts-expect-error a number
    start.step("s", () => Effect.succeed(1))
    // @ts-expect-error null
    start.step("s", () => null)
    // @ts-expect-error a boolean
    start.step("s", ({ a }) => a > 1)
    // @ts-expect-error a generator
    start.step("s", function*() {})
    // @ts-expect-error sometimes is enough
    start.step("s", ({ a }) => a > 1 ? { b: 1 } : null)
    // @ts-expect-error also from an expression that is a value by chance
    start.step("s", () => [].push())
    ends(start.step("s", () => void [].push())).toBeObject()
  })
})

describe("a configuration", () => {
  it("has no other options than there are", () => {
    // @ts-expect-error spelled otherwise
    start.step({ name: "s", retrys: 2 }, () => ({}))
    // @ts-expect-error also beside others
    start.step({ name: "s", timeout: 5, on_error: "continue" }, () => ({}))
    // @ts-expect-error also within another
    start.step({ name: "s", circuitBreaker: { cooldownMs: 1, treshold: 1 } }, () => ({}))
    // @ts-expect-error also of a branch
    start.branchOn({ name: "s", retrys: 2 }, { default: (b) => b })
    // @ts-expect-error also of a transform
    start.transform({ name: "s", retrys: 2 }, () => ({}))
    // @ts-expect-error a branch has no circuit
    start.branchOn({ name: "s", circuitBreaker: {} }, { default: (b) => b })
    ends(start.step({ name: "s", retries: 2, circuitBreaker: { cooldownMs: 1 } }, () => ({})))
      .toBeObject()
  })

  it("has values that there are", () => {
    // @ts-expect-error an error is not ignored
    start.step({ onError: "ignore" }, () => ({}))
    // @ts-expect-error parts do not race
    start.step({ parallelMode: "race" }, () => ({}))
    // @ts-expect-error keys are not appended to
    start.step({ mergePolicy: "append" }, () => ({}))
    // @ts-expect-error a timeout is a number
    start.step({ timeout: "1 second" }, () => ({}))
    // @ts-expect-error a condition is asked
    start.step({ condition: "yes" }, () => ({}))
    // @ts-expect-error a name is a text
    start.step({ name: 1 }, () => ({}))
    start.step({ retryDelayMs: (attempt, error) => attempt * error.message.length }, () => ({}))
  })

  it("is followed by what is run", () => {
    // @ts-expect-error nothing follows the name
    start.step("s")
    // @ts-expect-error nor the configuration
    start.step({ name: "s" })
    // @ts-expect-error a value is nothing to run
    start.step("s", { b: 1 })
    ends(start.step(() => ({ b: 1 }))).toEqualTypeOf<{ readonly a: number; readonly b: number }>()
  })

  it("of a pipeline has hooks that need no services, since nothing would say so", () => {
    Pipeline.make("p", { onStepComplete: ({ stepName }) => stepName.length, version: "1" })
    Pipeline.make("p", { onStepError: async () => {}, onStepSkipped: () => Effect.void })
    Pipeline.make({ onStepComplete: ({ context }) => context })
    // @ts-expect-error the shop could be nowhere
    // @effect-diagnostics-next-line missingEffectContext:off
    Pipeline.make("p", { onStepComplete: () => shop })
    // @ts-expect-error also sometimes
    // @effect-diagnostics-next-line missingEffectContext:off
    Pipeline.make("p", { onStepError: ({ stepName }) => stepName === "s" ? shop : undefined })
    // @ts-expect-error there is no such option
    Pipeline.make("p", { onComplete: () => {} })
  })
})

describe("a run", () => {
  const plain = start.step("b", () => ({ b: 1 }))

  it("gives the context, and needs no storage", () => {
    expectTypeOf(plain.run({ a: 1 })).toEqualTypeOf<
      Effect.Effect<{ readonly a: number; readonly b: number }, Pipeline.RunFailure>
    >()
    services(plain.runCheckpoint("text")).toBeNever()
    // @ts-expect-error it has one of its own
    services(plain.run({ a: 1 })).toEqualTypeOf<Storage.Storage>()
  })

  it("needs what its functions, conditions, cases and nested pipelines need", () => {
    services(start.step("s", () => shop).run({ a: 1 })).toEqualTypeOf<Shop>()
    services(start.step("s", () => shop, () => mail).run({ a: 1 })).toEqualTypeOf<Shop | Mail>()
    services(start.step("s", ({ a }) => a > 1 ? shop : undefined).run({ a: 1 }))
      .toEqualTypeOf<Shop>()
    services(start.step({ condition: () => shop }, () => {}).run({ a: 1 })).toEqualTypeOf<Shop>()
    services(start.transform("s", () => shop).run({ a: 1 })).toEqualTypeOf<Shop>()
    services(start.step("s", Pipeline.make().step("n", () => mail)).run({ a: 1 }))
      .toEqualTypeOf<Mail>()
    services(
      start.branchOn(
        "route",
        { when: () => shop, then: (b) => b.step("x", () => mail) },
        { default: (b) => b.step("y", () => meter) }
      ).run({ a: 1 })
    ).toEqualTypeOf<Shop | Mail | Meter>()
    // @ts-expect-error none is forgotten
    services(start.step("s", () => shop, () => mail).run({ a: 1 })).toEqualTypeOf<Shop>()
    // @ts-expect-error nor that of a condition
    services(start.step({ condition: () => shop }, () => {}).run({ a: 1 })).toBeNever()
  })

  it("needs no step context, which every step has", () => {
    const info = start.step("s", (_context, step) => {
      expectTypeOf(step.signal).toEqualTypeOf<AbortSignal>()
      expectTypeOf(step).toExtend<Instruction.StepInfo>()
      return Effect.map(of<Effect.Effect<number, never, Instruction.StepContext>>(), (n) => ({ n }))
    })
    services(info.run({ a: 1 })).toBeNever()
    // @ts-expect-error it is given
    services(info.run({ a: 1 })).toEqualTypeOf<Instruction.StepContext>()
  })

  it("needs what the Effects of its hooks need", () => {
    const hooks = {
      onStepComplete: () => shop,
      onStepError: () => mail,
      onStepSkipped: () => meter
    }
    services(plain.run({ a: 1 }, hooks)).toEqualTypeOf<Shop | Mail | Meter>()
    services(plain.runCheckpoint("text", hooks)).toEqualTypeOf<Shop | Mail | Meter>()
    services(plain.runCheckpoint({ checkpoint: "text", ...hooks }))
      .toEqualTypeOf<Shop | Mail | Meter>()
    services(plain.run({ a: 1 }, { onStepComplete: async () => {}, log: true })).toBeNever()
    services(
      plain.run({ a: 1 }, { onStepComplete: (e) => e.stepName === "b" ? shop : undefined })
    ).toEqualTypeOf<Shop>()
    // @ts-expect-error a hook runs in the call
    services(plain.run({ a: 1 }, hooks)).toBeNever()
  })

  it("fails as a workflow does, when it is aborted, and for its checkpoint", () => {
    expectTypeOf<Errors<typeof plain.run>>().toEqualTypeOf<
      Instruction.RunError | Workflow.EngineError | Workflow.NoOutput | Pipeline.PipelineAborted
    >()
    expectTypeOf<Errors<typeof plain.runCheckpoint>>()
      .toEqualTypeOf<Errors<typeof plain.run> | Checkpoint.CheckpointRejected>()
    expectTypeOf(plain.run({ a: 1 }, { signal: new AbortController().signal, runId: "r" }))
      .toBeObject()
    // @ts-expect-error what a function fails with is in StepFailed
    expectTypeOf<Errors<typeof plain.run>>().toEqualTypeOf<string>()
    // @ts-expect-error a run has no checkpoint to refuse
    expectTypeOf<Errors<typeof plain.run>>().toEqualTypeOf<Errors<typeof plain.runCheckpoint>>()
    // @ts-expect-error there is no such option
    void plain.run({ a: 1 }, { sginal: new AbortController().signal })
  })
})

describe("an event", () => {
  const inner = Pipeline.make<{ a: number }>().step("deep", ({ a }) => ({ deep: String(a) }))
  const heard = start
    .step("one", ({ a }) => ({ b: a > 1 }))
    .step({ name: "two", onError: "continue" }, () => ({ c: "x" }))
    .step("outer", inner)
    .step(() => ({ z: 1 }))

  it("is told apart by the step's name, and has the context behind it", () => {
    void heard.run({ a: 1 }, {
      onStepComplete: (event) => {
        expectTypeOf(event.stepName)
          .toEqualTypeOf<"one" | "two" | "outer" | "outer/deep" | `step-${number}`>()
        expectTypeOf(event.context.a).toEqualTypeOf<number>()
        if (event.stepName === "one") {
          expectTypeOf(event.context).toEqualTypeOf<{ readonly a: number; readonly b: boolean }>()
          // @ts-expect-error that step comes later
          expectTypeOf(event.context.c)
        }
        if (event.stepName === "two") {
          expectTypeOf(event.context)
            .toEqualTypeOf<{ readonly a: number; readonly b: boolean; readonly c?: string }>()
        }
        if (event.stepName === "outer/deep") {
          expectTypeOf(event.context).toEqualTypeOf<{ readonly a: number; readonly deep: string }>()
        }
        if (event.stepName === "outer") {
          expectTypeOf(event.context).toEqualTypeOf<Pipeline.StepOutput<typeof heard, "outer">>()
        }
        // @ts-expect-error it is not known which step this is
        expectTypeOf(event.context.b)
        // @ts-expect-error there is no such step
        expectTypeOf(event.stepName === "three")
        expectTypeOf(event.checkpoint).toEqualTypeOf<string>()
        expectTypeOf(event.duration).toEqualTypeOf<number>()
        event.stopPipeline()
      },
      onStepError: (event) => {
        expectTypeOf(event.stepName).toEqualTypeOf<Pipeline.StepNames<typeof heard>>()
        expectTypeOf(event.error).toEqualTypeOf<unknown>()
        // @ts-expect-error nothing is behind a step that failed
        expectTypeOf(event.context)
      },
      onStepSkipped: (event) => {
        expectTypeOf(event.reason).toEqualTypeOf<"replayed" | "condition" | "circuit">()
        // @ts-expect-error there is no such step
        expectTypeOf(event.stepName === "three")
      }
    })
  })

  it("is the same in a run from a checkpoint, in both forms", () => {
    void heard.runCheckpoint("text", {
      onStepComplete: (event) => {
        if (event.stepName === "one") expectTypeOf(event.context.b).toEqualTypeOf<boolean>()
      }
    })
    void heard.runCheckpoint({
      checkpoint: "text",
      onStepComplete: (event) => {
        if (event.stepName === "one") expectTypeOf(event.context.b).toEqualTypeOf<boolean>()
        // @ts-expect-error there is no such step
        expectTypeOf(event.stepName === "three")
      }
    })
  })
})

describe("a checkpoint", () => {
  const checked = start
    .step("b", () => ({ b: "x" }))
    .step({ condition: ({ a }) => a > 1 }, () => ({ c: true }))
  type Context = { readonly a: number; readonly b: string; readonly c?: boolean }

  it("takes any part of the context that is to be something else", () => {
    type Call = Exclude<Parameters<typeof checked.runCheckpoint>[0], string>
    expectTypeOf<NonNullable<Call["overrideData"]>>().toEqualTypeOf<Partial<Context>>()
    expectTypeOf<NonNullable<Call["override"]>>().toEqualTypeOf<Partial<Context>>()
    void checked.runCheckpoint({ checkpoint: "text", overrideData: { b: "y" } })
    void checked.runCheckpoint("text", { overrideData: { c: false } })
    // @ts-expect-error a key has its type
    void checked.runCheckpoint({ checkpoint: "text", overrideData: { b: 1 } })
    // @ts-expect-error and its name
    void checked.runCheckpoint({ checkpoint: "text", overrideData: { bb: "y" } })
    // @ts-expect-error one cannot be taken away
    void checked.runCheckpoint("text", { override: { b: undefined } })
    // @ts-expect-error a checkpoint must be there
    void checked.runCheckpoint({ overrideData: { b: "y" } })
    expectTypeOf(checked.runCheckpoint("text")).toEqualTypeOf<
      Effect.Effect<Context, Pipeline.CheckpointFailure>
    >()
  })

  it("may be one of before a transform, or of within a nested pipeline", () => {
    const inner = Pipeline.make<{ b: string }>().step("in", () => ({ b: 1, inner: true }))
    const changed = checked.transform("t", ({ b }) => ({ b, d: 1 })).step("n", inner)
    void changed.runCheckpoint({ checkpoint: "text", overrideData: { a: 2, c: true } })
    void changed.runCheckpoint({ checkpoint: "text", overrideData: { d: 2, inner: false } })
    void changed.runCheckpoint({ checkpoint: "text", overrideData: { b: "text" } })
    void changed.runCheckpoint({ checkpoint: "text", overrideData: { b: 2 } })
    // @ts-expect-error it was never a boolean
    void changed.runCheckpoint({ checkpoint: "text", overrideData: { b: true } })
    // @ts-expect-error there never was one
    void changed.runCheckpoint({ checkpoint: "text", overrideData: { z: true } })
  })

  it("shows the context there, as far as it had come", () => {
    expectTypeOf(checked.contextOf("text"))
      .toEqualTypeOf<Effect.Effect<Partial<Context>, Checkpoint.CheckpointRejected>>()
    // @ts-expect-error not every step may have run
    expectTypeOf<Effect.Success<ReturnType<typeof checked.contextOf>>>().toEqualTypeOf<Context>()
  })
})

describe("a pipeline's workflow", () => {
  const pipeline = start.step("b", () => shop).step("c", ({ open }) => ({ c: open }))
  type Context = { readonly a: number; readonly open: boolean; readonly c: boolean }
  const { workflow } = pipeline

  it("starts, resumes and forks its runs, on a storage", () => {
    type Result = Workflow.Result<Context, Instruction.RunError, Partial<Context>>
    expectTypeOf(workflow.start({ a: 1 }))
      .toEqualTypeOf<Effect.Effect<Result, Workflow.EngineError, Storage.Storage | Shop>>()
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.resume>>>().toEqualTypeOf<Result>()
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.fork>>>().toEqualTypeOf<Result>()
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>().toEqualTypeOf<Context>()
    services(workflow.resume("r", undefined, { onStepComplete: () => mail }))
      .toEqualTypeOf<Storage.Storage | Shop | Mail>()
    // @ts-expect-error its input is that of the pipeline
    void workflow.start({ a: "1" })
    // @ts-expect-error it waits for no events
    void workflow.resume("r", { eventName: "go", value: 1 })
    // @ts-expect-error it keeps its runs somewhere
    services(workflow.start({ a: 1 })).toEqualTypeOf<Shop>()
  })

  it("takes other results as parts of the context", () => {
    expectTypeOf(workflow.fork("r", { fromStep: "c", override: { open: false } })).toBeObject()
    expectTypeOf(workflow.retryFrom("r", { step: "c", override: { a: 2 } })).toBeObject()
    expectTypeOf(workflow.runCheckpoint({ checkpoint: "text", overrideData: { c: true } }))
      .toBeObject()
    // @ts-expect-error a key has its type
    void workflow.fork("r", { fromStep: "c", override: { open: 1 } })
    // @ts-expect-error they are not those of its steps by name
    void workflow.fork("r", { fromStep: "c", override: { b: { open: true } } })
  })

  it("names its steps to hooks", () => {
    void workflow.start({ a: 1 }, {
      onStepComplete: ({ context, stepName }) => {
        expectTypeOf(stepName).toEqualTypeOf<"b" | "c">()
        expectTypeOf(context).toEqualTypeOf<Partial<Context>>()
        // @ts-expect-error there is no such step
        expectTypeOf(stepName === "d")
      }
    })
  })
})

describe("a pipeline", () => {
  const takes = (pipeline: Pipeline.Pipeline<{ a: number }, { readonly b: number }>) =>
    pipeline.run({ a: 1 })

  it("can be passed where its input and its end are asked for, whatever its steps are", () => {
    expectTypeOf(takes(start.transform("b", ({ a }) => ({ b: a })))).toEqualTypeOf<
      Effect.Effect<{ readonly b: number }, Pipeline.RunFailure>
    >()
    expectTypeOf(takes(start.step("c", () => ({ c: 1 })).transform(({ c }) => ({ b: c }))))
      .toBeObject()
    // @ts-expect-error it may end with nothing
    void takes(start.transform({ condition: false }, ({ a }) => ({ b: a })))
    // @ts-expect-error it may end before
    void takes(start.step({ onError: "skip-remaining" }, () => {}).transform(({ a }) => ({ b: a })))
    // @ts-expect-error it takes something else
    void takes(Pipeline.make<{ a: string }>().transform(() => ({ b: 1 })))
    // @ts-expect-error it needs a service that nobody speaks of
    void takes(start.step("s", () => shop).transform(({ a }) => ({ b: a })))
  })

  it("can be gone on with by a function that knows a part of its context", () => {
    const more = <Ctx extends { readonly b: number }>(
      pipeline: Pipeline.Pipeline<{ a: number }, Ctx>
    ) => pipeline.step("more", ({ b }) => ({ more: b + 1 }))
    ends(more(start.step("b", ({ a }) => ({ b: a, c: "x" })))).toEqualTypeOf<
      { readonly a: number; readonly b: number; readonly c: string; readonly more: number }
    >()
    // @ts-expect-error this one has none
    more(start.step("c", () => ({ c: 1 })))
  })

  it("never changes: another step makes another one", () => {
    const more = start.step("b", () => ({ b: 1 }))
    ends(start).toEqualTypeOf<{ readonly a: number }>()
    expectTypeOf(more.describe()).toEqualTypeOf<ReadonlyArray<string>>()
    // @ts-expect-error it is not the same
    ends(start).toEqualTypeOf<Pipeline.StepOutput<typeof more>>()
  })
})

// ---------------------------------------------------------------------------------------------------
// each shape of pipeline in stepkit's readme, in our form

describe("the shapes of pipelines that stepkit shows", () => {
  /** Stands in for any function from outside. */
  const ask = <A>(..._about: ReadonlyArray<unknown>) => of<Promise<A>>()
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

  it("hold for a sign-up with two ways to go on", () => {
    const signup = Pipeline.make<{ email: string }>()
      .step("normalize", ({ email }) => ({ address: email.trim().toLowerCase() }))
      .step("check", async ({ address }) => ({ reachable: await ask<boolean>(address) }))
      .branchOn(
        "route",
        {
          name: "reachable",
          when: ({ reachable }) => reachable,
          then: (b) =>
            b
              .step("draft", async ({ address }) => {
                const text = await ask<string>(`Greet ${address}`)
                return { subject: "Welcome", body: text }
              })
              .step("send", async ({ address, body, subject }) => ({
                mailId: await ask<string>({ to: address, subject, body })
              }))
        },
        {
          name: "unreachable",
          default: (b) =>
            b.step("verify", async ({ address }) => ({ requestId: await ask<string>(address) }))
        }
      )
    ends(signup).toEqualTypeOf<{
      readonly email: string
      readonly address: string
      readonly reachable: boolean
      readonly subject?: string
      readonly body?: string
      readonly mailId?: string
      readonly requestId?: string
    }>()
    expectTypeOf(signup.run({ email: "User@Example.com" })).toBeObject()
    // @ts-expect-error only one of the ways sends
    expectTypeOf<Pipeline.StepOutput<typeof signup>["mailId"]>().toEqualTypeOf<string>()
  })

  it("hold for parts beside each other, and a step on a condition", () => {
    const evaluator = Pipeline.make<{ idea: string }>()
      .step(
        "signals",
        async ({ idea }) => ({ market: await ask<string>(idea) }),
        async ({ idea }) => ({ rivals: await ask<Array<string>>(idea) })
      )
      .step(
        { name: "forecast", condition: ({ market }) => market === "large" },
        async ({ idea }) => ({ forecast: await ask<number>(idea) })
      )
      .step("evaluate", async ({ forecast, idea, market, rivals }) => ({
        verdict: await ask<string>(`${idea} ${market} ${rivals.length} ${forecast ?? "n/a"}`)
      }))
    ends(evaluator).toEqualTypeOf<{
      readonly idea: string
      readonly market: string
      readonly rivals: Array<string>
      readonly forecast?: number
      readonly verdict: string
    }>()
    expectTypeOf<Pipeline.StepInput<typeof evaluator, "evaluate">["forecast"]>()
      // @ts-expect-error there may be none
      .toEqualTypeOf<number>()
  })

  it("hold for a run with a log", () => {
    const pipeline = Pipeline.make<{ userId: string }>()
      .step("user", async ({ userId }) => {
        await pause(150)
        return { user: { id: userId, email: "user@example.com" } }
      })
      .step(
        "data",
        async ({ user }) => ({ orders: [{ id: user.id }] }),
        async ({ user }) => ({ alerts: [user.email] })
      )
      .step({ name: "slow", timeout: 200, onError: "continue" }, async () => {
        await pause(300)
        return { slow: true }
      })
      .step("count", ({ orders }) => ({ count: orders?.length ?? 0 }))
      .branchOn(
        "route",
        {
          name: "some",
          when: ({ count }) => (count ?? 0) > 0,
          then: (b) => b.step("total", () => ({ total: 99.5 }))
        },
        { name: "none", default: (b) => b.step("nothing", () => ({ total: 0 })) }
      )
      .transform("end", ({ total, user }) => ({ userId: user.id, total }))
    ends(pipeline).toEqualTypeOf<{ readonly userId: string; readonly total: number }>()
    expectTypeOf(pipeline.run({ userId: "42" }, { log: { stopwatch: true } })).toBeObject()
    // @ts-expect-error there is no such clock
    void pipeline.run({ userId: "42" }, { log: { watch: true } })
  })

  it("hold for three ways that end in the same field", () => {
    const moderator = Pipeline.make<{ content: string; userId: string }>()
      .step("classify", async ({ content }) => {
        const text = await ask<string>(content)
        return { risk: text.trim() as "safe" | "unclear" | "bad" }
      })
      .branchOn(
        "policy",
        {
          name: "safe",
          when: ({ risk }) => risk === "safe",
          then: (b) => b.step("publish", async () => ({ action: "published" as const }))
        },
        {
          name: "unclear",
          when: ({ risk }) => risk === "unclear",
          then: (b) =>
            b
              .step("queue", async () => ({ ticket: await ask<string>() }))
              .step("notify", async ({ ticket }) => ({ notified: await ask<boolean>(ticket) }))
              .step("hold", () => ({ action: "held" as const }))
        },
        {
          name: "bad",
          default: (b) =>
            b
              .step("block", async ({ userId }) => ({ blocked: await ask<boolean>(userId) }))
              .step("tell", async ({ blocked }) => ({
                told: blocked ? await ask<boolean>("blocked") : false
              }))
              .step("end", () => ({ action: "blocked" as const }))
        }
      )
      .transform("format", ({ action, notified, ticket, told }) => ({
        status: action,
        ticket,
        notified,
        told
      }))
    ends(moderator).toEqualTypeOf<{
      readonly status: "published" | "held" | "blocked"
      readonly ticket: string | undefined
      readonly notified: boolean | undefined
      readonly told: boolean | undefined
    }>()
    expectTypeOf(moderator.run({ content: "look", userId: "u" })).toBeObject()
    // @ts-expect-error the readme's own call leaves out what the pipeline takes
    void moderator.run({ content: "look" })
  })

  it("hold for a transform that clears up", () => {
    const cleaner = Pipeline.make<{ token: string }>()
      .step("user", async ({ token }) => ({
        user: await ask<{ id: string; email: string }>(token),
        token,
        debug: { at: Date.now() }
      }))
      .step("settings", async ({ user }) => ({
        raw: await ask<{ theme?: string; plan: string }>(user.id),
        transient: "gone soon"
      }))
      .transform("clean", ({ raw, user }) => ({
        userId: user.id,
        email: user.email,
        theme: raw.theme ?? "system",
        isPro: raw.plan === "pro"
      }))
      .step("use", ({ isPro, theme, userId }) => ({ text: `${isPro} ${userId} ${theme}` }))
    ends(cleaner).toEqualTypeOf<{
      readonly userId: string
      readonly email: string
      readonly theme: string
      readonly isPro: boolean
      readonly text: string
    }>()
    // @ts-expect-error the token is gone
    expectTypeOf<Pipeline.StepOutput<typeof cleaner>["token"]>()
  })

  it("hold for pipelines from elsewhere as branches, typed by a step's output", () => {
    const classify = Pipeline.make<{ prompt: string }>()
      .step("classify", async ({ prompt }) => ({ type: (await ask<string>(prompt)).trim() }))
    type Classified = Pipeline.StepOutput<typeof classify, "classify">
    const question = Pipeline.make<Classified>()
      .step("answer", async ({ prompt }) => ({ response: await ask<string>(prompt) }))
    const statement = Pipeline.make<Classified>()
      .step("acknowledge", () => ({ response: "Thanks" }))
    const responder = classify
      .branchOn(
        { name: "question", when: ({ type }) => type === "question", then: question },
        { name: "statement", default: statement }
      )
      .step("finalize", ({ response }) => ({ done: true, response }))
    ends(responder).toEqualTypeOf<{
      readonly prompt: string
      readonly type: string
      readonly response: string
      readonly done: boolean
    }>()
    // @ts-expect-error what they need must be there
    Pipeline.make<{ prompt: string }>().branchOn({ default: statement })
  })

  it("hold for a nested pipeline", () => {
    const session = Pipeline.make<{ sessionId: string }>()
      .step("session", async ({ sessionId }) => ({
        session: await ask<{ userId: string }>(sessionId)
      }))
      .step("permissions", async ({ session }) => ({
        permissions: await ask<Array<string>>(session.userId)
      }))
    const main = Pipeline.make<{ sessionId: string }>()
      .step("load", session)
      .step("use", ({ permissions }) => ({ canPublish: permissions.includes("publish") }))
    expectTypeOf<Pipeline.StepNames<typeof main>>()
      .toEqualTypeOf<"load" | "load/session" | "load/permissions" | "use">()
    expectTypeOf<Pipeline.StepOutput<typeof main>["canPublish"]>().toEqualTypeOf<boolean>()
    // @ts-expect-error a nested step's name stands behind that of its step
    expectTypeOf<"permissions">().toExtend<Pipeline.StepNames<typeof main>>()
  })

  it("hold for retries, timeouts and a signal", () => {
    const fetching = Pipeline.make()
      .step(
        {
          name: "fetch",
          onError: "continue",
          retries: 2,
          retryDelayMs: 250,
          shouldRetry: (error) => /429|timeout/i.test(String(error?.message ?? error))
        },
        async () => {
          if (Math.random() < 0.5) throw new Error("429")
          return { data: { id: "42" } }
        }
      )
      .step("go on", ({ data }) => ({ hasData: !!data }))
    ends(fetching)
      .toEqualTypeOf<{ readonly data?: { id: string }; readonly hasData: boolean }>()
    const guarded = Pipeline.make()
      .step({ name: "call", timeout: 1500, onError: "continue" }, async () => {
        await pause(2000)
        return { ok: true }
      })
      .step("after", ({ ok }) => ({ status: ok ? "used" : "left out" }))
    const { signal } = new AbortController()
    expectTypeOf(guarded.run({}, { signal })).toBeObject()
    expectTypeOf(fetching.run({})).toBeObject()
    expectTypeOf<Pipeline.StepInput<typeof fetching, "go on">["data"]>()
      // @ts-expect-error there may be none
      .toEqualTypeOf<{ id: string }>()
  })

  it("hold for a checkpoint that is kept, and gone on from with something else", () => {
    const calc = Pipeline.make<{ a: number; b?: number }>()
      .step("add-one", ({ a }) => ({ a: a + 1 }))
      .step("double", ({ a }) => ({ a: a * 2 }))
      .step("finish", ({ a, b }) => ({ sum: (a ?? 0) + (b ?? 0) }))
    let kept = ""
    const first = calc.run({ a: 1 }, {
      onStepComplete: (event) => {
        if (event.stepName === "double") kept = event.checkpoint
      }
    })
    const resumed = calc.runCheckpoint({ checkpoint: kept, overrideData: { b: 10 } })
    type Sum = { readonly a: number; readonly b?: number; readonly sum: number }
    expectTypeOf<Effect.Success<typeof first>>().toEqualTypeOf<Sum>()
    expectTypeOf<Effect.Success<typeof resumed>>().toEqualTypeOf<Sum>()
    // @ts-expect-error it is a number
    void calc.runCheckpoint({ checkpoint: kept, overrideData: { b: "10" } })
  })

  it("hold for a person's approval between two calls", () => {
    const kept = new Map<string, string>()
    const reply = Pipeline.make<{ body: string }>()
      .step("generate", async ({ body }) => ({ reply: `Reply: ${body}` }))
      .step("send", async ({ reply }) => {
        await ask<void>({ to: "user@example.com", body: reply })
      })
    const begin = reply.run({ body: "hello" }, {
      async onStepComplete(event) {
        if (event.stepName.endsWith("generate")) {
          await ask<void>()
          kept.set("apr_1", event.checkpoint)
          event.stopPipeline()
        }
      }
    })
    const approve = reply.runCheckpoint(kept.get("apr_1") ?? "")
    expectTypeOf<Effect.Success<typeof begin>>()
      .toEqualTypeOf<{ readonly body: string; readonly reply: string }>()
    services(approve).toBeNever()
    // @ts-expect-error what was kept may be gone
    void reply.runCheckpoint(kept.get("apr_1"))
  })

  it("hold for a run that is stopped early", () => {
    const stopped = Pipeline.make<{ n: number }>()
      .step("s1", ({ n }) => ({ n: n + 1 }))
      .step("s2", ({ n }) => ({ n: n + 1 }))
      .step("s3", ({ n }) => ({ n: n + 1 }))
      .run({ n: 0 }, {
        onStepComplete: (event) => {
          if (event.stepName === "s2") event.stopPipeline()
          // @ts-expect-error there is no such step
          if (event.stepName === "s4") event.stopPipeline()
        }
      })
    expectTypeOf<Effect.Success<typeof stopped>>().toEqualTypeOf<{ readonly n: number }>()
  })

  it("hold for what is asked of its type", () => {
    const simple = Pipeline.make<{ id: string }>()
      .step("fetch-user", ({ id }) => ({ name: "John", id }))
      .step("process", ({ name }) => ({ result: name.toUpperCase() }))
    type Simple = typeof simple
    expectTypeOf<Pipeline.StepNames<Simple>>().toEqualTypeOf<"fetch-user" | "process">()
    expectTypeOf<Pipeline.StepInput<Simple, "process">>()
      .toEqualTypeOf<{ readonly id: string; readonly name: string }>()
    expectTypeOf<Pipeline.StepOutput<Simple, "fetch-user">>()
      .toEqualTypeOf<{ readonly id: string; readonly name: string }>()
    expectTypeOf<Pipeline.StepOutput<Simple>>()
      .toEqualTypeOf<{ readonly id: string; readonly name: string; readonly result: string }>()
    // @ts-expect-error there is no such step
    expectTypeOf<Pipeline.StepInput<Simple, "proces">>()
  })
})
