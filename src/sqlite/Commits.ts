/**
 * Group commit: what several runs write at about the same time is committed in one transaction, in the order
 * in which it was asked for. Whoever writes alone commits at once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Storage } from "../index.ts"
import { unavailable, unsupported } from "../sql/Transaction.ts"
import { type Connection, patience, pause } from "./Connection.ts"
import { isBusy, toStorageError } from "./Errors.ts"

interface Job {
  readonly doing: string
  /** Runs in a transaction. Writes all or, when it throws, nothing that counts. */
  readonly work: () => unknown
  readonly done: (exit: Exit.Exit<any, Storage.StorageError>) => void
}

export interface Commits {
  /**
   * Runs `work`, which is of one run, in a transaction; committed when it returns. One statement is a transaction by
   * itself.
   */
  readonly write: <A>(
    runId: string,
    doing: string,
    work: () => A,
    isOneStatement?: boolean
  ) => Effect.Effect<A, Storage.StorageError>
  /** How many sessions may write now. */
  writers: number
}

export const make = ({ client, db, lock, prepare }: Connection): Commits => {
  let waiting: Array<Job> = []
  let isScheduled = false
  let lastRun = ""
  let lastAt = 0

  /** Undefined when another connection is in the way. */
  const commit = (jobs: ReadonlyArray<Job>): ReadonlyArray<Exit.Exit<unknown, any>> | undefined => {
    try {
      prepare("BEGIN IMMEDIATE").run()
    } catch (error) {
      if (isBusy(error)) return undefined
      return failed(jobs, error)
    }
    try {
      const results = jobs.map(({ work }) => Exit.succeed(work()))
      prepare("COMMIT").run()
      return results
    } catch (error) {
      if (db.isTransaction) prepare("ROLLBACK").run()
      return failed(jobs, error)
    }
  }

  /** Whether nobody else seems to write: no other session is open, and no other run was written to just now. */
  const isAlone = (runId: string): boolean => {
    const now = performance.now()
    const wasAlone = runId === lastRun || now - lastAt > moment
    lastRun = runId
    lastAt = now
    return wasAlone && commits.writers <= 1
  }

  /** As `commit`, of a statement. */
  const statement = (doing: string, work: () => unknown): Exit.Exit<unknown, any> | undefined => {
    try {
      return Exit.succeed(work())
    } catch (error) {
      return isBusy(error) ? undefined : failed([{ doing }], error)[0]
    }
  }

  /** Commits what waits, as far as nobody is in the way; false when somebody is. */
  const commitAll = (): boolean => {
    const jobs = waiting
    waiting = []
    const exits = commit(jobs)
    if (exits === undefined) {
      waiting = [...jobs, ...waiting]
      return false
    }
    if (jobs.length === 1 || exits.every(Exit.isSuccess)) {
      jobs.forEach(({ done }, i) => done(exits[i]!))
      return true
    }
    // One that cannot be written must not take the others with it.
    for (const [i, job] of jobs.entries()) {
      const exit = commit([job])
      if (exit === undefined) {
        waiting = [...jobs.slice(i), ...waiting]
        return false
      }
      job.done(exit[0]!)
    }
    return true
  }

  const giveUp = (why: string) => {
    const jobs = waiting
    waiting = []
    jobs.forEach(({ doing, done }) => done(Exit.fail(unavailable(doing, new Error(why)))))
  }

  /** `isLocked` says that no transaction of Effect's client can be open. */
  const flush = (since: number, tries: number, isLocked = false): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (db.isTransaction && !isLocked) return lock.withPermit(flush(since, tries, true))
      const isBegunByHand = db.isTransaction
      if (!isBegunByHand && commitAll()) {
        isScheduled = false
        if (waiting.length > 0) schedule()
        return Effect.void
      }
      if (performance.now() - since >= patience) {
        isScheduled = false
        giveUp(
          isBegunByHand
            ? `a transaction that was begun by hand has been open for ${patience} ms: use sql.withTransaction`
            : `another process has been writing for ${patience} ms`
        )
        return Effect.void
      }
      // Without the lock: who began by hand may need it to commit.
      return Effect.asVoid(Effect.andThen(
        pause(tries),
        Effect.sync(() => Effect.runFork(flush(since, tries + 1)))
      ))
    })

  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    // Behind everything that can run now: it may have something to write, too.
    Effect.runFork(Effect.andThen(Effect.yieldNow, flush(performance.now(), 0)))
  }

  const commits: Commits = {
    writers: 0,
    write: <A>(
      runId: string,
      doing: string,
      work: () => A,
      isOneStatement = false
    ): Effect.Effect<A, Storage.StorageError> => {
      if (isAlone(runId) && waiting.length === 0 && !isScheduled && !db.isTransaction) {
        const exit = isOneStatement
          ? statement(doing, work)
          : commit([{ doing, work, done: () => {} }])?.[0]
        if (exit !== undefined) return exit as Exit.Exit<A, Storage.StorageError>
      }
      const queued = Effect.uninterruptible(
        Effect.callback<A, Storage.StorageError>((resume) => {
          waiting.push({ doing, work, done: resume })
          schedule()
        })
      )
      if (!db.isTransaction) return queued
      // The transaction waits for whoever waits here.
      return Effect.flatMap(
        Effect.serviceOption(client.transactionService),
        ({ _tag }) =>
          _tag === "None" ? queued : Effect.fail(unsupported(
            doing,
            "a transaction is open here, which nothing else can be written beside: "
              + "use SqliteStorage.inTransaction, or do it behind the transaction"
          ))
      )
    }
  }
  return commits
}

/** How long one who writes is taken to be still there; milliseconds. */
const moment = 1

const failed = (jobs: ReadonlyArray<Pick<Job, "doing">>, error: unknown) =>
  jobs.map(({ doing }) => Exit.fail(toStorageError(doing)(error)))
