/**
 * Requests to the server, with the token in a header and never in an address. What goes wrong is a
 * `Problem` with words for people.
 */
import { cell } from "./store.ts"
import type { Json, Scope, Session } from "./types.ts"

/** An answer that is no success, or none at all (status 0). */
export class Problem extends Error {
  readonly status: number
  readonly title: string
  readonly detail: string
  /** Milliseconds after which the server wants to be asked again. */
  readonly retryAfter: number | undefined

  constructor(status: number, title: string, detail: string, retryAfter?: number) {
    super(detail === "" ? title : `${title}: ${detail}`)
    this.status = status
    this.title = title
    this.detail = detail
    this.retryAfter = retryAfter
  }
}

export const problemOf = (error: unknown): Problem =>
  error instanceof Problem
    ? error
    : new Problem(0, "Something went wrong in this page", String(error))

// ---------------------------------------------------------------------------------------------------
// the token

const key = "reprise.token"

/** Takes the token out of the address bar, where it would end up in the history. */
const fromAddress = (): string | undefined => {
  const given = new URLSearchParams(location.hash.slice(1)).get("token")
  if (!location.hash.startsWith("#token=") || given === null) return undefined
  history.replaceState(null, "", `${location.pathname}${location.search}#/`)
  sessionStorage.setItem(key, given)
  return given
}

export const token = cell<string>(fromAddress() ?? sessionStorage.getItem(key) ?? "")

/** Why the last token was refused. */
export const refused = cell<string | undefined>(undefined)

export const signIn = (given: string): void => {
  sessionStorage.setItem(key, given)
  refused.set(undefined)
  session.set(undefined)
  token.set(given)
}

export const signOut = (why?: string): void => {
  sessionStorage.removeItem(key)
  refused.set(why)
  session.set(undefined)
  token.set("")
}

// An address with a new token may be opened in a tab that has the page already.
addEventListener("hashchange", () => {
  const given = fromAddress()
  if (given !== undefined) signIn(given)
})

// ---------------------------------------------------------------------------------------------------
// requests

export interface Options {
  readonly method?: "GET" | "POST" | "DELETE"
  readonly body?: { readonly [key: string]: Json | undefined }
  readonly signal?: AbortSignal
  readonly accept?: string
}

const lost = (signal: AbortSignal | undefined) => (error: unknown): never => {
  if (signal?.aborted === true) throw error
  throw new Problem(0, "The server is not reachable", "")
}

/** The server's answer, when it is a success. */
export const respond = async (path: string, options: Options = {}): Promise<Response> => {
  const { accept = "application/json", body, method = "GET", signal } = options
  const used = token.get()
  const response = await fetch(path, {
    method,
    headers: {
      accept,
      // Half a character, or one above Latin-1, is no header.
      authorization: `Bearer ${used.replace(/[^\x21-\x7e]/g, "")}`,
      ...(body === undefined ? undefined : { "content-type": "application/json" })
    },
    ...(body === undefined ? undefined : { body: JSON.stringify(body) }),
    ...(signal === undefined ? undefined : { signal }),
    cache: "no-store",
    credentials: "omit"
  }).catch(lost(signal))
  if (response.ok) return response
  const problem = await read(response)
  if (response.status === 401 && token.get() === used) {
    signOut(used === "" ? undefined : problem.detail || problem.title)
  }
  throw problem
}

const read = async (response: Response): Promise<Problem> => {
  const { headers, status, statusText } = response
  const told = await response.json().catch(() => undefined) as
    | { readonly title?: unknown; readonly detail?: unknown }
    | undefined
  const seconds = Number(headers.get("retry-after") ?? "")
  return new Problem(
    status,
    typeof told?.title === "string" ? told.title : statusText || `Status ${status}`,
    typeof told?.detail === "string" ? told.detail : "",
    seconds > 0 ? seconds * 1_000 : undefined
  )
}

export const request = async <A>(path: string, options: Options = {}): Promise<A> => {
  const response = await respond(path, options)
  return response.status === 204
    ? undefined as A
    : await response.json().catch(lost(options.signal)) as A
}

/** The path of a run, and of what belongs to it. */
export const runPath = (runId: string, rest = ""): string =>
  `/api/runs/${encodeURIComponent(runId.toWellFormed())}${rest}`

/** A query without what is not given. */
export const query = (fields: Readonly<Record<string, string | number | undefined>>): string => {
  const given = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, String(value)]]
  )
  return given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`
}

/** An id that nobody has used; `crypto.randomUUID` is not there on a plain address of another machine. */
export const freshId = (): string =>
  `ui-${
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0"))
      .join("")
  }`

// ---------------------------------------------------------------------------------------------------
// who we are

export const session = cell<Session | undefined>(undefined)

/** Why the token does not allow something; nothing when it does. */
export const denied = (who: Session | undefined, scope: Scope): string | undefined => {
  if (who === undefined) return "Not known yet what this token may do"
  if (who.scopes.includes(scope) || who.scopes.includes("admin")) return undefined
  return `The token “${who.name}” may not do this: it lacks the scope “${scope}”`
}
