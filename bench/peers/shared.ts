/**
 * The work that every peer is given: many short runs whose steps return numbers, and a run their sum. What
 * is timed is the runs alone, from the first start to the last result; connecting, migrating and closing
 * are not.
 */
export interface Work {
  readonly runs: number
  /** How many runs may be under way at once. */
  readonly inFlight: number
  readonly steps: number
}

/** A database of the peer's own, empty. */
export interface OnPostgres extends Work {
  readonly url: string
}

/** A file that does not exist yet. */
export interface OnSqlite extends Work {
  readonly filename: string
}

/** What step `index` of run `run` returns. */
export const stepOf = (run: number, index: number): number => run * 10 + index

const sumOf = (run: number, steps: number): number => {
  let sum = 0
  for (let index = 0; index < steps; index++) sum += stepOf(run, index)
  return sum
}

/** A peer that is quick because it did not do the work is not quick. */
export const check = ({ runs, steps }: Work, results: ReadonlyArray<unknown>): void => {
  if (results.length !== runs) throw new Error(`${results.length} results of ${runs} runs`)
  for (const [run, result] of results.entries()) {
    const wanted = sumOf(run, steps)
    if (result !== wanted) throw new Error(`run ${run} gave ${String(result)}, not ${wanted}`)
  }
}

/** Starts and awaits the runs, as many at once as may be under way; gives the milliseconds of all. */
export const timed = async (
  work: Work,
  start: (run: number) => Promise<unknown>
): Promise<number> => {
  const results: Array<unknown> = Array.from({ length: work.runs })
  let next = 0
  const from = performance.now()
  await Promise.all(
    Array.from({ length: work.inFlight }, async () => {
      while (next < work.runs) {
        const run = next++
        results[run] = await start(run)
      }
    })
  )
  const millis = performance.now() - from
  check(work, results)
  return millis
}
