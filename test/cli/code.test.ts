/** The verbs that take a workflow's code, in this process, on the memory storage and modules in files. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Runtime, Schema } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative, resolve } from "node:path"
import { Journal, Pipeline, Runs, Storage, Workflow } from "reprise"
import { onTestFinished } from "vitest"
import { failureOf } from "../../src/cli/code/load.ts"
import * as MemoryDriver from "../../src/MemoryDriver.ts"
import { reprise } from "./support/command.ts"

// ---------------------------------------------------------------------------------------------------
// modules

const scratch = mkdtempSync(join(tmpdir(), "reprise-code-"))
mkdirSync(join(scratch, "node_modules"))
symlinkSync(resolve("."), join(scratch, "node_modules", "reprise"), "dir")
symlinkSync(resolve("node_modules/effect"), join(scratch, "node_modules", "effect"), "dir")
writeFileSync(join(scratch, "package.json"), `{"type":"module"}`)

// Above the tests' own directory a `reprise.json` may name code.
const before = process.cwd()
beforeAll(() => process.chdir(scratch))
afterAll(() => {
  process.chdir(before)
  rmSync(scratch, { recursive: true, force: true })
})

let serial = 0
/** A module of its own, as it would be written; gives its path. */
const moduleOf = (source: string, extension = "ts") => {
  const file = join(scratch, `module${++serial}.${extension}`)
  writeFileSync(
    file,
    `import { Instruction, Pipeline, Storage, Workflow } from "reprise"
import { Context, Effect, Layer, Schema } from "effect"
${source}`
  )
  return file
}

const orderBody = (first: string) =>
  `{ events: { paid: Schema.Struct({ on: Schema.Date }), go: Schema.Void } }, function*(ctx, n: number) {
  const reserved = yield* ctx.step("${first}", () => n * 2)
  const { on } = yield* ctx.suspend("paid")
  return yield* ctx.step("ship", () => reserved + on.getUTCFullYear())
})`
/** The code that the runs of these tests were begun with. */
const same = moduleOf(`export const order = Workflow.make("order", ${orderBody("reserve")}`)
/** A deploy that would break them. */
const other = moduleOf(`export const order = Workflow.make("order", ${orderBody("book")}`)

const order = Workflow.make("order", {
  events: { paid: Schema.Struct({ on: Schema.Date }), go: Schema.Void }
}, function*(ctx, n: number) {
  const reserved = yield* ctx.step("reserve", () => n * 2)
  const { on } = yield* ctx.suspend("paid")
  return yield* ctx.step("ship", () => reserved + on.getUTCFullYear())
})

// ---------------------------------------------------------------------------------------------------
// the command

/** What the command prints, what it says beside that, and the code it would exit with. */
const said = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const before = (yield* TestConsole.logLines).length
    const beforeErrors = (yield* TestConsole.errorLines).length
    const exit = yield* Effect.exit(reprise(...args))
    const out = (yield* TestConsole.logLines).slice(before).join("\n")
    const err = (yield* TestConsole.errorLines).slice(beforeErrors).join("\n")
    const error: unknown = Exit.isSuccess(exit) ? undefined : Cause.squash(exit.cause)
    const code = error === undefined
      ? 0
      : (error as { readonly [Runtime.errorExitCode]?: number })[Runtime.errorExitCode] ?? 1
    return { code, out, err }
  })
const json = (...args: ReadonlyArray<string>) =>
  Effect.map(said(...args, "--json"), ({ out, ...rest }) => ({ ...rest, out: JSON.parse(out) }))

/** All that the storage has. */
const everything = Effect.gen(function*() {
  const { runs } = yield* Runs.list()
  return yield* Effect.forEach(runs, ({ runId }) => Runs.journal(runId))
})

describe("reprise replay", () => {
  it.effect("says that code fits a run, and what it would do next", () =>
    Effect.gen(function*() {
      yield* order.start(1, { runId: "o-1" })
      yield* order.enqueue(2, { runId: "o-2" })
      expect((yield* said("replay", "o-1", "--workflow", same)).out.split("\n")).toEqual([
        "run       o-1",
        "workflow  order",
        "status    suspended",
        "fits      yes, all 3 entries of its journal",
        "",
        "would wait for",
        "  event paid"
      ])
      const { code, err, out } = yield* json("replay", "o-2", "--workflow", same)
      expect({ code, err }).toEqual({ code: 0, err: "" })
      expect(out).toEqual({
        runId: "o-2",
        workflow: "order",
        status: "pending",
        entries: 1,
        fits: true,
        next: { does: "go on", steps: ["reserve"], waits: [] }
      })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("says how it would end a run", () =>
    Effect.gen(function*() {
      const ending = moduleOf(`
export const order = Workflow.make("order", function*(ctx, n: number) { return n * 3 })
export const declined = Workflow.make("declined", function*(ctx) {
  return yield* ctx.fail(new Error("no\\u001b[2J money"))
})
const Payment = Schema.Struct({ card: Workflow.secret(Schema.String) })
export const pay = Workflow.make("pay", { input: Payment, output: Payment }, function*(ctx, input) {
  return input
})`)
      const declined = Workflow.make("declined", function*(ctx) {
        yield* ctx.step("a", () => 1)
      })
      const Payment = Schema.Struct({ card: Workflow.secret(Schema.String) })
      const pay = Workflow.make("pay", { input: Payment }, function*(ctx) {
        yield* ctx.step("a", () => 1)
      })
      yield* order.enqueue(7, { runId: "o" })
      yield* declined.enqueue(undefined, { runId: "d" })
      yield* pay.enqueue(
        Schema.decodeUnknownSync(Schema.toCodecJson(Payment))({
          card: { $secret: "4111" }
        }),
        { runId: "p" }
      )
      const replayed = (runId: string, ...flags: ReadonlyArray<string>) =>
        Effect.map(said("replay", runId, "--workflow", ending, ...flags), ({ out }) => out)
      expect(yield* replayed("o")).toMatch(/\n\nIt would end with 21$/)
      expect(JSON.parse(yield* replayed("o", "--json")).next).toEqual({
        does: "end",
        as: "success",
        result: 21
      })
      expect(yield* replayed("d")).toMatch(/\n\nIt would fail with Error: no money$/)
      expect(JSON.parse(yield* replayed("p", "--json")).next.result).toEqual({
        card: "<redacted>"
      })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("shows where code parts from a run, and the ways out, with code 2", () =>
    Effect.gen(function*() {
      yield* order.start(1, { runId: "o 1" })
      const before = yield* everything
      const { code, err, out } = yield* said("replay", "o 1", "--workflow", other)
      expect({ code, err }).toEqual({ code: 2, err: "" })
      expect(out.split("\n").slice(3)).toEqual([
        "fits      no",
        "",
        "offset    1",
        "journal   the outcome of step \"reserve\"",
        "code      pending: step \"book\"",
        expect.stringMatching(/^source {4}\S+module2\.ts:4:\d+$/),
        "ways out",
        "  Fork it from there, to go on with this code: reprise fork 'o 1' --from-offset 1",
        expect.stringContaining("as previous"),
        expect.stringContaining("ctx.patched"),
        expect.stringContaining("Deploy the code that fits"),
        "  While developing, remove it: reprise rm 'o 1'"
      ])
      const { code: again, out: answer } = yield* json("replay", "o 1", "--workflow", other)
      expect(again).toBe(2)
      expect(answer).toMatchObject({
        runId: "o 1",
        fits: false,
        problem: {
          kind: "diverged",
          offset: 1,
          expected: "the outcome of step \"reserve\"",
          actual: "pending: step \"book\""
        }
      })
      expect(yield* everything).toEqual(before)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("gives a way out that works: the fork fits", () =>
    Effect.gen(function*() {
      yield* order.start(1, { runId: "o" })
      yield* said("fork", "o", "--from-offset", "1", "--new-run-id", "o2")
      expect((yield* said("replay", "o2", "--workflow", other)).code).toBe(0)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("tells of a body that breaks a rule", () =>
    Effect.gen(function*() {
      yield* order.start(1, { runId: "o" })
      const broken = moduleOf(`export const order = Workflow.make("order", function*(ctx) {
  yield* ctx.step("reserve", () => 1)
  yield 7 as never
})`)
      const { code, out } = yield* json("replay", "o", "--workflow", broken)
      expect(code).toBe(2)
      expect(out.problem).toMatchObject({
        kind: "broke",
        message: expect.stringContaining("7"),
        waysOut: [expect.stringContaining("Mend the code")]
      })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("knows versions: those that the code has, also older ones, and no others", () =>
    Effect.gen(function*() {
      const second = Workflow.make("order", { version: "2" }, function*(ctx) {
        yield* ctx.step("reserve", () => 1)
        yield* ctx.sleep("1 hour")
      })
      yield* second.start(undefined, { runId: "o" })
      const body = (step: string) =>
        `function*(ctx) { yield* ctx.step("${step}", () => 1); yield* ctx.sleep("1 hour") })`
      const third = moduleOf(
        `export const order = Workflow.make("order", { version: "3" }, ${body("reserve")}`
      )
      const { code, out } = yield* json("replay", "o", "--workflow", third)
      expect(code).toBe(2)
      expect(out.problem).toMatchObject({
        kind: "version",
        message: expect.stringContaining("version 2, this code has 3"),
        waysOut: [expect.stringContaining("previous"), expect.stringContaining("version 2")]
      })
      const both = moduleOf(`
export const old = Workflow.make("order", { version: "2" }, ${body("reserve")}
export const order = Workflow.make("order", { version: "3", previous: [old] }, ${body("book")}`)
      expect((yield* said("replay", "o", "--workflow", both)).code).toBe(0)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("replays runs that have ended, and those of pipelines and debounced calls", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ readonly n: number }>("sums")
        .step("double", ({ n }) => ({ twice: n * 2 }))
      yield* pipeline.run({ n: 1 }, { runId: "p" })
      const short = Workflow.make("order", function*(ctx) {
        return yield* ctx.step("reserve", () => 1)
      })
      yield* short.start(undefined, { runId: "o" })
      yield* short.enqueue(undefined, { debounce: { key: "k", wait: "1 hour" } })
      const code = moduleOf(`
export const sums = Pipeline.make<{ readonly n: number }>("sums")
  .step("double", ({ n }) => ({ twice: n * 2 }))
export const order = Workflow.make("order", ${orderBody("reserve")}`)
      expect((yield* json("replay", "p", "--workflow", code)).out).toEqual({
        runId: "p",
        workflow: "sums",
        status: "success",
        entries: 3,
        fits: true
      })
      const longer = yield* json("replay", "o", "--workflow", code)
      expect(longer.code).toBe(2)
      expect(longer.out.problem).toMatchObject({ expected: "\"complete\"", offset: 2 })
      const { runs } = yield* Runs.list({ workflow: "debounce:order" })
      const debounced = yield* json("replay", runs[0]!.runId, "--workflow", code)
      expect(debounced).toMatchObject({ code: 0, out: { fits: true } })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("explains what it cannot do, in one line", () =>
    Effect.gen(function*() {
      const ship = Workflow.make("ship\u001b[31m", function*(ctx) {
        yield* ctx.sleep("1 hour")
      })
      yield* ship.start(undefined, { runId: "s" })
      const refused = (...args: ReadonlyArray<string>) =>
        Effect.map(said("replay", ...args), ({ code, err, out }) => {
          expect({ code, out, lines: err.split("\n").length }).toEqual({
            code: 1,
            out: "",
            lines: 1
          })
          return err
        })
      expect(yield* refused("nope", "--workflow", same)).toMatch(/^There is no run "nope"/)
      expect(yield* refused("../x", "--workflow", same)).toMatch(/^"\.\.\/x" is no run id/)
      expect(yield* refused("s")).toMatch(/needs the code .* --workflow \.\/workflows\.ts/)
      expect(yield* refused("s", "--workflow", same)).toMatch(
        /has no workflow "ship", which run "s" is of: it has "order"\. Give the module/
      )
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("reprise check", () => {
  const some = Effect.gen(function*() {
    const short = Workflow.make("order", function*(ctx) {
      return yield* ctx.step("reserve", () => 1)
    })
    const sleeper = Workflow.make("sleeper", function*(ctx) {
      yield* ctx.sleep("1 hour")
    })
    yield* order.start(1, { runId: "waits" })
    yield* order.enqueue(1, { runId: "begins" })
    yield* short.start(undefined, { runId: "ended" })
    yield* sleeper.start(undefined, { runId: "s-1" })
    yield* sleeper.start(undefined, { runId: "s-2" })
  })

  it.effect("passes when every open run fits, and counts those of other workflows", () =>
    Effect.gen(function*() {
      yield* some
      const before = yield* everything
      expect(yield* said("check", "--workflow", same)).toEqual({
        code: 0,
        err: "",
        out: "2 runs fit, 0 break.\n2 runs of workflows that are not here: sleeper (2)."
      })
      expect((yield* json("check", "--workflow", same)).out).toEqual({
        fits: 2,
        breaks: [],
        unreadable: [],
        others: { sleeper: 2 }
      })
      expect(yield* everything).toEqual(before)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("lists each run that would break with its ways out, and exits with 2", () =>
    Effect.gen(function*() {
      yield* some
      const { code, err, out } = yield* said("check", "--workflow", other)
      expect({ code, err }).toEqual({ code: 2, err: "" })
      const lines = out.split("\n")
      expect(lines[0]).toBe("✗ waits  order  suspended")
      expect(lines).toContain("    offset    1")
      expect(lines).toContain("    code      pending: step \"book\"")
      expect(out).toContain("reprise fork waits --from-offset 1")
      expect(lines.slice(-2)).toEqual([
        "1 run fits, 1 breaks.",
        "2 runs of workflows that are not here: sleeper (2)."
      ])
      const report = yield* json("check", "--workflow", other)
      expect(report.code).toBe(2)
      expect(report.out.breaks.map(({ runId }: { readonly runId: string }) => runId)).toEqual([
        "waits"
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("looks at runs that ended with --all, and at those of one state with --status", () =>
    Effect.gen(function*() {
      yield* some
      const breaks = (...flags: ReadonlyArray<string>) =>
        Effect.map(
          json("check", "--workflow", other, ...flags),
          ({ out }) => out.breaks.map(({ runId }: { readonly runId: string }) => runId)
        )
      expect(yield* breaks("--all")).toEqual(["ended", "waits"])
      expect(yield* breaks("--status", "success")).toEqual(["ended"])
      expect(yield* breaks("--status", "pending")).toEqual([])
      const both = yield* said("check", "--workflow", other, "--all", "--status", "pending")
      expect(both.code).toBe(1)
      expect(both.err).toContain("Give one of them")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("does not pass with a run that cannot be read", () => {
    const storage = Storage.make(MemoryDriver.make())
    const corrupt = Effect.fail(
      new Journal.JournalCorrupt({ runId: "waits", file: "journal", offset: 1, line: 2, saw: "x" })
    )
    const damaged = Storage.Storage.of({
      ...storage,
      read: (runId, values) => runId === "waits" ? corrupt : storage.read(runId, values)
    })
    return Effect.gen(function*() {
      yield* Effect.provideService(some, Storage.Storage, storage)
      const { code, out } = yield* json("check", "--workflow", same)
      expect(code).toBe(2)
      expect(out).toMatchObject({ fits: 1, unreadable: [{ runId: "waits" }] })
    }).pipe(Effect.provideService(Storage.Storage, damaged))
  })

  it.effect("passes on a storage without runs", () =>
    Effect.gen(function*() {
      expect(yield* said("check", "--workflow", same)).toEqual({
        code: 0,
        err: "",
        out: "0 runs fit, 0 break."
      })
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("a module of workflows", () => {
  const others = (...modules: ReadonlyArray<string>) =>
    Effect.map(
      json("check", ...modules.flatMap((module) => ["--workflow", module])),
      ({ out }) => Object.keys(out.others)
    )

  it.effect("may export them by name, in arrays, in objects and as its default", () =>
    Effect.gen(function*() {
      const names = ["a", "b", "c", "d", "e", "f"]
      for (const name of names) {
        const known = Workflow.make(name, function*(ctx) {
          yield* ctx.sleep("1 hour")
        })
        yield* known.start(undefined, { runId: `run-${name}` })
      }
      const make = (name: string) =>
        `Workflow.make("${name}", function*(ctx) { yield* ctx.sleep("1 hour") })`
      const one = moduleOf(`
export const a = ${make("a")}
export const list = [a, ${make("b")}, undefined, 7]
export const contract = Workflow.define("f", {})
export default { c: ${make("c")}, more: { d: ${make("d")}, a } }`)
      expect(yield* others(one)).toEqual(["e", "f"])
      const two = moduleOf(`export default ${make("e")}`)
      expect(yield* others(one, two, two)).toEqual(["f"])
      const common = moduleOf("", "unused")
      writeFileSync(
        common.replace(".unused", ".cjs"),
        `const { Workflow } = require("reprise")\nmodule.exports = { f: ${make("f")} }`
      )
      expect(yield* others(common.replace(".unused", ".cjs"))).toEqual(["a", "b", "c", "d", "e"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect.each<readonly [string, () => string, RegExp]>([
    ["is not there", () => join(scratch, "none.ts"), /none\.ts" is not there: .* Give the file/],
    ["is a directory", () => scratch, /is no file, but a directory/],
    ["is an empty name", () => "", /Module "" is no file/],
    ["has a name that no file can have", () => "a\0b", /Module "a.*" cannot be read/],
    ["does not parse", () => moduleOf("const = 1"), /could not be loaded: \w*Error: .*\S/],
    [
      "throws",
      () => moduleOf("throw new Error(\"no database\")"),
      /could not be loaded: Error: no database \(\S+module\d+\.ts:3:\d+\)/
    ],
    ["throws a text", () => moduleOf("throw \"no\\u001b[2J\\nway\""), /string: no way\. /],
    [
      "imports what is not there",
      () => moduleOf("import \"./missing.ts\""),
      /could not be loaded: .*missing\.ts/
    ],
    [
      "makes a workflow wrongly",
      () => moduleOf("export const w = Workflow.make(\"w\", (() => 1) as never)"),
      /must be a generator function.*module\d+\.ts:3:\d+\)/
    ],
    ["exports nothing", () => moduleOf(""), /exports no workflow: it exports nothing\. Export/],
    [
      "exports other things",
      () =>
        moduleOf(
          "export const n = 1, f = () => 2, w = Workflow.define(\"w\", {}), none = null, l = []"
        ),
      /it has "f" \(a function\), "l" \(an empty array\), "n" \(a number\), "none" \(null\), "w" \(a contract without a body\)\./
    ],
    [
      "has two of one name",
      () =>
        moduleOf(`export const a = Workflow.make("w", function*() {})
export const b = Workflow.make("w", function*() {})`),
      /exports workflow "w" as "a", and "b" is another of that name/
    ],
    [
      "exports a layer that is none",
      () =>
        moduleOf("export const a = Workflow.make(\"w\", function*() {}), layer = { mailer: 1 }"),
      /exports a "layer" that is no Layer: an object/
    ]
  ])("that %s is refused in one line", ([, path, expected]) =>
    Effect.gen(function*() {
      const { code, err, out } = yield* said("check", "--workflow", path())
      expect({ code, out, lines: err.split("\n").length }).toEqual({ code: 1, out: "", lines: 1 })
      expect(err).toMatch(expected)
      expect(err).not.toMatch(/\p{Cc}| {4}at /u)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is refused when another has a workflow of the same name", () =>
    Effect.gen(function*() {
      const { err } = yield* said("check", "--workflow", same, "--workflow", other)
      expect(err).toMatch(/module1\.ts" exports workflow "order" as "order", and ".*module2\.ts"/)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("may be named by the nearest reprise.json", () =>
    Effect.gen(function*() {
      yield* order.start(1, { runId: "o" })
      const project = mkdtempSync(join(scratch, "project-"))
      const inside = join(project, "a", "b")
      mkdirSync(inside, { recursive: true })
      const before = process.cwd()
      process.chdir(inside)
      onTestFinished(() => process.chdir(before))
      const configure = (text: string) => writeFileSync(join(project, "reprise.json"), text)
      const checked = said("check", "--storage", "file:x")
      configure(JSON.stringify({ storage: "file:x", workflows: relative(project, same) }))
      expect(yield* checked).toEqual({ code: 0, err: "", out: "1 run fits, 0 break." })
      const sleeper = moduleOf(`export const s = Workflow.make("sleeper", function*() {})`)
      configure(JSON.stringify({ workflows: [sleeper, relative(project, other)] }))
      expect((yield* checked).code).toBe(2)
      expect((yield* said("check", "--storage", "file:x", "--workflow", same)).code).toBe(0)
      expect((yield* said("resume", "o", "--storage", "file:x")).err).toMatch(/no longer fits/)
      configure(JSON.stringify({ storage: "file:x" }))
      expect((yield* checked).err).toMatch(/^This needs the code .* reprise\.json here or above/)
      for (const text of ["{", "[]", `{"workflows":7}`, `{"workflows":[""]}`]) {
        configure(text)
        const { code, err } = yield* checked
        expect(code).toBe(1)
        expect(err).toMatch(/reprise\.json names no workflows: .* or name the module by --workflow/)
      }
    }).pipe(Effect.provide(Storage.layerMemory)))

  it("is told apart from one that this Node does not read", () => {
    const unknown = (file: string) => {
      const message = `Unknown file extension "${file.slice(file.indexOf("."))}" for /app/${file}`
      const error = Object.assign(new TypeError(message), { code: "ERR_UNKNOWN_FILE_EXTENSION" })
      return failureOf(error, `/app/${file}`)
    }
    expect(unknown("a.ts").saw).toMatch(/^is TypeScript, which this Node \(v\d+.*does not read$/)
    expect(unknown("a.ts").instead).toContain("Node 22.18 or newer")
    expect(unknown("a.tsx").saw).toBe("is a \".tsx\" file, which Node does not read")
  })
})

describe("reprise resume", () => {
  it.effect("drives a run on with its code, and says where it stands", () =>
    Effect.gen(function*() {
      yield* order.enqueue(5, { runId: "o" })
      expect((yield* said("resume", "o", "--workflow", same)).out.split("\n")).toEqual([
        "Run o is suspended, with 1 step done.",
        "waits for",
        "  event paid"
      ])
      const paid = `{"on":"2020-01-02T00:00:00.000Z"}`
      const { code, out } = yield* json("resume", "o", "paid", paid, "--workflow", same)
      expect(code).toBe(0)
      expect(out).toMatchObject({ runId: "o", status: "success", result: 2030 })
      expect((yield* said("resume", "o", "--workflow", same)).out.split("\n")).toEqual([
        "Run o is over: it succeeded, with 2 steps done.",
        "result  2030"
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("ends with code 2 when the run has failed, also some time ago", () =>
    Effect.gen(function*() {
      yield* order.enqueue(5, { runId: "o" })
      const broken = moduleOf(`export const order = Workflow.make("order", function*(ctx) {
  return yield* ctx.step("reserve", () => Effect.fail(new Error("sold out")))
})`)
      const text = [
        "Run o is over: it failed, with 0 steps done.",
        "error   Error: sold out"
      ].join("\n")
      for (const _ of ["now", "again"]) {
        expect(yield* said("resume", "o", "--workflow", broken)).toEqual({
          code: 2,
          out: text,
          err: ""
        })
      }
      const { code, out } = yield* json("resume", "o", "--workflow", broken)
      expect({ code, status: out.status }).toEqual({ code: 2, status: "failed" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("ends with code 2 when the run is blocked, and 0 when it was cancelled", () =>
    Effect.gen(function*() {
      const once = `{ delivery: "at-most-once" }`
      const pay = moduleOf(`export const pay = Workflow.make("pay", function*(ctx) {
  return yield* ctx.step("charge", () => 1, ${once})
})`)
      const dies = Workflow.make("pay", function*(ctx) {
        return yield* ctx.step("charge", () => Effect.never, { delivery: "at-most-once" })
      })
      const fiber = yield* Effect.forkChild(dies.start(undefined, { runId: "p" }))
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fiber)
      const { code, err, out } = yield* said("resume", "p", "--workflow", pay)
      expect({ code, err }).toEqual({ code: 2, err: "" })
      expect(out.split("\n")).toEqual([
        "Run p is blocked: it does not go on by itself, with 0 steps done.",
        "reason  OutcomeUnknown"
      ])
      yield* Runs.cancel("p")
      const ended = yield* json("resume", "p", "--workflow", pay)
      expect({ code: ended.code, status: ended.out.status }).toEqual({
        code: 0,
        status: "cancelled"
      })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("sends an event without a payload to who expects none", () =>
    Effect.gen(function*() {
      const body = `{ events: { go: Schema.Void, name: Schema.String } }, function*(ctx) {
  yield* ctx.suspend("go", { key: "k" })
  return "went"
})`
      const code = moduleOf(`export const waits = Workflow.make("waits", ${body}`)
      const waits = Workflow.make("waits", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.suspend("go", { key: "k" })
      })
      yield* waits.start(undefined, { runId: "w" })
      const twice = ["--key", "k", "--event-id", "e1", "--workflow", code]
      expect((yield* json("resume", "w", "go", ...twice)).out.result).toBe("went")
      // A repeat is no news, also to a run that has ended.
      expect((yield* json("resume", "w", "go", ...twice)).out.result).toBe("went")
      yield* waits.start(undefined, { runId: "v" })
      const { err } = yield* said("resume", "v", "name", "--workflow", code)
      expect(err).toMatch(/^Event "name" was not delivered to run "v": its payload does not fit/)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("posts nothing that the code does not take", () =>
    Effect.gen(function*() {
      yield* order.start(5, { runId: "o" })
      const storage = yield* Storage.Storage
      const { incarnation } = (yield* Runs.journal("o")).head
      const refused = (...args: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const { code, err } = yield* said("resume", "o", ...args, "--workflow", same)
          expect(code).toBe(1)
          expect((yield* storage.inbox("o", incarnation, "")).items).toEqual([])
          return err
        })
      expect(yield* refused("paid", `{"on":"tomorrow"}`)).toMatch(/does not fit: .*valid Date/)
      expect(yield* refused("payed", "1")).toMatch(/does not declare it\. .*"paid", "go"/)
      expect(yield* refused("__proto__", "1")).toMatch(/does not declare it/)
      expect(yield* refused("paid", "{on:1}")).toMatch(/^<json> is no JSON/)
      expect(yield* refused("", "1")).toMatch(/^<event> is empty/)
      expect(yield* refused("--key", "k")).toMatch(/^--key is of an event, and none was given/)
      expect(yield* refused("--event-id", "e")).toMatch(/^--event-id is of an event/)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("leaves it to a worker without code, and says what to give without an event", () =>
    Effect.gen(function*() {
      yield* order.start(5, { runId: "o" })
      const before = yield* everything
      const nothing = yield* said("resume", "o")
      expect(nothing.code).toBe(1)
      expect(nothing.err).toMatch(
        /the run is suspended, waiting for event "paid"\. Give the file .*--workflow .*, or an event/
      )
      const value = { on: "2020-01-02T00:00:00.000Z" }
      const posted = yield* json("resume", "o", "paid", JSON.stringify(value), "--event-id", "e")
      expect(posted.out).toEqual({
        runId: "o",
        workflow: "order",
        eventName: "paid",
        value,
        eventId: "e"
      })
      expect((yield* said("resume", "o", "go")).out).toMatch(
        /^Posted event "go" to run o \(event id .*\)\nA worker goes on with it/
      )
      expect(yield* everything).toEqual(before)
      expect(yield* order.resume("o")).toMatchObject({ status: "success", result: 2030 })
      expect((yield* said("resume", "nope")).err).toMatch(/^There is no run "nope"/)
      expect((yield* said("resume", "o", "go")).err).toMatch(/^Run "o" has ended/)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("does not drive a run by code that does not fit it", () =>
    Effect.gen(function*() {
      yield* order.start(5, { runId: "o" })
      const before = yield* everything
      const { code, err } = yield* said("resume", "o", "--workflow", other)
      expect(code).toBe(1)
      expect(err).toMatch(/^The code of workflow "order" no longer fits run "o"/)
      expect(yield* everything).toEqual(before)
      const sleeper = moduleOf(`export const s = Workflow.make("sleeper", function*() {})`)
      expect((yield* said("resume", "o", "--workflow", sleeper)).err).toMatch(
        /has no workflow "order", which run "o" is of: it has "sleeper"/
      )
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("goes on with the newest of a run that continues as others", () =>
    Effect.gen(function*() {
      const rounds = `{ events: { go: Schema.Boolean } }, function*(ctx, n: number) {
  if (n < 2) return yield* ctx.continueAs(n + 1)
  return yield* ctx.suspend("go")
})`
      const code = moduleOf(`export const rounds = Workflow.make("rounds", ${rounds}`)
      const known = Workflow.make("rounds", { events: { go: Schema.Boolean } }, function*(
        ctx,
        n: number
      ) {
        if (n < 2) return yield* ctx.continueAs(n + 1)
        return yield* ctx.suspend("go")
      })
      const { runId } = yield* known.start(1, { runId: "r" })
      expect(runId).not.toBe("r")
      const { out } = yield* json("resume", "r", "go", "true", "--workflow", code)
      expect(out).toMatchObject({ runId, status: "success", result: true })
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("what workflows need", () => {
  const mail = `class Mailer extends Context.Service<Mailer, {
  readonly send: (to: string) => Effect.Effect<string>
}>()("app/Mailer") {}
export const mail = Workflow.make("mail", function*(ctx) {
  yield* ctx.log("sending")
  return yield* ctx.step("send", Effect.flatMap(Mailer, ({ send }) => send("ada")))
})`
  const mailer = `Layer.succeed(Mailer, { send: (to) => Effect.succeed("to " + to) })`
  const enqueued = Workflow.make("mail", function*(ctx) {
    yield* ctx.sleep("1 hour")
  }).enqueue(undefined, { runId: "m" })

  it.effect("is what their module exports as layer; without, the run stays open", () =>
    Effect.gen(function*() {
      yield* enqueued
      const { code, err, out } = yield* said("resume", "m", "--workflow", moduleOf(mail))
      expect({ code, out }).toEqual({ code: 1, out: "" })
      expect(err).toMatch(
        /Step "send" needs the service "app\/Mailer".* Run "m" stays open.*Export a Layer .*"layer"/
      )
      expect((yield* Runs.status("m")).status).toBe("pending")
      const given = moduleOf(`${mail}\nexport const layer = ${mailer}`)
      const { out: answer } = yield* json("resume", "m", "--workflow", given)
      expect(answer).toMatchObject({ status: "success", result: "to ada" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("may need the storage, and does not replace it", () =>
    Effect.gen(function*() {
      yield* enqueued
      const given = moduleOf(`${mail}
export default { layer: Layer.unwrap(Effect.map(Storage.Storage, () => ${mailer})).pipe(
  Layer.merge(Storage.layerMemory)
) }`)
      const { out } = yield* json("resume", "m", "--workflow", given)
      expect(out.result).toBe("to ada")
      expect((yield* Runs.status("m")).status).toBe("success")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is told of when it cannot be built, and nothing is run", () =>
    Effect.gen(function*() {
      yield* enqueued
      const failing = (layer: string) =>
        Effect.map(
          said("resume", "m", "--workflow", moduleOf(`${mail}\nexport const layer = ${layer}`)),
          ({ err }) => err
        )
      expect(yield* failing(`Layer.effect(Mailer, Effect.fail(new Error("no SMTP")))`)).toMatch(
        /exports a "layer" that could not be built: Error: no SMTP\. Nothing was run/
      )
      expect(
        yield* failing(`Layer.effect(Mailer, Effect.map(Context.Service("app/Smtp"), () => null))`)
      ).toMatch(/could not be built: Error: Service not found: app\/Smtp/)
      expect((yield* Runs.journal("m")).entries).toHaveLength(1)
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("reprise retry", () => {
  const stepsOf = (charge: string) =>
    `function*(ctx, n: number) {
  const reserved = yield* ctx.step("reserve", () => n)
  return yield* ctx.step("charge", () => ${charge})
})`
  const mended = moduleOf(`export const order = Workflow.make("order", ${stepsOf("reserved * 2")}`)
  const failing = Workflow.make("order", function*(ctx, n: number) {
    yield* ctx.step("reserve", () => n)
    return yield* ctx.step("charge", () => {
      throw new Error("declined")
    })
  })

  it.effect("goes on with a failed run from the failed step, as a new run", () =>
    Effect.gen(function*() {
      yield* failing.start(5, { runId: "o" })
      const before = yield* Runs.journal("o")
      const { code, out } = yield* json(
        "retry",
        "o",
        "--workflow",
        mended,
        "--new-run-id",
        "again"
      )
      expect(code).toBe(0)
      expect(out).toMatchObject({
        runId: "again",
        status: "success",
        result: 10,
        source: { runId: "o" }
      })
      const overridden = ["--override", "reserve=7", "--workflow", mended]
      expect((yield* json("retry", "o", ...overridden)).out.result).toBe(14)
      const { out: reserved } = yield* json("retry", "o", "--step", "reserve", "--workflow", mended)
      expect(reserved.source).toEqual({ runId: "o", offset: 1 })
      expect((yield* said("retry", "o", "--workflow", mended)).out).toMatch(
        /^Run \w+ is over: it succeeded, with 2 steps done\.\nresult  10$/
      )
      expect(yield* Runs.journal("o")).toEqual(before)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("ends with code 2 when the new run fails as well", () =>
    Effect.gen(function*() {
      yield* failing.start(5, { runId: "o" })
      const broken = moduleOf(
        `export const order = Workflow.make("order", ${stepsOf(`Effect.fail(new Error("still"))`)}`
      )
      const args = ["retry", "o", "--workflow", broken, "--new-run-id", "again"]
      const { code, err, out } = yield* json(...args)
      expect({ code, err }).toEqual({ code: 2, err: "" })
      expect(out).toMatchObject({ runId: "again", status: "failed", source: { runId: "o" } })
      // To leave it to a worker is done when it is recorded.
      expect((yield* said("retry", "o")).code).toBe(0)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("leaves the new run to a worker without code", () =>
    Effect.gen(function*() {
      yield* failing.start(5, { runId: "o" })
      const { out } = yield* json("retry", "o", "--override", "reserve=8", "--new-run-id", "n")
      expect(out).toEqual({
        runId: "n",
        workflow: "order",
        source: { runId: "o", offset: 2 },
        overridden: ["reserve"]
      })
      expect((yield* Runs.status("n")).status).toBe("pending")
      expect((yield* json("resume", "n", "--workflow", mended)).out.result).toBe(16)
      expect((yield* said("retry", "o")).out).toMatch(
        /^Run \w+ begins with what run o did up to entry 2\.\nA worker goes on with it/
      )
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("refuses what cannot be tried again, and makes no run", () =>
    Effect.gen(function*() {
      yield* order.start(5, { runId: "open" })
      yield* failing.start(5, { runId: "o" })
      const refused = (...args: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const { code, err, out } = yield* said("retry", ...args)
          expect({ code, out }).toEqual({ code: 1, out: "" })
          expect((yield* Runs.list()).runs).toHaveLength(2)
          return err
        })
      for (const code of [[], ["--workflow", mended]]) {
        expect(yield* refused("nope", ...code)).toMatch(/^There is no run "nope"/)
        expect(yield* refused("open", ...code)).toMatch(/it has not failed/)
        expect(yield* refused("o", "--step", "nope", ...code)).toMatch(/no step "nope"/)
        expect(yield* refused("o", "--override", "nope=1", ...code)).toMatch(/no step "nope"/)
        expect(yield* refused("o", "--override", "reserve", ...code)).toMatch(/^--override is/)
        expect(yield* refused("o", "--override", "reserve={", ...code)).toMatch(/is no JSON/)
        expect(
          yield* refused("o", "--override", "reserve=1", "--override", "reserve=2", ...code)
        ).toMatch(/^--override gives two results for one step/)
        expect(yield* refused("o", "--new-run-id", "a/../b", ...code)).toMatch(/is no run id/)
      }
      expect(yield* refused("o", "--workflow", other.replace("module2", "none"))).toMatch(
        /is not there/
      )
    }).pipe(Effect.provide(Storage.layerMemory)))
})
