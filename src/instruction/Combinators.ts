/**
 * The combinators: several branches at a time, and what becomes of their outcomes.
 */
import type * as Result from "effect/Result"
import { type Fan, iterate, make, named } from "./Data.ts"
import type { Heard } from "./Failures.ts"
import type { Branch, BranchError, BranchServices, BranchValue, Instruction } from "./Yieldable.ts"

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
): Instruction<AllValue<T, O>, FanError<OneIn<T>, O>, BranchServices<OneIn<T>>> =>
  fan("all", entries(branches), !Array.isArray(branches), options, "all")

/**
 * Runs `f` for each item and gives the values in the items' order. The items are taken here and now.
 * With a `key` a recorded outcome stays with its item when items are added or removed later.
 */
export const forEach = <T, B extends Branch, const O extends FanOptions = {}>(
  items: Iterable<T>,
  f: (item: T, index: number) => B,
  options?: O & { readonly key?: ((item: T, index: number) => string) | undefined }
): Instruction<
  O extends { readonly discard: true } ? void : Array<OneOf<B, O>>,
  FanError<B, O>,
  BranchServices<B>
> =>
  fan(
    "all",
    Array.from(items, (item, i) =>
      [
        options?.key === undefined ? String(i) : options.key(item, i),
        later(() => f(item, i))
      ] as const),
    false,
    options,
    "each"
  )

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
  BranchServices<OneIn<T>>
> => fan("race", entries(branches), !Array.isArray(branches), options, "race")

/**
 * The first branch to succeed decides and gives its value; the others are cancelled. When all fail, the
 * failure of the last one to fail is the failure of the whole.
 */
export const any = <const T extends Branches>(
  branches: T,
  options?: Pick<FanOptions, "name">
): Instruction<BranchValue<OneIn<T>>, BranchError<OneIn<T>>, BranchServices<OneIn<T>>> =>
  fan("any", entries(branches), !Array.isArray(branches), options, "any")
