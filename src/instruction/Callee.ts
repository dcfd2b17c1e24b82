/**
 * What an instruction knows of a contract or a workflow: a value to start or to write to, and the types
 * that follow from it. `Workflow` makes them.
 */
import type * as Effect from "effect/Effect"

/** A contract. `C` are the services of its schemas. */
export interface Callee<in I, out A, out E, out C> {
  readonly name: string
  /** For the engine: what drives or encodes. The types stand here for inference only. */
  readonly "~callee": {
    readonly program: unknown
    readonly _I?: (input: I) => void
    readonly _A?: A
    readonly _E?: E
    readonly _C?: C
  }
}

/** A workflow: a contract with a body whose steps need `R`. */
export interface Driven<out R> {
  readonly "~driven": { readonly _R?: R }
}

/** A contract that takes events of the type `Event`. */
export interface Addressee<in Event, out C> {
  readonly name: string
  readonly send: (runId: string, event: Event) => Effect.Effect<void, unknown, C>
}
