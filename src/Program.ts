/**
 * A workflow as the engine sees it: its body, what encodes its values, and how it wants to be run.
 */
import * as Context from "effect/Context"
import type * as Codec from "./Codec.ts"
import type { Base } from "./Entry.ts"
import type { Hook } from "./Hooks.ts"
import type * as Instruction from "./Instruction.ts"
import type { Exposed } from "./Machine.ts"
import type { Naming } from "./Naming.ts"

/** What the engine needs of a workflow. */
export interface Program {
  readonly name: string
  readonly version: string | undefined
  readonly input: Codec.Codec
  readonly output: Codec.Codec
  readonly error: Codec.Codec | undefined
  readonly events: Readonly<Record<string, Codec.Codec>>
  readonly channels: Readonly<Record<string, Codec.Codec>>
  /** When outcomes are durable, where the run says nothing else. */
  readonly durability: Durability
  /** Changes of `ctx.patched` whose old path is gone. */
  readonly retired: ReadonlyArray<string>
  /** The same workflow in older versions, for runs that were started by them. */
  readonly previous: ReadonlyArray<Program>
  /** The id of a run that is started without one. */
  readonly runIdOf: ((input: unknown) => string) | undefined
  /** False for a contract, which can be written to and not driven. */
  readonly hasBody: boolean
  readonly body: (input: unknown, exposed: Exposed) => Iterator<unknown, unknown, unknown>
  /** Hears of every step of every run, before the hooks of a call do. */
  readonly hook: Hook | undefined
  /**
   * Whether steps merge what they give into a context, which the body exposes: a pipeline. An override is
   * merged into what the last step gave then, and it is the context that a hook is shown.
   */
  readonly accumulates: boolean
  /** How its steps are called before people; by their names in the journal, when undefined. */
  readonly naming: Naming | undefined
  /** Why a pipeline cannot begin where a journal says. */
  readonly refusesBase: ((base: Base) => string | undefined) | undefined
}

/**
 * When a step's outcome is on the disk:
 * - `sync`: before the next step begins
 * - `async`: in order, in the background; what was not yet written runs again after a crash
 * - `exit`: when the run suspends or ends; after a crash the session runs again
 */
export type Durability = "sync" | "async" | "exit"

/** The body that a run of this version goes on with. */
export const ofVersion = (
  newest: Program,
  version: string | undefined
): Program | undefined => {
  const all = [newest, ...newest.previous]
  // A run from before there were versions goes on with the body that has none, else with the newest.
  return all.find((program) => program.version === version)
    ?? (version === undefined || newest.version === undefined ? newest : undefined)
}

/** The program behind a callee of a child instruction. */
export const programOf = (callee: Instruction.Callee<any, any, any, any>): Program =>
  callee["~callee"].program as Program

/** What is checked while a body runs; each costs something, and finds mistakes at once. */
export interface GuardShape {
  /** Clocks, chance, network and timers are refused between two yields. */
  readonly slices: boolean
  /** After every step the journal is replayed from the top, and compared. */
  readonly shadow: boolean
}

const isDevelopment = (): boolean =>
  (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.NODE_ENV
    === "development"

/** On where `NODE_ENV` is `development`, and in the test kit. */
export const Guard: Context.Reference<GuardShape> = Context.Reference("reprise/Guard", {
  defaultValue: (): GuardShape => ({ slices: isDevelopment(), shadow: isDevelopment() })
})
