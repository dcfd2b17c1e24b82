/** What was posted to an open run and is in its journal not yet: between a post and whoever drives the run, all that shows. */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Driver from "../Driver.ts"
import { type Journal, takenIds } from "../Journal.ts"
import { hide } from "../Secret.ts"
import { Storage } from "../Storage.ts"

/** Something that was posted to an open run, and that nobody who drives it has taken yet. */
export interface Posted {
  readonly timestamp: string
  readonly type: Driver.Posted["type"]
  readonly eventName?: string
  readonly key?: string
  /** Of an event, or what a step gave as a person says. */
  readonly value?: Schema.Json
  /** Of a settlement; one without a step is of the run. */
  readonly stepId?: string
  readonly verdict?: Driver.Settlement["is"]
  /** Of a cancel, or how a step failed as a person says. */
  readonly reason?: string
  readonly eventId: string
}

export interface Inbox {
  /** In the order they were posted; none of a run that has ended, which takes no more. */
  readonly posted: ReadonlyArray<Posted>
  /** Why what was posted cannot be read; the journal still can. */
  readonly damage?: string
}

/** What nobody has taken yet. */
export const untaken = ({ entries, head, runId }: Journal) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const { items } = yield* storage.inbox(runId, head.incarnation, "")
    const taken = takenIds(entries)
    const posted = items.filter(({ eventId }) => !taken.has(eventId))
    return { posted: posted.map((post) => postedOf(hide(post))) }
  }).pipe(
    Effect.catchTag(
      "JournalCorrupt",
      ({ message }): Effect.Effect<Inbox> => Effect.succeed({ posted: [], damage: message })
    )
  )

/** What is said, without how it is stored. */
const postedOf = (post: Driver.Posted): Posted => {
  const { eventId, timestamp, type } = post
  const at = { timestamp, type, eventId }
  switch (post.type) {
    case "event": {
      const { eventName, key, value } = post
      return {
        ...at,
        eventName,
        ...(key === undefined ? undefined : { key }),
        ...(value === undefined ? undefined : { value })
      }
    }
    case "cancel": {
      const { reason } = post
      return { ...at, ...(reason === undefined ? undefined : { reason }) }
    }
    case "settle": {
      const { as, stepId } = post
      return {
        ...at,
        ...(stepId === undefined ? undefined : { stepId }),
        verdict: as.is,
        ...(as.is === "value" && as.value !== undefined ? { value: as.value } : undefined),
        ...(as.is === "failure" ? { reason: `${as.tag}: ${as.message}` } : undefined)
      }
    }
  }
}
