/**
 * Runs that talk: starting a run as a child and waiting for it, and writing to another run.
 */
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { EventRejected, RunClosed, RunNotFound } from "../Refusals.ts"
import type { Addressee, Callee, Driven } from "./Callee.ts"
import { make, makeStep, named, type StepInfo } from "./Data.ts"
import type { RunError } from "./Failures.ts"
import type { Instruction, Named } from "./Yieldable.ts"

export interface ChildOptions {
  /** Stands in the journal. Default: the child's workflow. */
  readonly name?: string | undefined
  /** Default: the contract's own `runId`, else one made of the parent's and the place in its body. */
  readonly runId?: string | undefined
  /** Do not wait for the end: gives the child's run id once its start is durable. Default: false. */
  readonly discard?: boolean | undefined
  /**
   * What becomes of the child when it is cancelled here: `cancel` asks it to cancel too, `await` also
   * waits for its clean-up before the body hears of it, `abandon` lets it run. Default: `cancel`.
   */
  readonly onCancel?: "cancel" | "await" | "abandon" | undefined
}

type AnyCallee = Callee<any, any, any, any>
type InputOf<T> = T extends Callee<infer I, infer _A, infer _E, infer _C> ? I : never
type ValueOf<T> = T extends Callee<infer _I, infer A, infer _E, infer _C> ? A : never
type FailureOf<T> = T extends Callee<infer _I, infer _A, infer E, infer _C> ? Exclude<E, RunError>
  : never
type ServicesOf<T> =
  | (T extends Callee<infer _I, infer _A, infer _E, infer C> ? C : never)
  | (T extends Driven<infer R> ? R : never)

/**
 * Starts a run of another workflow and gives its output; its errors are this instruction's.
 *
 * Given a workflow, the child is driven here; given a contract, its start is recorded and whoever has the
 * workflow drives it. The child has a journal of its own and keeps what it did when the parent crashes.
 * Workflows that call each other or themselves go through contracts. A child that was cancelled from
 * elsewhere is a `StepFailed` whose `tag` is `Cancelled`.
 */
export const child = <T extends AnyCallee, const O extends ChildOptions = {}>(
  callee: T,
  ...[input, options]: undefined extends InputOf<T> ? [input?: InputOf<T>, options?: O]
    : [input: InputOf<T>, options?: O]
): Instruction<
  O extends { readonly discard: true } ? string : ValueOf<T>,
  O extends { readonly discard: true } ? never : FailureOf<T>,
  ServicesOf<T>,
  never
> =>
  make({
    op: "child",
    name: named("A child", options?.name ?? callee.name),
    callee,
    input,
    part: undefined,
    runId: options?.runId,
    discard: options?.discard === true,
    onCancel: options?.onCancel ?? "cancel",
    undo: undefined
  })

const isPassing = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "isRetryable" in error
  && error.isRetryable === true

/** For a storage that does not answer at once. */
const again = Schedule.exponential("100 millis")

const sendOptions = {
  error: Schema.Union([RunNotFound, RunClosed, EventRejected]),
  retry: { while: isPassing, times: 8, schedule: again }
}

type EventOf<T> = T extends { readonly send: (runId: string, event: infer Event) => any } ? Event
  : never
type AddresseeServices<T> = T extends Addressee<infer _Event, infer C> ? C : never

/** Writes to another run: delivered once, whatever crashes. Does not wait for anything it does. */
export const send = <T extends Addressee<any, any>>(
  to: T,
  runId: string,
  event: EventOf<T>
): Instruction<
  void,
  RunNotFound | RunClosed | EventRejected,
  AddresseeServices<T>,
  Named<"send", void>
> =>
  makeStep(
    "send",
    ({ idempotencyKey }: StepInfo) =>
      to.send(runId, { eventId: idempotencyKey, ...(event as object) }),
    sendOptions
  )
