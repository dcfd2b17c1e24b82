/** Object storages over the S3 in memory, owners of runs on them, and a clock that makes their waits short. */
import { Clock, Duration, Effect, Redacted } from "effect"
import type { Storage } from "reprise"
import { ObjectStorage } from "reprise/objects"
import type { Trial } from "../../../src/testing/contract/Case.ts"
import { credentials, type FakeS3, type FakeS3Options, makeFakeS3 } from "../../support/fakeS3.ts"

export const bucket = "b"

/** An S3 in memory that checks signatures and has one bucket. */
export const fakeOf = (options: FakeS3Options = {}): FakeS3 =>
  makeFakeS3({ credentials, buckets: [bucket], ...options })

export const s3Of = (
  fake: Pick<FakeS3, "fetch">,
  options: Partial<ObjectStorage.S3Options> = {}
): Effect.Effect<ObjectStorage.ObjectStore> =>
  ObjectStorage.s3({
    endpoint: "http://s3.test",
    bucket,
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: Redacted.make(credentials.secretAccessKey),
    fetch: fake.fetch,
    ...options
  })

export interface Opened extends Partial<ObjectStorage.S3Options> {
  readonly prefix?: string
}

/** A driver on the fake as a process of its own has it. */
export const openOn = (
  fake: Pick<FakeS3, "fetch">,
  { prefix = "", ...options }: Opened = {}
): Effect.Effect<Storage.Driver, Storage.StorageError> =>
  Effect.flatMap(s3Of(fake, options), (store) => ObjectStorage.make(store, { prefix }))

/** What the contract's helpers work with, on one driver or two; a name is the run's id. */
export const trialOn = (driver: Storage.Driver, other: Storage.Driver = driver): Trial => {
  let serial = 0
  return { driver, other, workflow: "w", id: (name) => name, unique: () => `u${++serial}` }
}

const real = Clock.Clock.defaultValue()

/** Time that runs so many times faster, so that waits are short and leases run out soon. */
export const hurried = (times: number): Clock.Clock => {
  const began = real.currentTimeMillisUnsafe()
  const millis = () => Math.floor(began + (real.currentTimeMillisUnsafe() - began) * times)
  const nanos = () => BigInt(millis()) * 1_000_000n
  const monotonic = () => real.monotonicTimeNanosUnsafe() * BigInt(times)
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep: (duration) => real.sleep(Duration.millis(Duration.toMillis(duration) / times))
  }
}
