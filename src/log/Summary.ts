/**
 * The summary at the end of a call's log: a box with what each step took, and what stands out of it.
 *
 * Pure. The box keeps its right border whatever stands in it: widths are those of a terminal's columns.
 */
import * as Text from "../Text.ts"

export type Outcome = "success" | "failed" | "skipped"

export interface Timing {
  readonly label: string
  readonly outcome: Outcome
  /** Milliseconds. */
  readonly duration: number
  /** Whether other steps stand in it, which are timed by themselves. */
  readonly isContainer: boolean
}

/** How wide the box is inside. */
const width = 54

const icons: Record<Outcome, string> = { success: "✅", failed: "❌", skipped: "⏭️" }

/** A name as it is printed. */
export const shown = (label: string): string => Text.cut(Text.plain(label), 200)

/** The box, line by line. */
export const box = (timings: ReadonlyArray<Timing>): ReadonlyArray<string> => {
  const border = "─".repeat(width)
  const fit = fitter()
  return [
    `┌${border}┐`,
    ...timings.map(({ duration, label, outcome }) => {
      const took = outcome === "skipped" ? "skipped" : Text.span(duration)
      return `│ ${icons[outcome]} ${fit(Text.plain(label), width - 6 - took.length)} ${took} │`
    }),
    `└${border}┘`
  ]
}

/** Average, slowest and fastest of what succeeded; undefined where nothing did. */
export const statistics = (timings: ReadonlyArray<Timing>): string | undefined => {
  const done = timings.filter(({ isContainer, outcome }) => outcome === "success" && !isContainer)
  if (done.length === 0) return undefined
  const sum = done.reduce((all, { duration }) => all + duration, 0)
  const slowest = done.reduce((max, one) => one.duration > max.duration ? one : max)
  const fastest = done.reduce((min, one) => one.duration < min.duration ? one : min)
  const of = ({ duration, label }: Timing) => `${shown(label)} (${Text.span(duration)})`
  return `📊 Statistics:\n   Average: ${Text.span(sum / done.length)}\n`
    + `   Slowest: ${of(slowest)}\n   Fastest: ${of(fastest)}`
}

/** Only these add to the character before them, or are shown as nothing. */
const thin = /^[\p{Mn}\p{Me}\p{Cf}]+$/u

/** What takes two columns: emoji, and East Asian letters and signs (UAX #11, W and F). */
const wide =
  /\p{Emoji_Presentation}|\ufe0f|[\u1100-\u115f\u2e80-\u303e\u3041-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1b000}-\u{1b2fb}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]/u

const columnsOf = (character: string): number =>
  thin.test(character) ? 0 : wide.test(character) ? 2 : 1

/** Makes texts exactly so many columns wide. */
const fitter = () => {
  const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" })
  return (text: string, room: number): string => {
    const all = Array.from(characters.segment(text), ({ segment }) => segment)
    const total = all.reduce((sum, one) => sum + columnsOf(one), 0)
    if (total <= room) return text + " ".repeat(room - total)
    let cut = "", left = room - 1
    for (const one of all) {
      left -= columnsOf(one)
      if (left < 0) {
        left += columnsOf(one)
        break
      }
      cut += one
    }
    return `${cut}…${" ".repeat(left)}`
  }
}
