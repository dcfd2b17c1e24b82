/**
 * What can be done with an instruction before it is yielded: change its value, hear its failure.
 */
import { dual } from "effect/Function"
import * as Result from "effect/Result"
import { iterate, make } from "./Data.ts"
import { Cancelled, type Heard, toHeard, type Undeclared } from "./Failures.ts"
import type {
  Branch,
  BranchError,
  BranchServices,
  BranchSteps,
  BranchValue,
  Instruction
} from "./Yieldable.ts"

const wrap = (
  of: Instruction<any, any, any, any>,
  run: () => Generator<any, unknown, any>
): any => make({ op: "wrap", run, of })

/** Changes the value. `f` must be pure: it runs on every replay. */
export const map: {
  <A, B>(f: (value: A) => B): <E, R, S>(self: Instruction<A, E, R, S>) => Instruction<B, E, R, S>
  <A, E, R, S, B>(self: Instruction<A, E, R, S>, f: (value: A) => B): Instruction<B, E, R, S>
} = dual(
  2,
  <A, E, R, S, B>(self: Instruction<A, E, R, S>, f: (value: A) => B): Instruction<B, E, R, S> =>
    wrap(self, function*() {
      return f(yield* self)
    })
)

/** Turns a failure into a value: gives a `Result` and never fails. A cancel passes through. */
export const result = <A, E, R, S>(
  self: Instruction<A, E, R, S>
): Instruction<Result.Result<A, Heard<E>>, never, R, S> =>
  wrap(self, function*() {
    try {
      return Result.succeed(yield* self)
    } catch (error) {
      if (error instanceof Cancelled) throw error
      return Result.fail(toHeard(error))
    }
  })

const handle = (
  self: Instruction<any, any, any, any>,
  handler: (error: unknown) => Branch | undefined
): Instruction<any, any, any, any> =>
  wrap(self, function*() {
    try {
      return yield* self
    } catch (error) {
      if (error instanceof Cancelled) throw error
      const branch = handler(toHeard(error))
      if (branch === undefined) throw error
      return yield* { [Symbol.iterator]: () => iterate(branch) }
    }
  })

const catch_: {
  <E, B extends Branch>(
    f: (error: Heard<E>) => B
  ): <A, R, S>(
    self: Instruction<A, E, R, S>
  ) => Instruction<A | BranchValue<B>, BranchError<B>, R | BranchServices<B>, S | BranchSteps<B>>
  <A, E, R, S, B extends Branch>(
    self: Instruction<A, E, R, S>,
    f: (error: Heard<E>) => B
  ): Instruction<A | BranchValue<B>, BranchError<B>, R | BranchServices<B>, S | BranchSteps<B>>
} = dual(2, (self: Instruction<any, any, any, any>, f: (error: any) => Branch) => handle(self, f))

export {
  /** Goes on with another branch after a failure. A cancel passes through. */
  catch_ as catch
}

/** Whoever handles `StepFailed` handles every failure that is not declared. */
type Unhandled<E, Tag> = Exclude<
  E,
  { readonly _tag: Tag } | ("StepFailed" extends Tag ? Undeclared<unknown> : never)
>
type Tags<E> = Extract<Heard<E>, { readonly _tag: string }>["_tag"]
type Tagged<E, Tag> = Extract<Heard<E>, { readonly _tag: Tag }>

/** Goes on with another branch after a failure with this `_tag`; other failures pass through. */
export const catchTag: {
  <E, const Tag extends Tags<E>, B extends Branch>(
    tag: Tag,
    f: (error: Tagged<E, Tag>) => B
  ): <A, R, S>(
    self: Instruction<A, E, R, S>
  ) => Instruction<
    A | BranchValue<B>,
    Unhandled<E, Tag> | BranchError<B>,
    R | BranchServices<B>,
    S | BranchSteps<B>
  >
  <A, E, R, S, const Tag extends Tags<E>, B extends Branch>(
    self: Instruction<A, E, R, S>,
    tag: Tag,
    f: (error: Tagged<E, Tag>) => B
  ): Instruction<
    A | BranchValue<B>,
    Unhandled<E, Tag> | BranchError<B>,
    R | BranchServices<B>,
    S | BranchSteps<B>
  >
} = dual(
  3,
  (self: Instruction<any, any, any, any>, tag: string, f: (error: any) => Branch) =>
    handle(
      self,
      (error) =>
        typeof error === "object" && error !== null && "_tag" in error && error._tag === tag
          ? f(error)
          : undefined
    )
)
