/**
 * One short look at each thing that the storages promise, and what stands between them and the engine: whose
 * append counts, what commits together, what becomes of lost answers, and that nobody reads what is sealed.
 * As in `checks.ts`, every check takes the library as a parameter and throws when it sees a bug in it.
 *
 * Much of it is a case of the storage contract, run over the storage that the bug is in.
 */
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted, Result, Schema, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import assert from "node:assert/strict"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Reprise from "reprise"
import { afterAll } from "vitest"
import { createDatabaseOn } from "../../scripts/postgres.ts"
import type { Trial } from "../../src/testing/contract/Case.ts"
import * as Entries from "../../src/testing/contract/Entries.ts"
import * as Hand from "../../src/testing/contract/Hand.ts"
import { temporary } from "../storage/support/local.ts"
import { bucket, fakeOf } from "../storage/support/objects.ts"
import { credentials, type FakeS3, type Fault } from "../support/fakeS3.ts"
import { type Database, postgresUrl } from "../support/postgres.ts"
import { startProxy } from "../support/tcpProxy.ts"
import type * as Copies from "./copies.ts"

export interface Library extends Copies.Library, Pick<typeof Reprise, "JournalCodec"> {
  /** Only where the bug is in one of them. */
  readonly SqliteStorage: typeof import("reprise/sqlite")["SqliteStorage"]
  readonly PostgresStorage: typeof import("reprise/postgres")["PostgresStorage"]
  readonly ObjectStorage: typeof import("reprise/objects")["ObjectStorage"]
}

export type Check = (reprise: Library) => Effect.Effect<void, unknown>

type Driver = Reprise.Storage.Driver
type Entry = Reprise.Journal.Entry

const timestamp = "2026-01-02T03:04:05.678Z"
const { epoch } = Hand
const { start, step } = Entries

const trialOn = (driver: Driver, other: Driver = driver): Trial => {
  const prefix = Reprise.createRunId()
  let serial = 0
  return {
    driver,
    other,
    workflow: `w-${prefix}`,
    id: (name) => `${prefix}-${name}`,
    unique: () => `${prefix}.${++serial}`
  }
}

interface Opened {
  readonly driver: Driver
  readonly client: SqlClient.SqlClient
  readonly trial: Trial
}

type Open<A> = (reprise: Library) => Effect.Effect<A, unknown, Scope.Scope>

/** A check of what `open` gives. */
const over =
  <A>(open: Open<A>) =>
  (look: (opened: A, reprise: Library) => Effect.Effect<void, unknown, Scope.Scope>): Check =>
  (reprise) => Effect.scoped(Effect.flatMap(open(reprise), (opened) => look(opened, reprise)))

/** The cases of the contract that have these names. */
const casesOver = (open: Open<Opened>) => (...names: ReadonlyArray<string>): Check => (reprise) =>
  Effect.forEach(names, (name) => {
    const found = reprise.Testing.storageContract.find((one) => one.name === name)
    const store = Effect.map(open(reprise), ({ driver }) => driver)
    return found?.run(store) ?? Effect.die(new Error(`there is no case "${name}"`))
  }, { discard: true })

/** A failure, which must be one of the storage's own. */
const reasonOf = (effect: Effect.Effect<unknown, unknown, never>) =>
  Effect.match(effect, {
    onFailure: (error): unknown =>
      typeof error === "object" && error !== null && "reason" in error ? error.reason : error,
    onSuccess: () => "none"
  })

// ---------------------------------------------------------------------------------------------------
// SQLite

interface OnSqlite extends Opened {
  readonly filename: string
  /** Another connection, as another process has it. */
  readonly other: DatabaseSync
}

const sqlite: Open<OnSqlite> = ({ SqliteStorage }) =>
  Effect.gen(function*() {
    const filename = join(temporary(), "runs.db")
    const { client, driver } = yield* SqliteStorage.make({ filename })
    const other = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(filename, { timeout: 0 })),
      (db) => Effect.sync(() => db.close())
    )
    return { client, driver, filename, other, trial: trialOn(driver) }
  })

const onSqlite = over(sqlite)
const sqliteCases = casesOver(sqlite)

/** Of those who append at one state, or at none, one is told that it did. */
export const rowsMove = sqliteCases(
  "an append at a state that has passed gets Moved",
  "an append at no state gets Moved when there is a run",
  "an overtaken owner cannot end the run"
)

/** Who wrote for a run that was removed writes nothing into the next one, nor beside it. */
const formerNames = [
  "a writer of a removed run gets Moved and does not bring it back",
  "a writer of the run before gets Moved after the new one has grown"
]
export const formerLives = sqliteCases(...formerNames)

/** The state of one run is none of another's. */
export const otherRuns = sqliteCases("an append at the state of another run gets Moved")

/** What is listed tells of every step, though not each writes the row. */
export const countedSteps = sqliteCases(
  "every step is in what is listed, whether it came alone, with others, or failed"
)

/** A run is found by the time of its last entry. */
export const countedTimes = sqliteCases("times are those of the last entry")

/** Whoever drove a run to its end holds it no longer. */
export const leasesOfEnded = sqliteCases(
  "a lease that is released behind the end of its run is free"
)

/** Two journals of one run id never are at one state, however alike they are. */
export const statesDiffer = onSqlite(({ driver, trial }) =>
  Effect.gen(function*() {
    const runId = trial.id("r")
    const rowOf = (incarnation: string, prev: string) => () => {
      const head = { ...Reprise.Journal.emptyHead, incarnation, session: 1, offset: 1, prev }
      const row = Reprise.Storage.rowOf({ runId, entries: [], head, rejected: 0, torn: 0 })
      return { ...row, status: { ...row.status, updatedAt: timestamp } }
    }
    const writer = yield* driver.writer(runId)
    const first = yield* writer.append("", ["{}"], rowOf("one", "00000000"))
    for (const [incarnation, prev] of [["two", "00000000"], ["one", "11111111"]] as const) {
      yield* driver.remove(runId)
      assert.notEqual(yield* writer.append("", ["{}"], rowOf(incarnation, prev)), first)
    }
  })
)

/** A commit is on the disk when it returns, unless something else was chosen. */
export const syncedFully = onSqlite(({ client }, { SqliteStorage }) =>
  Effect.gen(function*() {
    const filename = join(temporary(), "runs.db")
    const asked = yield* SqliteStorage.make({ filename, synchronous: "FULL" })
    for (const one of [client, asked.client]) {
      const [found] = yield* one.unsafe<{ synchronous: number }>("PRAGMA synchronous")
      assert.equal(found?.synchronous, 2)
    }
  })
)

/** Another process that writes is waited for. */
export const waitsForOthers = onSqlite(({ other, trial }) =>
  Effect.gen(function*() {
    const hand = yield* Hand.begin(trial, "r")
    other.exec("BEGIN IMMEDIATE")
    const pending = yield* Effect.forkChild(hand.attempt(step("a")), { startImmediately: true })
    yield* Effect.sleep(5)
    other.exec("COMMIT")
    assert.equal(yield* Fiber.join(pending), "appended")
  })
)

/** Nobody else writes behind what a transaction of the user's has read. */
export const readsFirst = onSqlite(({ client, other }) =>
  Effect.gen(function*() {
    yield* client.unsafe("CREATE TABLE mine (id INTEGER)")
    yield* client.withTransaction(Effect.gen(function*() {
      yield* client.unsafe("SELECT * FROM mine")
      assert.throws(() => other.exec("INSERT INTO mine VALUES (1)"), /locked/)
      yield* client.unsafe("INSERT INTO mine VALUES (2)")
    }))
  })
)

/** What was acknowledged is committed: another process sees it. */
export const seenAtOnce = onSqlite(({ other, trial }) =>
  Effect.gen(function*() {
    const seen = (runId: string) => {
      const found = other.prepare(
        `SELECT key, count(*) AS entries FROM reprise_runs
          JOIN reprise_entries ON id >> 32 = key WHERE run_id = ?`
      ).get(runId)
      return `${found?.key as number}:${found?.entries as number}:${runId}`
    }
    const hands = []
    for (const name of ["a", "b", "c"]) {
      const hand = yield* Hand.begin(trial, name)
      assert.equal(seen(hand.runId), hand.place.at)
      hands.push(hand)
    }
    yield* Effect.forEach(hands, (hand) =>
      Effect.map(hand.append(step("s")), () => {
        assert.equal(seen(hand.runId), hand.place.at)
      }), { concurrency: "unbounded" })
  })
)

/** One append that cannot be written takes none of the others with it. */
export const othersStay = onSqlite(({ client, driver, trial }) =>
  Effect.gen(function*() {
    yield* client.unsafe(`CREATE TRIGGER poison BEFORE INSERT ON reprise_entries
      WHEN NEW.line LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'not this one'); END`)
    const hands = yield* Effect.forEach(["a", "b", "c"], (name) => Hand.begin(trial, name))
    const results = yield* Effect.forEach(
      hands,
      (hand, n) => Effect.result(hand.append(step(n === 1 ? "poison" : "fine"))),
      { concurrency: "unbounded" }
    )
    assert.deepEqual(results.map(Result.isSuccess), [true, false, true])
    for (const hand of hands) {
      assert.deepEqual(yield* Hand.linesOf(driver, hand.runId), hand.place.lines)
    }
  })
)

/** What is written together is written in the order in which it was asked for. */
export const inOrder = onSqlite(({ driver, trial }) =>
  Effect.gen(function*() {
    // With two who may write, nobody writes alone.
    yield* Hand.begin(trial, "a")
    const { runId } = yield* Hand.begin(trial, "b")
    const posts = ["5", "3", "9", "1"].map((id) => Entries.posting(Entries.event("i", id)))
    yield* Effect.forEach(posts, (post) => driver.post(runId, post), { concurrency: "unbounded" })
    const lines = Entries.posted(yield* driver.inbox(runId, ""))
    assert.deepEqual(lines, posts.map(({ line }) => line))
  })
)

/** A post that an entry has taken makes nobody look at the run again. */
export const takenPosts = onSqlite(({ client, trial }) =>
  Effect.gen(function*() {
    const hand = yield* Hand.begin(trial, "r", [Entries.waits])
    yield* Entries.post(trial, hand, Entries.event(hand.incarnation, "e"))
    yield* hand.append(Entries.takes("e"), Entries.completes)
    const fresh = yield* client.unsafe("SELECT run_id FROM reprise_inbox WHERE taken = 0")
    assert.deepEqual(fresh, [])
  })
)

/** An append waits for a transaction that the user has open. */
export const besideUser = onSqlite(({ client, trial }) =>
  Effect.gen(function*() {
    const hand = yield* Hand.begin(trial, "r")
    const inside = yield* Deferred.make<void>()
    const free = yield* Deferred.make<void>()
    const user = yield* Effect.forkChild(
      client.withTransaction(
        Effect.andThen(Deferred.succeed(inside, undefined), Deferred.await(free))
      )
    )
    yield* Deferred.await(inside)
    const pending = yield* Effect.forkChild(hand.attempt(step("a")), { startImmediately: true })
    // Turns in which one who does not wait is done.
    for (let turn = 0; turn < 5; turn++) yield* Effect.sleep(1)
    yield* Deferred.succeed(free, undefined)
    yield* Fiber.join(user)
    assert.equal(yield* Fiber.join(pending), "appended")
  })
)

/** Inserts `id` into a table of the user's. */
const inserted = (client: SqlClient.SqlClient, id: string) =>
  client`INSERT INTO mine (id) VALUES (${id})`

/** What a step did to the database is undone when its entry cannot be appended. */
export const bothOrNeither = onSqlite(({ client, trial }) =>
  Effect.gen(function*() {
    yield* client.unsafe("CREATE TABLE mine (id TEXT)")
    const hand = yield* Hand.begin(trial, "r")
    const { at } = hand.place
    const { lines, row } = hand.seal(step("pay"))
    yield* hand.append(step("a"))
    const transaction = hand.writer.transaction!(
      inserted(client, "x"),
      () => Effect.succeed({ at, lines, row })
    )
    const error = yield* Effect.flip(
      Effect.provideService(transaction, SqlClient.SqlClient, client)
    )
    assert.equal(error._tag, "Moved")
    assert.deepEqual(yield* client.unsafe("SELECT id FROM mine"), [])
  })
)

/** A step whose SQL runs on another database than the journal's is refused. */
export const ownClient = onSqlite(({ trial }, reprise) =>
  Effect.gen(function*() {
    const { client } = yield* sqlite(reprise)
    yield* client.unsafe("CREATE TABLE mine (id TEXT)")
    const hand = yield* Hand.begin(trial, "r")
    const transaction = hand.writer.transaction!(
      inserted(client, "x"),
      () => Effect.succeed({ at: hand.place.at, ...hand.seal(step("pay")) })
    )
    const reason = yield* reasonOf(
      Effect.provideService(transaction, SqlClient.SqlClient, client)
    )
    assert.equal(reason, "Unsupported")
    assert.deepEqual(yield* client.unsafe("SELECT id FROM mine"), [])
  })
)

/** What is to be part of a transaction is refused where none is open. */
export const outsideRefused = onSqlite(({ client, driver }, { SqliteStorage, Storage, Workflow }) =>
  Effect.gen(function*() {
    const workflow = Workflow.make("order", function*(ctx) {
      return yield* ctx.step("a", () => 1)
    })
    const started = SqliteStorage.startIn(workflow, undefined, { runId: "r" }).pipe(
      Effect.provideService(Storage.Storage, Storage.make(driver)),
      Effect.provideService(SqlClient.SqlClient, client)
    )
    assert.equal(yield* reasonOf(started), "Unsupported")
    assert.equal(yield* driver.version("r"), "")
  })
)

/** Names come back from the index as they were given, and none is taken for another. */
export const namesKept = onSqlite(({ driver, trial }) =>
  Effect.gen(function*() {
    const names = ["\ud800", "\udfff", "n\0l", "a\\u0041", "aA"]
    for (const [n, workflow] of names.entries()) {
      const { runId } = yield* Hand.begin(trial, `r${n}`, [], { workflow })
      const { runs } = yield* driver.list({ workflow }, epoch)
      assert.deepEqual(runs.map((run) => [run.runId, run.workflow]), [[runId, workflow]])
    }
  })
)

/** A run that somebody drives is `running`, whether it is listed or asked for. */
export const drivenRuns = onSqlite(({ driver, trial }) =>
  Effect.gen(function*() {
    const { runId } = yield* Hand.begin(trial, "r", [step("a")])
    yield* driver.acquire(runId, epoch, epoch + 1_000)
    for (const query of [{}, { status: "running" }] as const) {
      const { runs } = yield* driver.list(query, epoch)
      assert.deepEqual(runs.map(({ status }) => status), ["running"])
    }
    assert.deepEqual((yield* driver.list({ status: "pending" }, epoch)).runs, [])
  })
)

const leaseNames = [
  "the token of a lease that went to another renews nothing",
  "the token of a lease that went to another releases nothing"
]

/** A lease is renewed and released by its holder only. */
export const leasesInSqlite = sqliteCases(...leaseNames)

/** A post that is sent again harms nobody, and goes when its run is removed. */
export const postsInSqlite = sqliteCases(
  "a post that is sent again is there once or twice, and takes nothing away",
  "a removal takes the inbox along"
)

// ---------------------------------------------------------------------------------------------------
// Postgres

let database: Promise<Database> | undefined
afterAll(async () => {
  await (await database)?.drop()
})

/** Of the one database that all checks share. */
const databaseUrl = Effect.promise(async () =>
  (await (database ??= postgresUrl().then(createDatabaseOn))).url
)

const postgresOn = ({ PostgresStorage }: Library, url: string) =>
  Effect.gen(function*() {
    const pool = yield* Layer.build(
      PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })
    )
    return yield* Effect.gen(function*() {
      yield* PostgresStorage.migrate()
      const driver = yield* PostgresStorage.make()
      const client = yield* SqlClient.SqlClient
      return { client, driver, trial: trialOn(driver) }
    }).pipe(Effect.provideContext(pool))
  })

const postgres: Open<Opened> = (reprise) =>
  Effect.flatMap(databaseUrl, (url) => postgresOn(reprise, url))
const onPostgres = over(postgres)
const postgresCases = casesOver(postgres)

/** As `rowsMove`. */
export const rowsMoveInPostgres = postgresCases(
  "an append at a state that has passed gets Moved",
  "an append at no state gets Moved when there is a run",
  "an overtaken owner cannot end the run"
)

/** As `formerLives`. */
export const formerLivesInPostgres = postgresCases(...formerNames)

/** As `leasesInSqlite`. */
export const leasesInPostgres = postgresCases(...leaseNames)

/** A commit whose answer is lost counts when it was done, and only then. */
export const lostCommits: Check = (reprise) =>
  Effect.scoped(Effect.gen(function*() {
    const url = yield* databaseUrl
    const proxy = yield* Effect.acquireRelease(
      Effect.promise(() => startProxy(url)),
      (proxy) => Effect.promise(proxy.close)
    )
    const { client, driver, trial } = yield* postgresOn(reprise, proxy.url)
    yield* client.unsafe("CREATE TABLE IF NOT EXISTS mine (id text)")
    const hand = yield* Hand.begin(trial, "r")
    const { at } = hand.place
    const pay = Effect.suspend(() => {
      const { lines, row } = hand.seal(step("pay"))
      return hand.writer.transaction!(
        inserted(client, hand.runId),
        () => Effect.succeed({ at, lines, row })
      )
    }).pipe(Effect.provideService(SqlClient.SqlClient, client))
    const paid = Effect.map(
      client`SELECT id FROM mine WHERE id = ${hand.runId}`,
      (rows) => rows.length
    )
    proxy.loseRequest(/^COMMIT/i)
    assert.equal(yield* reasonOf(pay), "Unavailable")
    assert.equal(proxy.counts.lost.length, 1)
    assert.equal(yield* paid, 0)
    assert.equal(yield* driver.version(hand.runId), at)
    proxy.loseAnswer(/^COMMIT/i)
    const version = yield* pay
    assert.equal(proxy.counts.lost.length, 2)
    assert.equal(yield* paid, 1)
    assert.equal(yield* driver.version(hand.runId), version)
  }))

/** Two appends of one run that are asked for at once leave its row where its lines end. */
export const onceInBatch = onPostgres(({ driver, trial }) =>
  Effect.gen(function*() {
    const others = yield* Effect.forEach(["a", "b"], (name) => Hand.begin(trial, name))
    const hand = yield* Hand.begin(trial, "r")
    const [key] = hand.place.at.split(":")
    const stateOf = ({ offset }: Reprise.Journal.Head) => `${key}:${offset}:${hand.runId}`
    assert.equal(hand.place.at, stateOf(hand.place.head))
    const one = hand.seal(step("one"))
    const first = hand.put(one, hand.place.at)
    hand.place = { ...hand.place, at: stateOf(one.head), head: one.head, entries: one.entries }
    const two = hand.seal(step("two"))
    const second = hand.put(two, hand.place.at)
    // While both statements that may be under way are, the two wait together.
    const [, , ...answers] = yield* Effect.all(
      [...others.map((other) => other.attempt(step("s"))), first, second],
      { concurrency: "unbounded" }
    )
    const last = answers[1] === "appended" ? two : one
    assert.equal(answers[0], "appended")
    const read = yield* driver.read(hand.runId)
    assert.equal(read.version, stateOf(last.head))
    assert.equal(read.text.split("\n").length - 1, last.entries.length)
  })
)

/** Of two posts that want one place the second takes the next. */
export const postsInTurn = onPostgres(({ client, driver, trial }) =>
  Effect.gen(function*() {
    const { runId } = yield* Hand.begin(trial, "r")
    const posts = ["a", "b"].map((id) => Entries.posting(Entries.event("i", id)))
    const inside = yield* Deferred.make<void>()
    const free = yield* Deferred.make<void>()
    const first = yield* Effect.forkChild(client.withTransaction(Effect.gen(function*() {
      yield* driver.inTransaction!.post(runId, posts[0]!)
      yield* Deferred.succeed(inside, undefined)
      yield* Deferred.await(free)
    })))
    yield* Deferred.await(inside)
    const second = yield* Effect.forkChild(driver.post(runId, posts[1]!))
    const isWaiting = Effect.map(
      client.unsafe(`SELECT 1 AS one FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`),
      (rows) => rows.length > 0
    )
    while (!(yield* isWaiting)) yield* Effect.sleep(1)
    yield* Deferred.succeed(free, undefined)
    yield* Fiber.join(first)
    yield* Fiber.join(second)
    const lines = Entries.posted(yield* driver.inbox(runId, ""))
    assert.deepEqual(lines, posts.map(({ line }) => line))
  })
)

// ---------------------------------------------------------------------------------------------------
// objects

const objectsOn = ({ ObjectStorage }: Library, fake: FakeS3, segmentBytes: number) =>
  Effect.flatMap(
    ObjectStorage.s3({
      endpoint: "http://s3.test",
      bucket,
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: Redacted.make(credentials.secretAccessKey),
      fetch: fake.fetch,
      segmentBytes
    }),
    (store) => ObjectStorage.make(store, { prefix: "" })
  )

/** One store as two processes see it. */
const objects = (segmentBytes: number) => (reprise: Library) =>
  Effect.gen(function*() {
    const fake = fakeOf()
    const driver = yield* objectsOn(reprise, fake, segmentBytes)
    const other = yield* objectsOn(reprise, fake, segmentBytes)
    const trial: Trial = { ...trialOn(driver, other), id: (name) => name }
    return { driver, fake, other, trial }
  })

/** The steps in a journal, by their ids, and `start`s. */
const storyOf = (driver: Driver, runId: string) =>
  Effect.map(
    driver.read(runId),
    ({ text }) =>
      Result.getOrThrow(Reprise.Journal.read(runId, text)).entries.map((entry) =>
        entry.type === "step" ? entry.stepId : entry.type
      )
  )

const large = step("large", "x".repeat(400))

/** An owner that was overtaken gets nothing in, behind an open segment or a sealed one. */
export const zombies: Check = (reprise) =>
  Effect.forEach(
    [100_000, 300],
    (segmentBytes) =>
      over(objects(segmentBytes))(({ driver, trial }) =>
        Effect.gen(function*() {
          const zombie = yield* Hand.begin(trial, "r", [large])
          const owner = yield* Hand.rival(trial, zombie)
          yield* owner.append(start)
          assert.equal(yield* zombie.attempt(step("zombie")), "Moved")
          yield* owner.append(step("mine"))
          assert.equal(yield* zombie.attempt(step("zombie")), "Moved")
          assert.deepEqual(yield* storyOf(driver, "r"), ["start", "large", "start", "mine"])
        })
      )(reprise),
    { discard: true }
  )

/** A sealed segment is never written again, and read on behind. */
export const sealsHold = over(objects(300))(({ fake, other, trial }) =>
  Effect.gen(function*() {
    const hand = yield* Hand.begin(trial, "r", [large])
    const sealed = fake.object(bucket, "runs/r")!.etag
    for (const name of ["a", "b", "c"]) yield* hand.append(step(name))
    assert.equal(fake.object(bucket, "runs/r")!.etag, sealed)
    assert.deepEqual(yield* storyOf(other, "r"), ["start", "large", "a", "b", "c"])
  })
)

/** The owner of a removed run leaves nothing there that belongs to nobody. */
export const removedStay: Check = (reprise) =>
  Effect.forEach(
    [100_000, 0],
    (segmentBytes) =>
      over(objects(segmentBytes))(({ fake, other, trial }) =>
        Effect.gen(function*() {
          const owner = yield* Hand.begin(trial, "r", [step("a")])
          yield* other.remove("r")
          assert.equal(yield* owner.attempt(step("zombie")), "Moved")
          assert.deepEqual(fake.keys(bucket), [])
        })
      )(reprise),
    { discard: true }
  )

/** A store that does not look at conditions is refused. */
export const storesTried: Check = (reprise) =>
  Effect.forEach(
    [{ ifMatch: "ignored" }, { ifNoneMatch: "ignored" }, { ifMatchOnMissing: "writes" }] as const,
    (quirks) =>
      Effect.gen(function*() {
        const opened = objectsOn(reprise, fakeOf({ quirks }), 0)
        assert.equal(yield* reasonOf(opened), "Unsupported")
      }),
    { discard: true }
  )

/** A pack that an earlier run of the same id left is not read. */
export const packsBelong = over(objects(0))(({ driver, fake, other, trial }) =>
  Effect.gen(function*() {
    const old = yield* Hand.begin(trial, "r")
    for (let n = 0; n < 65; n++) yield* old.append(step("old"))
    yield* driver.read("r")
    const pack = fake.object(bucket, "packs/r/pack")
    assert.ok(pack !== undefined)
    yield* driver.remove("r")
    const fresh = yield* Hand.begin(trial, "r")
    yield* fresh.append(step("new"))
    fake.tamper(bucket, "packs/r/pack", pack.body)
    assert.deepEqual(yield* storyOf(other, "r"), ["start", "new"])
  })
)

/** What a write is answered is no word on who owns the run: it goes on after each of these. */
export const answersSettled: Check = (reprise) => {
  const faults: ReadonlyArray<Fault> = [
    "409",
    "412 after own write",
    "error under 200",
    "500 after"
  ]
  return Effect.forEach(
    faults,
    (fault) =>
      over(objects(0))(({ driver, fake }) =>
        Effect.gen(function*() {
          const claim = (nth: number) => {
            let writes = 0
            fake.setFaults(({ op }) => op === "put" && ++writes === nth ? fault : undefined)
          }
          const storage = Reprise.Storage.make(driver)
          const writer = yield* storage.writer(yield* storage.read("r"))
          const by = { incarnation: "i", session: 1, writer: "w" }
          const stamped = (entry: Entry) => [Reprise.Journal.stamped(entry, timestamp)]
          assert.equal(yield* writer.append(by, stamped(start)), true)
          claim(1)
          assert.equal(yield* writer.append(by, stamped(step("a"))), true)
          claim(1)
          assert.equal((yield* driver.acquire("r", epoch, epoch + 1))._tag, "Acquired")
          assert.deepEqual(yield* storyOf(driver, "r"), ["start", "a"])
        })
      )(reprise),
    { discard: true, concurrency: "unbounded" }
  )
}

// ---------------------------------------------------------------------------------------------------
// between the engine and a storage: in memory

const by = { incarnation: "i", session: 1, writer: "w" }
const stamped = ({ Journal }: Library, ...entries: ReadonlyArray<Entry>) =>
  entries.map((entry) => Journal.stamped(entry, timestamp))

/** A storage in memory whose transactions end as `fate` says. */
const transactional = ({ Storage }: Library, fate: () => "commits" | "rolls back") => {
  const driver = Storage.memoryDriver()
  const rows: Array<Reprise.Storage.Row> = []
  const open = { now: 0, most: 0 }
  const transactions: Driver = {
    ...driver,
    writer: (runId) =>
      Effect.map(driver.writer(runId), (writer): Reprise.Storage.DriverWriter => {
        const append: typeof writer.append = (at, lines, row) => {
          rows.push(row())
          return writer.append(at, lines, row)
        }
        return {
          append,
          transaction: (work, toAppend) =>
            Effect.gen(function*() {
              open.most = Math.max(open.most, ++open.now)
              const { at, lines, row } = yield* toAppend(yield* work)
              if (fate() === "commits") return yield* append(at, lines, row)
              return yield* new Storage.StorageError({
                reason: "Unavailable",
                doing: "commit",
                cause: new Error("rolled back")
              })
            }).pipe(Effect.ensuring(Effect.sync(() => {
              open.now--
            })))
        }
      })
  }
  return { open, rows, storage: Storage.make(transactions) }
}

/** For work that asks the database nothing. */
const noClient = Effect.provideService(SqlClient.SqlClient, undefined as never)

/** What a transaction did counts when it is committed; rolled back for others, it is done again. */
export const committedOnly: Check = (reprise) =>
  Effect.gen(function*() {
    const { Runs, Storage, Workflow } = reprise
    let tries = 0
    const told = yield* Deferred.make<never, Error>()
    const { storage } = transactional(reprise, () => tries < 2 ? "rolls back" : "commits")
    const workflow = Workflow.make("pays", function*(ctx) {
      const paid = yield* ctx.transaction("pay", Effect.sync(() => ++tries))
      yield* ctx.step("tell", () => {
        if (paid < 2) Deferred.doneUnsafe(told, Exit.fail(new Error("it was rolled back")))
        return paid
      })
      return paid
    })
    yield* Effect.gen(function*() {
      const run = noClient(workflow.execute(undefined, { runId: "r" }))
      // What waits for a transaction that is fed already would wait for ever.
      assert.equal(yield* Effect.raceFirst(run, Deferred.await(told)), 2)
      const { entries } = yield* Runs.journal("r")
      assert.deepEqual(
        entries.map((entry) => entry.type === "step" ? [entry.stepId, entry.result] : entry.type),
        ["start", ["pay", 2], ["tell", 2], "complete"]
      )
    }).pipe(Effect.provideService(Storage.Storage, storage))
  })

/** Of one run one transaction is open at a time. */
export const oneAtATime: Check = (reprise) =>
  Effect.gen(function*() {
    const { Storage, Workflow } = reprise
    const { open, storage } = transactional(reprise, () => "commits")
    const workflow = Workflow.make("pays", function*(ctx) {
      return yield* ctx.all(
        ["a", "b", "c"].map((name) => ctx.transaction(name, Effect.as(Effect.sleep(1), name)))
      )
    })
    const done = yield* Effect.provideService(
      noClient(workflow.execute()),
      Storage.Storage,
      storage
    )
    assert.deepEqual(done, ["a", "b", "c"])
    assert.equal(open.most, 1)
  })

/** The index is told of everything that the journal says, whatever came in a transaction. */
export const rowsFollow: Check = (reprise) =>
  Effect.scoped(Effect.gen(function*() {
    const { rows, storage } = transactional(reprise, () => "commits")
    const writer = yield* storage.writer(yield* storage.read("r"))
    const opening: Entry = { type: "start", format: 1, workflow: "w", runId: "r" }
    yield* writer.append(by, stamped(reprise, opening))
    const isMine = yield* writer.transaction!(
      Effect.suspend(() => writer.append(by, stamped(reprise, step("beside")))),
      by,
      () => Effect.succeed(stamped(reprise, step("paid"))[0]!)
    )
    assert.equal(isMine, true)
    yield* writer.append(by, stamped(reprise, step("last")))
    const { journal } = yield* storage.read("r")
    assert.deepEqual(
      journal.entries.map((entry) => entry.type === "step" ? entry.stepId : entry.type),
      ["start", "beside", "paid", "last"]
    )
    assert.deepEqual(rows.at(-1)!.status, reprise.Storage.rowOf(journal).status)
  }))

/** An append whose answer was lost counts when it was done; one that another owner forestalled does not. */
export const lostAppends: Check = (reprise) =>
  Effect.scoped(Effect.gen(function*() {
    const { Storage } = reprise
    const disk = Storage.memoryDriver()
    let appends = 0
    const storage = Storage.make({
      ...disk,
      writer: (runId) =>
        Effect.map(disk.writer(runId), (writer) => ({
          append: (at, lines, row) =>
            Effect.flatMap(writer.append(at, lines, row), (now) =>
              ++appends === 2
                ? Effect.fail(
                  new Storage.StorageError({
                    reason: "Unavailable",
                    doing: "append",
                    cause: new Error("the answer was lost")
                  })
                )
                : Effect.succeed(now))
        }))
    })
    const writer = yield* storage.writer(yield* storage.read("r"))
    assert.equal(yield* writer.append(by, stamped(reprise, start)), true)
    assert.equal(yield* writer.append(by, stamped(reprise, step("lost"))), true)
    const others = Storage.make(disk)
    const other = yield* others.writer(yield* others.read("r"))
    const next = { ...by, session: 2, writer: "other" }
    assert.equal(yield* other.append(next, stamped(reprise, start)), true)
    assert.equal(yield* writer.append(by, stamped(reprise, step("late"))), false)
  }))

const key = (id: string, secret = id) => ({
  id,
  secret: Redacted.make(`${secret} `.padEnd(40, "s"))
})

/** A value opens where it was sealed and with its key; nothing else comes of it elsewhere. */
export const valuesBound: Check = ({ JournalCodec }) =>
  Effect.gen(function*() {
    const codec = yield* JournalCodec.make({ keys: [key("k1")] })
    const sealed = yield* codec.seal(`{"a":1}`, "r i 1 result")
    assert.equal(yield* codec.open(sealed, "r i 1 result"), `{"a":1}`)
    assert.equal(yield* reasonOf(codec.open(sealed, "r i 2 result")), "Denied")
    for (const other of [key("k2"), key("k1", "another")]) {
      const without = yield* JournalCodec.make({ keys: [other] })
      assert.equal(yield* reasonOf(without.open(sealed, "r i 1 result")), "Denied")
    }
  })

/** Every value of every run has a place of its own. */
export const placesDiffer: Check = (reprise) =>
  Effect.gen(function*() {
    const { Runs, Storage, Workflow } = reprise
    const places: Array<string> = []
    const codec: Reprise.Storage.ValueCodec = {
      seal: (text, at) => {
        places.push(at)
        return Effect.succeed({ as: "same", text })
      },
      open: ({ text }) => Effect.succeed(text)
    }
    const workflow = Workflow.make("w", { input: Schema.String }, function*(ctx, input) {
      yield* ctx.step("a", () => input)
      yield* ctx.step("b", () => input)
      return input
    })
    yield* Effect.gen(function*() {
      for (const runId of ["r", "s"]) yield* workflow.start("x", { runId })
      yield* Runs.remove("r")
      yield* workflow.start("x", { runId: "r" })
    }).pipe(
      Effect.provideService(Storage.Storage, Storage.make(Storage.memoryDriver(), codec))
    )
    assert.equal(places.length, 12)
    assert.equal(new Set(places).size, 12)
    const fields = places.map((place) => place.slice(place.lastIndexOf(" ") + 1))
    assert.deepEqual([...new Set(fields)], ["metadata", "result"])
  })

const wide = "x".repeat(70_000)

/** A large value beside the journal, and a storage in memory that has been damaged or watched. */
const blobsOf = ({ Storage }: Library) => {
  const driver = Storage.memoryDriver()
  const kept = new Map<string, string>()
  /** Large values that an append named before they were kept. */
  const early: Array<string> = []
  const watched: Driver = {
    ...driver,
    writer: (runId) =>
      Effect.map(driver.writer(runId), (writer) => ({
        append: (at, lines, row) => {
          for (const [, hash = ""] of lines.join().matchAll(/"blob":"([0-9a-f]+)"/g)) {
            if (!kept.has(hash)) early.push(hash)
          }
          return writer.append(at, lines, row)
        }
      })),
    blobs: {
      put: (_, hash, text) =>
        Effect.andThen(Effect.yieldNow, Effect.sync(() => void kept.set(hash, text))),
      get: (_, hash) => Effect.sync(() => kept.get(hash))
    }
  }
  return { early, kept, storage: Storage.make(watched) }
}

const wideOf = ({ Workflow }: Library) =>
  Workflow.make("wide", function*(ctx) {
    yield* ctx.step("a", () => wide)
  })

/** A large value is kept before the entry that names it. */
export const blobsFirst: Check = (reprise) =>
  Effect.gen(function*() {
    const { early, kept, storage } = blobsOf(reprise)
    yield* Effect.provideService(
      wideOf(reprise).start(undefined, { runId: "r" }),
      reprise.Storage.Storage,
      storage
    )
    assert.deepEqual(early, [])
    assert.equal(kept.size, 1)
  })

/** A large value that was changed is not believed. */
export const blobsCompared: Check = (reprise) =>
  Effect.gen(function*() {
    const { kept, storage } = blobsOf(reprise)
    yield* Effect.provideService(
      wideOf(reprise).start(undefined, { runId: "r" }),
      reprise.Storage.Storage,
      storage
    )
    for (const hash of kept.keys()) kept.set(hash, `"forged"`)
    assert.equal(yield* reasonOf(storage.read("r")), "Unknown")
  })

/** What is marked as secret is hidden wherever it stands. */
export const secretsHidden: Check = ({ JournalCodec }) =>
  Effect.sync(() => {
    const card = { $secret: "4111" }
    assert.deepEqual(
      JournalCodec.hide({ a: card, b: [1, { c: card }], d: [[card]] }),
      { a: "<redacted>", b: [1, { c: "<redacted>" }], d: [["<redacted>"]] }
    )
  })

/** A copy that is not all there is no copy. */
export const copiesCompared: Check = (reprise) =>
  Effect.gen(function*() {
    const { Runs, Storage, Workflow } = reprise
    const workflow = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      return yield* ctx.suspend("go")
    })
    const short = Storage.memoryDriver()
    const deaf = Storage.memoryDriver()
    const worse: ReadonlyArray<Driver> = [
      {
        ...short,
        writer: (runId) =>
          Effect.map(short.writer(runId), (writer) => ({
            append: (at, lines, row) => writer.append(at, lines.slice(0, -1), row)
          }))
      },
      { ...deaf, post: () => Effect.void }
    ]
    yield* Effect.gen(function*() {
      yield* workflow.start(undefined, { runId: "r" })
      yield* workflow.send("r", { eventName: "go", value: "x" })
      for (const driver of worse) {
        const error = yield* Effect.flip(Runs.copy("r", Storage.make(driver)))
        assert.equal(error._tag, "CopyRejected")
      }
      const whole = Storage.make(Storage.memoryDriver())
      assert.equal((yield* Runs.copy("r", whole)).posts, 1)
    }).pipe(Effect.provideService(Storage.Storage, Storage.make(Storage.memoryDriver())))
  })
