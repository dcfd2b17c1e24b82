/**
 * What is SQLite's own about the storage on SQLite, beyond the contract that all keep: its file, its settings,
 * other processes on it, group commit, the user's own transactions beside it, and what it costs.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { Journal, Runs, Storage, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import { onTestFinished } from "vitest"
import * as Commits from "../../src/sqlite/Commits.ts"
import * as Connection from "../../src/sqlite/Connection.ts"
import type { Trial } from "../../src/testing/contract/Case.ts"
import * as Entries from "../../src/testing/contract/Entries.ts"
import * as Hand from "../../src/testing/contract/Hand.ts"
import { chain, makeSteps } from "../processes/support/sqlChain.ts"
import { runs } from "../support/amount.ts"
import { temporary } from "./support/local.ts"
import { random } from "./support/random.ts"

const support = (name: string) =>
  fileURLToPath(new URL(`../processes/support/${name}.ts`, import.meta.url))

const fresh = () => join(temporary(), "runs.db")
const on = (filename: string) => SqliteStorage.layer({ filename })

/** The driver and the client on a connection of their own. */
const open = (filename: string, options: { readonly synchronous?: "FULL" | "NORMAL" } = {}) =>
  SqliteStorage.make({ filename, ...options })

/** What a hand needs to write runs by itself. */
const trialOf = (driver: Storage.Driver): Trial => {
  let serial = 0
  return {
    driver,
    other: driver,
    workflow: "w",
    id: (name) => name,
    unique: () => `u${++serial}`
  }
}

/** A process of its own, ended with the test. */
const enter = (name: string, args: ReadonlyArray<string>, cache?: string): ChildProcess => {
  const child = spawn(process.execPath, ["--conditions=reprise-source", support(name), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: cache === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: cache }
  })
  onTestFinished(() => {
    child.kill("SIGKILL")
  })
  return child
}
const said = (child: ChildProcess) =>
  Effect.promise(async () => String((await once(child.stdout!, "data"))[0]).trim())
const left = (child: ChildProcess) =>
  Effect.promise(async () => {
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  })

/** Waited for until somebody opens it. */
const makeGate = () => {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), opened: Effect.promise(() => opened) }
}

/** Why it failed, or what it came to instead. */
const reasonsOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? exit.cause.reasons : exit

const counted = <A extends object>(db: DatabaseSync, sql: string) => db.prepare(sql).get() as A

describe("the file", () => {
  it.live("and its directory are made for their owner only, whatever the mask", () =>
    Effect.gen(function*() {
      const mask = process.umask(0)
      onTestFinished(() => void process.umask(mask))
      const directory = join(temporary(), "a", "b")
      const filename = join(directory, "runs.db")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* open(filename)
        for (const name of [filename, `${filename}-wal`, `${filename}-shm`]) {
          expect([name, statSync(name).mode & 0o777]).toEqual([name, 0o600])
        }
      }))
      for (const name of [directory, dirname(directory)]) {
        expect(statSync(name).mode & 0o777).toBe(0o700)
      }
    }))

  it.live("keeps its own mode and what is in it when it was there", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const db = new DatabaseSync(filename)
      db.exec("CREATE TABLE mine (id INTEGER); INSERT INTO mine VALUES (7)")
      db.close()
      chmodSync(filename, 0o640)
      const { client } = yield* open(filename)
      expect(statSync(filename).mode & 0o777).toBe(0o640)
      expect(yield* client.unsafe("SELECT id FROM mine")).toEqual([{ id: 7 }])
    }))

  it.live("that is no database is refused, and not a byte of it changes", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const bytes = Buffer.from("not a database at all, but somebody's letter. ".repeat(200))
      writeFileSync(filename, bytes)
      const error = yield* Effect.flip(open(filename))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Unknown", isRetryable: false })
      expect(error.message).toContain(filename)
      expect(error.message).toContain("not a database")
      expect(readFileSync(filename).equals(bytes)).toBe(true)
      rmSync(filename)
      yield* open(filename)
    }))

  it.live("that is a directory is refused as a place that cannot be written", () =>
    Effect.gen(function*() {
      const filename = fresh()
      mkdirSync(filename)
      const error = yield* Effect.flip(open(filename))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied" })
      expect(error.message).toContain(filename)
    }))

  it.live("beneath something that is no directory is refused as a place that cannot be written", () =>
    Effect.gen(function*() {
      const file = fresh()
      writeFileSync(file, "")
      const error = yield* Effect.flip(open(join(file, "runs.db")))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied" })
    }))

  /** As somebody for whom modes count. */
  const unprivileged = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
    if (process.getuid!() !== 0) return effect
    return Effect.acquireUseRelease(
      Effect.sync(() => process.seteuid!(65534)),
      () => effect,
      () => Effect.sync(() => process.seteuid!(0))
    )
  }
  const modes: ReadonlyArray<
    readonly [what: string, file: number, directory: number, other?: boolean]
  > = [
    ["a file that may not be written", 0o444, 0o777],
    ["a file that may not be read", 0o000, 0o777],
    ["a directory that may not be written", 0o666, 0o555],
    ["a directory that may not be entered", 0o666, 0o000]
  ]
  for (const [what, file, directory] of modes) {
    it.live(`is denied for ${what}, the run is unharmed, and it goes on once it may`, () =>
      Effect.gen(function*() {
        const filename = fresh()
        yield* Effect.provide(makeSteps(() => {}).enqueue(undefined, { runId: "r" }), on(filename))
        chmodSync(filename, file)
        chmodSync(dirname(filename), directory)
        const error = yield* unprivileged(Effect.scoped(Effect.flip(open(filename))))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied", isRetryable: false })
        chmodSync(dirname(filename), 0o700)
        chmodSync(filename, 0o600)
        const done = yield* Effect.provide(makeSteps(() => {}).resume("r"), on(filename))
        expect(done).toMatchObject({ status: "success" })
      }))
  }

  it.live("that nobody may write any more while a run writes it is denied, and the run goes on after", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const did: Array<string> = []
      const { client, driver } = yield* open(filename)
      const steps = makeSteps((step) => did.push(step))
      const storage = Storage.make(driver)
      yield* client.unsafe("PRAGMA query_only=1")
      const run = Effect.provideService(
        steps.start(undefined, { runId: "r" }),
        Storage.Storage,
        storage
      )
      expect(yield* Effect.flip(run)).toMatchObject({ _tag: "StorageError", reason: "Denied" })
      expect(did).toEqual([])
      yield* client.unsafe("PRAGMA query_only=0")
      expect(yield* run).toMatchObject({ status: "success" })
    }))
})

describe("a full disk", () => {
  /** Writes until it is full, three times over, makes room, and goes on. */
  const overflow = (
    run: Effect.Effect<Workflow.Result<string, unknown>, unknown, Storage.Storage>,
    did: ReadonlyArray<string>,
    free: Effect.Effect<unknown, unknown>
  ) =>
    Effect.gen(function*() {
      for (let attempt = 0; attempt < 3; attempt++) {
        expect(yield* Effect.flip(run)).toMatchObject({
          _tag: "StorageError",
          reason: "Full",
          isRetryable: false
        })
      }
      const { entries } = yield* Runs.journal("r")
      const recorded = entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
      expect(recorded.length).toBeGreaterThan(0)
      expect(recorded.length).toBeLessThan(chain.length)
      const before = did.length
      yield* free
      expect(yield* run).toMatchObject({ status: "success", result: chain.join() })
      expect(did.slice(before)).toEqual(chain.slice(recorded.length))
      const after = (yield* Runs.journal("r")).entries
      expect(after.slice(0, entries.length)).toEqual(entries)
    })

  it.live("by the database's own limit stops a run with a typed error, and raising it lets it go on", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const did: Array<string> = []
      const [{ page_count: pages } = { page_count: 0 }] = yield* sql<{ page_count: number }>`
        PRAGMA page_count`
      yield* sql.unsafe(`PRAGMA max_page_count=${pages + 12}`)
      yield* overflow(
        makeSteps((step) => did.push(step), 12_000).start(undefined, { runId: "r" }),
        did,
        sql.unsafe("PRAGMA max_page_count=1000000")
      )
    }).pipe(Effect.provide(on(fresh()))))

  it.live("of 512 KiB stops a run with a typed error, and freeing space lets it go on", () => {
    const mounted = join(temporary(), "small")
    mkdirSync(mounted)
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs", mounted])
    if (mount.status !== 0) {
      console.log(
        `No small tmpfs here (${
          String(mount.stderr ?? mount.error).trim()
        }): only the database's limit`
      )
    } else {
      onTestFinished(() => void spawnSync("umount", [mounted]))
    }
    const filler = join(mounted, "filler")
    return Effect.scoped(Effect.gen(function*() {
      const { client, driver } = yield* open(join(mounted, "runs.db"))
      if (mount.status !== 0) {
        yield* client.unsafe("PRAGMA max_page_count=40")
      } else {
        writeFileSync(filler, Buffer.alloc(300 * 1024))
      }
      const did: Array<string> = []
      yield* overflow(
        makeSteps((step) => did.push(step), 20_000).start(undefined, { runId: "r" }),
        did,
        mount.status === 0
          ? Effect.sync(() => rmSync(filler))
          : client.unsafe("PRAGMA max_page_count=1000000")
      ).pipe(Effect.provideService(Storage.Storage, Storage.make(driver)))
    }))
  })
})

describe("durability", () => {
  const settings = (client: SqlClient.SqlClient) =>
    Effect.gen(function*() {
      const [found] = yield* client.unsafe<Record<string, unknown>>("PRAGMA synchronous")
      const [mode] = yield* client.unsafe<Record<string, unknown>>("PRAGMA journal_mode")
      return { ...found, ...mode }
    })

  it.live("is FULL in a write-ahead log unless it is chosen otherwise", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const full = { synchronous: 2, journal_mode: "wal" }
      expect(yield* settings((yield* open(filename)).client)).toEqual(full)
      expect(yield* settings((yield* open(filename, { synchronous: "FULL" })).client)).toEqual(full)
      expect(yield* settings((yield* open(filename, { synchronous: "NORMAL" })).client)).toEqual({
        ...full,
        synchronous: 1
      })
      const inLayer = yield* SqlClient.SqlClient.pipe(
        Effect.flatMap(settings),
        Effect.provide(on(filename))
      )
      expect(inLayer).toEqual(full)
    }))

  it.live("holds when a call returns: another connection sees it at once", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const { driver } = yield* open(filename)
      const other = new DatabaseSync(filename)
      onTestFinished(() => other.close())
      const seen = (runId: string) => {
        const found = other.prepare(
          `SELECT key, count(*) AS entries FROM reprise_runs
            JOIN reprise_entries ON id >> 32 = key WHERE run_id = ?`
        ).get(runId)
        return `${found?.key as number}:${found?.entries as number}:${runId}`
      }
      const trial = trialOf(driver)
      // The first writes alone, the others together.
      const hands = []
      for (let n = 0; n < 20; n++) {
        const hand = yield* Hand.create(trial, `r${n}`)
        if (n === 0) {
          yield* hand.append({ type: "start" })
          expect(seen("r0")).toBe(hand.place.at)
        }
        hands.push(hand)
      }
      yield* Effect.forEach(
        hands.slice(1),
        (hand) =>
          Effect.map(hand.append({ type: "start" }, Entries.step("a")), () => {
            expect([hand.runId, seen(hand.runId)]).toEqual([hand.runId, hand.place.at])
          }),
        { concurrency: "unbounded" }
      )
      yield* driver.post("r0", {
        id: "p",
        eventId: "p",
        line: Journal.sealText(JSON.stringify({ type: "cancel", eventId: "p" }))
      })
      expect(counted<{ n: number }>(other, "SELECT count(*) n FROM reprise_inbox").n).toBe(1)
    }))

  it.live(
    "survives SIGKILL in the middle of commits: nothing that was acknowledged is lost",
    () =>
      Effect.gen(function*() {
        const base = temporary()
        const filename = join(base, "runs.db")
        const count = 10
        const chance = random(7)
        yield* Effect.gen(function*() {
          const { makeLoop } = yield* Effect.promise(() => import("../processes/support/loop.ts"))
          for (let n = 0; n < count; n++) {
            yield* makeLoop(join(base, "stop")).enqueue(undefined, { runId: `r${n}` })
          }
        }).pipe(Effect.provide(on(filename)))
        const acknowledged = new Map<string, string>()
        for (let round = 0; round < 5; round++) {
          const log = join(base, `log-${round}`)
          const child = enter("sqlContender", [
            "sqlite",
            filename,
            log,
            join(base, "stop"),
            "polite",
            String(round),
            String(count)
          ], join(base, "cache"))
          yield* said(child)
          yield* Effect.sleep(20 + chance.below(200))
          child.kill("SIGKILL")
          yield* left(child)
          for (const line of readFileSync(log, "utf8").split("\n")) {
            const [what, runId, offset, sum] = line.split(" ")
            if (what === "ack") acknowledged.set(`${runId} ${offset}`, sum!)
          }
          const { driver } = yield* open(filename)
          const storage = Storage.make(driver)
          const standing = new Map<string, string>()
          for (let n = 0; n < count; n++) {
            const { journal } = yield* storage.read(`r${n}`)
            for (const [offset, { sum }] of journal.entries.entries()) {
              standing.set(`r${n} ${offset}`, sum)
            }
          }
          for (const [place, sum] of acknowledged) {
            expect([place, standing.get(place)]).toEqual([place, sum])
          }
          const db = new DatabaseSync(filename)
          expect(counted<{ integrity_check: string }>(db, "PRAGMA integrity_check")).toEqual({
            integrity_check: "ok"
          })
          db.close()
        }
        expect(acknowledged.size).toBeGreaterThan(50)
      }),
    60_000
  )
})

describe("another process on the file", () => {
  /** Counts how often the event loop gets round to a timer. */
  const ticking = (onTick: (n: number) => void = () => {}) => {
    let ticks = 0
    const timer = setInterval(() => onTick(++ticks), 5)
    onTestFinished(() => clearInterval(timer))
    return () => ticks
  }

  it.live("that holds the write lock is waited for, and the event loop goes on meanwhile", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const { driver } = yield* open(filename)
      const trial = trialOf(driver)
      const hand = yield* Hand.begin(trial, "r")
      const child = enter("sqlHold", [filename, "lock"])
      expect(yield* said(child)).toBe("held")
      // Only a timer of this process lets the other one go on: who blocks here waits in vain.
      const ticks = ticking((n) => {
        if (n === 100) child.stdin!.write("go\n")
      })
      const line = Journal.sealText(JSON.stringify({ type: "cancel", eventId: "p" }))
      yield* Effect.all([
        hand.append(Entries.step("a")),
        Hand.begin(trial, "other"),
        driver.post("r", { id: "p", eventId: "p", line }),
        driver.acquire("r", 1, 2)
      ], { concurrency: "unbounded" })
      expect(ticks()).toBeGreaterThanOrEqual(100)
      expect((yield* driver.read("r")).version).toBe(hand.place.at)
      expect((yield* driver.inbox("r", "")).text).toBe(`${line}\n`)
      yield* left(child)
    }))

  it.live(
    "that holds the write lock for longer than anybody waits makes the storage unavailable, and no run is harmed",
    () =>
      Effect.gen(function*() {
        const filename = fresh()
        const { client, driver } = yield* open(filename)
        const trial = trialOf(driver)
        const hand = yield* Hand.begin(trial, "r")
        const before = yield* driver.read("r")
        yield* Effect.provide(makeSteps(() => {}).enqueue(undefined, { runId: "e" }), on(filename))
        const child = enter("sqlHold", [filename, "lock"])
        expect(yield* said(child)).toBe("held")
        const ticks = ticking()
        const did: Array<string> = []
        const [append, post, acquire, run, user] = yield* Effect.all([
          Effect.exit(hand.append(Entries.step("a"))),
          Effect.exit(driver.post("r", { id: "p", eventId: "p", line: "{}" })),
          Effect.exit(driver.acquire("r", 1, 2)),
          Effect.exit(
            makeSteps((step) => did.push(step)).resume("e").pipe(
              Effect.provideService(Storage.Storage, Storage.make(driver))
            )
          ),
          Effect.exit(client.unsafe("CREATE TABLE mine (id INTEGER)"))
        ], { concurrency: "unbounded" })
        for (const exit of [append, post, acquire, run]) {
          expect(reasonsOf(exit)).toMatchObject([{
            error: { _tag: "StorageError", reason: "Unavailable", isRetryable: true }
          }])
        }
        expect(reasonsOf(user)).toMatchObject([{
          error: { _tag: "SqlError", reason: { _tag: "LockTimeoutError" } }
        }])
        expect(ticks()).toBeGreaterThan(100)
        expect(did).toEqual([])
        // Who reads is not in anybody's way.
        expect(yield* driver.read("r")).toEqual(before)
        child.stdin!.write("go\n")
        yield* left(child)
        yield* hand.append(Entries.step("a"))
        const done = yield* makeSteps(() => {}).resume("e").pipe(
          Effect.provideService(Storage.Storage, Storage.make(driver))
        )
        expect(done).toMatchObject({ status: "success" })
      }),
    60_000
  )

  it.live("that has the whole file for itself is waited for by who opens it", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const { place } = yield* Effect.scoped(
        Effect.flatMap(open(filename), ({ driver }) => Hand.begin(trialOf(driver), "r"))
      )
      const owner = enter("sqlHold", [filename, "file"])
      expect(yield* said(owner)).toBe("held")
      const ticks = ticking((n) => {
        if (n === 50) owner.stdin!.write("go\n")
      })
      const { driver } = yield* open(filename)
      expect(ticks()).toBeGreaterThanOrEqual(50)
      expect((yield* driver.read("r")).version).toBe(place.at)
    }))

  it.live("and this one drive runs beside each other without losing any", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const ids = (side: string) => Array.from({ length: 20 }, (_, n) => `${side}${n}`)
      const two = [yield* open(filename), yield* open(filename)] as const
      const child = enter("sqlOpen", [filename, "third"])
      yield* said(child)
      const third = yield* Effect.forkChild(said(child), { startImmediately: true })
      child.stdin!.write("go\n")
      yield* Effect.forEach(
        two,
        ({ driver }, side) =>
          Effect.forEach(
            ids(`s${side}-`),
            (runId) => makeSteps(() => {}).execute(undefined, { runId }),
            { concurrency: "unbounded" }
          ).pipe(
            Effect.provideService(Storage.Storage, Storage.make(driver))
          ),
        { concurrency: 2 }
      )
      expect(yield* Fiber.join(third)).toBe("hello third")
      const { runs } = yield* Storage.make(two[0].driver).list({ status: "success" })
      expect(runs.map(({ runId }) => runId)).toEqual(
        [...ids("s0-"), ...ids("s1-"), "third"].toSorted()
      )
    }))
})

describe("group commit", () => {
  /** How many transactions stand in the write-ahead log since it was begun anew. */
  const commitsIn = (filename: string) => {
    const bytes = readFileSync(`${filename}-wal`)
    const pageSize = bytes.readUInt32BE(8)
    const salt = bytes.subarray(16, 24)
    let commits = 0
    for (let at = 32; at + 24 + pageSize <= bytes.length; at += 24 + pageSize) {
      if (!bytes.subarray(at + 8, at + 16).equals(salt)) break
      // The size of the database stands in the last frame of a transaction, and 0 in the others.
      if (bytes.readUInt32BE(at + 4) > 0) commits++
    }
    return commits
  }
  /** The driver, with a count of its appends. */
  const counting = (driver: Storage.Driver) => {
    const counts = { appends: 0 }
    const counted: Storage.Driver = {
      ...driver,
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer) => ({
          ...writer,
          append: (at, lines, row) => {
            counts.appends++
            return writer.append(at, lines, row)
          }
        }))
    }
    return { counts, storage: Storage.make(counted) }
  }
  const anew = (client: SqlClient.SqlClient) =>
    Effect.gen(function*() {
      yield* client.unsafe("PRAGMA wal_checkpoint(TRUNCATE)")
      yield* client.unsafe("PRAGMA wal_autocheckpoint=0")
    })

  it.live("makes few transactions of what 64 runs append at the same time", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const { client, driver } = yield* open(filename)
      const { counts, storage } = counting(driver)
      yield* anew(client)
      const results = yield* Effect.forEach(
        Array.from({ length: 64 }, (_, n) => `r${n}`),
        (runId) => makeSteps(() => {}).execute(undefined, { runId }),
        { concurrency: "unbounded" }
      ).pipe(Effect.provideService(Storage.Storage, storage))
      expect(results).toEqual(Array(64).fill(chain.join()))
      const commits = commitsIn(filename)
      console.log(`${counts.appends} appends of 64 runs in ${commits} commits`)
      expect(counts.appends).toBeGreaterThanOrEqual(64 * 2)
      expect(commits).toBeGreaterThan(0)
      expect(commits * 4).toBeLessThan(counts.appends)
    }))

  it.live("gives a lone writer its answer at once, one commit for one append", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const { client, driver } = yield* open(filename)
      yield* anew(client)
      const hand = yield* Hand.create(trialOf(driver), "r")
      for (let n = 0; n < 10; n++) {
        const batch = hand.seal(n === 0 ? { type: "start" } : Entries.step(`s${n}`))
        const answer = hand.writer.append(hand.place.at, batch.lines, batch.row)
        expect(Exit.isExit(answer)).toBe(true)
        expect(commitsIn(filename)).toBe(n + 1)
        const { entries, head } = batch
        hand.place = { at: yield* answer, head, entries, lines: [] }
      }
      expect((yield* driver.read("r")).version).toBe(hand.place.at)
      // As the engine has it.
      const storage = Storage.make(driver)
      const loaded = yield* storage.read("r")
      const writer = yield* storage.writer(loaded)
      const stamp = { incarnation: loaded.journal.head.incarnation, session: 2, writer: "x" }
      const start = Journal.stamped({ type: "start" }, new Date(0).toISOString())
      expect(yield* writer.append(stamp, [start])).toBe(true)
    }))

  it.live("keeps the order in which it was asked: appends of one run, and posts", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const { driver } = yield* open(filename)
      const trial = trialOf(driver)
      const hands = yield* Effect.forEach(["a", "b", "c"], (name) => Hand.begin(trial, name))
      const eventIds = Array.from({ length: 30 }, (_, n) => `e${(n * 7) % 30}`)
      const posts = eventIds.map((id) =>
        driver.post("a", {
          id,
          eventId: id,
          line: Journal.sealText(JSON.stringify({ type: "cancel", eventId: id }))
        })
      )
      // The state behind an append is known before its answer, so the next one need not wait for that.
      const appends = Array.from({ length: 10 }, (_, n) =>
        hands.map((hand) => {
          const { at } = hand.place
          const batch = hand.seal(Entries.step(`s${n}`), Entries.step(`t${n}`))
          const { entries, head } = batch
          hand.place = {
            at: at.replace(/:\d+:/, `:${head.offset}:`),
            head,
            entries,
            lines: [...hand.place.lines, ...batch.lines]
          }
          return hand.put(batch, at)
        })).flat()
      const answers = yield* Effect.all([...appends, ...posts], { concurrency: "unbounded" })
      expect(answers.slice(0, appends.length)).toEqual(appends.map(() => "appended"))
      for (const hand of hands) {
        expect(yield* Hand.linesOf(driver, hand.runId)).toEqual(hand.place.lines)
      }
      const inbox = (yield* driver.inbox("a", "")).text.trim().split("\n")
      expect(inbox.map((line) => JSON.parse(line).eventId)).toEqual(eventIds)
    }))

  it.live("lets one that fails take none of the others with it", () =>
    Effect.gen(function*() {
      const { client, driver } = yield* open(fresh())
      const trial = trialOf(driver)
      const hands = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, n) => `r${n}`),
        (name) => Hand.begin(trial, name)
      )
      for (const [turn, how] of ["ABORT", "FAIL", "ROLLBACK"].entries()) {
        yield* client.unsafe(`CREATE TRIGGER poison${turn} BEFORE INSERT ON reprise_entries
          WHEN NEW.line LIKE '%poison%${how}%' BEGIN SELECT RAISE(${how}, 'not this one'); END`)
        const exits = yield* Effect.forEach(hands, (hand, n) =>
          Effect.exit(
            n % 5 === 2
              ? hand.append(Entries.step(`fine${turn}`), Entries.step(`poison ${how}`))
              : hand.append(Entries.step(`fine${turn}`))
          ), { concurrency: "unbounded" })
        for (const [n, exit] of exits.entries()) {
          expect([how, n, Exit.isSuccess(exit)]).toEqual([how, n, n % 5 !== 2])
          if (n % 5 === 2) {
            expect(reasonsOf(exit)).toMatchObject([{ error: { reason: "Unknown" } }])
          }
        }
        for (const hand of hands) {
          expect(yield* Hand.linesOf(driver, hand.runId)).toEqual(hand.place.lines)
        }
      }
    }))

  it.live("tells nobody of a transaction whose COMMIT fails", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const { client, driver } = yield* open(filename)
      yield* client.unsafe("CREATE TABLE allowed (id INTEGER PRIMARY KEY)")
      yield* client.unsafe(
        "CREATE TABLE checked (id INTEGER REFERENCES allowed (id) DEFERRABLE INITIALLY DEFERRED)"
      )
      yield* client.unsafe(`CREATE TRIGGER late AFTER INSERT ON reprise_entries
        WHEN NEW.line LIKE '%late%' BEGIN INSERT INTO checked VALUES (1); END`)
      const trial = trialOf(driver)
      const hands = yield* Effect.forEach(
        Array.from({ length: 8 }, (_, n) => `r${n}`),
        (name) => Hand.begin(trial, name)
      )
      const exits = yield* Effect.forEach(
        hands,
        (hand, n) => Effect.exit(hand.append(Entries.step(n % 2 === 0 ? "late" : "fine"))),
        { concurrency: "unbounded" }
      )
      expect(exits.map(Exit.isSuccess)).toEqual(hands.map((_, n) => n % 2 === 1))
      for (const hand of hands) {
        expect(yield* Hand.linesOf(driver, hand.runId)).toEqual(hand.place.lines)
      }
    }))

  it.live("that fails for one while another process comes in between still writes the others", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const connection = yield* Connection.open({ filename })
      yield* connection.client.unsafe("CREATE TABLE done (id INTEGER PRIMARY KEY)")
      const other = new DatabaseSync(filename)
      onTestFinished(() => other.close())
      let isHeld = false
      const free = makeGate()
      const commits = Commits.make({
        ...connection,
        prepare: (sql) => {
          const statement = connection.prepare(sql)
          // The moment at which the lock is free again is the other's chance.
          return sql !== "ROLLBACK" || isHeld ? statement : new Proxy(statement, {
            get: (target, key) =>
              key !== "run" ? Reflect.get(target, key) : () => {
                const changes = target.run()
                isHeld = true
                other.exec("BEGIN IMMEDIATE")
                setTimeout(() => {
                  other.exec("COMMIT")
                  free.open()
                }, 100)
                return changes
              }
          })
        }
      })
      commits.writers = 4
      const insert = (id: number) =>
        commits.write(`r${id}`, `write ${id}`, () => {
          if (id === 2) throw new Error("not this one")
          connection.prepare("INSERT INTO done VALUES (?)").run(id)
          return id
        })
      const exits = yield* Effect.forEach([1, 2, 3, 4], (id) => Effect.exit(insert(id)), {
        concurrency: "unbounded"
      })
      yield* free.opened
      expect(isHeld).toBe(true)
      expect(exits.map((exit, n) => [n + 1, Exit.isSuccess(exit)])).toEqual([
        [1, true],
        [2, false],
        [3, true],
        [4, true]
      ])
      expect(yield* connection.client.unsafe("SELECT id FROM done ORDER BY id")).toEqual(
        [{ id: 1 }, { id: 3 }, { id: 4 }]
      )
    }))
})

describe("the user's own SQL", () => {
  const table = Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`CREATE TABLE IF NOT EXISTS orders (id TEXT UNIQUE, amount INTEGER)`
  )
  const add = (id: string, amount = 1) =>
    Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => sql`INSERT INTO orders (id, amount) VALUES (${id}, ${amount})`
    )
  const orders = Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql<{ id: string }>`SELECT id FROM orders ORDER BY id`,
      (rows) => rows.map(({ id }) => id)
    ))
  const greet = Workflow.make("greet", { input: Schema.String }, function*(ctx, name) {
    return yield* ctx.step("greet", () => `hello ${name}`)
  })
  const listed = Effect.map(
    Runs.list({}),
    ({ runs }) => runs.map(({ runId, status }) => [runId, status])
  )

  it.live("runs on the same client: tables, values of every kind, streams, nested transactions", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* table
      yield* sql`CREATE TABLE kinds (a, b, c, d, e)`
      const bytes = new Uint8Array([0, 1, 255])
      yield* sql`INSERT INTO kinds VALUES (${null}, ${1.5}, ${"ü\u0000'"}, ${bytes}, ${9007199254740991})`
      expect(yield* sql`SELECT * FROM kinds`).toEqual([
        { a: null, b: 1.5, c: "ü\u0000'", d: bytes, e: 9007199254740991 }
      ])
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* add("a")
        const inner = sql.withTransaction(Effect.andThen(add("b"), Effect.fail("no" as const)))
        expect(yield* Effect.flip(inner)).toBe("no")
        yield* sql.withTransaction(add("c"))
      }))
      expect(yield* orders).toEqual(["a", "c"])
      const streamed = yield* Stream.runCollect(
        sql<{ id: string }>`SELECT id FROM orders ORDER BY id`.stream
      )
      expect(Array.from(streamed).map(({ id }) => id)).toEqual(["a", "c"])
      const rolledBack = sql.withTransaction(Effect.andThen(add("z"), Effect.fail("no" as const)))
      expect(yield* Effect.flip(rolledBack)).toBe("no")
      const broken = yield* Effect.flip(add("a"))
      expect(broken).toMatchObject({ _tag: "SqlError", reason: { _tag: "UniqueViolation" } })
      expect(yield* orders).toEqual(["a", "c"])
      expect(yield* greet.execute("ada", { runId: "r" })).toBe("hello ada")
    }).pipe(Effect.provide(on(fresh()))))

  for (const outcome of ["commits", "rolls back"] as const) {
    it.live(`in an open transaction that ${outcome} is waited for by runs, and theirs is no part of it`, () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* table
        let isOver = false
        const gate = makeGate()
        const inside = makeGate()
        const transaction = sql.withTransaction(Effect.gen(function*() {
          yield* add("mine")
          inside.open()
          yield* gate.opened
          isOver = true
          if (outcome === "rolls back") return yield* Effect.fail("no" as const)
        }))
        const user = yield* Effect.forkChild(Effect.exit(transaction))
        yield* inside.opened
        const ids = Array.from({ length: 10 }, (_, n) => `r${n}`)
        const runs = yield* Effect.forkChild(
          Effect.forEach(
            ids,
            (runId) =>
              Effect.map(greet.execute(runId, { runId }), (result) => {
                expect(isOver).toBe(true)
                return result
              }),
            { concurrency: "unbounded" }
          )
        )
        // Turns of the event loop in which somebody who does not wait would be done.
        for (let turn = 0; turn < 50; turn++) yield* Effect.sleep(1)
        gate.open()
        yield* Fiber.join(user)
        expect(yield* Fiber.join(runs)).toEqual(ids.map((runId) => `hello ${runId}`))
        expect(yield* orders).toEqual(outcome === "commits" ? ["mine"] : [])
        expect(yield* listed).toEqual(ids.map((runId) => [runId, "success"]))
      }).pipe(Effect.provide(on(fresh()))))
  }

  for (
    const [how, name] of [
      ["beside", "that says BEGIN by itself does not lock up runs that write meanwhile"],
      [
        "within",
        "that drives a run within its own transaction is answered, and does not wait for itself"
      ]
    ] as const
  ) {
    it.live(name, () =>
      Effect.sync(() => {
        const { signal, status, stdout } = spawnSync(
          process.execPath,
          ["--conditions=reprise-source", support("sqlInside"), fresh(), how],
          { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" }
        )
        const lines = stdout.trim().split("\n")
        expect({ signal, status, last: lines.at(-1) }).toEqual({
          signal: null,
          status: 0,
          last: "hello"
        })
        expect(lines[0]).toMatch(/Success|Failure/)
      }))
  }

  for (const outcome of ["commits", "rolls back"] as const) {
    it.live(`in a transaction that ${outcome} decides over the runs that it starts and what it sends`, () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* table
        const ask = Workflow.make("ask", { events: { go: Schema.String } }, function*(ctx) {
          return yield* ctx.suspend("go")
        })
        yield* ask.start(undefined, { runId: "asking" })
        const transaction = sql.withTransaction(Effect.gen(function*() {
          yield* add("order")
          expect(yield* SqliteStorage.startIn(greet, "ada", { runId: "started" })).toBe("started")
          yield* SqliteStorage.inTransaction(
            ask.send("asking", { eventName: "go", value: "yes", eventId: "e" })
          )
          // Within the transaction it is there.
          expect(yield* SqliteStorage.inTransaction(Runs.status("started"))).toMatchObject({
            status: "pending"
          })
          if (outcome === "rolls back") return yield* Effect.fail("no" as const)
        }))
        const exit = yield* Effect.exit(transaction)
        expect(Exit.isSuccess(exit)).toBe(outcome === "commits")
        if (outcome === "rolls back") {
          expect(yield* orders).toEqual([])
          expect(yield* listed).toEqual([["asking", "suspended"]])
          expect(yield* Runs.due()).toEqual([])
          expect(yield* ask.resume("asking")).toMatchObject({ status: "suspended" })
        } else {
          expect(yield* orders).toEqual(["order"])
          expect(yield* listed).toEqual([["asking", "suspended"], ["started", "pending"]])
          expect((yield* Runs.due()).toSorted()).toEqual(["asking", "started"])
          expect(yield* ask.resume("asking")).toMatchObject({ status: "success", result: "yes" })
          expect(yield* greet.resume("started")).toMatchObject({ result: "hello ada" })
        }
      }).pipe(Effect.provide(on(fresh()))))
  }

  it.live("must have a transaction open for what is to be part of one", () =>
    Effect.gen(function*() {
      const refused = { _tag: "StorageError", reason: "Unsupported" }
      const start = SqliteStorage.startIn(greet, "ada", { runId: "r" })
      expect(yield* Effect.flip(start)).toMatchObject(refused)
      expect(yield* Effect.flip(SqliteStorage.inTransaction(greet.enqueue("ada")))).toMatchObject(
        refused
      )
      // One of another database is none.
      const sql = yield* SqlClient.SqlClient
      const elsewhere = sql.withTransaction(
        Effect.provide(
          SqliteStorage.startIn(greet, "ada", { runId: "r" }),
          Layer.fresh(on(fresh()))
        )
      )
      expect(yield* Effect.flip(elsewhere)).toMatchObject(refused)
      expect(
        yield* Effect.flip(sql.withTransaction(Effect.provide(start, Storage.layerMemory)))
      ).toMatchObject(refused)
      expect(yield* listed).toEqual([])
    }).pipe(Effect.provide(on(fresh()))))
})

describe("the index", () => {
  const names = ["a", "b", "c", "d", "é\u0001\\", "f'\""]
  const epoch = Hand.epoch

  /** Does the same to both drivers, and compares what they list and what is due after everything. */
  const history = (seed: number) =>
    Effect.gen(function*() {
      const chance = random(seed)
      const { driver } = yield* open(fresh(), { synchronous: "NORMAL" })
      const drivers = [driver, Storage.memoryDriver()]
      const trials = drivers.map(trialOf)
      const both = <A>(f: (trial: Trial, side: number) => Effect.Effect<A, unknown, any>) =>
        Effect.forEach(trials, f)
      let now = epoch
      let serial = 0
      const hands = new Map<string, ReadonlyArray<Hand.Hand>>()
      const tokens = new Map<string, ReadonlyArray<string>>()
      const log: Array<unknown> = []
      const entries = (): ReadonlyArray<Journal.Entry> => {
        const step = () => Entries.step(`s${++serial}`)
        const ending = chance.pick<ReadonlyArray<Journal.Entry>>([
          [],
          [],
          [],
          [Entries.waits],
          [Entries.sleeps(now + chance.below(40))],
          [Entries.waitsFor(chance.pick(names))],
          [Entries.intent],
          [Entries.completes],
          [Entries.fails],
          [Entries.ends],
          [Entries.stops],
          [Entries.continues(chance.pick(names))]
        ])
        return [...chance.oneIn(2) ? [step()] : [], ...ending]
      }
      const isOver = (id: string) =>
        ["complete", "error", "cancelled", "continue"].includes(
          hands.get(id)?.[0]?.place.entries.at(-1)?.type ?? ""
        )
      const at = (id: string, time: number) =>
        hands.get(id)?.forEach((hand) => {
          hand.time = time
        })
      const turn = Effect.gen(function*() {
        const id = chance.pick(names)
        const dice = chance.below(20)
        now += chance.below(10)
        at(id, now)
        if (dice < 9) {
          if (!hands.has(id)) {
            const some = entries()
            log.push(["begin", id, some])
            const workflow = chance.pick(["w", "v\\", "é"])
            hands.set(
              id,
              yield* both((trial) =>
                Hand.begin(trial, id, some, { runId: id, workflow, time: now })
              )
            )
          } else if (!isOver(id)) {
            const isNew = chance.oneIn(3)
            const some = [...isNew ? [{ type: "start" } as const] : [], ...entries()]
            log.push(["append", id, some])
            if (some.length > 0) {
              yield* Effect.forEach(hands.get(id)!, (hand) => hand.append(...some))
            }
          }
        } else if (dice < 12) {
          const eventId = chance.oneIn(3) ? "again" : `e${++serial}`
          log.push(["post", id, eventId])
          const incarnations = hands.get(id)?.map(({ incarnation }) => incarnation)
          const type = chance.pick(["event", "cancel"])
          yield* both(({ driver }, side) =>
            driver.post(id, {
              id: `${eventId}${type}`,
              eventId,
              line: Journal.sealText(JSON.stringify({
                type,
                eventId,
                ...type === "event" ? { eventName: "go" } : undefined,
                incarnation: incarnations?.[side] ?? "none",
                timestamp: new Date(now).toISOString()
              }))
            })
          )
        } else if (dice < 14) {
          const posted = yield* both(({ driver }) => driver.inbox(id, ""))
          const first = posted[0]!.text.split("\n")[0]!
          if (first !== "" && hands.has(id) && !isOver(id)) {
            const { eventId } = JSON.parse(first) as { eventId: string }
            log.push(["take", id, eventId])
            yield* Effect.forEach(
              hands.get(id)!,
              (hand) => hand.append({ type: "event", eventName: "go", eventId, value: 1 })
            )
          }
        } else if (dice < 16) {
          const until = now + chance.below(60)
          const claims = yield* both(({ driver }) => driver.acquire(id, now, until))
          log.push(["acquire", id, until, claims[0]!._tag])
          expect(claims[0]!._tag).toBe(claims[1]!._tag)
          const taken = claims.flatMap((claim) => claim._tag === "Acquired" ? [claim.token] : [])
          if (taken.length > 0) tokens.set(id, taken)
        } else if (dice < 18) {
          log.push(["release", id])
          const held = tokens.get(id)
          if (held !== undefined) {
            yield* both(({ driver }, side) => driver.release(id, held[side]!))
          }
        } else if (dice === 18) {
          log.push(["remove", id])
          yield* both(({ driver }) => driver.remove(id))
          hands.delete(id)
        }
        const query: Storage.Query = {
          status: chance.oneIn(2) ? undefined : chance.pick(
            [
              "pending",
              "running",
              "suspended",
              "blocked",
              "success",
              "failed",
              "cancelled",
              "stopped",
              "continued"
            ]
          ),
          workflow: chance.oneIn(3) ? chance.pick(["w", "v\\", "é"]) : undefined,
          updatedFrom: chance.oneIn(3) ? now - chance.below(60) : undefined,
          updatedBefore: chance.oneIn(3) ? now - chance.below(30) : undefined,
          limit: chance.oneIn(2) ? undefined : 1 + chance.below(4),
          after: chance.oneIn(3) ? chance.pick(names) : undefined
        }
        const [one, two] = yield* both(({ driver }) =>
          Effect.all({
            page: driver.list(query, now),
            all: driver.list({}, now),
            due: driver.due(now),
            later: driver.due(now + 30)
          })
        )
        const plain = (answer: typeof one) => {
          const { all, due, later, page } = answer!
          const bare = ({ runs, unreadable }: Storage.Page) => ({
            // What a row says of a run, without what differs from one store to the other by chance.
            runs: JSON.parse(JSON.stringify(runs)),
            unreadable
          })
          return {
            page: bare(page),
            all: bare(all),
            due: due.toSorted(),
            later: later.toSorted()
          }
        }
        const context = { seed, now, query, log: log.slice(-12) }
        expect({ context, ...plain(one) }).toEqual({ context, ...plain(two) })
        return one!.due.length + one!.all.runs.length
      })
      let seen = 0
      for (let n = 0; n < 80; n++) seen += yield* turn
      return seen
    })

  it.live(
    "lists and finds due what a storage without an index does, over random histories",
    () =>
      Effect.gen(function*() {
        let seen = 0
        for (let seed = 1; seed <= runs(25); seed++) {
          seen += yield* Effect.scoped(history(seed))
        }
        expect(seen).toBeGreaterThan(runs(25) * 80)
      }),
    60_000
  )
})

describe("the tables", () => {
  it.live("are made once, however often and by however many the file is opened", () =>
    Effect.gen(function*() {
      const filename = fresh()
      const opened = yield* Effect.all(Array.from({ length: 5 }, () => open(filename)), {
        concurrency: "unbounded"
      })
      yield* open(filename)
      for (const [n, { driver }] of opened.entries()) {
        yield* Hand.begin(trialOf(driver), `r${n}`)
      }
      const db = new DatabaseSync(filename)
      expect(counted(db, "SELECT count(*) n FROM reprise_migrations")).toEqual({ n: 1 })
      expect(counted(db, "SELECT count(*) n FROM reprise_runs")).toEqual({ n: 5 })
      db.close()
    }))

  it.live("are made once by five processes at the same time", () =>
    Effect.gen(function*() {
      const base = temporary()
      const filename = join(base, "new", "runs.db")
      const children = Array.from(
        { length: 5 },
        (_, n) => enter("sqlOpen", [filename, `r${n}`], join(base, "cache"))
      )
      for (const child of children) expect(yield* said(child)).toBe("ready")
      expect(existsSync(filename)).toBe(false)
      for (const child of children) child.stdin!.write("go\n")
      const answers = yield* Effect.forEach(children, said, { concurrency: "unbounded" })
      expect(answers).toEqual(children.map((_, n) => `hello r${n}`))
      const db = new DatabaseSync(filename)
      expect(counted(db, "SELECT count(*) n FROM reprise_migrations")).toEqual({ n: 1 })
      expect(counted(db, "SELECT count(*) n FROM reprise_runs")).toEqual({ n: 5 })
      db.close()
    }), 60_000)

  it.live("of a newer version are left as they are", () =>
    Effect.gen(function*() {
      const filename = fresh()
      yield* Effect.provide(makeSteps(() => {}).start(undefined, { runId: "r" }), on(filename))
      const db = new DatabaseSync(filename)
      onTestFinished(() => db.close())
      db.exec("INSERT INTO reprise_migrations (migration_id, name) VALUES (99, 'later')")
      db.exec("ALTER TABLE reprise_runs ADD COLUMN later TEXT")
      const schema = () =>
        db.prepare("SELECT type, name, sql FROM sqlite_master ORDER BY name").all()
      const before = schema()
      yield* Effect.exit(Effect.scoped(open(filename)))
      expect(schema()).toEqual(before)
      expect(counted(db, "SELECT count(*) n FROM reprise_migrations")).toEqual({ n: 2 })
    }))

  it.live("tell two lives of one run apart: who wrote for the first cannot write to the second", () =>
    Effect.gen(function*() {
      const { driver } = yield* open(fresh())
      const trial = trialOf(driver)
      const first = yield* Hand.begin(trial, "r", [Entries.step("a")])
      yield* driver.remove("r")
      // Byte for byte as long as the first.
      const second = yield* Hand.begin(trial, "r", [Entries.step("a")])
      expect(second.place.head.offset).toBe(first.place.head.offset)
      expect(second.place.at).not.toBe(first.place.at)
      expect(yield* first.attempt(Entries.step("b"))).toBe("Moved")
      expect(yield* Hand.linesOf(driver, "r")).toEqual(second.place.lines)
    }))
})

describe("10,000 parked runs", () => {
  const count = 10_000
  it.live(
    "cost at most 1 KB of disk each beyond their own lines, and no heap",
    () =>
      Effect.gen(function*() {
        const filename = fresh()
        const { status, stderr, stdout } = spawnSync(process.execPath, [
          "--expose-gc",
          "--conditions=reprise-source",
          support("sqlParked"),
          filename,
          String(count)
        ], { encoding: "utf8" })
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
        const { grown } = JSON.parse(stdout) as { grown: number }
        const db = new DatabaseSync(filename)
        onTestFinished(() => db.close())
        db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
        const pragma = (name: string) =>
          Number(Object.values(counted<Record<string, number>>(db, `PRAGMA ${name}`))[0])
        const bytes = pragma("page_count") * pragma("page_size")
        const { lines, parked } = counted<{ lines: number; parked: number }>(
          db,
          `SELECT sum(length(CAST(line AS BLOB))) AS lines,
          (SELECT count(*) FROM reprise_runs WHERE state = 'suspended') AS parked
          FROM reprise_entries`
        )
        expect(parked).toBe(count)
        const each = (bytes - lines) / count
        console.log(
          `${count} parked runs: ${Math.round(each)} bytes of disk each beyond ${
            Math.round(lines / count)
          } of lines, ${Math.round(grown / count)} bytes of heap each`
        )
        expect(each).toBeLessThanOrEqual(1_024)
        // A run that was kept would take kilobytes.
        expect(grown / count).toBeLessThan(300)
      }),
    120_000
  )
})
