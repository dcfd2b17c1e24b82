/**
 * Five thousand lists of arguments that nobody means: each is done or refused in words, and no word carries what a
 * terminal would act on, whatever the runs or the arguments hold. `SEED` gives the same ones again.
 */
import { NodeServices } from "@effect/platform-node"
import { expect, it } from "@effect/vitest"
import {
  Cause,
  ConfigProvider,
  Console,
  Effect,
  Exit,
  Layer,
  Logger,
  Schema,
  Stdio,
  Stream
} from "effect"
import { CliError, TerminalCapabilities } from "effect/cli"
import { Runs, Storage, Workflow } from "reprise"
import { onTestFailed } from "vitest"
import { run } from "../../src/cli/reprise.ts"
import { type Chance, chanceOf, hostile, json, text } from "../http/support/hostile.ts"
import { waits } from "../http/support/server.ts"

const lists = 5_000
/** After so many the runs are made anew, since some are removed, and others are made. */
const between = 250

// ---------------------------------------------------------------------------------------------------
// arguments

/** All but `ui` and `mcp`, which serve until they are stopped. */
const verbs = [
  "list",
  "show",
  "journal",
  "watch",
  "verify",
  "fsck",
  "send",
  "cancel",
  "settle",
  "resume",
  "retry",
  "fork",
  "checkpoint",
  "replay",
  "check",
  "rm",
  "gc",
  "copy",
  "doctor",
  "nothing"
]

/** Without `--wizard`, which asks. */
const bare = [
  "--json",
  "--no-json",
  "--all",
  "--dry-run",
  "--force",
  "--yes",
  "-y",
  "--retry",
  "--watch",
  "--help",
  "-h",
  "--version",
  "--",
  "-",
  "-x",
  "--no-such-flag",
  "--="
]

const valued = [
  "--status",
  "--workflow",
  "--limit",
  "--after",
  "--value",
  "--key",
  "--event-id",
  "--reason",
  "--step",
  "--from-step",
  "--from-offset",
  "--offset",
  "--override",
  "--new-run-id",
  "--fail",
  "--tag",
  "--older-than",
  "--to",
  "--storage",
  "--completions",
  "--log-level"
]

const runIds = ["done", "failed", "waiting", "cancelled", "odd"]

const value = (chance: Chance): string => {
  const { is, pick } = chance
  if (is(30)) return pick(runIds)
  if (is(30)) return json(chance)
  if (is(20)) {
    return pick(["1", "0", "-1", "1e9", "7 days", "suspended", "bash", "go", "first", "first=1"])
  }
  return text(chance)
}

const argumentsOf = (chance: Chance): ReadonlyArray<string> => {
  const { below, is, pick } = chance
  const args: Array<string> = is(95) ? [pick(verbs)] : []
  if (is(75)) args.push(pick(runIds))
  for (let n = below(5); n > 0; n--) {
    const kind = below(4)
    if (kind === 0) args.push(pick(bare))
    if (kind === 1) args.push(pick(valued), value(chance))
    if (kind === 2) args.push(`${pick(valued)}=${value(chance)}`)
    if (kind === 3) args.push(value(chance))
  }
  if (is(5)) args.unshift(pick(bare))
  // A shell cannot pass it on.
  return args.map((arg) => arg.replaceAll("\u0000", ""))
}

// ---------------------------------------------------------------------------------------------------
// runs

const odd = hostile.join(" ")
/** As long as a name may be. */
const oddly =
  "\u001b[31m\u001b]0;title\u0007\r\n\t\u0000\u009b2J\u202e\u2028 __proto__ <script> \ud800"

const failing = Workflow.make("failing", function*(ctx) {
  return yield* ctx.step(oddly, () => Effect.fail(new Error(odd)))
})
const strange = Workflow.make(oddly, { events: { [oddly]: Schema.Json } }, function*(ctx) {
  yield* ctx.step(oddly, () => ({ [oddly]: odd }))
  return yield* ctx.suspend(oddly, { reason: odd })
})

const runs = Effect.gen(function*() {
  const { runs } = yield* Runs.list({ limit: 1_000 })
  for (const { runId } of runs) yield* Runs.remove(runId)
  yield* waits.start(odd, { runId: "done" })
  yield* waits.resume("done", { eventName: "go", value: odd })
  yield* Effect.exit(failing.start(undefined, { runId: "failed" }))
  yield* waits.start(1, { runId: "waiting" })
  yield* waits.start(1, { runId: "cancelled" })
  yield* Runs.cancel("cancelled", { reason: odd })
  yield* waits.resume("cancelled")
  yield* strange.start(undefined, { runId: "odd" })
  yield* Runs.send("odd", { eventName: oddly, key: oddly, value: odd })
})

// ---------------------------------------------------------------------------------------------------
// what must be so

const capabilities = { canColor: false, canAnimate: false, canPrompt: false }

/** All that is printed, and nothing of a terminal's. */
const printing = () => {
  const lines: Array<string> = []
  const print = (...parts: ReadonlyArray<unknown>) => void lines.push(parts.map(String).join(" "))
  return {
    lines,
    console: { ...globalThis.console, log: print, error: print, info: print, warn: print }
  }
}

/** What only a terminal acts on; lines end. */
const acts = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

/** Of wrong arguments Effect's own command shows some as they are: the caller's own, and nothing of a run's. */
const isOwn = /[\r\u0080-\u009f\p{Zl}\p{Zp}\p{Bidi_Control}]/gu

/** What is wrong with how a command ended, and with what it said. */
const faultOf = (exit: Exit.Exit<unknown, unknown>, printed: string): string | undefined => {
  if (/^\s+at .*:\d+:\d+/m.test(printed)) return `it printed a stack: ${printed}`
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const isWrong = CliError.isCliError(error)
  const found = acts.exec(isWrong ? printed.replace(isOwn, "") : printed)
  if (found !== null) return `it printed ${JSON.stringify(found[0])}: ${JSON.stringify(printed)}`
  if (Exit.isSuccess(exit) || isWrong) return undefined
  if (Cause.hasDies(exit.cause)) return `it died: ${Cause.pretty(exit.cause)}`
  if (!(error instanceof Error) || !("_tag" in error)) return `it failed with ${String(error)}`
  // What was looked at and found is told already.
  return error.message === "" && error._tag !== "Found" ? "it failed without a word" : undefined
}

it.live("every list of arguments is done, or refused in plain words", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  const chance = chanceOf(seed)
  let last: ReadonlyArray<string> = []
  onTestFailed(() => console.error(`With SEED=${seed}, at: ${JSON.stringify(last)}`))
  let done = 0, refused = 0

  const called = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
    const storage = yield* Storage.Storage
    const { console, lines } = printing()
    const identity = <A>(effect: A) => effect
    const given = json(chance)
    const exit = yield* run(args, () => Layer.succeed(Storage.Storage, storage)).pipe(
      // What watches goes on until it is stopped.
      args.some((arg) => arg.includes("watch")) ? Effect.timeoutOption("50 millis") : identity,
      Effect.provideService(Console.Console, console),
      Effect.provide(Stdio.layerTest({ stdin: Stream.make(new TextEncoder().encode(given)) })),
      Effect.exit
    )
    if (Exit.isSuccess(exit)) done++
    else refused++
    return faultOf(exit, lines.join("\n"))
  })

  return Effect.gen(function*() {
    for (let n = 0; n < lists; n++) {
      if (n % between === 0) yield* runs
      last = argumentsOf(chance)
      const fault = yield* called(last)
      expect(fault && `With SEED=${seed}, ${JSON.stringify(last)}: ${fault}`).toBeUndefined()
    }
    expect(done).toBeGreaterThan(lists / 10)
    expect(refused).toBeGreaterThan(lists / 10)
  }).pipe(
    Effect.provide([
      Storage.layerMemory,
      NodeServices.layer,
      ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} })),
      Logger.layer([])
    ]),
    Effect.provideService(TerminalCapabilities.TerminalCapabilities, capabilities)
  )
}, 120_000)
