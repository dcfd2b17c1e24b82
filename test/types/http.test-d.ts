/**
 * What types say of the client and of runs over HTTP: which errors a call may fail with, and what has to be provided.
 */
import type { Effect, Layer, Redacted, Schema, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { type Journal, Runs, type Storage, Workflow } from "reprise"
import { Http } from "reprise/http"
import { describe, expectTypeOf, it } from "vitest"

declare const token: Redacted.Redacted<string>
declare const client: Http.Client

type Failure<T> = T extends Effect.Effect<any, infer E, any> ? E : never
type Tags<T> = Extract<Failure<T>, { readonly _tag: string }>["_tag"]

const params = { runId: "r" }

/** What any call may fail with, whatever it asks for. */
type Any =
  | "Unauthorized"
  | "Forbidden"
  | "TooManyRequests"
  | "BadRequestProblem"
  | "InternalServerErrorProblem"
  | "HttpClientError"
  | "SchemaError"

type Reads = Any | "RunNotFound" | "RunIdRejected" | "JournalCorrupt" | "StorageError"

describe("Http.client", () => {
  it("needs a way to send requests, and fails with nothing", () => {
    expectTypeOf(Http.client({ url: "http://localhost", token })).toEqualTypeOf<
      Effect.Effect<Http.Client, never, HttpClient.HttpClient>
    >()
    expectTypeOf(Http.client({ url: "http://localhost", token }))
      // @ts-expect-error nobody sends the requests
      .toEqualTypeOf<Effect.Effect<Http.Client>>()
    // @ts-expect-error a token is redacted
    void Http.client({ url: "http://localhost", token: "secret" })
    // @ts-expect-error there is no API without a token
    void Http.client({ url: "http://localhost" })
  })

  it("fails with the errors of the library", () => {
    expectTypeOf<Tags<ReturnType<typeof status>>>().toEqualTypeOf<Reads>()
    expectTypeOf<Tags<ReturnType<typeof send>>>().toEqualTypeOf<
      Reads | "RunClosed" | "RunExists" | "EventRejected"
    >()
    expectTypeOf<Extract<Failure<ReturnType<typeof send>>, { readonly _tag: "RunClosed" }>>()
      .toEqualTypeOf<Runs.RunClosed>()
    expectTypeOf<Extract<Failure<ReturnType<typeof status>>, Journal.JournalCorrupt>>()
      .toEqualTypeOf<Journal.JournalCorrupt>()
    // @ts-expect-error a look is refused by no run that has ended
    expectTypeOf<Tags<ReturnType<typeof status>>>().toEqualTypeOf<Reads | "RunClosed">()
  })

  it("gives what the library gives", () => {
    expectTypeOf(client.runs.status({ params })).toExtend<Effect.Effect<Runs.Status, unknown>>()
    expectTypeOf(client.runs.changes({ params })).toExtend<
      Effect.Effect<Stream.Stream<Runs.Status, unknown>, unknown>
    >()
    expectTypeOf(client.runs.list({ query: {} })).toBeObject()
    expectTypeOf(client.runs.list({ query: { status: "failed", limit: 3 } })).toBeObject()
    // @ts-expect-error there is no such state
    void client.runs.list({ query: { status: "broken" } })
    // @ts-expect-error whose status is to be said
    void client.runs.status({})
    // @ts-expect-error an event has a name
    void client.events.send({ params, payload: { value: 1 } })
    // @ts-expect-error a function is no JSON
    void client.events.send({ params, payload: { eventName: "e", value: () => 1 } })
  })

  const status = () => client.runs.status({ params })
  const send = () => client.events.send({ params, payload: { eventName: "e" } })
})

describe("Http.layerRuns", () => {
  const layer = Http.layerRuns({ url: new URL("http://localhost"), token })

  it("is a storage, and needs a way to send requests", () => {
    expectTypeOf(layer).toEqualTypeOf<
      Layer.Layer<Storage.Storage, never, HttpClient.HttpClient>
    >()
    // @ts-expect-error nobody sends the requests
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Storage.Storage>>()
    // @ts-expect-error a token is redacted
    Http.layerRuns({ url: "http://localhost", token: "secret" })
    // @ts-expect-error there is an address to say
    Http.layerRuns({ token })
  })

  it("leaves calls of contracts as they are", () => {
    const contract = Workflow.define("w", { input: {} as typeof Schema.String })
    expectTypeOf(contract.enqueue("a")).toExtend<Effect.Effect<string, any, Storage.Storage>>()
    expectTypeOf(Runs.status("r")).toEqualTypeOf<
      Effect.Effect<
        Runs.Status,
        Runs.ReadError | Runs.RunNotFound | Runs.RunIdRejected,
        Storage.Storage
      >
    >()
  })
})

describe("Http.serve", () => {
  const options = { tokens: [{ name: "a", token, scopes: ["read"] }] } as const

  it("takes tokens with scopes, and contracts as well as workflows", () => {
    expectTypeOf(Http.serve({ ...options, workflows: [Workflow.define("w", {})] })).toBeObject()
    // @ts-expect-error an API without tokens is none
    Http.serve({})
    // @ts-expect-error there is no such scope
    Http.serve({ tokens: [{ name: "a", token, scopes: ["write"] }] })
    // @ts-expect-error a token is redacted
    Http.serve({ tokens: [{ name: "a", token: "secret", scopes: ["read"] }] })
    // @ts-expect-error what is to be served must be there
    Http.toWebHandler(options)
  })
})
