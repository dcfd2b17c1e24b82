/**
 * What the compiler says to someone who makes a common mistake: one error, whose last line, the one an
 * editor shows at the bottom, names the fix.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

interface Mistake {
  readonly code: string
  /** What the last line must hold. */
  readonly says: ReadonlyArray<string>
}

const prelude = `import { Effect, Schema } from "effect"
import { Workflow } from "reprise"
export class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
export class NoMoney extends Schema.TaggedError<NoMoney>()("NoMoney", { n: Schema.Number }) {}
export const either = (): Effect.Effect<void, NoStock | NoMoney> => Effect.void
`

const body = (code: string, options = "") =>
  `export const workflow = Workflow.make("w", ${options}function*(ctx) {\n  ${code}\n})`

const onlyInstructions = ["nly instructions can be yielded", "ctx.step(name, () =>"]

const mistakes: Record<string, Mistake> = {
  "an Effect is yielded": {
    code: body(`yield* Effect.succeed(1)`),
    says: onlyInstructions
  },
  "an Effect is yielded after a step": {
    code: body(`yield* ctx.step("s", () => 1)\n  return yield* Effect.succeed(1)`),
    says: onlyInstructions
  },
  "an Effect is yielded in a workflow with options": {
    code: body(`yield* Effect.succeed(1)`, `{ error: NoStock }, `),
    says: onlyInstructions
  },
  "an Effect is yielded behind a contract": {
    code: `export const workflow = Workflow.define("w", { input: Schema.String }).make(function*() {
  yield* Effect.succeed(1)
})`,
    says: onlyInstructions
  },
  "a Promise is yielded": {
    code: body(`yield Promise.resolve(1)`),
    says: onlyInstructions
  },
  "a value is yielded": {
    code: body(`yield 1`),
    says: onlyInstructions
  },
  "a helper yields an Effect": {
    code: `export function* helper(_ctx: Workflow.Ctx): Workflow.Body<number> {
  return yield* Effect.succeed(1)
}`,
    says: onlyInstructions
  },
  "an Effect is a branch": {
    code: body(`yield* ctx.all({ a: Effect.succeed(1) })`),
    says: onlyInstructions
  },
  "a branch yields an Effect": {
    code: body(`yield* ctx.all({ *a() { yield* Effect.succeed(1) } })`),
    says: onlyInstructions
  },
  "a yield without its star is used": {
    code: body(`const n = yield ctx.step("s", () => 1)\n  n.toFixed()`),
    says: ["'toFixed'", "WriteYieldWithAStar"]
  },
  "a step returns a Date": {
    code: body(`yield* ctx.step("s", () => new Date())`),
    says: ["This step returns a Date, which JSON cannot hold: give it { schema }"]
  },
  "a step's Effect gives a Map in a field": {
    code: body(`yield* ctx.step("s", () => Effect.succeed({ m: new Map<string, number>() }))`),
    says: ["This step returns a Map, which JSON cannot hold: give it { schema }"]
  },
  "a step returns an object with methods": {
    code: body(`yield* ctx.step("s", () => ({ f() {} }))`),
    says: ["This step returns an object with methods, which JSON cannot hold: give it { schema }"]
  },
  "a step is a generator function": {
    code: body(`yield* ctx.step("s", function*() {})`),
    says: ["a generator (use Effect.fn for a generator function)"]
  },
  "a step returns what its schema does not encode": {
    code: body(
      `yield* ctx.step("s", () => ({ at: 1 }), { schema: Schema.Struct({ at: Schema.String }) })`
    ),
    says: ["'number'", "'string'"]
  },
  "a step fails with what its own error schema does not declare": {
    code: body(`yield* ctx.step("s", either, { error: NoStock })`),
    says: ["This step can fail with what its { error } does not declare", "NoMoney"]
  },
  "a step fails with what the workflow's error schema does not cover": {
    code: body(`yield* ctx.step("s", either)`, `{ error: NoStock }, `),
    says: [
      "This body can fail with NoMoney, which the workflow's error schema does not cover",
      "add it there, give the step its own { error }",
      "Instruction.result, catch or catchTag"
    ]
  },
  "a branch fails with what the workflow's error schema does not cover": {
    code: body(`yield* ctx.all([ctx.step("s", either)])`, `{ error: NoStock }, `),
    says: ["This body can fail with NoMoney, which the workflow's error schema does not cover"]
  },
  "ctx.fail is given what the workflow's error schema does not cover": {
    code: body(`yield* ctx.fail(new NoMoney({ n: 1 }))`, `{ error: NoStock }, `),
    says: ["This body can fail with NoMoney, which the workflow's error schema does not cover"]
  },
  "a workflow returns a Map": {
    code: body(`return new Map<string, number>()`),
    says: ["This workflow returns a Map, which JSON cannot hold: give it { output }"]
  },
  "a workflow takes a Date": {
    code: `export const workflow = Workflow.make("w", function*(_ctx, _at: Date) {})`,
    says: ["This workflow takes a Date, which JSON cannot hold: give it { input }"]
  },
  "an event is waited for that is not declared": {
    code: body(`yield* ctx.suspend("revue")`, `{ events: { review: Schema.String } }, `),
    says: [`"revue"`, `"review"`]
  },
  "an event is sent with another payload": {
    code: `export const sent = Workflow.define("w", { events: { review: Schema.String } })
  .send("r", { eventName: "review", value: 1 })`,
    says: ["'number'", "'string'"]
  }
}

const dir = mkdtempSync(join(tmpdir(), "reprise-messages-"))

/** The errors of each mistake, each as its lines. */
const errors = new Map<string, Array<ReadonlyArray<string>>>()
/** What the compiler said of anything else. */
const rest: Array<string> = []

beforeAll(() => {
  mkdirSync(join(dir, "node_modules"))
  for (const name of ["effect", "@types"]) {
    symlinkSync(resolve("node_modules", name), join(dir, "node_modules", name), "dir")
  }
  symlinkSync(resolve("."), join(dir, "node_modules", "reprise"), "dir")
  writeFileSync(join(dir, "package.json"), `{ "type": "module" }`)
  writeFileSync(
    join(dir, "tsconfig.json"),
    JSON.stringify({ extends: resolve("tsconfig.json"), include: ["*.ts"] })
  )
  const names = Object.keys(mistakes)
  names.forEach((name, i) => {
    errors.set(name, [])
    writeFileSync(join(dir, `mistake${i}.ts`), `${prelude}${mistakes[name]!.code}\n`)
  })
  writeFileSync(
    join(dir, "fine.ts"),
    `${prelude}${body(`return yield* ctx.step("s", () => 1)`, "{ error: NoStock }, ")}\n`
  )
  const tsc = resolve("node_modules/typescript/bin/tsc")
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", dir, "--pretty", "false"], {
    cwd: dir,
    encoding: "utf8"
  })
  let current: Array<string> | undefined
  for (const line of stdout.split(/\r?\n/)) {
    const at = /^mistake(\d+)\.ts\(/.exec(line)
    if (at !== null) errors.get(names[Number(at[1])]!)!.push(current = [line])
    else if (line.startsWith(" ") && current !== undefined) current.push(line)
    else if (line !== "") {
      current = undefined
      rest.push(line)
    }
  }
}, 120_000)

afterAll(() => rmSync(dir, { recursive: true }))

describe("the compiler", () => {
  it("has nothing to say of code without a mistake", () => {
    expect(rest.filter((line) => line.startsWith("fine.ts"))).toEqual([])
  })

  it.each(Object.entries(mistakes))("names the fix when %s", (name, { says }) => {
    const found = errors.get(name)!
    expect(found.map((lines) => lines[0])).toHaveLength(1)
    const last = found[0]!.at(-1)!
    for (const words of says) expect(last).toContain(words)
  })
})
