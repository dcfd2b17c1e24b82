/**
 * How much random and exhaustive tests do: `TEST_AMOUNT=20` makes twenty times as many runs as `npm test`
 * does, `TEST_AMOUNT=0.1` a tenth.
 */
const factor = Number(process.env.TEST_AMOUNT ?? 1)

/** `times` scaled by `TEST_AMOUNT`, at least 1. */
export const runs = (times: number): number => Math.max(1, Math.round(times * factor))

/** How many milliseconds one test may take with so many runs. */
export const patience = 60_000 * Math.max(1, factor)

/** For `fc.assert`: a failure is made smaller for a while, and not for ever. */
export const drawn = (times: number) => ({
  numRuns: runs(times),
  interruptAfterTimeLimit: patience / 2
})
