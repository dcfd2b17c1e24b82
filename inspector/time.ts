/** Times for people: how long something took, how long ago it was, and when. Pure. */

/** Milliseconds in the two largest units that say something. */
export const span = (millis: number): string => {
  const seconds = millis / 1_000
  if (!Number.isFinite(seconds)) return "?"
  if (seconds < 0.9995) return `${Math.max(0, Math.round(millis))} ms`
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`
  const units = [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]] as const
  let rest = Math.round(seconds)
  const first = units.findIndex(([, size]) => rest >= size)
  return units.slice(first, first + 2).flatMap(([unit, size], i) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return i > 0 && count === 0 ? [] : [`${count}${unit}`]
  }).join(" ")
}

/** How far `at` is from `now`, in one unit. */
export const ago = (at: number, now: number): string => {
  const seconds = Math.round(Math.abs(now - at) / 1_000)
  if (!Number.isFinite(seconds)) return "?"
  if (seconds < 5) return "now"
  const [unit, size] = seconds < 60
    ? ["s", 1]
    : seconds < 3_600
    ? ["m", 60]
    : seconds < 86_400
    ? ["h", 3_600]
    : ["d", 86_400]
  const text = `${Math.floor(seconds / Number(size)).toLocaleString("en")}${unit}`
  return at > now ? `in ${text}` : `${text} ago`
}

const isTime = (at: number) => Math.abs(at) <= 8.64e15

const two = (n: number) => String(n).padStart(2, "0")

/** The day, where it is not today, and the time of day where the reader is. */
export const clock = (at: number, now: number): string => {
  if (!isTime(at)) return "an unknown time"
  const date = new Date(at)
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return new Date(now).toDateString() === date.toDateString() ? time : `${day} ${time}`
}

/** As `clock`, always with the day. */
export const full = (at: number): string => clock(at, Number.NEGATIVE_INFINITY)

/** As `clock`, to the millisecond. */
export const exact = (at: number, now: number): string =>
  isTime(at)
    ? `${clock(at, now)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`
    : clock(at, now)

/** ISO 8601, UTC. */
export const iso = (at: number): string => isTime(at) ? new Date(at).toISOString() : ""

/** Distances between the marks of a scale. */
const distances = [
  ...[1, 10, 100].flatMap((n) => [n, 2 * n, 5 * n]),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * 1_000),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * 60_000),
  ...[1, 2, 3, 6, 12].map((n) => n * 3_600_000),
  ...[1, 2, 7, 14, 30, 90, 365].map((n) => n * 86_400_000)
]

/** A distance that makes at most `count` marks of `length`. */
export const distance = (length: number, count: number): number =>
  distances.find((one) => length / one <= count) ?? Math.ceil(length / Math.max(1, count))
