/** Answers all that asks and changes nothing. What is shown is redacted. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { checkRun } from "../CheckRun.ts"
import * as RunId from "../RunId.ts"
import * as Runs from "../Runs.ts"
import { hide } from "../Secret.ts"
import { Storage } from "../Storage.ts"
import { type View, viewOf } from "../View.ts"
import { briefly } from "../view/Brief.ts"
import { Api } from "./Api.ts"
import { type AnyContract, known } from "./Forms.ts"
import { Caller } from "./Scopes.ts"
import { page } from "./Search.ts"

export interface Knowing {
  /** Workflows, or their contracts: their events are checked, and asked for by forms. */
  readonly workflows?: ReadonlyArray<AnyContract> | undefined
  /** Whether this process also goes on with runs of these workflows, as with a `Worker`. Default: false. */
  readonly drives?: boolean | undefined
}

/** A proxy closes what is silent for long, and who has gone is only noticed by writing. */
const heartbeat = "15 seconds"

const look = "1 second"

export const layer = ({ drives = false, workflows = [] }: Knowing) =>
  HttpApiBuilder.group(Api, "runs", (handlers) =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const on = Effect.provideService(Storage, storage)
      const knows = workflows.map(known)
      return handlers.handleAll({
        session: () =>
          Effect.map(Caller, ({ name, scopes }) => ({ name, scopes, workflows: knows, drives })),
        list: ({ query }) => on(page(query)),
        show: ({ params, query }) =>
          on(Effect.map(
            viewOf(params.runId),
            (view) => (query.whole === "true" ? view : overview(view)) as unknown as Schema.Json
          )),
        status: ({ params }) => on(Effect.map(Runs.status(params.runId), hide)),
        journal: ({ params, query: { limit = 100, offset = 0 } }) =>
          on(Effect.map(Runs.journal(params.runId), ({ entries, rejected, torn }) => ({
            entries: entries.slice(offset, offset + limit)
              .map((entry) => hide(entry) as unknown as Schema.Json),
            total: entries.length,
            rejected,
            torn
          }))),
        lease: ({ params: { runId } }) =>
          Effect.map(
            Effect.andThen(RunId.check(runId), storage.holder(runId)),
            (holder) => holder === undefined ? {} : { holder }
          ),
        verify: ({ params: { runId } }) =>
          on(Effect.map(checkRun(runId), ({ message, ...checked }) => ({
            ...checked,
            // What the storage says of itself stays here.
            ...(checked.state === "damaged" && message !== undefined ? { message } : undefined)
          }))),
        changes: ({ params: { runId } }) =>
          // One that is not there is told of before the stream begins.
          on(Effect.as(
            Runs.status(runId),
            Stream.merge(Runs.changes(runId), again(Runs.status(runId)), { haltStrategy: "left" })
              .pipe(
                Stream.map(hide),
                ended,
                Stream.provideService(Storage, storage)
              )
          )),
        listChanges: ({ query }) =>
          on(Effect.as(
            page(query),
            Stream.fromEffectSchedule(page(query), Schedule.spaced(look)).pipe(
              Stream.changesWith((a, b) => JSON.stringify(a) === JSON.stringify(b)),
              Stream.merge(again(page(query)), { haltStrategy: "left" }),
              ended,
              Stream.provideService(Storage, storage)
            )
          )),
        due: ({ query }) => on(Runs.due(query.now))
      })
    }))

/** Its end is all that a stream tells of what fails under way: whoever opens it anew is told the rest. */
const ended = <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, never, R> =>
  Stream.catchCause(stream, (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Stream.failCause(cause as Cause.Cause<never>)
      : Stream.drain(Stream.fromEffect(Effect.logError("A stream of changes broke off", cause))))

const again = <A, E, R>(effect: Effect.Effect<A, E, R>): Stream.Stream<A, E, R> =>
  Stream.mapEffect(Stream.drop(Stream.tick(heartbeat), 1), () => effect)

/** With values that can be read at a glance. */
const overview = ({ events, items, posted, ...view }: View) => ({
  ...view,
  items: items.map(briefly),
  events: events.map(briefly),
  posted: posted.map(briefly)
})
