/**
 * One storage, as several processes reach it over a line that is slow and fails: requests arrive late or
 * never, answers get lost, and what was sent before a process died may still arrive.
 *
 * It writes down what reached the storage, and what a process was told.
 */
import { Effect, Exit } from "effect"
import { Storage } from "reprise"
import type { Chance } from "./chance.ts"
import type { Process, World } from "./world.ts"

/** How the line is. */
export interface Line {
  /** Milliseconds of one way; at most, usually. */
  readonly latency: number
  /** How often a way takes as long as `spike`. */
  readonly spikes: number
  readonly spike: number
  /** How often a request fails, of all kinds together. */
  readonly faults: number
  /** How often another process is not told of a change. */
  readonly deafness: number
  /** Whether both of two posts with one id are kept, as a driver may. */
  readonly keepsBoth: boolean
  /** Whether the storage can tell when the next timer goes off. */
  readonly knowsTimers: boolean
}

/** The same line in good weather. */
export const calm = (line: Line): Line => ({ ...line, latency: 3, spikes: 0, spike: 0, faults: 0 })

/** What is wrong with the storage, on purpose. */
export type StorageBug =
  | "appends whatever the state is"
  | "keeps a lease for ever"
  | "gives everybody the lease"
  | "loses a post that it acknowledges"
  | "loses an append that it acknowledges"
  | "keeps one line of an append"
  | "overlooks timers"
  | "overlooks posts"
  | "overlooks open runs"
  | "writes an append twice"

/** A line that is in a journal, or that a process was told is. */
export interface Fact {
  readonly at: number
  readonly process: Process
  readonly runId: string
  readonly type: string
  readonly session: number
  readonly writer: string
  readonly stepId: string | undefined
  readonly eventId: string | undefined
  /** Its place in all that is written down. */
  readonly n: number
}

export class Disk {
  readonly under = Storage.memoryDriver()
  readonly written: Array<Fact> = []
  readonly acknowledged: Array<Fact> = []
  /** Posts that a process was told of as stored; run, then event. */
  readonly posted = new Set<string>()
  /** Leases that were taken and not given back, by token. */
  readonly leases = new Map<
    string,
    { readonly runId: string; readonly process: Process; readonly at: number }
  >()
  /** Appends that were too late, behind the first. */
  readonly moved: Array<{ readonly at: number; readonly runId: string }> = []
  line: Line
  /** Set while nothing can be reached. */
  isOut = false
  n = 0
  private readonly ended = new Set<string>()
  private readonly known = new Set<string>()
  /** When the timers of suspended runs go off. */
  private readonly wakes = new Map<string, number>()
  private readonly listeners = new Map<Process, {
    readonly hints: Set<(runId: string) => void>
    readonly watchers: Map<string, Set<Storage.OnChange>>
  }>()
  private readonly world: World
  private readonly chance: Chance
  private readonly bug: StorageBug | undefined

  constructor(world: World, line: Line, bug: StorageBug | undefined) {
    this.world = world
    this.line = line
    this.bug = bug
    this.chance = world.chance("disk")
  }

  get runs(): ReadonlySet<string> {
    return this.known
  }

  /** How many callbacks of a process are still there. */
  listening(process: Process): { readonly hints: number; readonly watchers: number } {
    const { hints, watchers } = this.of(process)
    let count = 0
    for (const set of watchers.values()) count += set.size
    return { hints: hints.size, watchers: count }
  }

  private of(process: Process) {
    let own = this.listeners.get(process)
    if (own === undefined) {
      this.listeners.set(process, own = { hints: new Set(), watchers: new Map() })
    }
    return own
  }

  private way(): number {
    const { latency, spike, spikes } = this.line
    return this.chance.happens(spikes)
      ? this.chance.between(latency, spike)
      : this.chance.between(0, latency)
  }

  /** A request and its answer. */
  private ask<A, E>(
    process: Process,
    what: string,
    effect: Effect.Effect<A, E>,
    options: { readonly writes?: boolean; readonly onAnswer?: (value: A) => void } = {}
  ): Effect.Effect<A, E | Storage.StorageError> {
    const { chance, world } = this
    return Effect.callback<A, E | Storage.StorageError>((resume) => {
      let isOver = false
      const { faults } = this.line
      const kind = chance.happens(faults)
        ? chance.one(["lost", "lost", "unanswered", "fails", "fails after", "late"] as const)
        : "done"
      const fate = options.writes !== true && kind !== "done" ? "lost" : kind
      const answer = (exit: Exit.Exit<A, E | Storage.StorageError>) =>
        process.deliver(() => {
          if (Exit.isSuccess(exit)) options.onAnswer?.(exit.value)
          if (isOver) return
          isOver = true
          resume(exit)
        })
      const error = (reason: "Unavailable" | "Unknown") => {
        const cause = new Error("planned")
        world.note(() => `${process.name} ${what}: ${reason}`)
        answer(Exit.fail(new Storage.StorageError({ reason, doing: what, cause })))
      }
      const arrive = (): Exit.Exit<A, E> => {
        const before = world.current
        world.current = process
        const exit = Effect.runSyncExit(effect)
        world.current = before
        world.note(() => `${process.name} ${what} (${fate}): ${shown(exit)}`)
        return exit
      }
      world.after(this.way(), () => {
        // What was on its way when the process died arrives, or not.
        if (process.state === "dead" && chance.happens(0.5)) return
        if (this.isOut || fate === "lost" || fate === "fails") {
          return world.after(this.way(), () => error(fate === "fails" ? "Unknown" : "Unavailable"))
        }
        if (fate === "late") {
          world.after(chance.between(50, 3_000), arrive)
          return world.after(this.way(), () => error("Unavailable"))
        }
        const exit = arrive()
        world.after(this.way(), () => {
          if (fate === "unanswered") error("Unavailable")
          else if (fate === "fails after") error("Unknown")
          else answer(exit)
        })
      })
      return Effect.sync(() => {
        isOver = true
      })
    })
  }

  private changed(by: Process, runId: string, what: Storage.Changed, isHint: boolean): void {
    const tell = (process: Process) => {
      if (process.state === "dead") return
      const { hints, watchers } = this.of(process)
      for (const onChange of Array.from(watchers.get(runId) ?? [])) onChange(what)
      // Of its own process the engine tells itself.
      if (isHint && process !== by) { for (const onHint of Array.from(hints)) onHint(runId) }
    }
    for (const process of this.listeners.keys()) {
      if (process.state === "dead") continue
      if (process === by) process.deliver(() => tell(process))
      else if (!this.chance.happens(this.line.deafness)) {
        const times = this.chance.happens(0.1) ? 2 : 1
        for (let k = 0; k < times; k++) {
          this.world.after(this.way(), () => process.deliver(() => tell(process)))
        }
      }
    }
  }

  private facts(
    process: Process,
    runId: string,
    lines: ReadonlyArray<string>
  ): ReadonlyArray<Fact> {
    return lines.map((line) => {
      const { eventId, session, stepId, type, writer } = JSON.parse(line)
      return {
        at: this.world.now,
        process,
        runId,
        type,
        session,
        writer,
        stepId,
        eventId,
        n: this.n++
      }
    })
  }

  private append(
    process: Process,
    runId: string,
    at: string,
    given: ReadonlyArray<string>,
    row: () => Storage.Row
  ): Effect.Effect<string, Storage.StorageError | Storage.Moved> {
    const { bug, chance, under } = this
    const lines = bug === "keeps one line of an append" && given.length > 1 && chance.happens(0.3)
      ? given.slice(0, 1)
      : given
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const state = bug === "appends whatever the state is" ? yield* under.version(runId) : at
      if (bug === "loses an append that it acknowledges" && at !== "" && chance.happens(0.02)) {
        return at
      }
      const writer = yield* under.writer(runId)
      const behind = yield* writer.append(state, lines, row)
      if (bug === "writes an append twice" && chance.happens(0.05)) {
        yield* writer.append(behind, lines, row)
      }
      this.known.add(runId)
      for (const fact of this.facts(process, runId, lines)) {
        this.written.push(fact)
        if (isEnd(fact.type)) this.ended.add(runId)
      }
      const { type, wakeAt } = JSON.parse(lines.at(-1)!)
      if (type === "suspend" && wakeAt !== undefined) this.wakes.set(runId, wakeAt)
      else this.wakes.delete(runId)
      this.changed(process, runId, "journal", at === "")
      return behind
    })).pipe(Effect.tapError((error) =>
      Effect.sync(() => {
        if (error._tag === "Moved" && at !== "") this.moved.push({ at: this.world.now, runId })
      })
    ))
  }

  private due(now: number): Effect.Effect<ReadonlyArray<string>> {
    const { bug, under } = this
    const open = Array.from(this.known).filter((runId) => !this.ended.has(runId))
    const at = bug === "overlooks timers" ? 0 : now
    const looked: Storage.Driver = {
      ...under,
      holder: (runId) => under.holder(runId, now),
      inbox: (runId, after) =>
        bug === "overlooks posts"
          ? Effect.succeed({ text: "", cursor: after, before: 0 })
          : under.inbox(runId, after)
    }
    return bug === "overlooks open runs" ? Effect.succeed([]) : Storage.scanDue(looked, open, at)
  }

  /** The storage as one process reaches it. */
  driver(process: Process): Storage.Driver {
    const { bug, under } = this
    const own = this.of(process)
    const look = <A>(what: string, effect: Effect.Effect<A, Storage.StorageError>) =>
      this.ask(process, what, effect)
    return {
      ...under,
      read: (runId) => look(`reads ${runId}`, under.read(runId)),
      version: (runId) => look(`looks at ${runId}`, under.version(runId)),
      writer: (runId) =>
        Effect.succeed({
          append: (at, lines, row) =>
            Effect.uninterruptible(this.ask(
              process,
              `appends ${lines.map(typeOf).join(", ")} to ${runId}`,
              Effect.suspend(() => this.append(process, runId, at, lines, row)),
              {
                writes: true,
                onAnswer: () => this.acknowledged.push(...this.facts(process, runId, lines))
              }
            ))
        }),
      post: (runId, post) =>
        this.ask(
          process,
          `posts ${post.eventId} to ${runId}`,
          Effect.suspend(() => {
            const isLost = bug === "loses a post that it acknowledges" && this.chance.happens(0.3)
            const id = this.line.keepsBoth ? `${post.id} ${this.n++}` : post.id
            return isLost ? Effect.void : Effect.tap(
              under.post(runId, { ...post, id }),
              () => Effect.sync(() => this.changed(process, runId, "inbox", true))
            )
          }),
          { writes: true, onAnswer: () => this.posted.add(`${runId} ${post.eventId}`) }
        ),
      inbox: (runId, after) => look(`reads the inbox of ${runId}`, under.inbox(runId, after)),
      acquire: (runId, now, until) =>
        this.ask(
          process,
          `wants the lease of ${runId}`,
          Effect.tap(
            under.acquire(
              runId,
              bug === "gives everybody the lease" ? Infinity : now,
              bug === "keeps a lease for ever" ? Number.MAX_SAFE_INTEGER : until
            ),
            (claim) =>
              Effect.sync(() => {
                if (claim._tag !== "Acquired") return
                for (const [token, lease] of this.leases) {
                  if (lease.runId === runId) this.leases.delete(token)
                }
                this.leases.set(claim.token, { runId, process, at: this.world.now })
              })
          ),
          { writes: true }
        ),
      renew: (runId, token, until) =>
        this.ask(process, `renews the lease of ${runId}`, under.renew(runId, token, until), {
          writes: true
        }),
      release: (runId, token) =>
        this.ask(
          process,
          `gives the lease of ${runId} back`,
          Effect.tap(
            under.release(runId, token),
            () => Effect.sync(() => this.leases.delete(token))
          ),
          { writes: true }
        ),
      holder: (runId, now) => look(`looks who drives ${runId}`, under.holder(runId, now)),
      list: (query, now) => look("lists runs", under.list(query, now)),
      due: (now) => look("looks what is due", Effect.suspend(() => this.due(now))),
      watch: (runId, onChange) => {
        const set = own.watchers.get(runId) ?? new Set()
        own.watchers.set(runId, set.add(onChange))
        return () => {
          set.delete(onChange)
          if (set.size === 0 && own.watchers.get(runId) === set) own.watchers.delete(runId)
        }
      },
      seesAll: false,
      ...(this.line.knowsTimers
        ? {
          nextWake: (now) =>
            look(
              "asks for the next timer",
              Effect.sync(() => {
                const next = Math.min(...Array.from(this.wakes.values()).filter((at) => at > now))
                return next === Infinity ? undefined : next
              })
            )
        }
        : undefined),
      hints: (onHint) => {
        own.hints.add(onHint)
        return () => void own.hints.delete(onHint)
      }
    }
  }
}

const isEnd = (type: string) => type === "complete" || type === "error" || type === "cancelled"

const typeOf = (line: string) => {
  const { stepId = "", type } = JSON.parse(line)
  return `${type} ${stepId}`.trim()
}

const shown = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? "refused" : (JSON.stringify(exit.value) ?? "done").slice(0, 100)
