/**
 * Random workflow bodies as data: what a property test draws, prints when it fails, and runs both on the
 * bare machine and through the public API.
 *
 * A body made of a program observes every value it is handed. What it observed is its result, in the order
 * of the program and so independent of timing; `Env` holds what depends on timing: a hash over everything
 * in the order it was observed, and variables that all branches share.
 */
import { Result } from "effect"
import fc from "fast-check"
import * as I from "../../src/Instruction.ts"

/** What stands around an instruction. */
type Wrap = "result" | "catch" | "map"
type Block = ReadonlyArray<Statement>

interface Fan {
  readonly concurrency?: number
  readonly results?: boolean
  readonly discard?: boolean
  readonly name?: string
}

export type Statement =
  | { readonly t: "step"; readonly name: string; readonly once?: boolean } & Yielded
  | { readonly t: "wait"; readonly event: string; readonly key?: string; readonly own?: boolean }
    & Yielded
  | {
    readonly t: "fan"
    readonly op: "all" | "race" | "any"
    readonly record: boolean
    readonly branches: ReadonlyArray<{ readonly form: Form; readonly body: Block }>
  }
    & Fan
    & Yielded
  | { readonly t: "each"; readonly items: number; readonly keyed: boolean; readonly body: Block }
    & Fan
    & Yielded
  | {
    readonly t: "try"
    readonly body: Block
    readonly catch?: Block
    /** Whether it holds back what it caught, a cancel too. */
    readonly swallow: boolean
    readonly finally?: Block
  }
  | { readonly t: "call" | "loop"; readonly body: Block; readonly times: number }
  | { readonly t: "if"; readonly variable: number; readonly even: Block; readonly odd: Block }
  | { readonly t: "set"; readonly variable: number }
  | { readonly t: "log" | "runId" | "fail" | "throw" | "return" }

type Form = "instruction" | "function" | "object"

interface Yielded {
  readonly wrap?: Wrap
  /** `yield` instead of `yield*`. */
  readonly plain?: boolean
}

export type Program = Block

// ---------------------------------------------------------------------------------------------------
// running one

/** What a run of a program has seen, in the order it saw it. */
export class Env {
  readonly variables = [1, 2, 3, 4]
  seen = 1
  see(where: string, value: string): void {
    this.seen = hash(`${this.seen}${where}${value}`)
  }
}

/** 32 bits of a text. */
export const hash = (text: string): number => {
  let h = 2166136261
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619)
  return h >>> 0
}

/** A value as text, errors and `Result`s too. */
export const show = (value: unknown): string => {
  if (Result.isResult(value)) {
    return Result.isSuccess(value) ? `ok ${show(value.success)}` : `not ok ${show(value.failure)}`
  }
  if (value instanceof Error) {
    const { _tag, message, name } = value as Error & { readonly _tag?: string }
    return `${_tag ?? name}: ${message}`
  }
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value).map(([key, field]) => `${key}: ${show(field)}`).join(", ")}}`
  }
  return String(value)
}

/** What the steps of a program do. */
export type Work = (info: I.StepInfo) => any

type Running = Generator<any, boolean, any>

/** The body of a program. `work` runs in every step; its value is what the step gives. */
export const bodyOf = function*(
  program: Program,
  env: Env,
  work: Work
): Generator<any, ReadonlyArray<string>, any> {
  const log: Array<string> = []
  yield* run(program, { env, work, log, where: "" })
  return log
}

interface Scope {
  readonly env: Env
  readonly work: Work
  /** What this generator has observed. */
  readonly log: Array<string>
  readonly where: string
}

const branch = (body: Block, scope: Scope, name: string) =>
  function*(): Generator<any, ReadonlyArray<string>, any> {
    const log: Array<string> = []
    yield* run(body, { ...scope, log, where: `${scope.where}[${name}]` })
    return log
  }

const wrapped = (instruction: I.Instruction<any, any, any>, { wrap }: Yielded, { work }: Scope) => {
  switch (wrap) {
    case "result":
      return I.result(instruction)
    case "catch":
      return I.catch(instruction, () => I.step("fallback", work))
    case "map":
      return I.map(instruction, (value) => `mapped ${show(value)}`)
    default:
      return instruction
  }
}

const options = ({ concurrency, discard, name, results }: Fan): any => ({
  ...(concurrency === undefined ? undefined : { concurrency }),
  ...(discard === true ? { discard } : undefined),
  ...(name === undefined ? undefined : { name }),
  ...(results === true ? { mode: "result" } : undefined)
})

const combinators = { all: I.all, race: I.race, any: I.any }

/** The instruction of a statement that is one. */
const instructionOf = (s: Statement, scope: Scope): I.Instruction<any, any, any> => {
  switch (s.t) {
    case "step":
      return I.step(s.name, scope.work, s.once === true ? { delivery: "at-most-once" } : {})
    case "wait": {
      const key = s.own === true ? `${s.event} at ${scope.where}` : s.key
      return I.suspend(s.event, key === undefined ? {} : { key })
    }
    case "fan": {
      const branches = s.branches.map(({ body, form }, k): I.Branch => {
        const [first] = body
        if (form === "instruction" && (first?.t === "step" || first?.t === "wait")) {
          const inner = { ...scope, where: `${scope.where}[${k}]` }
          return wrapped(instructionOf(first, inner), first, inner)
        }
        const make = branch(body, scope, String(k))
        return form === "object" ? make() : make
      })
      const fan = combinators[s.op] as (
        branches: unknown,
        o: unknown
      ) => I.Instruction<any, any, any>
      return fan(
        s.record ? Object.fromEntries(branches.map((b, k) => [`k${k}`, b])) : branches,
        options(s)
      )
    }
    case "each":
      return I.forEach(
        Array.from({ length: s.items }, (_, k) => `item ${k}`),
        (item) => branch(s.body, scope, item),
        { ...options(s), ...(s.keyed ? { key: (item: string) => item } : undefined) }
      )
    default:
      return I.runId
  }
}

/** Runs a block; true when the generator is to return. */
const run = function*(block: Block, scope: Scope): Running {
  const { env, log } = scope
  for (const [k, s] of block.entries()) {
    const where = `${scope.where}.${k}`
    const see = (value: unknown) => {
      const text = show(value)
      log.push(text)
      env.see(where, text)
    }
    const inner = { ...scope, where }
    switch (s.t) {
      case "step":
      case "wait":
      case "fan":
      case "each": {
        const instruction = wrapped(instructionOf(s, inner), s, inner)
        const value: unknown = s.plain === true ? yield instruction : yield* instruction
        see(value)
        env.variables[hash(where) % 4]! += hash(show(value)) % 7
        break
      }
      case "try": {
        try {
          if (yield* run(s.body, inner)) return true
        } catch (error) {
          see(error)
          if (!s.swallow && (s.catch === undefined || error instanceof I.Cancelled)) throw error
          if (s.catch !== undefined && (yield* run(s.catch, inner))) return true
        } finally {
          if (s.finally !== undefined) yield* run(s.finally, inner)
        }
        break
      }
      case "call": {
        see(yield* branch(s.body, inner, "call")())
        break
      }
      case "loop":
        for (let n = 0; n < s.times; n++) {
          if (yield* run(s.body, { ...inner, where: `${where}(${n})` })) return true
        }
        break
      case "if":
        if (yield* run(env.variables[s.variable]! % 2 === 0 ? s.even : s.odd, inner)) return true
        break
      case "set":
        env.variables[s.variable] = (env.variables[(s.variable + 1) % 4]! * 3 + env.seen) % 1000
        break
      case "log":
        yield* I.log(where)
        break
      case "runId":
        see(yield* I.runId)
        break
      case "fail":
        yield* I.fail({ _tag: "Failed", where })
        break
      case "throw":
        throw new Error(`thrown at ${where}`)
      case "return":
        return true
    }
  }
  return false
}

// ---------------------------------------------------------------------------------------------------
// drawing one

/** What may stand in a program. */
export interface Kinds {
  /** Combinators; none makes a sequential body. */
  readonly fans: ReadonlyArray<"all" | "race" | "any" | "each">
  /** Variables that all branches share, so that what happens depends on the order of outcomes. */
  readonly shared: boolean
  /** Uncaught bugs. */
  readonly throws: boolean
  /** Typed failures of the body. */
  readonly fails: boolean
  /** Steps that must not run twice. */
  readonly once: boolean
  /** Waits that share no key, so that no wait takes the event of another. */
  readonly own?: boolean
}

interface Shapes {
  readonly program: Block
  readonly block: Block
  readonly short: Block
  readonly statement: Statement
  readonly leaf: Statement
  readonly fan: Statement
  readonly each: Statement
  readonly try: Statement
  readonly nest: Statement
  readonly if: Statement
}

/** Once in `n` draws; otherwise nothing. */
const sometimes = <A>(n: number, arbitrary: fc.Arbitrary<A>): fc.Arbitrary<A | undefined> =>
  fc.oneof({ weight: n - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

const names = fc.constantFrom("a", "b", "c", "d/e#2")

const yielded = {
  wrap: sometimes(2, fc.constantFrom<Wrap>("result", "catch", "result", "map")),
  plain: sometimes(5, fc.constant(true))
}

const fanOptions = {
  concurrency: sometimes(2, fc.integer({ min: 1, max: 2 })),
  results: sometimes(3, fc.constant(true)),
  discard: sometimes(6, fc.constant(true)),
  name: sometimes(3, fc.constantFrom("fan", "f[0]"))
}

/** Draws programs, smaller ones first. */
export const programs = (kinds: Kinds): fc.Arbitrary<Program> => {
  const depthIdentifier = fc.createDepthIdentifier()
  const often = (weight: number, arbitrary: fc.Arbitrary<Statement>) => ({ arbitrary, weight })
  const onlyIf = (condition: boolean, weight: number, arbitrary: fc.Arbitrary<Statement>) =>
    condition ? [often(weight, arbitrary)] : []
  const simple = (...t: ReadonlyArray<"log" | "runId" | "fail" | "throw" | "return">) =>
    fc.constantFrom(...t).map((t): Statement => ({ t }))
  const fans = kinds.fans.filter((fan) => fan !== "each")
  const hasFan = fans.length > 0
  const step: fc.Arbitrary<Statement> = fc.record({
    t: fc.constant("step" as const),
    name: names,
    once: kinds.once
      ? sometimes(5, fc.constant(true))
      : fc.constant(undefined),
    ...yielded
  }).map(clean)
  const wait: fc.Arbitrary<Statement> = fc.record({
    t: fc.constant("wait" as const),
    event: fc.constantFrom("x", "y"),
    key: kinds.own === true ? fc.constant(undefined) : sometimes(3, fc.constantFrom("k")),
    own: kinds.own === true ? fc.constant(true) : fc.constant(undefined),
    ...yielded
  }).map(clean)
  const shapes = (
    tie: fc.LetrecTypedTie<Shapes>
  ): { [K in keyof Shapes]: fc.Arbitrary<Shapes[K]> } => ({
    program: fc.array(tie("statement"), { minLength: 1, maxLength: 8, size: "max" }),
    block: fc.array(tie("statement"), { minLength: 1, maxLength: 5, size: "max", depthIdentifier }),
    short: fc.array(tie("statement"), { maxLength: 2, size: "max", depthIdentifier }),
    statement: fc.oneof(
      { maxDepth: 4, depthSize: "medium", depthIdentifier, withCrossShrink: true },
      often(8, tie("leaf")),
      ...onlyIf(hasFan, 4, tie("fan")),
      ...onlyIf(kinds.fans.includes("each"), 1, tie("each")),
      often(2, tie("try")),
      often(2, tie("nest")),
      ...onlyIf(kinds.shared, 1, tie("if"))
    ),
    leaf: fc.oneof(
      often(24, step),
      often(12, wait),
      often(4, simple("log", "runId")),
      ...onlyIf(kinds.shared, 4, fc.nat(3).map((variable): Statement => ({ t: "set", variable }))),
      ...onlyIf(kinds.fails, 1, simple("fail", "return")),
      ...onlyIf(kinds.throws, 1, simple("throw"))
    ),
    fan: fc.record({
      t: fc.constant("fan" as const),
      op: fc.constantFrom(...hasFan ? fans : ["all" as const]),
      record: fc.boolean(),
      branches: fc.array(
        fc.record({
          form: fc.constantFrom<Form>("instruction", "function", "object"),
          body: tie("block")
        }),
        { minLength: 1, maxLength: 4, depthIdentifier }
      ),
      ...fanOptions,
      ...yielded
    }).map(clean),
    each: fc.record({
      t: fc.constant("each" as const),
      items: fc.integer({ min: 0, max: 3 }),
      keyed: fc.boolean(),
      body: tie("short"),
      ...fanOptions,
      ...yielded
    }).map(clean),
    try: fc.record({
      t: fc.constant("try" as const),
      body: tie("short"),
      catch: sometimes(2, tie("short")),
      swallow: fc.boolean(),
      finally: sometimes(2, tie("short"))
    }).map(clean),
    nest: fc.record({
      t: fc.constantFrom("call" as const, "loop" as const),
      body: tie("short"),
      times: fc.integer({ min: 1, max: 3 })
    }),
    if: fc.record({
      t: fc.constant("if" as const),
      variable: fc.nat(3),
      even: tie("short"),
      odd: tie("short")
    })
  })
  return fc.letrec<Shapes>(shapes).program
}

/** Without the options that were not drawn, so that a printed program is short. */
const clean = (drawn: object): Statement =>
  Object.fromEntries(
    Object.entries(drawn).filter(([, value]) => value !== undefined)
  ) as unknown as Statement
