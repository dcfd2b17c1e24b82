/**
 * What the server's JSON is: the library's own types where it has them, and what only the HTTP API adds
 * to them. Types alone, so that no code of the library comes into the page.
 */
import type { Wait } from "../src/Entry.ts"
import type { State, Status } from "../src/Status.ts"
import type { Item, Posted, View } from "../src/View.ts"

export type { Item, Posted, State, Status, View, Wait }

export type Json =
  | null
  | boolean
  | number
  | string
  | ReadonlyArray<Json>
  | { readonly [key: string]: Json }

/** A value that was too long to be sent whole. */
export interface Cut {
  readonly cut: string
  readonly characters: number
}

export const isCut = (value: unknown): value is Cut =>
  typeof value === "object" && value !== null && "cut" in value && "characters" in value
  && typeof value.cut === "string" && typeof value.characters === "number"
  && Object.keys(value).length === 2

/** A page of the list. */
export interface Page {
  readonly runs: ReadonlyArray<Status>
  readonly unreadable: ReadonlyArray<{ readonly runId: string; readonly message: string }>
  readonly cursor?: string
}

/** An entry of a journal. */
export interface Line {
  readonly type: string
  readonly offset: number
  readonly session: number
  readonly timestamp: string
  readonly stepId?: string
  readonly [field: string]: Json | undefined
}

/** A page of a journal. */
export interface Lines {
  readonly entries: ReadonlyArray<Line>
  readonly total: number
  readonly rejected: number
  readonly torn: number
}

export type Scope = "read" | "send" | "admin"

/** Who the token is, and what the server knows. */
export interface Session {
  readonly name: string
  readonly scopes: ReadonlyArray<Scope>
  readonly workflows: ReadonlyArray<{
    readonly name: string
    readonly version?: string
    readonly events: { readonly [event: string]: { readonly schema?: Json } }
  }>
  /** Whether the server drives runs itself. */
  readonly drives: boolean
}
