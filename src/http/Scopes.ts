/** What a token allows, what an endpoint needs, and who calls. */
import * as Context from "effect/Context"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Forbidden, TooManyRequests, Unauthorized } from "./Problems.ts"

/**
 * - `read`: to look at runs, redacted
 * - `send`: to begin runs and send events
 * - `admin`: also to cancel, fork, retry, settle and remove; allows the other two as well
 */
export const Scope = Schema.Literals(["read", "send", "admin"])
export type Scope = typeof Scope.Type

/** One who may call. */
export interface Token {
  /** Whom it was given to, for logs and limits. */
  readonly name: string
  /** At least 16 characters, best of random ones: `openssl rand -base64 32`. */
  readonly token: Redacted.Redacted<string>
  readonly scopes: ReadonlyArray<Scope>
  /** UTC milliseconds from which on it is no longer valid. */
  readonly expiresAt?: number | undefined
}

/** The scope that an endpoint needs; one that says nothing needs `admin`. */
export const Needs = Context.Reference<Scope>("reprise/http/Needs", { defaultValue: () => "admin" })

/** Whoever sent the request. */
export class Caller extends Context.Service<Caller, {
  readonly name: string
  readonly scopes: ReadonlyArray<Scope>
}>()("reprise/http/Caller") {}

/** Lets those in whose token allows what the endpoint needs. */
export class Access extends HttpApiMiddleware.Service<Access, { provides: Caller }>()(
  "reprise/http/Access",
  {
    error: [Unauthorized, Forbidden, TooManyRequests],
    security: { bearer: HttpApiSecurity.bearer }
  }
) {}
