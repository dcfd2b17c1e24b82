/**
 * A pure owner of one run: it drives the machine of a program as a session does, without Effect or a
 * storage, takes what is pending in an order that a list of choices decides, loses the end of a batch when
 * it crashes, and checks after every entry that a replay would see the same.
 */
import type { Entry } from "../../src/Entry.ts"
import * as Entries from "../../src/Entry.ts"
import type { Machine, Pending } from "../../src/Machine.ts"
import { at, machineOf, stateOf } from "./hand.ts"
import { bodyOf, Env, type Program, show } from "./programs.ts"

/** One machine of a program and what its body has seen. */
export interface Life {
  readonly machine: Machine
  readonly env: Env
}

export const begin = (program: Program, live: boolean): Life => {
  const env = new Env()
  const machine = machineOf(() => bodyOf(program, env, () => undefined), live)
  return { machine, env }
}

/** All that must be the same after the same entries, as text. */
export const snapshot = ({ env, machine }: Life): string => {
  const { outcome: _, cancelled, ...rest } = stateOf(machine) as Record<string, unknown>
  const ended = machine.outcome === undefined
    ? "open"
    : machine.outcome.ok
    ? `returned ${show(machine.outcome.value)}`
    : `threw ${show(machine.outcome.error)}`
  return JSON.stringify({
    ...rest,
    ended,
    cancelled: show(cancelled),
    seen: env.seen,
    shared: env.variables
  })
}

/** Feeds `entries`, as they stand in a journal, to a new machine. */
export const rebuild = (
  program: Program,
  entries: ReadonlyArray<Recorded>,
  live = false
): Life => {
  const life = begin(program, live)
  for (const { entry, session, timestamp } of entries) {
    life.machine.feed(sealed(entry, session), timestamp)
  }
  return life
}

/** An entry as it is read back: only `session` matters to the machine. */
export const sealed = (entry: Entry, session: number): Entry => Object.assign({ session }, entry)

export interface Recorded {
  readonly entry: Entry
  readonly timestamp: string
  readonly session: number
}

type Posted =
  | { readonly type: "cancel"; readonly eventId: string }
  | {
    readonly type: "event"
    readonly eventName: string
    readonly key?: string
    readonly value: string
    readonly eventId: string
  }

export interface History {
  readonly journal: ReadonlyArray<Recorded>
  /** What the machine was, live, behind each entry. */
  readonly states: ReadonlyArray<string>
  readonly crashes: number
}

/** What a broken promise looks like. */
export class Broken extends Error {}

const names = ["x", "y", "z"]

/** Plays one run to its end; `choices` decide, and zeros follow them: no crash, no cancel, first come first served. */
export const play = (program: Program, choices: ReadonlyArray<number>): History => {
  const journal: Array<Recorded> = []
  const states: Array<string> = []
  const inbox: Array<Posted> = []
  const recordedSteps = new Set<string>()
  let life = begin(program, true)
  let session = 0
  let crashes = 0
  let clock = 0
  let events = 0
  let results = 0
  let chosen = 0
  let batch: Array<{ readonly entry: Recorded; readonly state: string }> = []
  let running = new Map<string, Pending>()
  let blocked = new Set<Pending>()

  /** 0 to `n` - 1, and 0 when there is nothing to choose any more. */
  const choose = (n: number) => (choices[chosen++] ?? 0) % n
  const isOver = () => chosen >= choices.length
  const broken = (why: string): never => {
    throw new Broken(
      `${why}\n${
        [...journal, ...batch.map(({ entry }) => entry)].map((e) => JSON.stringify(e)).join("\n")
      }`
    )
  }

  const push = (entry: Entry, timestamp: string) => {
    batch.push({ entry: { entry, timestamp, session }, state: snapshot(life) })
  }

  /** Feeds an entry and what follows from it. */
  const record = (entry: Entry) => {
    const { machine } = life
    for (let next: Entry | undefined = entry; next !== undefined; next = machine.derive()) {
      const timestamp = at(++clock)
      machine.feed(sealed(next, session), timestamp)
      if (machine.diverged !== undefined) broken(`diverged live: ${machine.diverged.actual}`)
      push(next, timestamp)
    }
  }

  const takeNews = () => {
    for (const posted of inbox) {
      const { machine } = life
      if (machine.eventIds.has(posted.eventId) || machine.outcome !== undefined) continue
      if (posted.type === "cancel") {
        const open = machine.cancelled !== undefined
        record(posted)
        if (open && machine.outcome === undefined) broken("a second cancel did not end the run")
        continue
      }
      const taker = machine.taker(posted.eventName, posted.key)
      const { type: _, ...event } = posted
      record(
        taker === undefined
          ? { type: "event", ...event }
          : { type: "resume", stepId: taker.id, ...event }
      )
    }
  }

  const postEvent = (eventName: string, key: string | undefined) => {
    inbox.push({
      type: "event",
      eventName,
      ...(key === undefined ? undefined : { key }),
      value: `event ${++events}`,
      eventId: `e${events}`
    })
  }

  /** Starts what became pending, and checks that a session hears of all of it. */
  const start = () => {
    const { machine } = life
    for (const p of machine.dropped) {
      blocked.delete(p)
      if (running.get(p.id) === p) running.delete(p.id)
    }
    machine.dropped = []
    const fresh = machine.fresh.filter((p) => machine.pending.get(p.id) === p)
    machine.fresh = []
    for (const p of fresh) {
      if (running.has(p.id)) broken(`"${p.id}" was handed out twice`)
      if (p.instruction.op === "step" && p.instruction.options.delivery === "at-most-once") {
        record({ type: "intent", stepId: p.id, name: p.instruction.name, attempt: 1 })
      }
      running.set(p.id, p)
    }
    const steps = [...machine.pending.values()].filter((p) => p.instruction.op === "step")
    if (
      steps.some((p) => running.get(p.id) !== p && !blocked.has(p))
      || steps.length !== running.size + blocked.size
    ) {
      const pending = steps.map((p) => p.id).join()
      broken(`pending steps ${pending} but running ${[...running.keys()].join()}`)
    }
    if (steps.length !== machine.active) broken("the machine miscounts its steps")
  }

  /** Opens a session: on a new machine, or on one that has replayed the journal. */
  const open = () => {
    session++
    batch = []
    running = new Map()
    blocked = new Set()
    life = journal.length === 0 ? begin(program, true) : rebuild(program, journal)
    const { machine } = life
    if (machine.diverged !== undefined) broken(`diverged on replay: ${machine.diverged.actual}`)
    machine.live = true
    machine.fresh = []
    push({ type: "start" }, at(++clock))
    for (const p of machine.pending.values()) {
      if (p.instruction.op !== "step") continue
      if (p.intent > 0) blocked.add(p)
      else machine.fresh.push(p)
    }
    const due = machine.derive()
    if (due !== undefined) record(due)
    takeNews()
  }

  /** Makes the batch durable, or only its first entries and dies. */
  const append = (mayCrash: boolean): boolean => {
    const crash = mayCrash && choose(7) === 1
    const kept = crash ? choose(batch.length + 1) : batch.length
    for (const { entry, state } of batch.splice(0).slice(0, kept)) {
      journal.push(entry)
      states.push(state)
      if (entry.entry.type !== "step") continue
      if (recordedSteps.has(entry.entry.stepId)) broken(`"${entry.entry.stepId}" is recorded twice`)
      recordedSteps.add(entry.entry.stepId)
    }
    if (crash) crashes++
    return crash
  }

  /** Lets something happen outside. */
  const happen = () => {
    const { machine } = life
    const chance = choose(24)
    if (chance === 1) {
      inbox.push({ type: "cancel", eventId: `c${++events}` })
      return takeNews()
    }
    if (chance > 1 && chance < 6) {
      postEvent(names[choose(names.length)]!, choose(2) === 0 ? undefined : "k")
      return takeNews()
    }
    const waits = [...machine.pending.values()].filter((p) => p.instruction.op === "suspend")
    // What a cancel or a lost race took out in this turn has nobody to hear of its outcome.
    const steps = [...running.values()].filter((p) => machine.pending.get(p.id) === p)
    const ready = [...steps, ...waits]
    if (ready.length === 0) return
    const p = ready[choose(ready.length)]!
    if (p.instruction.op === "suspend") {
      postEvent(p.instruction.name, p.instruction.key)
      return takeNews()
    }
    running.delete(p.id)
    const result = `result ${++results}`
    record({
      type: "step",
      stepId: p.id,
      name: p.instruction.name,
      ...(choose(9) === 1 ? { error: `not ${result}` } : { result })
    })
  }

  open()
  for (let turn = 0;; turn++) {
    if (turn > 5_000) broken("it never ends")
    const { machine } = life
    start()
    if (machine.defect !== undefined) broken(machine.defect.message)
    if (machine.outcome !== undefined) {
      const type = machine.cancelled !== undefined
        ? "cancelled"
        : machine.outcome.ok
        ? "complete"
        : "error"
      push(type === "error" ? { type, error: "x" } : { type }, at(++clock))
      machine.feed(batch.at(-1)!.entry.entry, at(clock))
      if (machine.diverged !== undefined) broken("its own end does not fit")
      if (append(!isOver())) {
        open()
        continue
      }
      break
    }
    if (running.size === 0 && blocked.size === 0) {
      push(Entries.suspension(machine.waits()), at(++clock))
      machine.feed(batch.at(-1)!.entry.entry, at(clock))
      if (machine.diverged !== undefined) broken("its own suspension does not fit")
    }
    if (append(!isOver())) {
      open()
      continue
    }
    // A step whose outcome nobody knows is settled by a person: here they give the run up.
    if (running.size === 0 && blocked.size > 0) {
      inbox.push({ type: "cancel", eventId: `c${++events}` })
      takeNews()
    }
    const more = choose(3)
    for (let k = 0; k <= more; k++) if (life.machine.outcome === undefined) happen()
  }
  return { journal, states, crashes }
}

/** Checks that every prefix of a history replays to what the machine was there, live. */
export const checkReplays = (program: Program, { journal, states }: History): void => {
  const life = begin(program, false)
  journal.forEach(({ entry, session, timestamp }, n) => {
    life.machine.feed(sealed(entry, session), timestamp)
    const { diverged } = life.machine
    if (diverged !== undefined || snapshot(life) !== states[n]) {
      throw new Broken(
        `${
          diverged === undefined ? "another state" : `diverged (${diverged.actual})`
        } at entry ${n}\n`
          + `live   ${states[n]}\nreplay ${snapshot(life)}\n${
            journal.map((e) => JSON.stringify(e)).join("\n")
          }`
      )
    }
  })
}
