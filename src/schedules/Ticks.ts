/**
 * When a schedule ticks: what cron and time zone mean, as plain data that a journal can hold, and which
 * ticks lie between two instants. Pure: nothing here looks at a clock.
 */
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** A cron with its time zone, as it stands in the journal. Equal ones have equal texts. */
export interface Timing {
  /** Six fields, from the second to the day of the week. */
  readonly cron: string
  readonly timeZone: string
  readonly onDstOverlap: Cron.DstOverlapPolicy
  /** Whether day of month and day of week must both match. */
  readonly and: boolean
}

const fields = ["second", "minute", "hour", "day of month", "month", "day of week"] as const

const usage =
  "Use five fields, \"minute hour day-of-month month day-of-week\", as in \"0 2 * * 1-5\", "
  + "or six with the second in front."

const refuse = (of: string, why: string): never => {
  throw new TypeError(`Schedule "${of}": ${why}`)
}

/** The field that cannot be read, and why. */
const whyNot = (text: string): string => {
  const given = text.trim().split(/\s+/)
  const offset = fields.length - given.length
  if (text.trim() === "" || (offset !== 0 && offset !== 1)) {
    return `it has ${text.trim() === "" ? 0 : given.length} fields`
  }
  for (const [n, field] of given.entries()) {
    const alone = given.map((_, k) => k === n ? field : "*").join(" ")
    const parsed = Cron.parse(alone)
    if (Result.isFailure(parsed)) {
      return `its ${fields[n + offset]} is "${field}": ${parsed.failure.message}`
    }
  }
  return "it cannot be read"
}

const zoneOf = (of: string, timeZone: string): DateTime.TimeZone => {
  const zone = typeof timeZone === "string" ? DateTime.zoneFromString(timeZone) : Option.none()
  return Option.getOrElse(zone, () =>
    refuse(
      of,
      `timeZone is ${JSON.stringify(timeZone)}, which is no time zone. Use an IANA name, as `
        + `"Europe/Berlin", or an offset, as "+02:00".`
    ))
}

/** What was declared, or a TypeError that says what is wrong with it. `of` names the schedule. */
export const timingOf = (
  of: string,
  given: string | Cron.Cron,
  timeZone: string | undefined
): Timing => {
  const isText = typeof given === "string"
  if (!isText && !Cron.isCron(given)) {
    return refuse(of, `cron is ${JSON.stringify(given)}, but must be a text or a Cron. ${usage}`)
  }
  if (!isText && timeZone !== undefined && Option.isSome(given.tz)) {
    return refuse(
      of,
      `timeZone is ${
        JSON.stringify(timeZone)
      }, but its Cron has a time zone of its own. Give one of them.`
    )
  }
  const ownZone = isText ? Option.none() : given.tz
  const zone = Option.getOrElse(ownZone, () => zoneOf(of, timeZone ?? "UTC"))
  const parsed = isText ? Cron.parse(given) : Result.succeed(given)
  if (Result.isFailure(parsed)) {
    return refuse(of, `cron is ${JSON.stringify(given)}, but ${whyNot(given as string)}. ${usage}`)
  }
  const cron = parsed.success
  const timing: Timing = {
    cron: Cron.format(cron, { includeSeconds: true }),
    timeZone: DateTime.zoneToString(zone),
    // What goes off all day is not to be silent in the hour that there is twice; what has its hour goes off once.
    onDstOverlap: isText ? cron.hours.size === 0 ? "both" : "earlier" : cron.onDstOverlap,
    and: (cron.toJSON() as { readonly and: boolean }).and
  }
  try {
    Cron.next(cronOf(timing), "2000-01-01T00:00:00Z")
  } catch {
    return refuse(of, `cron is ${JSON.stringify(timing.cron)}, and there is no such day.`)
  }
  return timing
}

/** The cron that a timing stands for. */
export const cronOf = ({ and, cron, onDstOverlap, timeZone }: Timing): Cron.Cron => {
  const { days, hours, minutes, months, seconds, weekdays } = Cron.parseUnsafe(cron)
  const tz = Option.getOrThrow(DateTime.zoneFromString(timeZone))
  return Cron.make({ days, hours, minutes, months, seconds, weekdays, and, onDstOverlap, tz })
}

export const textOf = ({ and, cron, onDstOverlap, timeZone }: Timing): string =>
  `${cron} ${timeZone} ${onDstOverlap}${and ? " and" : ""}`

/** The first tick behind an instant; UTC milliseconds, as all times here. */
export const next = (cron: Cron.Cron, after: number): number => Cron.next(cron, after).getTime()

/** The ticks behind `after`, up to and with `until`; no more than `limit` of them. */
const first = (cron: Cron.Cron, after: number, until: number, limit: number): Array<number> => {
  const ticks: Array<number> = []
  for (let at = after; ticks.length < limit;) {
    at = next(cron, at)
    if (at > until) break
    ticks.push(at)
  }
  return ticks
}

/** The newest ticks behind `after`, up to and with `until`, in order; no more than `limit` of them. */
export const newest = (
  cron: Cron.Cron,
  after: number,
  until: number,
  limit: number
): ReadonlyArray<number> => {
  // Only forwards, so that a tick is the same one whenever it is looked for; nearer and nearer to `until`, since a
  // year has 30 million seconds.
  for (let width = 1_000;; width *= 2) {
    const since = Math.max(after, until - width)
    if (since < until && since > after && first(cron, since, until, limit + 1).length <= limit) {
      continue
    }
    return first(cron, since, until, Infinity).slice(-limit)
  }
}

/** How many ticks lie behind `after` and before `until`, counted to `most`. */
export const count = (cron: Cron.Cron, after: number, until: number, most: number): number =>
  first(cron, after, until - 1, most).length
