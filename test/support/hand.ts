/**
 * The replay machine stepped by hand: one method for each thing that can happen to a run, each of which
 * is recorded, so that the same history can be replayed.
 */
import type { Entry, Wait } from "../../src/Entry.ts"
import * as Entries from "../../src/Entry.ts"
import { type Codec, Machine, Undecodable } from "../../src/Machine.ts"

/** A body in tests: what it yields is looked at when it runs. */
export type Body = Generator<any, any, any>

/** Hands on what stands in the journal as it is; a result of `"undecodable"` is refused. */
export const plainCodec: Codec = {
  step: (_, { error, result }) =>
    error !== undefined
      ? { ok: false, error }
      : result === "undecodable"
      ? new Undecodable("it is not what the schema says")
      : { ok: true, value: result },
  event: (_, value) =>
    value === "undecodable"
      ? new Undecodable("it is not what the schema says")
      : { ok: true, value },
  child: (_, { error, result }) =>
    error !== undefined ? { ok: false, error } : { ok: true, value: result },
  mayEndWith: () => true
}

/** A timestamp for the `n`th entry. */
export const at = (n: number): string => new Date(1_700_000_000_000 + n).toISOString()

/** A machine that has been fed nothing. */
export const machineOf = (
  body: () => Body,
  live = false,
  recorded: ReadonlyArray<Entry> = []
): Machine =>
  new Machine(body, { timestamp: at(0), seed: "seed", incarnation: "i1" }, {
    runId: "r1",
    workflow: "test",
    codec: plainCodec,
    live,
    guard: false,
    retired: []
  }, recorded)

/** Feeds a history to a new machine. */
export const replay = (body: () => Body, entries: ReadonlyArray<Entry>): Machine => {
  const machine = machineOf(body, false, [{ type: "start" }, ...entries])
  entries.forEach((entry, n) => machine.feed(entry, at(n + 1)))
  return machine
}

type Json =
  | string
  | number
  | boolean
  | null
  | { readonly [key: string]: Json }
  | ReadonlyArray<Json>

/** Plays the outside world for one body, live. */
export class Hand {
  readonly machine: Machine
  /** What was fed. */
  readonly entries: Array<Entry> = []
  private events = 0
  private readonly body: () => Body

  constructor(body: () => Body) {
    this.body = body
    this.machine = machineOf(body, true)
  }

  feed(entry: Entry): this {
    this.entries.push(entry)
    this.machine.feed(entry, at(this.entries.length))
    return this
  }

  /** Step `id` succeeded. */
  done(id: string, result?: Json): this {
    return this.feed({
      type: "step",
      stepId: id,
      name: this.nameOf(id),
      ...(result === undefined ? undefined : { result })
    })
  }

  /** Step `id` failed. */
  fails(id: string, error: Json = `${id} failed`): this {
    return this.feed({ type: "step", stepId: id, name: this.nameOf(id), error })
  }

  /** An event came: it goes to the wait that takes it, or is kept. */
  event(eventName: string, value?: Json, key?: string, eventId = `e${++this.events}`): this {
    const taker = this.machine.taker(eventName, key)
    const event = {
      eventName,
      ...(key === undefined ? undefined : { key }),
      ...(value === undefined ? undefined : { value }),
      eventId
    }
    return this.feed(
      taker === undefined
        ? { type: "event", ...event }
        : { type: "resume", stepId: taker.id, ...event }
    )
  }

  /** Feeds what follows by itself: waits that take events which came before them. */
  derive(): this {
    for (let next = this.machine.derive(); next !== undefined; next = this.machine.derive()) {
      this.feed(next)
    }
    return this
  }

  cancel(reason?: string): this {
    return this.feed({
      type: "cancel",
      eventId: `c${++this.events}`,
      ...(reason === undefined ? undefined : { reason })
    })
  }

  suspend(waits: ReadonlyArray<Wait> = this.machine.waits()): this {
    return this.feed(Entries.suspension(waits))
  }

  /** Ids of all that is pending, in the order it became pending. */
  get pending(): ReadonlyArray<string> {
    return [...this.machine.pending.keys()]
  }

  /** What the body returned; anything else fails the test. */
  get result(): unknown {
    const { outcome } = this.machine
    if (outcome?.ok !== true) throw new Error(`no result: ${JSON.stringify(this.state)}`)
    return outcome.value
  }

  /** What the body threw; anything else fails the test. */
  get error(): unknown {
    const { outcome } = this.machine
    if (outcome?.ok !== false) throw new Error(`no error: ${JSON.stringify(this.state)}`)
    return outcome.error
  }

  /** All that a test may want to compare. */
  get state(): unknown {
    return stateOf(this.machine)
  }

  /** The state of a new machine after the same history. */
  get replayed(): unknown {
    return stateOf(replay(this.body, this.entries))
  }

  private nameOf(id: string): string {
    const p = this.machine.pending.get(id)
    if (p === undefined) throw new Error(`"${id}" is not pending: ${this.pending.join(", ")}`)
    return p.instruction.name
  }
}

/** What must be the same after the same history. */
export const stateOf = (machine: Machine): unknown => ({
  pending: [...machine.pending.values()].map(({ id, instruction, intent, since }) => [
    id,
    instruction.op,
    instruction.name,
    instruction.op === "suspend" ? instruction.key : undefined,
    since,
    intent
  ]),
  kept: machine["kept"].map(({ eventId, eventName, key }) => [eventId, eventName, key]),
  eventIds: [...machine.eventIds],
  outcome: machine.outcome,
  cancelled: machine.cancelled,
  diverged: machine.diverged?.actual,
  defect: machine.defect
})
