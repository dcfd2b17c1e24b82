/**
 * How much random and exhaustive tests do: `TEST_AMOUNT=20` makes twenty times as many runs as `npm test`
 * does, `TEST_AMOUNT=0.1` a tenth.
 */
const factor = Number(process.env.TEST_AMOUNT ?? 1)

/** `times` scaled by `TEST_AMOUNT`, at least 1. */
export const runs = (times: number): number => Math.max(1, Math.round(times * factor))
