/**
 * The combinators: several branches at a time, and what becomes of their outcomes.
 */
import type * as Result from "effect/Result"
import { type Fan, iterate, make, named } from "./Data.ts"
import type { Heard } from "./Failures.ts"
import type {
  Branch,
  BranchError,
  BranchServices,
  BranchSteps,
  BranchValue,
  Instruction
} from "./Yieldable.ts"

export interface FanOptions {
  /** Stands in the ids of the steps inside. Default: the combinator's own name. */
  readonly name?: string | undefined
  /** How many branches run at a time, at least 1. Default: all. */
  readonly concurrency?: number | "unbounded" | undefined
  /** `result` gives each branch's `Result` and never fails. Default: the first failure cancels the others. */
  readonly mode?: "default" | "result" | undefined
  /** Keep no values. */
  readonly discard?: boolean | undefined
}

type Branches = Readonly<Record<string, Branch>> | ReadonlyArray<Branch>
type OneIn<T> = T extends ReadonlyArray<infer B> ? B : T[keyof T]
type OneOf<B, O> = O extends { readonly mode: "result" }
  ? Result.Result<BranchValue<B>, Heard<BranchError<B>>>
  : BranchValue<B>
type FanError<B, O> = O extends { readonly mode: "result" } ? never : BranchError<B>
type AllValue<T, O> = O extends { readonly discard: true } ? void
  : { -readonly [K in keyof T]: OneOf<T[K], O> }

const limit = (concurrency: number | "unbounded" | undefined): number =>
  concurrency === undefined || concurrency === "unbounded" ? Infinity : concurrency

const entries = (branches: Branches): ReadonlyArray<readonly [string, Branch]> =>
  Array.isArray(branches)
    ? branches.map((branch, i) => [String(i), branch] as const)
    : Object.entries(branches)

const fan = (
  op: Fan["op"],
  branches: ReadonlyArray<readonly [string, Branch]>,
  keyed: boolean,
  options: FanOptions | undefined,
  name: string
): any =>
  make({
    op,
    name: options?.name === undefined ? name : named(`"${op}"`, options.name),
    branches,
    concurrency: limit(options?.concurrency),
    shape: options?.discard === true ? "discard" : keyed ? "record" : "array",
    results: options?.mode === "result"
  })

/**
 * Runs branches at the same time and gives all their values, in the shape of the record or tuple. The
 * first failure cancels the other branches, lets them clean up, and is the failure of the whole.
 */
export const all = <const T extends Branches, const O extends FanOptions = {}>(
  branches: T,
  options?: O
): Instruction<
  AllValue<T, O>,
  FanError<OneIn<T>, O>,
  BranchServices<OneIn<T>>,
  BranchSteps<OneIn<T>>
> => fan("all", entries(branches), !Array.isArray(branches), options, "all")

/** `forEach` also takes how items are told apart and whether they run in runs of their own. */
export interface EachOptions<T> {
  /** Keeps a recorded outcome with its item when items are added or removed later. Default: the index. */
  readonly key?: ((item: T, index: number) => string) | undefined
  /**
   * Splits the items into child runs of so many each, so that no journal grows with the number of items.
   * `f` must not share variables between items then, and what it gives must be JSON.
   */
  readonly perRun?: number | undefined
}

/**
 * Runs `f` for each item and gives the values in the items' order. The items are taken here and now.
 * With a `key` a recorded outcome stays with its item when items are added or removed later.
 */
export const forEach = <T, B extends Branch, const O extends FanOptions = {}>(
  items: Iterable<T>,
  f: (item: T, index: number) => B,
  options?: O & EachOptions<T>
): Instruction<
  O extends { readonly discard: true } ? void : Array<OneOf<B, O>>,
  FanError<B, O>,
  BranchServices<B>,
  BranchSteps<B>
> => {
  const all = Array.from(items)
  const key = options?.key ?? ((_, i) => String(i))
  const each = (part: ReadonlyArray<T>, from: number, limited: FanOptions | undefined) =>
    fan(
      "all",
      part.map((item, i) => [key(item, from + i), later(() => f(item, from + i))] as const),
      false,
      limited,
      "each"
    )
  return options?.perRun === undefined
    ? each(all, 0, options)
    : inRuns(
      all,
      options.perRun,
      options,
      (part, from, concurrency) => each(part as ReadonlyArray<T>, from, { ...options, concurrency })
    )
}

/** The items in parts, each a run of its own. */
const inRuns = (
  items: ReadonlyArray<unknown>,
  perRun: number,
  options: FanOptions,
  each: (part: ReadonlyArray<unknown>, from: number, concurrency: number) => Branch
): any => {
  if (!(Number.isInteger(perRun) && perRun >= 1)) {
    throw new TypeError(`forEach's perRun is ${perRun}, but must be a whole number of at least 1.`)
  }
  if (options.mode === "result") {
    throw new TypeError("forEach's perRun gives values, not results: handle failures in each item.")
  }
  const name = named(`"each"`, options.name ?? "each")
  const atOnce = limit(options.concurrency)
  const parts = Array.from({ length: Math.ceil(items.length / perRun) }, (_, k) => {
    const from = k * perRun
    const part = items.slice(from, from + perRun)
    return [
      String(from),
      make({
        op: "child",
        name: "run",
        callee: undefined,
        input: { from, items: part.length },
        part: () => boxed(each(part, from, Math.min(atOnce, perRun))),
        runId: undefined,
        discard: false,
        onCancel: "await",
        undo: undefined
      })
    ] as const
  })
  const concurrency = Math.max(1, Math.floor(atOnce / perRun))
  const all = fan("all", parts, false, { ...options, mode: undefined, concurrency }, name)
  return make({
    op: "wrap",
    of: all,
    *run() {
      const parts: ReadonlyArray<ReadonlyArray<Box>> | undefined = yield* all
      return parts?.flat(1).map(([value]) => value)
    }
  })
}

/** A value on its way through a journal, where an array cannot hold `undefined`. */
type Box = readonly [value?: unknown]

const boxed = (each: Branch): any =>
  make({
    op: "wrap",
    *run() {
      const values: ReadonlyArray<unknown> | undefined = yield* {
        [Symbol.iterator]: () => iterate(each) as Iterator<any, any, any>
      }
      return values?.map((value): Box => value === undefined ? [] : [value])
    }
  })

/** A branch that is made when it starts. */
const later = (f: () => Branch): Instruction<any, any, any> =>
  make({ op: "wrap", run: () => iterate(f()) })

/**
 * The first branch to end decides, whether it succeeds or fails; the others are cancelled. A record
 * gives `{ winner, value }`, told apart by `winner`; an array gives the value.
 */
export const race = <const T extends Branches>(
  branches: T,
  options?: Pick<FanOptions, "name">
): Instruction<
  T extends ReadonlyArray<unknown> ? BranchValue<T[number]>
    : { [K in keyof T]: { readonly winner: K; readonly value: BranchValue<T[K]> } }[keyof T],
  BranchError<OneIn<T>>,
  BranchServices<OneIn<T>>,
  BranchSteps<OneIn<T>>
> => fan("race", entries(branches), !Array.isArray(branches), options, "race")

/**
 * The first branch to succeed decides and gives its value; the others are cancelled. When all fail, the
 * failure of the last one to fail is the failure of the whole.
 */
export const any = <const T extends Branches>(
  branches: T,
  options?: Pick<FanOptions, "name">
): Instruction<
  BranchValue<OneIn<T>>,
  BranchError<OneIn<T>>,
  BranchServices<OneIn<T>>,
  BranchSteps<OneIn<T>>
> => fan("any", entries(branches), !Array.isArray(branches), options, "any")
