/**
 * What a case of the storage contract is: a name, a program over drivers, and the error that says which
 * demand was not met. Everything is an Effect; no test runner is known here.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createRunId, type Storage } from "../../index.ts"
import { describe } from "../../internal/describe.ts"
import { Broken } from "./Checks.ts"

/** A storage does not do what the contract demands. */
export class ContractBroken
  extends Schema.TaggedError<ContractBroken>("reprise/ContractBroken")("ContractBroken", {
    /** Area and name of the case. */
    case: Schema.String,
    demand: Schema.String,
    expected: Schema.String,
    actual: Schema.String
  })
{
  override get message(): string {
    return `The storage breaks its contract (${this.case}): ${this.demand}. `
      + `Expected: ${this.expected}. Seen: ${this.actual}.`
  }
}

/** One store, as one process or as two see it. */
export interface Store {
  readonly driver: Storage.Driver
  /** A driver of its own on the same store, as another process has it. */
  readonly other?: Storage.Driver
  /** What a transaction's work needs in its context, such as the driver's `SqlClient`. */
  readonly services?: Context.Context<any>
}

/** What is tested: a driver, or more of its store. */
export type StorageUnderTest = Storage.Driver | Store

/** What the contract is about. */
export type Area =
  | "append"
  | "batch"
  | "session"
  | "writer"
  | "transaction"
  | "inbox"
  | "lease"
  | "list"
  | "due"
  | "remove"
  | "value"
  | "id"
  | "concurrency"
  | "watch"
  | "blob"
  | "engine"

/** One demand on a storage, and how it is shown to be met. */
export interface ContractCase {
  readonly area: Area
  /** A sentence that no other case has. */
  readonly name: string
  /** Opens the store, does what the case does, and closes it again. */
  readonly run: <E, R>(
    store: Effect.Effect<StorageUnderTest, E, R>
  ) => Effect.Effect<void, E | ContractBroken, Exclude<R, Scope.Scope>>
}

/** What a case works with. Its names are its own, so that all cases may share one store. */
export interface Trial {
  readonly driver: Storage.Driver
  /** As another process has it, where the store shows two; else the same. */
  readonly other: Storage.Driver
  /** A workflow's name that no other case has. */
  readonly workflow: string
  /** A run id that no other case has; ids of one case compare as their names do. */
  readonly id: (name: string) => string
  /** A text that nothing else in the store has. */
  readonly unique: () => string
}

/** What a case does. */
export type Body = (trial: Trial) => Generator<Effect.Effect<any, any, Scope.Scope>, void, any>

const trialOf = ({ driver, other = driver }: Store): Trial => {
  const prefix = createRunId()
  let serial = 0
  return {
    driver,
    other,
    workflow: `contract-${prefix}`,
    id: (name) => `${prefix}-${name}`,
    unique: () => `${prefix}.${++serial}`
  }
}

const brokenBy = (name: string, cause: Cause.Cause<unknown>) => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const error = Cause.squash(cause)
  if (error instanceof Broken) {
    const { actual, demand, expected } = error
    return new ContractBroken({ case: name, demand, expected, actual })
  }
  const { message, tag } = describe(error)
  return new ContractBroken({
    case: name,
    demand: "what the case does works",
    expected: "no failure",
    actual: tag === "Moved" ? "Moved" : `${tag}: ${message}`
  })
}

/** The cases of one area, by their names. */
export const cases = (
  area: Area,
  bodies: Readonly<Record<string, Body>>
): ReadonlyArray<ContractCase> =>
  Object.entries(bodies).map(([name, body]): ContractCase => ({
    area,
    name,
    run: (store) =>
      Effect.scoped(Effect.flatMap(store, (under) => {
        const opened: Store = "driver" in under ? under : { driver: under }
        return Effect.gen(() => body(trialOf(opened))).pipe(
          Effect.provide(opened.services ?? Context.empty()),
          Effect.scoped,
          Effect.catchCause((cause) => brokenBy(`${area}: ${name}`, cause))
        )
      }))
  }))
