/**
 * A driver that fails on purpose: a process may die in the middle of any write, an answer may be lost,
 * and what is durable is exactly what the driver underneath has.
 *
 * The one who plans decides per call; this file only carries it out and writes down what was promised.
 */
import { Cause, Effect, Exit, Result } from "effect"
import {
  type Driver,
  type DriverWriter,
  make,
  type Storage,
  StorageError
} from "../../src/Storage.ts"

/** The calls that change something. */
export type Verb = "append" | "post" | "acquire" | "renew" | "release" | "remove"

/** What becomes of a call. */
export type Fate =
  | "done"
  /** The process dies; nothing was written. */
  | "dies before"
  /** The process dies; all was written. */
  | "dies after"
  /** The process dies; of an append, only so many lines were written. */
  | { readonly diesWithin: number }
  /** `StorageError`, retryable; nothing was written. */
  | "lost"
  /** `StorageError`, retryable; all was written. */
  | "unanswered"
  /** `StorageError`, not retryable; nothing was written. */
  | "fails"
  /** `StorageError`, not retryable; all was written. */
  | "fails after"

export interface Call {
  readonly verb: Verb
  readonly lines: number
}

export type Plan = (call: Call) => Fate

/** No faults. */
export const wellDone: Plan = () => "done"

/** What a dead process ends with. */
export class Died extends Error {
  override readonly name = "Died"
}

export interface Process {
  readonly driver: Driver
  readonly storage: Storage["Service"]
  readonly isAlive: () => boolean
  /** The process is gone: nothing it does reaches the storage any more. */
  readonly kill: () => void
}

export interface World {
  /** A new process on the same storage. */
  readonly process: (plan?: Plan) => Process
  /** The storage underneath, without faults. */
  readonly under: Driver
  /** Lines of which a process was told that they are durable, by run, in order. */
  readonly acknowledged: (runId: string) => ReadonlyArray<string>
}

/** Processes over one storage. The leases of a dead one are free at once, or held until they expire. */
export const worldOf = (under: Driver, leasesOfTheDead: "free" | "held" = "free"): World => {
  const acknowledged = new Map<string, Array<string>>()
  let posts = 0
  return {
    under,
    acknowledged: (runId) => acknowledged.get(runId) ?? [],
    process: (plan = wellDone) => {
      let alive = true
      const leases = new Map<string, string>()
      const kill = () => {
        alive = false
        if (leasesOfTheDead === "held") return
        for (const [token, runId] of leases) Effect.runSync(under.release(runId, token))
        leases.clear()
      }
      const dead = Effect.suspend(() => Effect.die(new Died()))
      const error = (reason: "Unavailable" | "Unknown", verb: Verb) =>
        Effect.fail(new StorageError({ reason, doing: verb, cause: new Error("planned") }))
      /** Asks the plan; `all` writes everything, `some` only the first lines. */
      const write = <A, E>(
        call: Call,
        all: Effect.Effect<A, E>,
        some?: (lines: number) => Effect.Effect<unknown, E>
      ): Effect.Effect<A, E | StorageError> =>
        Effect.suspend(() => {
          if (!alive) return dead
          const fate = plan(call)
          const dies = <B>(what: Effect.Effect<B, E>) =>
            Effect.andThen(
              Effect.exit(what),
              Effect.suspend(() => {
                kill()
                return dead
              })
            )
          if (typeof fate === "object") return dies(some?.(fate.diesWithin) ?? Effect.void)
          switch (fate) {
            case "done":
              return all
            case "dies before":
              return dies(Effect.void)
            case "dies after":
              return dies(all)
            case "lost":
              return error("Unavailable", call.verb)
            case "unanswered":
              return Effect.andThen(all, error("Unavailable", call.verb))
            case "fails":
              return error("Unknown", call.verb)
            case "fails after":
              return Effect.andThen(all, error("Unknown", call.verb))
          }
        })
      const look = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
        Effect.suspend(() => alive ? effect : dead)
      const one = (verb: Verb): Call => ({ verb, lines: 1 })
      // Calling an append may be the append: it is called when it is to happen.
      const writerOf = (runId: string, writer: DriverWriter): DriverWriter => ({
        append: (at, lines, row) =>
          write(
            { verb: "append", lines: lines.length },
            Effect.suspend(() => writer.append(at, lines, row)),
            (count) => Effect.suspend(() => writer.append(at, lines.slice(0, count), row))
          ).pipe(
            Effect.tap(() =>
              Effect.sync(() => {
                const known = acknowledged.get(runId) ?? []
                acknowledged.set(runId, known)
                known.push(...lines)
              })
            ),
            Effect.uninterruptible
          )
      })
      const driver: Driver = {
        read: (runId) => look(under.read(runId)),
        version: (runId) => look(under.version(runId)),
        writer: (runId) =>
          look(Effect.map(under.writer(runId), (writer) => writerOf(runId, writer))),
        // As a driver may, this one keeps each of two posts with one id.
        post: (runId, post) =>
          write(one("post"), under.post(runId, { ...post, id: `${post.id} ${++posts}` })),
        inbox: (runId, after) => look(under.inbox(runId, after)),
        due: (now) => look(under.due(now)),
        seesAll: under.seesAll,
        acquire: (runId, now, until) =>
          write(
            one("acquire"),
            Effect.tap(under.acquire(runId, now, until), (claim) =>
              Effect.sync(() => {
                if (claim._tag === "Acquired") leases.set(claim.token, runId)
              }))
          ),
        renew: (runId, token, until) => write(one("renew"), under.renew(runId, token, until)),
        release: (runId, token) => write(one("release"), under.release(runId, token)),
        holder: (runId, now) => look(under.holder(runId, now)),
        list: (query, now) => look(under.list(query, now)),
        remove: (runId) => write(one("remove"), under.remove(runId)),
        watch: (runId, onChange) => under.watch(runId, (what) => alive && onChange(what))
      }
      return { driver, storage: make(driver), isAlive: () => alive, kill }
    }
  }
}

/** Whether a program ended because its process died. */
export const isDeath = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit)
  && exit.cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect instanceof Died)

/** The typed error a program failed with, if it did. */
export const failureOf = <E>(exit: Exit.Exit<unknown, E>): E | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const failure = Cause.findError(exit.cause)
  return Result.isSuccess(failure) ? failure.success : undefined
}
