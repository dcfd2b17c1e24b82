/**
 * The words in which a test says how a storage fails.
 */

/** The calls that change something. */
export type Verb = "append" | "post" | "acquire" | "renew" | "release" | "remove"

/** A call that is about to be made. */
export interface Call {
  readonly verb: Verb
  readonly runId: string
  /** Of an append; else 1. */
  readonly lines: number
  /** Counts the calls of this verb, from 1. */
  readonly nth: number
}

/**
 * What becomes of a call:
 * - `done`: it is carried out
 * - `before`, `after`: `StorageError`, worth repeating; nothing or all was written
 * - `unknown before`, `unknown after`: `StorageError` of the reason `Unknown`; nothing or all was written
 * - `duplicate`: it is carried out twice, as by a network that repeats itself
 * - `delay`: it is carried out after so many milliseconds of real time
 * - `dies before`, `dies after`: the process dies; nothing or all was written
 * - `torn`: the process dies; of an append, only so many lines were written
 */
export type Fate =
  | "done"
  | "before"
  | "after"
  | "unknown before"
  | "unknown after"
  | "duplicate"
  | "dies before"
  | "dies after"
  | { readonly torn: number }
  | { readonly delay: number }

/** Decides what becomes of each call. */
export type Plan = (call: Call) => Fate
