/**
 * What a message does: it drives the run as far as it goes, and the verdict says when the next look is due.
 *
 * A message is handled when nobody needs it any more, so it is acknowledged whatever the verdict is, and what is to
 * come later is another message. Looks that come to nothing are repeated at instants that are the run's own and the
 * same for all that ask: of many messages for a run that cannot be driven one remains.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { Dispatch, Journal, type Storage, Workflow } from "../index.ts"
import type { Sender } from "./RunEntity.ts"
import { tell } from "./Teller.ts"

/** Milliseconds: the first pause, and the longest. */
interface Pauses {
  readonly first: number
  readonly longest: number
}

/** Its driver may be dead, and its lease run out soon. */
const heldPauses: Pauses = { first: 500, longest: 2_000 }
const failedPauses: Pauses = { first: 1_000, longest: 60_000 }
/** While a deploy is under way, its next runner is another one. */
const foreignPauses: Pauses = { first: 5_000, longest: 60_000 }

/** As short as the embedded worker's: places are few. */
const shortWait = 100

/** A run whose runner died is free after this, and the survivors have found out by then. */
const leaseMillis = 3_000

export interface Options {
  readonly storage: Storage.Storage["Service"]
  readonly dispatch: Dispatch.Dispatch["Service"]
  readonly sender: Sender
  readonly concurrency: number
  /** Called with the time of every message that was sent for later. */
  readonly onWake: (at: number) => void
  /** Called with every run that has ended. */
  readonly onEnd: (runId: string) => void
}

/** Of many, the first hundred are told. */
const mostBlocked = 100

export const make = ({ concurrency, dispatch, onEnd, onWake, sender, storage }: Options) => {
  const places = Semaphore.makeUnsafe(concurrency)
  const running = new Set<string>()
  const blocked = new Map<string, { readonly why: string; readonly version: string }>()
  let waiting = 0

  const wake = (runId: string, at: number, attempt: number) =>
    Effect.map(sender.wake(runId, at, attempt), () => onWake(at))

  const again = (runId: string, attempt: number, pauses: Pauses) =>
    Effect.clockWith((clock) => {
      const at = slot(runId, clock.currentTimeMillisUnsafe(), pauseOf(attempt, pauses))
      return wake(runId, at, attempt + 1)
    })

  const block = Effect.fnUntraced(function*(runId: string, why: string) {
    const known = blocked.get(runId)
    if (known === undefined && blocked.size >= mostBlocked) return
    blocked.set(runId, { why, version: yield* storage.version(runId) })
    if (known?.why !== why) yield* Effect.logWarning(`Run "${runId}" does not go on: ${why}`)
  })

  /** What was blocked here and has not gone on since, here or elsewhere, and why. */
  const stillBlocked = Effect.gen(function*() {
    for (const [runId, { version }] of blocked) {
      const now = yield* Effect.orElseSucceed(storage.version(runId), () => version)
      if (now !== version) blocked.delete(runId)
    }
    return Array.from(blocked, ([runId, { why }]) => [runId, why] as const)
  })

  const end = Effect.fnUntraced(function*(runId: string) {
    onEnd(runId)
    const { journal } = yield* storage.read(runId, "none")
    const parent = Journal.first(journal)?.parent
    if (parent !== undefined) yield* tell(sender, parent.runId)
  })

  const follow = (
    runId: string,
    attempt: number,
    verdict: Dispatch.Verdict
  ): Effect.Effect<void, unknown> => {
    if (verdict._tag !== "Blocked") blocked.delete(runId)
    switch (verdict._tag) {
      case "Done":
        return verdict.status === "absent" ? Effect.void : end(runId)
      case "Waits":
        return verdict.until === undefined ? Effect.void : wake(runId, verdict.until, 0)
      case "Held":
        return again(runId, attempt, heldPauses)
      case "Redeliver":
        return again(runId, attempt, failedPauses)
      case "Foreign":
        return again(runId, attempt, foreignPauses)
      case "Blocked":
        return block(runId, verdict.why)
    }
  }

  const driven = (runId: string) =>
    Effect.suspend(() => {
      running.add(runId)
      return dispatch.handle(runId)
    }).pipe(
      Effect.ensuring(Effect.sync(() => running.delete(runId))),
      // What the program sets itself comes before these.
      Effect.provideService(Workflow.ShortWait, shortWait),
      Effect.provideService(Workflow.LeaseTime, leaseMillis)
    )

  const inPlace = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      waiting++
      let isWaiting = true
      const leave = () => {
        if (isWaiting) waiting--
        isWaiting = false
      }
      return Effect.ensuring(
        places.withPermits(1)(Effect.suspend(() => (leave(), effect))),
        Effect.sync(leave)
      )
    })

  const delivered = (runId: string, attempt: number, begun: () => void) =>
    inPlace(Effect.suspend(() => (begun(), driven(runId)))).pipe(
      Effect.catchCause((cause): Effect.Effect<Dispatch.Verdict> =>
        // The runner closes or lost the run's shard: the message stays for whoever has it next.
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.as(
            Effect.logError(`Run "${runId}" could not be driven`, cause),
            { _tag: "Redeliver", after: failedPauses.first, why: "" }
          )
      ),
      Effect.flatMap((verdict) => follow(runId, attempt, verdict)),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.logWarning(`What is next for run "${runId}" could not be sent`, cause)
      )
    )

  /** Handles the messages of one run: one look serves all that were there when it began. */
  const of = (runId: string) => {
    const one = Semaphore.makeUnsafe(1)
    let begun = 0
    return (attempt: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const needed = begun + 1
        return one.withPermits(1)(Effect.suspend(() =>
          begun >= needed ? Effect.void : delivered(runId, attempt, () => void begun++)
        ))
      })
  }

  return { of, running, blocked: stillBlocked, waiting: () => waiting }
}

const pauseOf = (attempt: number, { first, longest }: Pauses): number =>
  Math.min(longest, first * 2 ** Math.min(attempt, 16))

/** The run's own instant about `pause` behind `now`: not that of other runs, and the same for all who ask. */
const slot = (runId: string, now: number, pause: number): number => {
  let hash = 0
  for (let i = 0; i < runId.length; i++) hash = (hash * 31 + runId.charCodeAt(i)) >>> 0
  const own = hash % pause
  return Math.ceil((now + pause / 2 - own) / pause) * pause + own
}
