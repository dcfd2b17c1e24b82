/**
 * What a workflow body may yield: plain data in a closed union, and the functions that make it.
 *
 * The front of `instruction/`. Nothing here runs a step, waits or touches a journal: `Machine` answers
 * instructions, `Session` performs steps.
 */
import { make, named } from "./instruction/Data.ts"
import type { Instruction } from "./instruction/Yieldable.ts"

export * from "./instruction/Combinators.ts"
export * from "./instruction/Data.ts"
export * from "./instruction/Failures.ts"
export * from "./instruction/Handling.ts"
export * from "./instruction/Step.ts"
export * from "./instruction/Yieldable.ts"

/**
 * Waits for an event, in this process or any later one. A wait and an event match when name and key are
 * equal; without a key, only events without one. First come, first served on both sides.
 *
 * `reason` is shown to whoever has to send the event.
 */
export const suspend = <A = unknown>(
  event: string,
  options?: { readonly key?: string | undefined; readonly reason?: string | undefined }
): Instruction<A> =>
  make({
    op: "suspend",
    name: named("A suspend", event),
    key: options?.key,
    reason: options?.reason
  })

/** Logs once, when the body first gets here, through Effect's logger. `fields` become annotations. */
export const log = (message: string, fields?: Record<string, unknown>): Instruction<void> =>
  make({ op: "log", message, fields: fields ?? {} })

/** Fails the body here with a typed error that a handler may catch and the run may end with. */
export const fail = <const E>(error: E): Instruction<never, E> => make({ op: "fail", error })

/** The run's id. */
export const runId: Instruction<string> = /* @__PURE__ */ make({ op: "runId" })
