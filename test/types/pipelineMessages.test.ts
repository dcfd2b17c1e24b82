/**
 * What the compiler says to someone who writes a pipeline with a common mistake: one error, whose lines name
 * the fix. And that it says nothing of long pipelines and wide branches, at whose depth it could give up.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

interface Mistake {
  readonly code: string
  /** What the lines must hold. */
  readonly says: ReadonlyArray<string>
  /** Where the advice is in the error's first line, since what follows would show the types again. */
  readonly first?: true
}

const prelude = `import { Effect } from "effect"
import { Pipeline } from "reprise"
export const start = Pipeline.make<{ a: number }>("start")
export const inner = Pipeline.make<{ b: string }>("inner").step("x", () => ({ x: 1 }))
export const later = Effect.succeed
`

const step = (code: string) => `export const pipeline = start.step("s", ${code})`

const mistakes: Record<string, Mistake> = {
  "a step returns a list": {
    code: step(`() => [1]`),
    says: ["This step returns an array: return a plain object, whose fields are merged"]
  },
  "a step returns a text": {
    code: step(`async () => "x"`),
    says: ["This step returns a string: return a plain object"]
  },
  "a step's Effect gives a number": {
    code: step(`() => later(1)`),
    says: ["This step returns a number: return a plain object"]
  },
  "a step sometimes returns null": {
    code: step(`({ a }) => a > 1 ? { b: 1 } : null`),
    says: ["This step returns null: return a plain object"]
  },
  "a step gives a Date": {
    code: step(`() => ({ at: new Date() })`),
    says: ["This step gives a Date, which JSON cannot hold: give it in another form"]
  },
  "a step gives a Map": {
    code: step(`async () => ({ m: new Map<string, number>() })`),
    says: ["This step gives a Map, which JSON cannot hold: give it in another form"]
  },
  "a step gives a bigint": {
    code: step(`() => ({ n: 1n })`),
    says: ["This step gives a bigint, which JSON cannot hold"]
  },
  "a step gives a function": {
    code: step(`() => ({ f: () => 1 })`),
    says: ["This step gives an object with methods, which JSON cannot hold"]
  },
  "a step gives what is not known": {
    code: step(`() => ({ u: null as unknown })`),
    says: ["This step gives unknown, which JSON cannot hold"]
  },
  "a step without a name gives a Date": {
    code: `export const pipeline = start.step(() => ({ at: new Date() }))`,
    says: ["This step gives a Date, which JSON cannot hold"]
  },
  "a step reads what is not in the context": {
    code: step(`({ b }) => ({ c: b })`),
    says: ["'b'", "'{ readonly a: number; }'"]
  },
  "a step has nothing to run": {
    code: `export const pipeline = start.step("s")`,
    says: ["There is nothing to run: a function, a pipeline or a case must follow"],
    first: true
  },
  "a pipeline is nested that needs more": {
    code: step(`inner`),
    says: ["This pipeline needs more than the context has here: its input does not fit"]
  },
  "a pipeline is a branch that needs more": {
    code: `export const pipeline = start.branchOn("r", { name: "c", default: inner })`,
    says: [
      "This branch needs more than the context has here: the input of its pipeline does not fit"
    ]
  },
  "a transform returns nothing": {
    code: `export const pipeline = start.transform("t", () => {})`,
    says: ["A transform replaces the whole context: return a plain object, or {} to clear it"]
  },
  "a transform is a pipeline": {
    code: `export const pipeline = Pipeline.make<{ b: string }>().transform("t", inner)`,
    says: ["A transform needs a function that returns the next context: nest a pipeline with step"]
  },
  "an option is spelled otherwise": {
    code: `export const pipeline = start.step({ name: "s", retrys: 2 }, () => ({}))`,
    says: ["There is no such option"]
  },
  "an option of a circuit breaker is spelled otherwise": {
    code: `export const pipeline = start.step(
  { circuitBreaker: { cooldownMs: 1, treshold: 1 } },
  () => ({})
)`,
    says: ["There is no such option"]
  },
  "an option has another value": {
    code: `export const pipeline = start.step({ onError: "ignore" }, () => ({}))`,
    says: [`"ignore"`, `"continue"`, `"skip-remaining"`],
    first: true
  },
  "the input has a Date": {
    code: `export const pipeline = Pipeline.make<{ at: Date }>()`,
    says: ["This pipeline takes a Date, which JSON cannot hold: give it in another form"]
  },
  "the input is a list": {
    code: `export const pipeline = Pipeline.make<Array<string>>("p")`,
    says: ["A pipeline takes a plain object: its first context"]
  },
  "what is overridden has another type": {
    code: `export const run = start.runCheckpoint({ checkpoint: "c", overrideData: { a: "x" } })`,
    says: ["'string'", "'number'"]
  },
  "a hook asks for a step that there is not": {
    code: `export const run = start.step("one", () => {}).run({ a: 1 }, {
  onStepComplete: (event) => event.stepName === "two"
})`,
    says: [`"one"`, `"two"`]
  }
}

/** A pipeline whose steps each add a field, and read the one before and the first. */
const long = (steps: number) => {
  const lines = [`export const long = Pipeline.make<{ f0: number }>("long")`]
  for (let k = 1; k <= steps; k++) {
    const before = `f${k - 1}`
    const given = `({ ${before} }) => ({ f${k}: (${before} ?? 0) + 1 })`
    if (k % 10 === 5) {
      lines.push(`  .step({ name: "s${k}", condition: ({ f0 }) => f0 > 0 }, ${given})`)
    } else if (k % 10 === 7) {
      lines.push(`  .step({ name: "s${k}", onError: "skip-remaining" }, ${given})`)
    } else lines.push(`  .step("s${k}", async ${given})`)
  }
  lines.push(
    `export const heard = long.run({ f0: 1 }, {
  onStepComplete: (event) => {
    if (event.stepName === "s${steps}") {
      const last: number = event.context.f${steps}
      return last + event.context.f0
    }
    return event.checkpoint
  }
})
export const again = long.runCheckpoint({ checkpoint: "c", overrideData: { f3: 1 } })
export const end: number = (null as unknown as Pipeline.StepOutput<typeof long>).f1
// @ts-expect-error the pipeline may have ended before
export const maybe: number = (null as unknown as Pipeline.StepOutput<typeof long>).f${steps}`
  )
  return lines.join("\n")
}

/** A pipeline whose steps change the same fields again and again. */
const changing = (steps: number) => {
  const lines = [`export const changing = Pipeline.make<{ n: number; s: string }>("changing")`]
  for (let k = 1; k <= steps; k++) {
    lines.push(
      k % 2 === 0
        ? `  .step("s${k}", ({ n }) => ({ n: n + 1 }))`
        : `  .step({ name: "s${k}", condition: ({ n }) => n > 1 }, ({ s }) => ({ s: s + "x" }))`
    )
  }
  lines.push(`export const same: { readonly n: number; readonly s: string } =
  null as unknown as Pipeline.StepOutput<typeof changing>
// @ts-expect-error it stays a number
export const other: string = (null as unknown as Pipeline.StepOutput<typeof changing>).n`)
  return lines.join("\n")
}

/** A branch of so many cases of two steps. */
const wide = (cases: number) => {
  const lines = [`export const wide = start.branchOn("route",`]
  for (let k = 1; k < cases; k++) {
    lines.push(`  { name: "c${k}", when: ({ a }) => a === ${k}, then: (b) =>
    b.step("x", ({ a }) => ({ all: a, own${k}: 1 })).step("y", ({ own${k} }) => ({ some: own${k} })) },`)
  }
  lines.push(`  { name: "c0", default: (b) => b.step("x", ({ a }) => ({ all: a })) }
).step("end", ({ all, own1, some }) => ({ end: all + (own1 ?? 0) + (some ?? 0) }))
export const taken = wide.run({ a: 1 }, {
  onStepComplete: (event) => {
    if (event.stepName === "route/c${cases - 1}/y") return event.context.own${cases - 1}.toFixed()
    // @ts-expect-error there is no such case
    if (event.stepName === "route/c${cases}/y") return event.checkpoint
    return event.stepName
  }
})`)
  return lines.join("\n")
}

const fine: Record<string, string> = {
  "a pipeline of sixty steps, with a hook": long(60),
  "sixty steps that change the same fields": changing(60),
  "a branch of twelve cases, with a hook": wide(12)
}

const dir = mkdtempSync(join(tmpdir(), "reprise-messages-"))

/** The errors of each file, each as its lines. */
const errors = new Map<string, Array<ReadonlyArray<string>>>()

beforeAll(() => {
  mkdirSync(join(dir, "node_modules"))
  for (const name of ["effect", "@types"]) {
    symlinkSync(resolve("node_modules", name), join(dir, "node_modules", name), "dir")
  }
  symlinkSync(resolve("."), join(dir, "node_modules", "reprise"), "dir")
  writeFileSync(join(dir, "package.json"), `{ "type": "module" }`)
  writeFileSync(
    join(dir, "tsconfig.json"),
    JSON.stringify({
      extends: resolve("tsconfig.json"),
      // So that it also says which types of an exported pipeline could not be named.
      compilerOptions: { declaration: true },
      include: ["*.ts"]
    })
  )
  const codes = [...Object.values(mistakes).map(({ code }) => code), ...Object.values(fine)]
  const names = [...Object.keys(mistakes), ...Object.keys(fine)]
  names.forEach((name, i) => {
    errors.set(name, [])
    writeFileSync(join(dir, `code${i}.ts`), `${prelude}${codes[i]!}\n`)
  })
  const tsc = resolve("node_modules/typescript/bin/tsc")
  const { stdout } = spawnSync(
    process.execPath,
    [tsc, "-p", dir, "--pretty", "false", "--noErrorTruncation"],
    { cwd: dir, encoding: "utf8" }
  )
  let current: Array<string> | undefined
  for (const line of stdout.split(/\r?\n/)) {
    const at = /^code(\d+)\.ts\(/.exec(line)
    if (at !== null) errors.get(names[Number(at[1])]!)!.push(current = [line])
    else if (line.startsWith(" ") && current !== undefined) current.push(line)
    else current = undefined
  }
}, 120_000)

afterAll(() => rmSync(dir, { recursive: true }))

describe("the compiler", () => {
  it.each(Object.keys(fine))("has nothing to say of %s", (name) => {
    expect(errors.get(name)).toEqual([])
  })

  it.each(Object.entries(mistakes))("names the fix when %s", (name, { first, says }) => {
    const found = errors.get(name)!
    expect(found.map((lines) => lines[0])).toHaveLength(1)
    const line = first === true ? found[0]![0]! : found[0]!.at(-1)!
    for (const words of says) expect(line).toContain(words)
  })
})
