/**
 * The HTTP API as data: its endpoints, what goes in and out, and what each needs. Servers, typed clients and the OpenAPI
 * document are made of it.
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as Status from "../Status.ts"
import { Millis, Name, Text, Token, Value } from "./Inputs.ts"
import * as Problems from "./Problems.ts"
import { Access, Needs, Scope } from "./Scopes.ts"
import { Changed, Known, limited, ListQuery, Made, Nothing, Page, Posted, run } from "./Shapes.ts"

const optional = Schema.optionalKey

const accepted = Posted.pipe(HttpApiSchema.status(202))
const made = Made.pipe(HttpApiSchema.status(201))

/** All that asks and changes nothing. */
export const looking = HttpApiGroup.make("runs").add(
  HttpApiEndpoint.get("session", "/session", {
    success: Schema.Struct({
      name: Schema.String,
      scopes: Schema.Array(Scope),
      /** What this server has code or contracts of. */
      workflows: Schema.Array(Known),
      /** Whether it goes on with runs of these workflows by itself. */
      drives: Schema.Boolean
    })
  }).annotate(OpenApi.Description, "Who the token belongs to, and what this server knows"),
  HttpApiEndpoint.get("list", "/runs", {
    query: ListQuery,
    success: Page,
    error: Problems.reads
  }).annotate(OpenApi.Description, "Runs by id, a page at a time"),
  HttpApiEndpoint.get("show", "/runs/:runId", {
    ...run,
    query: { whole: optional(Schema.Literals(["true", "false"])) },
    success: Schema.Json,
    error: Problems.reads
  }).annotate(
    OpenApi.Description,
    "All that is to be seen of a run, redacted; long values are cut unless whole=true"
  ),
  HttpApiEndpoint.get("status", "/runs/:runId/status", {
    ...run,
    success: Status.Status,
    error: Problems.reads
  }).annotate(OpenApi.Description, "Where a run stands, redacted"),
  HttpApiEndpoint.get("journal", "/runs/:runId/journal", {
    ...run,
    query: {
      offset: optional(Schema.Natural),
      limit: limited(10_000)
    },
    success: Schema.Struct({
      entries: Schema.Array(Schema.Json),
      total: Schema.Int,
      rejected: Schema.Int,
      torn: Schema.Int
    }),
    error: Problems.reads
  }).annotate(OpenApi.Description, "The accepted entries of a run's journal, redacted"),
  HttpApiEndpoint.get("lease", "/runs/:runId/lease", {
    ...run,
    success: Schema.Struct({
      holder: optional(Schema.Struct({
        host: Schema.String,
        pid: optional(Schema.Int),
        /** UTC milliseconds. */
        until: Schema.Finite
      }))
    }),
    error: Problems.reads
  }).annotate(OpenApi.Description, "Which process drives a run, if one does"),
  HttpApiEndpoint.get("verify", "/runs/:runId/verification", {
    ...run,
    success: Schema.Struct({
      runId: Schema.String,
      state: Schema.Literals(["sound", "damaged", "unreadable"]),
      entries: Schema.Int,
      rejected: Schema.Int,
      torn: Schema.Int,
      file: optional(Schema.Literals(["journal", "inbox"])),
      line: optional(Schema.Int),
      message: optional(Schema.String)
    }),
    error: Problems.reads
  }).annotate(
    OpenApi.Description,
    "Whether what is stored of a run is sound: checksums, lines that do not count, damage"
  ),
  HttpApiEndpoint.get("changes", "/runs/:runId/changes", {
    ...run,
    success: HttpApiSchema.StreamSse({ data: Status.Status }),
    error: Problems.reads
  }).annotate(
    OpenApi.Description,
    "Where a run stands now and after every change, until it has ended; at least every 15 seconds"
  ),
  HttpApiEndpoint.get("listChanges", "/changes", {
    query: ListQuery,
    success: HttpApiSchema.StreamSse({ data: Page }),
    error: Problems.reads
  }).annotate(OpenApi.Description, "A page of runs, now and whenever it is another one"),
  HttpApiEndpoint.get("due", "/due", {
    query: { now: optional(Millis) },
    success: Schema.Array(Schema.String),
    error: Problems.reads
  }).annotate(
    OpenApi.Description,
    "Open runs that somebody should drive now, or at another instant"
  )
).annotateEndpoints(Needs, "read")

/** What begins runs, and what they wait for. */
export const sending = HttpApiGroup.make("events").add(
  HttpApiEndpoint.post("enqueue", "/runs", {
    payload: Schema.Struct({
      workflow: Name.check(Schema.isNonEmpty()),
      input: Value,
      runId: optional(Name),
      idempotencyKey: optional(Text)
    }),
    success: made,
    error: Problems.starts
  }).annotate(
    OpenApi.Description,
    "Records a run for a worker to drive; the same id, or key, with the same input is the same run"
  ),
  HttpApiEndpoint.post("send", "/runs/:runId/events", {
    ...run,
    payload: Schema.Struct({
      eventName: Name,
      value: optional(Value),
      key: optional(Name),
      eventId: optional(Name)
    }),
    success: accepted,
    error: Problems.posts
  }).annotate(OpenApi.Description, "Posts an event; sent again with its eventId it is no news"),
  HttpApiEndpoint.post("deliver", "/deliveries", {
    payload: Schema.Struct({ token: Token, value: optional(Value) }),
    success: HttpApiSchema.Accepted,
    error: Problems.deliveries
  }).annotate(OpenApi.Description, "Sends the event that a token of ctx.token stands for")
).annotateEndpoints(Needs, "send")

/** What changes how runs go on. */
export const steering = HttpApiGroup.make("admin").add(
  HttpApiEndpoint.post("cancel", "/runs/:runId/cancel", {
    ...run,
    payload: Schema.Struct({
      reason: optional(Text),
      eventId: optional(Name)
    }),
    success: accepted,
    error: Problems.posts
  }).annotate(OpenApi.Description, "Asks a run to end, with its clean-up; a second time, at once"),
  HttpApiEndpoint.post("settle", "/runs/:runId/settle", {
    ...run,
    payload: Schema.Struct({
      stepId: optional(Text),
      verdict: optional(Schema.Union([
        Schema.Struct({ failure: Text, tag: optional(Name) }),
        Schema.Struct({ retry: Schema.Literal(true) }),
        Schema.Struct({ value: Value }),
        Nothing
      ]))
    }),
    success: accepted,
    error: Problems.settles
  }).annotate(OpenApi.Description, "Says what became of a step whose outcome nobody knows"),
  HttpApiEndpoint.post("fork", "/runs/:runId/fork", {
    ...run,
    payload: Schema.Union([
      Schema.Struct({ fromStep: Text, ...Changed }),
      Schema.Struct({ fromOffset: Schema.Natural, ...Changed })
    ]),
    success: made,
    error: Problems.forks
  }).annotate(
    OpenApi.Description,
    "Records a new run that keeps what this one did up to a step, with other results if need be"
  ),
  HttpApiEndpoint.post("retry", "/runs/:runId/retry", {
    ...run,
    payload: Schema.Struct({ step: optional(Text), ...Changed }),
    success: made,
    error: Problems.forks
  }).annotate(
    OpenApi.Description,
    "Records a new run that begins again with the step that a failed one failed at"
  ),
  HttpApiEndpoint.get("checkpoint", "/runs/:runId/checkpoint", {
    ...run,
    query: { after: optional(Text) },
    success: Schema.Struct({ runId: Schema.String, checkpoint: Schema.String }),
    error: Problems.forks
  }).annotate(
    OpenApi.Description,
    "The beginning of a run as one text, to be gone on with anywhere; secrets are in it"
  ),
  HttpApiEndpoint.delete("remove", "/runs/:runId", {
    ...run,
    success: HttpApiSchema.NoContent,
    error: Problems.reads
  }).annotate(OpenApi.Description, "Removes a run with its journal and inbox"),
  HttpApiEndpoint.post("prune", "/prune", {
    payload: Schema.Struct({ endedBefore: Millis }),
    success: Schema.Struct({ removed: Schema.Array(Schema.String) }),
    error: Problems.reads
  }).annotate(OpenApi.Description, "Removes runs that ended before an instant")
).annotateEndpoints(Needs, "admin")

/** What is counted. */
export const counting = HttpApiGroup.make("metrics", { topLevel: true }).add(
  HttpApiEndpoint.get("metrics", "/metrics", {
    success: Schema.String.pipe(
      HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" })
    )
  }).annotate(
    OpenApi.Description,
    "What this process has counted, in the text format of Prometheus"
  )
).annotateEndpoints(Needs, "read")

const isUp = Schema.Struct({ status: Schema.Literal("ok") })

/** Whether it works, for anyone. */
export const watching = HttpApiGroup.make("health", { topLevel: true }).add(
  HttpApiEndpoint.get("health", "/health", { success: isUp }).annotate(
    OpenApi.Description,
    "The process answers"
  ),
  HttpApiEndpoint.get("ready", "/ready", { success: isUp, error: Problems.NotReady }).annotate(
    OpenApi.Description,
    "The storage answers, too"
  )
)

/** What comes signed, from those who have a secret and no token. */
export const receiving = HttpApiGroup.make("webhooks", { topLevel: true }).add(
  HttpApiEndpoint.post("webhook", "/webhooks/:source", {
    params: { source: Schema.String },
    payload: Schema.Json,
    success: HttpApiSchema.Accepted,
    error: [
      ...Problems.deliveries,
      Problems.Unauthorized,
      Problems.DeliveryRejected,
      Problems.TooManyRequests
    ]
  }).annotate(OpenApi.Description, "Takes an event as a delivery of Standard Webhooks")
)

/** The whole API. */
export const Api = HttpApi.make("reprise")
  .add(looking)
  .add(sending)
  .add(steering)
  .prefix("/api")
  .add(counting)
  .middleware(Access)
  .add(receiving)
  .add(watching)
  .middleware(HttpApiMiddleware.ProblemDetails)
  .annotateMerge(OpenApi.annotations({
    title: "reprise",
    description: "Durable workflow runs: what they did, what they wait for, and how they go on."
  }))
