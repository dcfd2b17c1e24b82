/**
 * What must survive the journal, in types: the values of steps, and a workflow's input and output.
 * What no type shows is the business of the check at run time.
 */
import { Duration, Effect, Option, Schema } from "effect"
import { Instruction, type Runs, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"
import { expectBare } from "./support/bare.ts"

const ctx = null as unknown as Workflow.Ctx
const of = <A>() => null as unknown as A

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
interface Growing<A> {
  readonly value: A
  readonly next: Growing<ReadonlyArray<A>> | null
}
interface Deep {
  readonly a: { readonly b: { readonly c: { readonly d: ReadonlyArray<{ readonly e: Tree }> } } }
}
class WithMethod {
  readonly n = 1
  twice() {
    return this.n * 2
  }
}

describe("a step without a schema", () => {
  it("may return nothing", () => {
    ctx.step("s", () => {})
    ctx.step("s", () => undefined)
    ctx.step("s", () => Effect.void)
    ctx.step("s", async () => {})
    ctx.step("s", (): number | undefined => undefined)
  })

  it("may return JSON of any shape", () => {
    ctx.step("s", () => ({ a: [1, "b", null, true, { c: undefined }] as const }))
    ctx.step("s", () => of<{ a?: number; b: string | undefined }>())
    ctx.step("s", () => of<Readonly<Record<string, ReadonlyArray<number>>>>())
    ctx.step("s", () => of<[number, ...Array<string>]>())
    ctx.step("s", () => of<{ kind: "a" } | { kind: "b"; n: number } | null>())
    ctx.step("s", () => of<string & { readonly brand: unique symbol }>())
    ctx.step("s", () => of<Runs.Status>())
    ctx.step("s", () => of<any>())
    ctx.step("s", () => of<never>())
  })

  it("may return recursive types, and Json itself", () => {
    expectBare(ctx.step("s", () => of<Tree>()))
      .toEqualTypeOf<Instruction.Instruction<Tree>>()
    expectBare(ctx.step("s", () => of<Schema.Json>()))
      .toEqualTypeOf<Instruction.Instruction<Schema.Json>>()
    ctx.step("s", () => of<Growing<string>>())
    ctx.step("s", () => of<Deep>())
  })

  it("may not return a Date", () => {
    // @ts-expect-error JSON cannot hold it
    ctx.step("s", () => new Date(0))
    // @ts-expect-error nor from an Effect
    ctx.step("s", () => Effect.succeed(new Date(0)))
    // @ts-expect-error nor from an Effect that is no function
    ctx.step("s", Effect.succeed(new Date(0)))
    // @ts-expect-error nor from a Promise
    ctx.step("s", async () => new Date(0))
    // @ts-expect-error nor as one of several
    ctx.step("s", () => of<Date | null>())
    // @ts-expect-error nor in a field
    ctx.step("s", () => ({ at: new Date(0) }))
    // @ts-expect-error nor in a field that may be missing
    ctx.step("s", () => of<{ at?: Date | undefined }>())
    // @ts-expect-error nor in a list
    ctx.step("s", () => [new Date(0)])
    // @ts-expect-error nor in a tuple
    ctx.step("s", () => of<[number, Date]>())
    // @ts-expect-error nor in a record
    ctx.step("s", () => of<Record<string, Date>>())
    // @ts-expect-error nor deep inside
    ctx.step("s", () => of<{ a: { b: { c: ReadonlyArray<{ at: Date }> } } }>())
  })

  it("may not return other things that JSON loses", () => {
    // @ts-expect-error a Map
    ctx.step("s", () => new Map<string, number>())
    // @ts-expect-error a Map that cannot be changed
    ctx.step("s", () => of<ReadonlyMap<string, number>>())
    // @ts-expect-error a Set
    ctx.step("s", () => new Set<string>())
    // @ts-expect-error a bigint
    ctx.step("s", () => 5n)
    // @ts-expect-error a symbol
    ctx.step("s", () => Symbol.iterator)
    // @ts-expect-error a function
    ctx.step("s", () => () => 5)
    // @ts-expect-error unknown, which may be anything
    ctx.step("s", () => of<unknown>())
    // @ts-expect-error unknown in a list
    ctx.step("s", () => of<Array<unknown>>())
    // @ts-expect-error an object with methods
    ctx.step("s", () => new WithMethod())
    // @ts-expect-error an object with a function
    ctx.step("s", () => ({ f: (n: number) => n }))
    // @ts-expect-error bytes
    ctx.step("s", () => new Uint8Array(3))
    // @ts-expect-error an Option
    ctx.step("s", () => Option.some(1))
    // @ts-expect-error a Duration
    ctx.step("s", () => Duration.seconds(1))
    // @ts-expect-error what a generator function returns
    ctx.step("s", function*() {
      return 1
    })
  })
})

describe("a step with a schema", () => {
  it("may return what the schema encodes", () => {
    expectBare(ctx.step("s", () => new Date(0), { schema: Schema.Date }))
      .toEqualTypeOf<Instruction.Instruction<Date>>()
    ctx.step("s", () => Effect.succeed(5n), { schema: Schema.BigInt })
    ctx.step("s", async () => new Map([["a", 1]]), {
      schema: Schema.ReadonlyMap(Schema.String, Schema.Number)
    })
    ctx.step("s", Effect.succeed(new Set([1])), { schema: Schema.ReadonlySet(Schema.Number) })
    ctx.step("s", () => of<unknown>(), { schema: Schema.Unknown })
    ctx.step("s", () => {}, { schema: Schema.Void })
  })

  it("may return nothing else", () => {
    // @ts-expect-error a string is no Date
    ctx.step("s", () => "2020", { schema: Schema.Date })
    // @ts-expect-error nor from an Effect
    ctx.step("s", () => Effect.succeed("2020"), { schema: Schema.Date })
    // @ts-expect-error nor from a Promise
    ctx.step("s", async () => "2020", { schema: Schema.Date })
    // @ts-expect-error nor from an Effect that is no function
    ctx.step("s", Effect.succeed("2020"), { schema: Schema.Date })
  })

  it("adds the services of its schemas", () => {
    class Codebook {
      declare readonly _: never
    }
    const schema = of<Schema.Codec<number, string, Codebook, never>>()
    expectBare(ctx.step("s", () => 1, { schema }))
      .toEqualTypeOf<Instruction.Instruction<number, never, Codebook>>()
    expectBare(ctx.step("s", () => Effect.fail(1), { error: schema }))
      .toEqualTypeOf<Instruction.Instruction<never, number, Codebook>>()
    expectBare(ctx.step("s", () => 1, { schema }))
      // @ts-expect-error they are not forgotten
      .toEqualTypeOf<Instruction.Instruction<number>>()
  })

  it("is what a generic helper needs", () => {
    function* load<A>(
      ctx: Workflow.Ctx,
      schema: Schema.Codec<A, unknown>,
      get: () => Promise<A>
    ) {
      return yield* ctx.step("load", get, { schema })
    }
    function* keep<A>(ctx: Workflow.Ctx, schema: Schema.Codec<A, unknown>, value: A) {
      return yield* ctx.step("keep", () => value, { schema })
    }
    function* run<S extends Schema.Top, E, R>(
      ctx: Workflow.Ctx,
      schema: S,
      get: Effect.Effect<S["Type"], E, R>
    ) {
      return yield* ctx.step("run", () => get, { schema })
    }
    Workflow.make("w", function*(ctx) {
      expectTypeOf(yield* load(ctx, Schema.Date, async () => new Date(0))).toEqualTypeOf<Date>()
      expectTypeOf(yield* keep(ctx, Schema.Date, new Date(0))).toEqualTypeOf<Date>()
      expectTypeOf(yield* run(ctx, Schema.Date, Effect.succeed(new Date(0))))
        .toEqualTypeOf<Date>()
    })
    function* without<A>(ctx: Workflow.Ctx, get: () => Promise<A>) {
      // @ts-expect-error without a schema nobody knows whether JSON can hold an A
      return yield* ctx.step("load", get)
    }
    expectTypeOf(without).toBeFunction()
  })
})

describe("a workflow without schemas", () => {
  it("takes and returns JSON, or nothing", () => {
    Workflow.make("w", function*(_ctx, input: { a: number; tree: Tree }) {
      return input.tree
    })
    Workflow.make("w", function*() {})
    Workflow.make("w", function*(_ctx, input: Schema.Json) {
      return input
    })
  })

  it("does not take what JSON loses", () => {
    // @ts-expect-error a Date
    Workflow.make("w", function*(_ctx, _at: Date) {})
    // @ts-expect-error in a field
    Workflow.make("w", function*(_ctx, _input: { at: Date }) {})
    // @ts-expect-error nor unknown
    Workflow.make("w", function*(_ctx, _input: unknown) {})
    // @ts-expect-error the same behind a contract
    Workflow.define("w", {}).make(function*(_ctx, _at: Date) {})
  })

  it("does not return what JSON loses", () => {
    // @ts-expect-error a Map
    Workflow.make("w", function*() {
      return new Map<string, number>()
    })
    // @ts-expect-error the same behind a contract
    Workflow.define("w", { input: Schema.String }).make(function*(_ctx, _id) {
      return new Date(0)
    })
  })
})

describe("a workflow with schemas", () => {
  it("takes and returns what they encode", () => {
    const workflow = Workflow.make(
      "w",
      { input: Schema.Date, output: Schema.ReadonlySet(Schema.Number) },
      function*(_ctx, at) {
        expectTypeOf(at).toEqualTypeOf<Date>()
        return new Set([at.getTime()])
      }
    )
    expectTypeOf<Parameters<typeof workflow.start>[0]>().toEqualTypeOf<Date>()
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>()
      .toEqualTypeOf<ReadonlySet<number>>()
    // @ts-expect-error not what the input encodes to
    expectTypeOf(workflow.start("2020")).toBeObject()
    // @ts-expect-error a number is not its output
    Workflow.make("w", { output: Schema.String }, function*() {
      return 1
    })
    // @ts-expect-error a number is not its input
    Workflow.make("w", { input: Schema.String }, function*(_ctx, _n: number) {})
  })
})
