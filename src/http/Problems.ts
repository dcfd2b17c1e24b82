/**
 * How errors cross the wire: as problem details (RFC 9457), which a typed client turns back into the library's errors.
 *
 * `detail` is the error's message, for people; its fields stand beside it. What a storage or a bug has to say of itself
 * stays in the server's log: no stack and no cause is ever sent.
 */
import * as Effect from "effect/Effect"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { StepNotFound } from "../Cut.ts"
import { StorageError } from "../Driver.ts"
import { ForkRejected } from "../Fork.ts"
import { JournalCorrupt } from "../Journal.ts"
import { VersionMismatch } from "../Opening.ts"
import { SettleRejected } from "../Posts.ts"
import { EventRejected, RunClosed, RunExists, RunNotFound } from "../Refusals.ts"
import { RunIdRejected } from "../RunId.ts"
import * as Text from "../Text.ts"
import { TokenRejected } from "../Token.ts"
import { InputRejected } from "../workflow/Results.ts"

/** A name, not an address. */
const typeOf = <const Tag extends string>(tag: Tag) => `urn:reprise:${tag}` as const

/** No token, or none that is known here, or one whose time is over. */
export class Unauthorized extends HttpApiError.Problem<Unauthorized>()("Unauthorized", {
  type: typeOf("Unauthorized"),
  status: 401,
  title: "The token is not valid"
}) {}

/** The token does not allow it. */
export class Forbidden extends HttpApiError.Problem<Forbidden>()("Forbidden", {
  type: typeOf("Forbidden"),
  status: 403,
  title: "The token does not allow this"
}, {
  /** The scope that is needed. */
  needs: Schema.Literals(["read", "send", "admin"])
}) {}

/** Too many requests at once. */
export class TooManyRequests extends HttpApiError.Problem<TooManyRequests>()("TooManyRequests", {
  type: typeOf("TooManyRequests"),
  status: 429,
  title: "Too many requests"
}, {
  /** Seconds. */
  retryAfter: Schema.Int
}) {}

/** A delivery is signed and says nothing that can be an event. */
export class DeliveryRejected extends HttpApiError.Problem<DeliveryRejected>()("DeliveryRejected", {
  type: typeOf("DeliveryRejected"),
  status: 400,
  title: "The delivery is not for a run"
}) {}

/** The storage does not answer. */
export class NotReady extends HttpApiError.Problem<NotReady>()("NotReady", {
  type: typeOf("NotReady"),
  status: 503,
  title: "The storage does not answer"
}) {}

/** An answer to what reached no endpoint, or was refused before one. */
export const refusal = (
  status: number,
  title: string,
  detail: string
): HttpServerResponse =>
  ProblemDetails.toResponse({ type: ProblemDetails.blankType, status, title, detail })

// ---------------------------------------------------------------------------------------------------
// the library's errors

type Tagged = { readonly _tag: string; readonly message: string }

/** An error's fields as JSON. */
type Named = { readonly _tag: string; readonly status?: Schema.Json }

/** An error of the library as a problem, and back. */
const told = <S extends Schema.Codec<Tagged, any>>(error: S, status: number, title: string) => {
  const decode = Schema.decodeUnknownSync(error)
  return wire.pipe(
    Schema.decodeTo(
      error,
      SchemaTransformation.transformEffect<S["Encoded"], typeof wire.Type>({
        decode: ({ detail: _, runStatus, status: __, title: ___, type, ...fields }) =>
          Effect.succeed({
            ...fields,
            ...(runStatus === undefined ? undefined : { status: runStatus }),
            _tag: type.slice(typeOf("").length)
          }),
        encode: (encoded: { readonly _tag: string }) =>
          Effect.map(discreetly(decode(encoded), encoded), (shown) => {
            const named: Named = shown === undefined ? encoded : { ...encoded, ...shown }
            // A problem's own is that of the answer.
            const { _tag, status: runStatus, ...fields } = named
            return {
              ...fields,
              ...(runStatus === undefined ? undefined : { runStatus }),
              type: typeOf(_tag),
              title,
              status,
              detail: decode(named).message
            }
          })
      })
    ),
    HttpApiSchema.status(status),
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType })
  )
}

/** What a storage says of itself has paths, addresses and statements in it: it is logged, and not sent. */
const untold = { doing: "use the storage", cause: "the server knows why" }

const discreetly = (error: Tagged, encoded: unknown) =>
  error instanceof StorageError
    ? Effect.as(Effect.logError(`The storage failed: ${Text.jsonLine(encoded)}`), untold)
    : Effect.undefined

/** An error's message as callers may have it. */
export const messageOf = (error: Error): string =>
  error instanceof StorageError
    ? new StorageError({ reason: error.reason, ...untold }).message
    : error.message

const wire = Schema.StructWithRest(
  Schema.Struct({
    type: Schema.String,
    title: Schema.String,
    status: Schema.Int,
    detail: Schema.String
  }),
  [Schema.Record(Schema.String, Schema.Json)]
)

const stored = [
  told(RunIdRejected, 400, "That is no run id"),
  told(JournalCorrupt, 500, "The journal is damaged"),
  told(StorageError, 503, "The storage failed")
] as const
const exists = told(RunExists, 409, "The run is another one")
const differs = told(VersionMismatch, 409, "The version is another one")

/** What looking at a run may fail with. */
export const reads = [told(RunNotFound, 404, "There is no such run"), ...stored] as const

/** What posting to a run may fail with. */
export const posts = [
  ...reads,
  exists,
  told(RunClosed, 409, "The run has ended"),
  told(EventRejected, 422, "The event is not one that the workflow takes")
] as const

export const deliveries = [...posts, told(TokenRejected, 422, "That is no token")] as const

export const settles = [
  ...posts,
  told(SettleRejected, 409, "The step's outcome is not unknown")
] as const

/** What beginning a run from another one may fail with. */
export const forks = [
  ...reads,
  exists,
  differs,
  told(StepNotFound, 422, "There is no such step"),
  told(ForkRejected, 422, "It cannot be forked like that")
] as const

export const starts = [
  ...stored,
  exists,
  differs,
  told(InputRejected, 422, "The input is not one that the workflow takes")
] as const
