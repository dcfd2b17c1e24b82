/** Colours of `list`, `show` and `watch`: those of states, on a terminal that shows them, and only there. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import { join, resolve } from "node:path"
import { stripVTControlCharacters } from "node:util"
import { Instruction, Storage, Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { temporary } from "../storage/support/local.ts"
import { repriseOn, stdout } from "./support/command.ts"

const order = Workflow.make("order", { events: { go: Schema.Void } }, function*(ctx) {
  yield* ctx.step("reserve", () => 1)
  yield* ctx.step("charge", () => Effect.fail(new Error("declined"))).pipe(Instruction.result)
  yield* ctx.suspend("go")
})
const some = Effect.gen(function*() {
  yield* order.start(undefined, { runId: "open" })
  yield* order.start(undefined, { runId: "over" })
  yield* order.cancel("over")
})

/** What the command prints where there are colours, or are none. */
const printed = (canColor: boolean, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const before = (yield* stdout).length
    yield* repriseOn({ canColor, canAnimate: true, canPrompt: false }, args)
    return (yield* stdout).slice(before)
  })

const esc = "\u001b["
const yellow = (text: string) => `${esc}33m${text}${esc}39m`

describe("colours", () => {
  it.effect("are those of states, and leave columns where they are", () =>
    Effect.gen(function*() {
      yield* some
      const lines = yield* printed(true, "list")
      expect(lines[0]).not.toContain(esc)
      expect(lines[1]).toContain(`open  order     ${yellow("suspended")}  go `)
      expect(lines[2]).toContain(`over  order     ${esc}90mcancelled${esc}39m  - `)
      expect(lines.map(stripVTControlCharacters)).toEqual(yield* printed(false, "list"))
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("mark what a run came to, and each of its steps", () =>
    Effect.gen(function*() {
      yield* some
      const lines = yield* printed(true, "show", "open")
      expect(lines).toContain(`status    ${yellow("suspended")}`)
      expect(lines).toContain(`${esc}32m✓${esc}39m reserve  1`)
      expect(lines).toContain(`${esc}31m✗${esc}39m charge  Error: declined`)
      expect(lines).toContain(`${yellow("⏸")} go`)
      expect(lines.map(stripVTControlCharacters)).toEqual(yield* printed(false, "show", "open"))
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("tell the states of a run that is watched", () =>
    Effect.gen(function*() {
      yield* some
      const lines = yield* printed(true, "watch", "over")
      expect(lines.at(-1)).toContain(`Z  ${esc}90mcancelled${esc}39m  1 step`)
      expect(lines.map(stripVTControlCharacters)).toEqual(yield* printed(false, "watch", "over"))
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("are not in JSON, nor where there are none", () =>
    Effect.gen(function*() {
      yield* some
      for (const args of [["list"], ["show", "open"], ["watch", "over"]]) {
        const json = yield* printed(true, ...args, "--json")
        expect(json.map((line) => typeof JSON.parse(line))).toContain("object")
        expect([...json, ...yield* printed(false, ...args)].join("")).not.toContain(esc)
      }
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("are as NO_COLOR and FORCE_COLOR say, and none in a pipe", () =>
    Effect.gen(function*() {
      const directory = join(temporary(), ".reprise")
      yield* Effect.provide(
        order.start(undefined, { runId: "r1" }),
        NodeLocalStorage.layer(directory)
      )
      const said = (env: Readonly<Record<string, string>>) =>
        Effect.promise(() =>
          new Promise<string>((done) => {
            const main = ["--conditions=reprise-source", resolve("src/cli/main.ts")]
            const args = [...main, "list", "--no-json", "--storage", `file:${directory}`]
            execFile(process.execPath, args, { env }, (_, out) => done(out))
          })
        )
      expect(yield* said({})).toMatch(/^RUN .*\nr1 .*suspended  go /)
      expect(yield* said({ FORCE_COLOR: "1" })).toContain(yellow("suspended"))
      expect(yield* said({ FORCE_COLOR: "1", NO_COLOR: "1" })).toMatch(
        /^RUN .*\nr1 .*suspended  go /
      )
    }))
})
