/** What a call to the API fails with, as the storage that it stands for fails with it. */
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Reason, StorageError } from "../Driver.ts"
import { describe } from "../internal/describe.ts"

/**
 * The call's errors of these `tags` as they are, and all others as `StorageError`: what does not answer, or has no time, is
 * `Unavailable`; a token that does not fit is `Denied`; what the server refuses is `Unsupported`.
 */
export const failing =
  <const Tag extends string = never>(doing: string, ...tags: ReadonlyArray<Tag>) =>
  <A, E extends { readonly _tag: string }, R>(
    call: Effect.Effect<A, E, R>
  ): Effect.Effect<A, StorageError | Kept<E, Tag>, R> =>
    Effect.catch(
      call,
      (error): Effect.Effect<never, StorageError | Kept<E, Tag>> =>
        (tags as ReadonlyArray<string>).includes(error._tag) || error._tag === "StorageError"
          ? Effect.fail(error as unknown as Kept<E, Tag>)
          : Effect.flatMap(
            why(error),
            ({ reason, saw }) =>
              Effect.fail(new StorageError({ reason, doing, cause: new Error(saw) }))
          )
    )

type Kept<E, Tag extends string> = Extract<E, { readonly _tag: Tag }>

/** It becomes a part of a sentence. */
const said = (error: unknown) => describe(error).message.replace(/\.$/, "")

interface Why {
  readonly reason: typeof Reason.Type
  /** Made anew of what is known: an error of the client has the whole request in it. */
  readonly saw: string
}

const why = (error: { readonly _tag: string }): Effect.Effect<Why> => {
  const saw = said(error)
  switch (error._tag) {
    case "Unauthorized":
    case "Forbidden":
      return Effect.succeed({ reason: "Denied", saw })
    case "TooManyRequests":
      return Effect.succeed({ reason: "Unavailable", saw })
    case "HttpClientError":
      return ofClient((error as HttpClientError.HttpClientError).reason)
    case "SchemaError":
      return Effect.succeed({ reason: "Unknown", saw: `it is not what the API says: ${saw}` })
    default:
      return Effect.succeed({ reason: "Unsupported", saw })
  }
}

const ofClient = (reason: HttpClientError.HttpClientErrorReason): Effect.Effect<Why> => {
  if (!("response" in reason)) {
    const saw = said(deepest(reason))
    return Effect.succeed({
      reason: reason._tag === "TransportError" ? "Unavailable" : "Unsupported",
      saw: `the server was not reached: ${saw}`
    })
  }
  const { response } = reason
  const { status } = response
  return Effect.match(response.arrayBuffer, {
    onFailure: () => ({ reason: "Unavailable", saw: "the server's answer broke off" }),
    onSuccess: (bytes) => {
      const problem = decodeProblem(utf8.decode(bytes))
      return {
        reason: reasonOf(status),
        saw: Result.isSuccess(problem)
          ? said({ message: problem.success.detail })
          : `the server answered ${status}, not as this API does: is this its address?`
      }
    }
  })
}

const utf8 = new TextDecoder()

/** A refusal of whatever stands before the API, or of what answers in its place. */
const decodeProblem = Schema.decodeUnknownResult(
  Schema.fromJsonString(Schema.Struct({ detail: Schema.String }))
)

/** Clients say no more of it than that they failed. */
const deepest = (error: unknown): unknown => {
  let at = error
  for (let depth = 0; depth < 5; depth++) {
    const cause: unknown = (at as { readonly cause?: unknown } | undefined)?.cause
    if (cause === undefined || cause === null) return at
    at = cause
  }
  return at
}

const reasonOf = (status: number): typeof Reason.Type => {
  if (status === 401 || status === 403) return "Denied"
  if (status === 408 || status === 429 || status >= 502) return "Unavailable"
  return status < 500 ? "Unsupported" : "Unknown"
}

// ---------------------------------------------------------------------------------------------------
// what is refused before it is sent

export const unsupported = (doing: string, saw: string) =>
  new StorageError({ reason: "Unsupported", doing, cause: new Error(saw) })

/** There are no leases, inboxes or writers over HTTP. */
export const besideIt = (doing: string) =>
  Effect.fail(unsupported(doing, "a server's storage is driven by workers beside it"))

/** The parameters of a path; two ids, which URLs are normalized without, cannot stand in one. */
export const addressed = (doing: string, runId: string) =>
  runId === "." || runId === ".."
    ? Effect.fail(unsupported(doing, `a URL cannot hold the run id "${runId}"`))
    : Effect.succeed({ params: { runId } })
