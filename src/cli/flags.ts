/** Flags and arguments that several verbs have: an event to post, and how a new run differs from an old one. */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import { createRunId } from "../RunId.ts"
import { ArgumentRejected, pair, valueOf } from "./json.ts"
import { named } from "./posted.ts"

/** What belongs to an event, behind its name. */
export const event = {
  value: Argument.String("json").pipe(
    Argument.withDescription("The event's payload, or - to read it from stdin; none when left out"),
    Argument.optional
  ),
  key: Flag.String("key").pipe(
    Flag.withDescription("Which of several waits for the event is meant"),
    Flag.optional
  ),
  eventId: Flag.String("event-id").pipe(
    Flag.withDescription("Sending again with the same id changes nothing"),
    Flag.optional
  )
}

/** An event as the journal has it. */
export interface Event {
  readonly eventName: string
  readonly key?: string
  readonly value?: Schema.Json
  readonly eventId: string
}

/** The event that a call names; it has an id, so that the same call may be said again. */
export const eventOf = Effect.fnUntraced(function*(name: string, { eventId, key, value }: {
  readonly value: Option.Option<string>
  readonly key: Option.Option<string>
  readonly eventId: Option.Option<string>
}) {
  const made: Event = {
    eventName: yield* named("<event>", name),
    ...(Option.isNone(key) ? undefined : { key: key.value }),
    ...(Option.isNone(value) ? undefined : { value: yield* valueOf("<json>", value.value) }),
    eventId: yield* named("--event-id", Option.getOrElse(eventId, createRunId))
  }
  return made
})

/** How a new run differs from the one that it is begun with. */
export const fork = {
  overrides: Flag.String("override").pipe(
    Flag.withDescription("Another result for a step that is kept, as the journal would have it"),
    Flag.withMetavar("step-id=json"),
    Flag.atLeast(0)
  ),
  newRunId: Flag.String("new-run-id").pipe(
    Flag.withDescription("The id of the new run; by default a new one"),
    Flag.optional
  )
}

/** The results by step, each given once. */
export const overrideOf = Effect.fnUntraced(function*(given: ReadonlyArray<string>) {
  const pairs = yield* Effect.forEach(given, (text) => pair("--override", text))
  const override: Map<string, Schema.Json> = new Map(pairs)
  if (override.size === pairs.length) return Object.fromEntries(override)
  return yield* new ArgumentRejected({
    argument: "--override",
    saw: "gives two results for one step",
    instead: "Give each step one"
  })
})
