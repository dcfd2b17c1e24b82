/**
 * Cases of transactions, for drivers that have them; what else commits with an append is the user's.
 */
import * as Effect from "effect/Effect"
import type { Storage } from "../../index.ts"
import { type Body, cases, type Trial } from "./Case.ts"
import { same } from "./Checks.ts"
import { completes, start, step, waits } from "./Entries.ts"
import { type Batch, begin, epoch, type Hand, linesOf, rival } from "./Hand.ts"
import { walk } from "./Walk.ts"

type Transaction = NonNullable<Storage.DriverWriter["transaction"]>

/** A case for drivers with transactions, on a run that has begun. */
const committed = (
  body: (t: Trial, hand: Hand, transaction: Transaction) => ReturnType<Body>
): Body =>
  function*(t) {
    const hand = yield* begin(t, "r")
    const { transaction } = hand.writer
    if (transaction !== undefined) yield* body(t, hand, transaction)
  }

const append = ({ lines, row }: Batch, at: string): Storage.Append => ({ at, lines, row })

/** What an effect fails with, by its tag. */
const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error): unknown => error, onSuccess: () => "none" })

const tagOf = (error: unknown) =>
  typeof error === "object" && error !== null && "_tag" in error ? error._tag : error

export const transactions = cases("transaction", {
  "the lines stand when it is over, made of what the work gave": committed(
    function*(t, hand, transaction) {
      const made: Array<Batch> = []
      const at = yield* transaction(Effect.succeed("paid"), (value) => {
        const batch = hand.seal(step("pay", value))
        made.push(batch)
        return Effect.succeed(append(batch, hand.place.at))
      })
      yield* same("the append was made once", made.length, 1)
      yield* same("the state", yield* t.other.version(hand.runId), at)
      const lines = [...hand.place.lines, ...made[0]!.lines]
      yield* same("the lines", yield* linesOf(t.other, hand.runId), lines)
    }
  ),
  "the work runs once": committed(function*(_, hand, transaction) {
    let ran = 0
    yield* transaction(
      Effect.sync(() => ++ran),
      (value) => Effect.succeed(append(hand.seal(step("pay", value)), hand.place.at))
    )
    yield* same("runs", ran, 1)
  }),
  "work that fails appends nothing, and its error is handed on": committed(
    function*(t, hand, transaction) {
      const error = yield* failure(
        transaction(
          Effect.fail("no money"),
          () => Effect.succeed(append(hand.seal(step("pay")), hand.place.at))
        )
      )
      yield* same("the error", error, "no money")
      yield* same("the lines", yield* linesOf(t.other, hand.runId), hand.place.lines)
      yield* same("the writer goes on", yield* hand.attempt(completes), "appended")
    }
  ),
  "an append that cannot be made appends nothing, and its error is handed on": committed(
    function*(t, hand, transaction) {
      const error = yield* failure(transaction(Effect.succeed(1), () => Effect.fail("too large")))
      yield* same("the error", error, "too large")
      yield* same("the lines", yield* linesOf(t.other, hand.runId), hand.place.lines)
      yield* same("the writer goes on", yield* hand.attempt(completes), "appended")
    }
  ),
  "it gets Moved at a state that has passed": committed(function*(t, hand, transaction) {
    const other = yield* rival(t, hand)
    yield* other.append(start)
    const error = yield* failure(
      transaction(
        Effect.succeed(1),
        () => Effect.succeed(append(hand.seal(step("late")), hand.place.at))
      )
    )
    yield* same("the answer", tagOf(error), "Moved")
    yield* same("the lines", yield* linesOf(t.driver, hand.runId), other.place.lines)
  }),
  "what is listed follows from what was committed": committed(function*(t, hand, transaction) {
    yield* transaction(
      Effect.void,
      () => Effect.succeed(append(hand.seal(step("pay"), waits), hand.place.at))
    )
    const runs = yield* walk(t.other, { workflow: t.workflow }, epoch)
    yield* same("the run", runs.map(({ entries, status }) => [entries, status]), [[3, "suspended"]])
  })
})
