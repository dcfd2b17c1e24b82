/**
 * A disk that fails under SQLite where only the system can make it fail: the sync of the write-ahead log gives
 * EIO, or its write ENOSPC, at every commit of a run in turn. What was told to be safe stays, nothing else is
 * told, the session is over, and the next one goes on from a sound journal.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Runs, Storage } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import { chain, makeSteps } from "../processes/support/sqlChain.ts"
import { temporary } from "./support/local.ts"

const script = fileURLToPath(new URL("../processes/support/sqlSteps.ts", import.meta.url))
const cache = temporary()

/** Why no system call can be made to fail here; undefined where one can. */
const noTracing = (() => {
  const { error, status, stderr } = spawnSync("strace", ["-f", "-e", "trace=fsync", "true"], {
    encoding: "utf8"
  })
  if (error !== undefined) return `strace does not run (${error.message})`
  return status === 0 ? undefined : `strace may not trace (${stderr.trim()})`
})()

interface Line {
  readonly did?: string
  readonly safe?: { readonly type: string; readonly stepId?: string }
  readonly failed?: string
  readonly reason?: string
  readonly ended?: string
}

/** Drives the run in a process of its own, under `strace` with `options` if there are any. */
const drive = (directory: string, options: ReadonlyArray<string>, leaving = "orderly") => {
  const log = join(directory, `log-${options.join()}-${leaving}`.replaceAll("/", "-"))
  const trace = join(directory, "trace")
  const node = [
    process.execPath,
    "--conditions=reprise-source",
    script,
    join(directory, "runs.db"),
    log,
    leaving
  ]
  const command = options.length === 0
    ? node
    : ["strace", "-f", "-qq", "-o", trace, ...options, ...node]
  const { stderr } = spawnSync(command[0]!, command.slice(1), {
    encoding: "utf8",
    env: { ...process.env, NODE_COMPILE_CACHE: cache }
  })
  if (!existsSync(log)) throw new Error(`the process told nothing: ${stderr}`)
  const lines = readFileSync(log, "utf8").trim().split("\n").map((line): Line => JSON.parse(line))
  return { lines, trace: options.length === 0 ? "" : readFileSync(trace, "utf8") }
}

const prepared = () => {
  const directory = temporary()
  return Effect.as(
    Effect.scoped(SqliteStorage.make({ filename: join(directory, "runs.db") })),
    directory
  )
}

/** Everything that was told stands there, and the run goes on without doing it again. */
const goesOn = (directory: string, lines: ReadonlyArray<Line>) =>
  Effect.gen(function*() {
    const safe = lines.flatMap((line) => line.safe ?? [])
    const { entries } = yield* Runs.journal("r").pipe(
      Effect.catchTag("RunNotFound", () => Effect.succeed({ entries: [] }))
    )
    expect(entries.length).toBeGreaterThanOrEqual(safe.length)
    for (const [n, { stepId, type }] of safe.entries()) {
      expect([n, entries[n]]).toMatchObject([n, stepId === undefined ? { type } : { type, stepId }])
    }
    const again: Array<string> = []
    const done = yield* makeSteps((step) => again.push(step)).start(undefined, { runId: "r" })
    expect(done).toMatchObject({ status: "success", result: chain.join() })
    const recorded = new Set(safe.flatMap(({ stepId }) => stepId ?? []))
    expect(again.filter((step) => recorded.has(step))).toEqual([])
    const steps = (yield* Runs.journal("r")).entries.flatMap((entry) =>
      entry.type === "step" ? [entry.stepId] : []
    )
    expect(steps).toEqual(chain)
  }).pipe(Effect.provide(SqliteStorage.layer({ filename: join(directory, "runs.db") })))

const log = (directory: string) => join(directory, "runs.db-wal")

describe("the write-ahead log", () => {
  if (noTracing !== undefined) {
    console.log(`${noTracing}: only COMMITs that are made to fail within the process are tested`)
  }
  const faults = noTracing !== undefined ? [] : [
    ["EIO", "fsync,fdatasync", "Unknown"],
    ["ENOSPC", "pwrite64", "Full"],
    ["EIO", "pwrite64", "Unknown"]
  ] as const
  for (const [code, calls, reason] of faults) {
    it.live(
      `gives ${code} on ${calls}: nothing is told that is not safe, and the next session goes on`,
      () =>
        Effect.gen(function*() {
          // How often the run does this when all is well.
          const calm = yield* prepared()
          const whole = drive(calm, ["-e", `trace=${calls}`, "-P", log(calm)])
          const count = whole.trace.split("\n").filter((line) =>
            /(sync|pwrite64)\(/.test(line)
          ).length
          expect(whole.lines.at(-1)).toEqual({ ended: "success" })
          expect(count).toBeGreaterThan(chain.length)
          let failed = 0
          const times = Array.from({ length: count }, (_, n) => n + 1)
          // Of many writes only some, spread over the run.
          const chosen = times.filter((n) => n % Math.ceil(count / 12) === 0)
          for (const [n, nth] of chosen.entries()) {
            const directory = yield* prepared()
            const { lines, trace } = drive(
              directory,
              ["-P", log(directory), "-e", `inject=${calls}:error=${code}:when=${nth}`],
              n % 2 === 0 ? "orderly" : "killed"
            )
            const end = lines.at(-1)!
            if (trace.includes("INJECTED") && end.ended === undefined) {
              failed++
              expect([nth, end]).toEqual([nth, { failed: "StorageError", reason }])
              expect(lines.some(({ safe }) => safe?.type === "complete")).toBe(false)
            }
            yield* goesOn(directory, lines)
          }
          console.log(
            `${code} on ${calls}: ${chosen.length} of ${count} calls, ${failed} runs failed`
          )
          expect(failed).toBeGreaterThan(3)
        }),
      120_000
    )
  }

  it.live(
    "that keeps failing fails every session, and the first one after that goes on",
    () =>
      Effect.gen(function*() {
        const directory = yield* prepared()
        const told: Array<Line> = []
        for (const nth of [3, 4]) {
          if (noTracing !== undefined) continue
          const { lines } = drive(
            directory,
            ["-P", log(directory), "-e", `inject=fsync,fdatasync:error=EIO:when=${nth}+`],
            "killed"
          )
          expect(lines.at(-1)).toEqual({ failed: "StorageError", reason: "Unknown" })
          told.push(...lines)
        }
        told.push(...drive(directory, [], "killed").lines)
        expect(told.at(-1)).toEqual({ ended: "success" })
        const recorded = told.flatMap(({ safe }) => safe?.stepId ?? [])
        expect(new Set(recorded).size).toBe(recorded.length)
        const { entries } = yield* Effect.provide(
          Runs.journal("r"),
          SqliteStorage.layer({ filename: join(directory, "runs.db") })
        )
        expect(entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])).toEqual(
          chain
        )
      }),
    60_000
  )
})

describe("a COMMIT that fails", () => {
  it.live("for a single run is not told to be safe, and its session is over", () =>
    Effect.gen(function*() {
      const { client, driver } = yield* SqliteStorage.make({
        filename: join(temporary(), "runs.db")
      })
      const storage = Storage.make(driver)
      const did: Array<string> = []
      const steps = makeSteps((step) => did.push(step))
      // A constraint that is looked at only when the transaction commits.
      yield* client.unsafe("CREATE TABLE allowed (id INTEGER PRIMARY KEY)")
      yield* client.unsafe(
        "CREATE TABLE checked (id INTEGER REFERENCES allowed (id) DEFERRABLE INITIALLY DEFERRED)"
      )
      yield* client.unsafe(`CREATE TRIGGER late AFTER INSERT ON reprise_entries
        WHEN NEW.line LIKE '%"stepId":"s3"%' BEGIN INSERT INTO checked VALUES (1); END`)
      const error = yield* Effect.flip(
        Effect.provideService(
          steps.start(undefined, { runId: "r" }),
          Storage.Storage,
          storage
        )
      )
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Unknown" })
      expect(did).toEqual(chain.slice(0, did.length))
      const { journal } = yield* storage.read("r")
      const recorded = journal.entries.flatMap((entry) =>
        entry.type === "step" ? [entry.stepId] : []
      )
      expect(recorded).toEqual(chain.slice(0, 3))
      yield* client.unsafe("INSERT INTO allowed VALUES (1)")
      const before = did.length
      expect(
        yield* Effect.provideService(
          steps.start(undefined, { runId: "r" }),
          Storage.Storage,
          storage
        )
      ).toMatchObject({ status: "success", result: chain.join() })
      expect(did.slice(before)).toEqual(chain.slice(3))
    }))
})
