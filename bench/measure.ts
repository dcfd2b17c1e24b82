/**
 * How every file here measures and reports: contenders in turn, medians, and a table in which each
 * figure that must be reached says whether it is.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { availableParallelism, cpus } from "node:os"

/** One row. Where there is a target, `ratio` is what it is about; other rows are there to be read. */
export interface Figure {
  readonly figure: string
  readonly value: string
  readonly ratio?: number
  readonly atLeast?: number
  readonly atMost?: number
}

/** Takes one sample: milliseconds for one unit of its work. */
export type Contender = () => number | Promise<number>

/**
 * Samples all contenders in turn, A B A B. The `warmUp` rounds do not count. No collection is forced
 * in between: one that finds nothing alive also drops the code that was compiled for what died.
 */
export const interleave = async <K extends string>(
  contenders: Readonly<Record<K, Contender>>,
  { rounds, warmUp }: { readonly rounds: number; readonly warmUp: number }
): Promise<Readonly<Record<K, ReadonlyArray<number>>>> => {
  const names = Object.keys(contenders) as Array<K>
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    K,
    Array<number>
  >
  for (let round = -warmUp; round < rounds; round++) {
    for (const name of names) {
      const sample = await contenders[name]()
      if (round >= 0) samples[name].push(sample)
    }
  }
  return samples
}

const servedBy = "BENCH_CONTENDER"

/**
 * Moves each contender into a process of its own, where it finds neither code that was compiled for
 * another nor a heap that another filled. The processes run `file` up to this call; they wait while
 * it is not their turn, and end with this one.
 */
export const apart = async <K extends string, A>(
  file: string,
  contenders: Readonly<Record<K, (of: A) => Promise<number>>>
): Promise<Readonly<Record<K, (of: A) => Promise<number>>>> => {
  const name = process.env[servedBy] as K | undefined
  if (name !== undefined) {
    process.on("disconnect", () => process.exit())
    for (;;) {
      const [of] = await once(process, "message")
      process.send?.(await contenders[name](of as A))
    }
  }
  const asked = Object.keys(contenders).map((name) => {
    const child = fork(file, { env: { ...process.env, [servedBy]: name } })
    child.on("exit", (code) => {
      if (code !== 0) throw new Error(`The process of ${name} ended with ${code}.`)
    })
    child.unref()
    child.channel?.unref()
    return [name, async (of: A) => {
      child.channel?.ref()
      child.send(of as number)
      const [sample] = await once(child, "message")
      child.channel?.unref()
      return sample as number
    }]
  })
  return Object.fromEntries(asked)
}

/** Milliseconds that `work` takes. */
export const time = async (work: () => unknown): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/**
 * Milliseconds of a core that `work` takes, on all threads of this process. For work that waits for
 * nothing that is its time on an idle machine, and on a busy one nobody else's load is in it.
 */
export const coreTime = async (work: () => unknown): Promise<number> => {
  const before = process.cpuUsage()
  await work()
  const { system, user } = process.cpuUsage(before)
  return (user + system) / 1000
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

/** How often `b` fits into `a`: by neighbours, so that what slows the machine slows both. */
export const ratio = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number =>
  median(a.map((sample, i) => sample / b[i]!))

/** A time in the unit that reads best. */
export const show = (millis: number): string =>
  millis >= 1000
    ? `${(millis / 1000).toFixed(2)} s`
    : millis >= 1
    ? `${millis.toFixed(2)} ms`
    : `${(millis * 1000).toFixed(2)} µs`

/** How many fit into a second when one takes `millis`. */
export const rate = (millis: number): string =>
  `${Math.round(1000 / millis).toLocaleString("en")}/s`

/** Hands the figures to the process that runs all files, or prints them when there is none. */
export const report = (figures: ReadonlyArray<Figure>): void => {
  if (process.send === undefined) conclude(figures)
  else process.send(figures)
}

/** Prints the table. The process fails when a target is missed, unless it was told `--no-fail`. */
export const conclude = (figures: ReadonlyArray<Figure>): void => {
  console.log(`Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model ?? "?"}\n`)
  console.log(table(figures))
  const missed = figures.filter((figure) => holds(figure) === false).length
  console.log(missed === 0 ? "\nAll targets hold." : `\n${missed} missed.`)
  if (missed > 0 && !process.argv.includes("--no-fail")) process.exitCode = 1
}

const holds = ({ atLeast, atMost, ratio }: Figure): boolean | undefined =>
  ratio === undefined || (atLeast === undefined && atMost === undefined)
    ? undefined
    : ratio >= (atLeast ?? -Infinity) && ratio <= (atMost ?? Infinity)

const target = ({ atLeast, atMost }: Figure): string =>
  atLeast !== undefined && atLeast === atMost
    ? `= ${atLeast}`
    : atLeast !== undefined
    ? `≥ ${atLeast}`
    : atMost !== undefined
    ? `≤ ${atMost}`
    : ""

const table = (figures: ReadonlyArray<Figure>): string => {
  const rows = figures.map((figure) => {
    const held = holds(figure)
    return [
      figure.figure,
      figure.value,
      figure.ratio?.toFixed(2) ?? "",
      target(figure),
      held === undefined ? "" : held ? "yes" : "NO"
    ]
  })
  const all = [["figure", "value", "ratio", "target", "holds"], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  const lines = all.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd())
  return [lines[0], widths.map((width) => "-".repeat(width)).join("  "), ...lines.slice(1)]
    .join("\n")
}
