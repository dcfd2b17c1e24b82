/** How a server's storage is written to over its API: posts, removals, and the starts of runs. */
import * as Effect from "effect/Effect"
import type { Posted, Settlement, StorageError } from "../Driver.ts"
import type * as Journal from "../Journal.ts"
import type * as Storage from "../Storage.ts"
import type { Client } from "./Client.ts"
import { addressed, besideIt, failing, unsupported } from "./Faults.ts"
import type { Following } from "./Following.ts"

type Service = Storage.Storage["Service"]

/**
 * What `Runs` and the calls of a contract fail with besides their storage: they hand on what it fails with, since the server
 * has looked again.
 */
const refusals = [
  "JournalCorrupt",
  "RunNotFound",
  "RunIdRejected",
  "RunClosed",
  "RunExists",
  "SettleRejected",
  "VersionMismatch",
  "InputRejected"
] as const

const handedOn = <A, E extends { readonly _tag: string }>(
  doing: string,
  call: Effect.Effect<A, E>
): Effect.Effect<A, StorageError> =>
  failing(doing, ...refusals)(call) as Effect.Effect<A, StorageError>

/** Posts, removes and begins runs: whatever is refused is refused by the server, which has looked again. */
export const changing = (api: Client, following: Following) => ({
  post: (runId: string, posted: Posted) => {
    const doing = `post to run "${runId}"`
    return Effect.flatMap(
      addressed(doing, runId),
      (address) => Effect.asVoid(handedOn(doing, posting(api, address, posted)))
    )
  },
  remove: Effect.fnUntraced(function*(runId: string) {
    const doing = `remove run "${runId}"`
    yield* api.admin.remove(yield* addressed(doing, runId)).pipe(
      failing(doing, "RunNotFound"),
      Effect.catchTag("RunNotFound", () => Effect.void)
    )
    following.forget(runId)
  }),
  /** Only what `enqueue` records can be written: the start of a run. */
  writer: (loaded: Storage.Loaded) => {
    const { runId } = loaded.journal
    const append: Storage.Writer["append"] = (_, [first, ...more]) => {
      const entry = first?.entry
      return entry?.type === "start" && entry.enqueued === true && more.length === 0
        ? begin(api, runId, entry)
        : besideIt(`write to run "${runId}"`)
    }
    return Effect.succeed<Storage.Writer>({
      append,
      head: () => loaded.journal.head,
      loaded: () => loaded,
      transaction: undefined,
      hasMoved: Effect.succeed(false)
    })
  }
} satisfies Partial<Service>)

type Address = { readonly params: { readonly runId: string } }

const posting = ({ admin, events }: Client, address: Address, posted: Posted) => {
  const { eventId } = posted
  switch (posted.type) {
    case "event": {
      const { eventName, key, value } = posted
      return events.send({
        ...address,
        payload: {
          eventName,
          eventId,
          ...(key === undefined ? undefined : { key }),
          ...(value === undefined ? undefined : { value })
        }
      })
    }
    case "cancel": {
      const { reason } = posted
      return admin.cancel({
        ...address,
        payload: { eventId, ...(reason === undefined ? undefined : { reason }) }
      })
    }
    case "settle": {
      const { as, stepId } = posted
      const payload = stepId === undefined ? {} : { stepId, verdict: verdictOf(as) }
      return admin.settle({ ...address, payload })
    }
  }
}

const verdictOf = (as: Settlement) => {
  switch (as.is) {
    case "failure":
      return { failure: as.message, tag: as.tag }
    case "retry":
      return { retry: true } as const
    case "value":
      return as.value === undefined ? { value: undefined } : { value: as.value }
  }
}

/** The same id with the same input is the same run: the server compares them, which has the secrets in them. */
const begin = Effect.fnUntraced(function*(
  { events, runs }: Client,
  runId: string,
  { enqueued: _, format: __, metadata, runId: ___, seed: ____, type: _____, ...start }:
    Journal.Start
) {
  const doing = `begin run "${runId}"`
  const { durability, version, workflow = "", ...more } = start
  // What goes on from another run, or belongs to one.
  if (Object.keys(more).length > 0) return yield* besideIt(`write to run "${runId}"`)
  if (metadata === undefined) {
    return yield* unsupported(doing, "over HTTP every run has an input: give it one, as null")
  }
  if (durability !== undefined) {
    const instead = "client.events.enqueue leaves that to the workflow of the server"
    return yield* unsupported(doing, `its durability cannot be said over HTTP; ${instead}`)
  }
  if (version !== undefined) {
    const { workflows } = yield* failing(doing)(runs.session())
    const known = workflows.find(({ name }) => name === workflow)?.version
    if (known !== version) {
      const has = known === undefined ? "no version of it" : `version ${known}`
      const saw =
        `this is version ${version} of workflow "${workflow}", and the server knows ${has}`
      return yield* unsupported(doing, saw)
    }
  }
  yield* handedOn(doing, events.enqueue({ payload: { workflow, input: metadata, runId } }))
  return true
})
