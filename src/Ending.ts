/**
 * What driving a run, or a look at one, came to: recorded results and errors, decoded.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { type Entry, type Recorded, type Start, type Suspend, suspension } from "./Entry.ts"
import * as Failure from "./Failure.ts"
import * as Journal from "./Journal.ts"
import { type Machine, type Outcome, Undecodable } from "./Machine.ts"
import * as Replay from "./Replay.ts"
import type * as Status from "./Status.ts"
import type { Storage } from "./Storage.ts"

type Services = Context.Context<never>

/** What driving a run came to; values are decoded. */
export type Driven =
  | { readonly status: "success"; readonly result: unknown }
  | { readonly status: "failed"; readonly error: unknown }
  | { readonly status: "cancelled"; readonly reason: string | undefined }
  | {
    readonly status: "suspended"
    readonly entry: Suspend
    /** Children it waits for, as they were seen last. */
    readonly children?: ReadonlyArray<Seen>
  }
  | { readonly status: "blocked"; readonly reason: string }
  /** A hook stopped it behind the step; a look that has no code has no context. */
  | { readonly status: "stopped"; readonly stepId: string; readonly context?: unknown }
  /** Another live process drives the run. */
  | { readonly status: "running" }

/** How a run was seen: what has changed since is news. */
export interface Seen {
  readonly runId: string
  /** Of its journal. */
  readonly version: string
  /** Up to where its inbox was read. */
  readonly cursor: string
}

/** What a look at a run shows, decoded. */
export type Looked = Driven | { readonly status: "pending" }

/** Decodes what a look at a run found. */
export const look = (
  program: Replay.Program,
  status: Status.Status
): Effect.Effect<Looked, Replay.ReplayMismatch> =>
  Effect.flatMap(
    Effect.context<never>(),
    (services): Effect.Effect<Looked, Replay.ReplayMismatch> => {
      const { declared, error, reason, result, runId } = status
      switch (status.status) {
        case "success":
          return ended(
            program,
            { type: "complete", ...(result === undefined ? undefined : { result }) },
            runId,
            services
          )
        case "failed":
          return ended(
            program,
            {
              type: "error",
              ...(error === undefined ? undefined : { error }),
              ...(declared === undefined ? undefined : { declared })
            },
            runId,
            services
          )
        case "cancelled":
        case "continued":
          return Effect.succeed({ status: "cancelled", reason })
        case "suspended":
          return Effect.succeed({ status: "suspended", entry: suspension(status.waits) })
        case "blocked":
          return Effect.succeed({ status: "blocked", reason: reason ?? "" })
        case "stopped":
          return Effect.succeed({ status: "stopped", stepId: status.stoppedAt ?? "" })
        default:
          return Effect.succeed({ status: status.status })
      }
    }
  )

/** What the code makes of a journal, without running anything. */
export const replay = (
  newest: Replay.Program,
  journal: Journal.Journal,
  services: Services
): Replay.Replayed => {
  const first = Journal.first(journal)
  const program = Replay.ofVersion(newest, first?.version) ?? newest
  const { runId } = journal
  const refused = first === undefined ? undefined : Replay.baseRefused(program, runId, first)
  if (refused !== undefined) return { _tag: "Diverged", mismatch: refused }
  const decode = () => program.input.decode(structuredClone(first?.metadata), services)
  const decoded = journal.entries.length === 0 ? new Undecodable("the journal is empty") : decode()
  return decoded instanceof Undecodable
    ? { _tag: "Diverged", mismatch: undecodable(program, runId, "input", decoded) }
    : Replay.replay(program, () => value(decode()), journal, services)
}

/** A machine at the start of a journal, which it is to be fed; nothing when its input is refused. */
export const machine = (
  { program, runId, services }: {
    readonly program: Replay.Program
    readonly runId: string
    readonly services: Services
  },
  entries: ReadonlyArray<Recorded>
): Machine | undefined => {
  const [first] = entries
  if (first?.type !== "start") return undefined
  const input = program.input.decode(first.metadata, services)
  if (input instanceof Undecodable) return undefined
  const options = { runId, services, live: false }
  return Replay.machine(program, value(input), Replay.startOf(first), options, entries)
}

const value = (outcome: Outcome | Undecodable): unknown =>
  outcome instanceof Undecodable ? undefined : outcome.ok ? outcome.value : outcome.error

/** A recorded value that the code's schema refuses is a divergence like any other. */
const undecodable = (program: Replay.Program, runId: string, what: string, { why }: Undecodable) =>
  new Replay.ReplayMismatch({
    runId,
    workflow: program.name,
    offset: 0,
    expected: `a recorded ${what}`,
    actual: `a schema that does not decode it: ${why}`
  })

export const decodeInput = (
  program: Replay.Program,
  start: Start,
  runId: string,
  services: Services
) => {
  const decoded = program.input.decode(start.metadata, services)
  return decoded instanceof Undecodable
    ? Effect.fail(undecodable(program, runId, "input", decoded))
    : Effect.succeed(value(decoded))
}

export const ended = (
  program: Replay.Program,
  entry: Entry,
  runId: string,
  services: Services
): Effect.Effect<Driven, Replay.ReplayMismatch> => {
  switch (entry.type) {
    case "complete": {
      const decoded = program.output.decode(entry.result, services)
      return decoded instanceof Undecodable
        ? Effect.fail(undecodable(program, runId, "result", decoded))
        : Effect.succeed({ status: "success", result: value(decoded) })
    }
    case "error": {
      const decoded = Failure.decodeEnd(entry, program.error, services)
      return decoded instanceof Undecodable
        ? Effect.fail(undecodable(program, runId, "error", decoded))
        : Effect.succeed({ status: "failed", error: value(decoded) })
    }
    default:
      return Effect.succeed({
        status: "cancelled",
        reason: entry.type === "cancelled" ? entry.reason : undefined
      })
  }
}

/** Whether something of a run has changed since it was seen. */
export const hasMoved = Effect.fnUntraced(
  function*(storage: Storage["Service"], { cursor, runId, version }: Seen) {
    if ((yield* storage.version(runId)) !== version) return true
    return (yield* storage.inbox(runId, "", cursor)).cursor !== cursor
  }
)
