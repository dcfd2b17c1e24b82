/**
 * The storage contract over every storage: each row of the table opens a fresh, empty store.
 */
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { LocalStorage, Storage } from "reprise"
import { ObjectStorage } from "reprise/objects"
import { PostgresStorage } from "reprise/postgres"
import { SqliteStorage } from "reprise/sqlite"
import * as Testing from "reprise/testing"
import { afterAll } from "vitest"
import { credentials, makeFakeS3 } from "../support/fakeS3.ts"
import { createDatabase } from "../support/postgres.ts"
import { startS3Shim } from "../support/s3.ts"
import { platform, temporary } from "./support/local.ts"

const { url } = await createDatabase()
const shim = await startS3Shim({ buckets: 1 })
const shimBucket = shim.bucket()
const fake = makeFakeS3()
afterAll(async () => {
  await Effect.runPromise(Scope.close(file, Exit.void))
  await shim.dispose()
})

const local = (directory: string) => Effect.provide(LocalStorage.driver(directory), platform())

/** What no driver in memory needs, done in the simplest way: so that those cases have one that passes. */
const complete = (): Storage.Driver => {
  const driver = Storage.memoryDriver()
  const blobs = new Map<string, Map<string, string>>()
  return {
    ...driver,
    writer: (runId) =>
      Effect.map(driver.writer(runId), (writer): Storage.DriverWriter => ({
        ...writer,
        transaction: (work, append) =>
          Effect.gen(function*() {
            const { at, lines, row } = yield* append(yield* work)
            return yield* writer.append(at, lines, row)
          })
      })),
    remove: (runId) => Effect.andThen(driver.remove(runId), Effect.sync(() => blobs.delete(runId))),
    blobs: {
      put: (runId, hash, text) =>
        Effect.sync(() => {
          blobs.set(runId, (blobs.get(runId) ?? new Map<string, string>()).set(hash, text))
        }),
      get: (runId, hash) => Effect.sync(() => blobs.get(runId)?.get(hash))
    }
  }
}

const sqlite = (filename: string) =>
  Effect.map(SqliteStorage.make({ filename }), ({ client, driver }) => ({
    driver,
    services: Context.make(SqlClient.SqlClient, client)
  }))

const file = Scope.makeUnsafe()
/** All cases share one database, and what is open to it. */
const postgres = Effect.runSync(Effect.cached(
  Effect.gen(function*() {
    const services = yield* Layer.build(PgClient.layer({ url: Redacted.make(url) }))
    yield* PostgresStorage.migrate().pipe(Effect.provide(services))
    const driver = yield* PostgresStorage.make().pipe(Effect.provide(services))
    const pool = yield* Layer.build(PgClient.layer({ url: Redacted.make(url) }))
    return { driver, services, other: yield* PostgresStorage.make().pipe(Effect.provide(pool)) }
  }).pipe(Scope.provide(file))
))

let prefixes = 0
const objects = (store: ObjectStorage.ObjectStore) =>
  Effect.suspend(() => ObjectStorage.make(store, { prefix: `case-${prefixes++}/` }))
const s3Of = (options: Pick<ObjectStorage.S3Options, "endpoint" | "bucket" | "fetch">) =>
  ObjectStorage.s3({
    ...options,
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: Redacted.make(credentials.secretAccessKey)
  })
const inFake = s3Of({ endpoint: "http://s3.test", bucket: "b", fetch: fake.fetch })

const stores: Readonly<
  Record<string, Effect.Effect<Testing.StorageUnderTest, unknown, Scope.Scope>>
> = {
  memory: Effect.sync(() => Storage.memoryDriver()),
  "memory, with all that is optional": Effect.sync(complete),
  LocalStorage: Effect.suspend(() => local(temporary())),
  "LocalStorage, as two processes see it": Effect.suspend(() => {
    const directory = temporary()
    return Effect.all({ driver: local(directory), other: local(directory) })
  }),
  SqliteStorage: Effect.suspend(() => sqlite(join(temporary(), "runs.db"))),
  "SqliteStorage, as two processes see it": Effect.suspend(() => {
    const filename = join(temporary(), "runs.db")
    return Effect.map(
      Effect.all([sqlite(filename), sqlite(filename)]),
      ([one, { driver: other }]) => ({ ...one, other })
    )
  }),
  PostgresStorage: Effect.map(postgres, ({ driver, services }) => ({ driver, services })),
  "PostgresStorage, through two pools": postgres,
  "ObjectStorage on R2, through S3's protocol": Effect.flatMap(
    s3Of({ endpoint: shim.endpoint, bucket: shimBucket }),
    objects
  ),
  "ObjectStorage in segments of one append": Effect.flatMap(
    inFake,
    (store) => objects({ ...store, segmentBytes: 0 })
  ),
  "ObjectStorage, as two processes see it": Effect.suspend(() => {
    const prefix = `case-${prefixes++}/`
    return Effect.flatMap(inFake, (store) =>
      Effect.all({
        driver: ObjectStorage.make({ ...store, segmentBytes: 2_000 }, { prefix }),
        other: ObjectStorage.make({ ...store, segmentBytes: 2_000 }, { prefix })
      }))
  })
}

/** Over HTTP only what its requests decide: all of it runs over the same client without, and over R2 in workerd. */
const overHttp = ["append", "batch", "session", "lease", "inbox", "blob"]

describe.each(Object.entries(stores))("%s keeps the contract", (which, store) => {
  for (const { area, name, run } of Testing.storageContract) {
    if (which.endsWith("S3's protocol") && !overHttp.includes(area)) continue
    it.live(`${area}: ${name}`, () => run(store))
  }
})

describe("the contract", () => {
  it("has at least 150 cases with names of their own", () => {
    const names = Testing.storageContract.map(({ name }) => name)
    expect(names.length).toBeGreaterThanOrEqual(150)
    expect(new Set(names).size).toBe(names.length)
  })

  it.live("runs over one store that all cases share, at once", () =>
    Effect.gen(function*() {
      const driver = Storage.memoryDriver()
      yield* Effect.forEach(
        Testing.storageContract,
        ({ run }) => run(Effect.succeed({ driver, other: driver })),
        { concurrency: 8, discard: true }
      )
    }))
})
