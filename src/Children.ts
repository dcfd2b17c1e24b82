/**
 * The child runs of a session: their ids, how one is started or driven on, what it came to, and how a
 * cancel reaches it. Knows no machine; the session decides what becomes of an outcome.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Chain from "./Chain.ts"
import * as Codec from "./Codec.ts"
import type { StorageError } from "./Driver.ts"
import type { Driven, Seen } from "./Ending.ts"
import type { Child } from "./Entry.ts"
import * as Instruction from "./Instruction.ts"
import * as Chance from "./internal/chance.ts"
import type { JournalCorrupt } from "./Journal.ts"
import type { Pending } from "./Machine.ts"
import type { Begin } from "./Opening.ts"
import { cancel } from "./Posts.ts"
import type * as Record from "./Record.ts"
import * as Replay from "./Replay.ts"
import * as Status from "./Status.ts"
import { Storage } from "./Storage.ts"

/** What a child came to. */
export type ChildOutcome<E> =
  | { readonly _tag: "Ended"; readonly entry: Child }
  /** Open, and nothing more can be done for it here and now. */
  | {
    readonly _tag: "Parked"
    readonly childId: string
    /** It, and what it waits for itself. */
    readonly seen: ReadonlyArray<Seen>
    /** UTC milliseconds. */
    readonly wakeAt?: number
    /** Why it could not be driven. */
    readonly error?: E
  }

export interface Options<E> extends Record.Of {
  readonly storage: Storage["Service"]
  readonly incarnation: string
  readonly drive: (program: Replay.Program, runId: string, begin: Begin) => Effect.Effect<Driven, E>
  readonly enqueue: (
    program: Replay.Program,
    runId: string,
    begin: Begin
  ) => Effect.Effect<void, E>
}

const childOf = (pending: Pending) => pending.instruction as Instruction.Child

/** The id of a child that is given none: the parent's, its incarnation, and the place in its body. */
const derived = (runId: string, incarnation: string, stepId: string): string => {
  const place = stepId.replaceAll("/", ".").replace(
    /[^!-~]/g,
    (c) => `~${c.charCodeAt(0).toString(16)}`
  )
  const id = `${runId}.${incarnation}.${place.replaceAll("\\", "~5c")}`
  return id.length <= 180 ? id : `${id.slice(0, 140)}.${Chance.uuid(id)}`
}

export class Children<E> {
  private readonly o: Options<E>
  private readonly ids = new Map<string, string>()

  constructor(options: Options<E>) {
    this.o = options
  }

  /** The id of the child run; the last one of its chain is found by the storage. */
  idOf(pending: Pending): string {
    const known = this.ids.get(pending.id)
    if (known !== undefined) return known
    const { callee, input, runId } = childOf(pending)
    const own = callee === undefined ? undefined : Replay.programOf(callee).runIdOf?.(input)
    const id = runId ?? own ?? derived(this.o.runId, this.o.incarnation, pending.id)
    this.ids.set(pending.id, id)
    return id
  }

  /** What drives the child; a part of the body is a program of its own. */
  programOf(pending: Pending): Replay.Program {
    const { callee, part } = childOf(pending)
    if (callee !== undefined) return Replay.programOf(callee)
    const { program } = this.o
    return {
      ...program,
      name: `${program.name}#part`,
      input: Codec.strict,
      output: Codec.strict,
      previous: [],
      body: () => Instruction.iterate(part!())
    }
  }

  /** Starts the child, or drives it on, as far as it goes. */
  perform(
    pending: Pending
  ): Effect.Effect<
    ChildOutcome<E | StorageError | JournalCorrupt>,
    Codec.Unserializable | Codec.ValueTooLarge
  > {
    return Effect.gen({ self: this }, function*() {
      const { drive, enqueue, runId, services } = this.o
      const { discard, input } = childOf(pending)
      const childId = this.idOf(pending)
      const program = this.programOf(pending)
      const encoded = program.input.encode(input, services)
      if (!encoded.ok) {
        const what = `the input of child "${pending.id}"`
        return yield* Codec.rejection(encoded.refused, { runId, what })
      }
      const begin: Begin = {
        metadata: () => structuredClone(encoded.json),
        parent: { runId, stepId: pending.id }
      }
      const driven = Effect.gen({ self: this }, function*(): Effect.gen.Return<
        ChildOutcome<E>,
        E | StorageError | JournalCorrupt
      > {
        const isDriven = program.hasBody && !discard
        if (!isDriven) yield* enqueue(program, childId, begin)
        const driven = isDriven ? yield* drive(program, childId, begin) : undefined
        const below = driven?.status === "suspended" ? driven.children ?? [] : []
        if (!discard) return yield* this.look(pending, childId, below)
        if (program.hasBody) {
          const inBackground = Effect.ignoreCause(drive(program, childId, begin), { log: "Warn" })
          yield* Effect.forkDetach(inBackground)
        }
        const entry: Child = { type: "child", stepId: pending.id, childId, result: childId }
        return { _tag: "Ended", entry }
      })
      return yield* Effect.catch(
        driven,
        (error) => Effect.succeed({ _tag: "Parked", childId, seen: [], error } as const)
      )
    })
  }

  /** What the storage says of a child. */
  private look(
    pending: Pending,
    childId: string,
    below: ReadonlyArray<Seen>
  ): Effect.Effect<ChildOutcome<never>, StorageError | JournalCorrupt> {
    return Effect.gen({ self: this }, function*(): Effect.gen.Return<
      ChildOutcome<never>,
      StorageError | JournalCorrupt
    > {
      const { storage } = this.o
      const { journal, version } = yield* Chain.latest(storage, yield* storage.read(childId))
      const last = journal.entries.at(-1)
      const at = { type: "child", stepId: pending.id, childId: journal.runId } as const
      switch (last?.type) {
        case "complete": {
          const { result } = last
          const entry: Child = { ...at, ...(result === undefined ? undefined : { result }) }
          return { _tag: "Ended", entry }
        }
        case "error": {
          const { declared, error = null } = last
          const entry: Child = {
            ...at,
            error,
            ...(declared === undefined ? undefined : { declared })
          }
          return { _tag: "Ended", entry }
        }
        case "cancelled":
          return { _tag: "Ended", entry: { ...at, cancelled: true } }
        default: {
          const { runId } = journal
          // Only what is driven here wakes up here.
          const wakeAt = this.programOf(pending).hasBody
            ? Status.of(runId, journal.entries).wakeAt
            : undefined
          const { cursor } = yield* storage.inbox(runId, journal.head.incarnation, "")
          return {
            _tag: "Parked",
            childId: runId,
            seen: [{ runId, version, cursor }, ...below],
            ...(wakeAt === undefined ? undefined : { wakeAt })
          }
        }
      }
    })
  }

  /** Asks the child to cancel; `again` ends it at once. Tells whether there is one that can. */
  cancel(
    pending: Pending,
    again: boolean
  ): Effect.Effect<"open" | "closed" | "absent", StorageError | JournalCorrupt> {
    const open = Effect.succeed("open" as const)
    const closed = () => Effect.succeed("closed" as const)
    const absent = () => Effect.succeed("absent" as const)
    const { incarnation, runId, storage } = this.o
    const eventId = `cancel:${runId}:${incarnation}:${pending.id}${again ? ":again" : ""}`
    return cancel(this.idOf(pending), { reason: `run "${runId}" was cancelled`, eventId })
      .pipe(
        Effect.andThen(open),
        Effect.catchTags({
          RunNotFound: absent,
          RunClosed: closed,
          RunExists: closed,
          RunIdRejected: closed
        }),
        Effect.provideContext(Context.make(Storage, storage))
      )
  }
}
