/**
 * A driver that fails on purpose: a process may die in the middle of any write, an answer may be lost, and
 * what is durable is exactly what the driver underneath has.
 *
 * The plan decides per call; this file only carries it out.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Storage } from "../index.ts"
import { pause } from "./Clock.ts"
import type { Plan, Verb } from "./Fate.ts"

/** The cause of the `StorageError` that every call of a dead process fails with. */
export class ProcessDied extends Error {
  override readonly name = "ProcessDied"
  constructor() {
    super("the process has died, as planned")
  }
}

/** A driver as one process sees it. */
export interface FaultyDriver extends Storage.Driver {
  readonly isAlive: () => boolean
  /** From now on the process reaches the storage no more, and its leases are given back. */
  readonly kill: () => void
  /** Succeeds when the process has died, and its leases are free. */
  readonly died: Effect.Effect<void>
}

export interface FaultyOptions {
  /** Called with the lines of every append that was acknowledged. */
  readonly onAcknowledged?: (runId: string, lines: ReadonlyArray<string>) => void
}

/**
 * `driver` as seen by a process whose calls fail as `plan` says. Make a second one over the same driver
 * for the process that comes after.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const disk = Storage.memoryDriver()
 * const dying = Testing.faultyDriver(disk, ({ nth, verb }) =>
 *   verb === "append" && nth === 2 ? "dies before" : "done"
 * )
 * const twice = Workflow.make("twice", function*(ctx) {
 *   yield* ctx.step("a", () => 1)
 *   return yield* ctx.step("b", () => 2)
 * })
 * const on = (driver: Storage.Driver) =>
 *   twice.execute(undefined, { runId: "t1" }).pipe(
 *     Effect.provideService(Storage.Storage, Storage.make(driver))
 *   )
 * const error = await Effect.runPromise(Effect.flip(on(dying)))
 * error._tag // => "StorageError"
 * dying.isAlive() // => false
 * await Effect.runPromise(on(disk)) // => 2
 * ```
 */
export const faultyDriver = (
  driver: Storage.Driver,
  plan: Plan,
  { onAcknowledged }: FaultyOptions = {}
): FaultyDriver => {
  let alive = true
  let gone = false
  const leases = new Map<string, string>()
  const listeners = new Set<() => void>()
  const counts: Partial<Record<Verb, number>> = {}
  const kill = () => {
    if (!alive) return
    alive = false
    // On one machine a dead owner loses its leases at once.
    const releases = Array.from(
      leases,
      ([token, runId]) => Effect.ignore(driver.release(runId, token))
    )
    const tell = Effect.sync(() => {
      gone = true
      listeners.forEach((listener) => listener())
    })
    Effect.runFork(Effect.andThen(Effect.all(releases), tell))
  }
  const fails = (reason: "Unavailable" | "Unknown", call: string, cause: Error) =>
    Effect.fail(new Storage.StorageError({ reason, doing: call, cause }))
  const dead = (call: string) => fails("Unknown", call, new ProcessDied())
  const look = <A, E, R>(
    name: string,
    effect: () => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | Storage.StorageError, R> =>
    Effect.suspend((): Effect.Effect<A, E | Storage.StorageError, R> =>
      alive ? effect() : dead(name)
    )
  const write = <A, E>(
    verb: Verb,
    runId: string,
    all: Effect.Effect<A, E>,
    lines = 1,
    some: (lines: number) => Effect.Effect<unknown, E> = () => Effect.void
  ): Effect.Effect<A, E | Storage.StorageError> =>
    look(verb, () => {
      const nth = (counts[verb] ?? 0) + 1
      counts[verb] = nth
      const planned = new Error("planned by the test")
      const dies = (what: Effect.Effect<unknown, E>) =>
        Effect.exit(what).pipe(Effect.andThen(Effect.sync(kill)), Effect.andThen(dead(verb)))
      const fate = plan({ verb, runId, lines, nth })
      if (typeof fate === "object") {
        return "torn" in fate ? dies(some(fate.torn)) : Effect.andThen(pause(fate.delay), all)
      }
      switch (fate) {
        case "done":
          return all
        case "before":
          return fails("Unavailable", verb, planned)
        case "after":
          return Effect.andThen(all, fails("Unavailable", verb, planned))
        case "unknown before":
          return fails("Unknown", verb, planned)
        case "unknown after":
          return Effect.andThen(all, fails("Unknown", verb, planned))
        case "duplicate":
          return Effect.tap(all, () => Effect.exit(all))
        case "dies before":
          return dies(Effect.void)
        case "dies after":
          return dies(all)
      }
    })
  const writerOf = (runId: string, writer: Storage.DriverWriter): Storage.DriverWriter => ({
    append: (at, lines, row) => {
      // Calling an append may be the append: it is called when it is to happen.
      const append = (some: ReadonlyArray<string>) =>
        Effect.suspend(() => writer.append(at, some, row))
      return write(
        "append",
        runId,
        append(lines),
        lines.length,
        (count) => append(lines.slice(0, count))
      )
        .pipe(
          Effect.tap(() => Effect.sync(() => onAcknowledged?.(runId, lines))),
          Effect.uninterruptible
        )
    }
  })
  return {
    isAlive: () => alive,
    kill,
    died: Effect.callback<void>((resume) => {
      const listener = () => resume(Effect.void)
      if (gone) listener()
      listeners.add(listener)
      return Effect.sync(() => listeners.delete(listener))
    }),
    read: (runId) => look("read", () => driver.read(runId)),
    version: (runId) => look("version", () => driver.version(runId)),
    writer: (runId) =>
      look("writer", () => Effect.map(driver.writer(runId), (writer) => writerOf(runId, writer))),
    post: (runId, post) => write("post", runId, driver.post(runId, post)),
    inbox: (runId, after) => look("inbox", () => driver.inbox(runId, after)),
    due: (now) => look("due", () => driver.due(now)),
    acquire: (runId, now, until) =>
      write(
        "acquire",
        runId,
        Effect.tap(driver.acquire(runId, now, until), (claim) =>
          Effect.sync(() => {
            if (claim._tag === "Acquired") leases.set(claim.token, runId)
          }))
      ),
    renew: (runId, token, until) => write("renew", runId, driver.renew(runId, token, until)),
    release: (runId, token) => write("release", runId, driver.release(runId, token)),
    holder: (runId, now) => look("holder", () => driver.holder(runId, now)),
    list: (query, now) => look("list", () => driver.list(query, now)),
    remove: (runId) => write("remove", runId, driver.remove(runId)),
    watch: (runId, onChange) => driver.watch(runId, (what) => alive && onChange(what)),
    seesAll: driver.seesAll,
    ...(driver.blobs === undefined ? undefined : {
      blobs: {
        ...driver.blobs,
        put: (runId, hash, text) => look("putBlob", () => driver.blobs!.put(runId, hash, text)),
        get: (runId, hash) => look("getBlob", () => driver.blobs!.get(runId, hash))
      }
    })
  }
}

/**
 * A storage whose calls fail as `plan` says, over journals in memory or any driver.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const once = Workflow.make("once", function*(ctx) {
 *   return yield* ctx.step("a", () => "done once")
 * })
 * // Every append is carried out twice.
 * const program = once.execute().pipe(
 *   Effect.provide(Testing.layerFaulty(({ verb }) => verb === "append" ? "duplicate" : "done"))
 * )
 * await Effect.runPromise(program) // => "done once"
 * ```
 */
export const layerFaulty = (
  plan: Plan,
  driver?: Storage.Driver
): Layer.Layer<Storage.Storage> =>
  Layer.sync(
    Storage.Storage,
    () => Storage.make(faultyDriver(driver ?? Storage.memoryDriver(), plan))
  )
