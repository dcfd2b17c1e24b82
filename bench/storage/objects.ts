/**
 * What a run uploads to an object store, a byte of its journal: counted by a store in memory, so that no
 * network is in it. It must not grow with the run.
 */
import { Effect, Layer, Redacted } from "effect"
import { Storage } from "../../src/index.ts"
import { ObjectStorage } from "../../src/objects.ts"
import { makeFakeS3 } from "../../test/support/fakeS3.ts"
import { type Figure, report } from "../measure.ts"
import { sequential } from "./work.ts"

const sizes = [500, 1_000, 2_000] as const

/** Bytes uploaded by a run of so many steps, and bytes of its journal. */
const upload = async (steps: number) => {
  const store = makeFakeS3({ buckets: ["bench"] })
  const layer = ObjectStorage.layer(ObjectStorage.s3({
    endpoint: "http://store",
    bucket: "bench",
    accessKeyId: "id",
    secretAccessKey: Redacted.make("secret"),
    fetch: store.fetch
  }))
  const runId = "run"
  await Effect.runPromise(
    Effect.scoped(Effect.flatMap(Layer.build(layer), (services) => {
      // What opening costs is not the run's.
      store.reset()
      return Effect.provideContext(sequential.execute(steps, { runId }), services)
    }))
  )
  const { requests, uploaded } = store.counts()
  const { journal } = await Effect.runPromise(
    Effect.flatMap(Storage.Storage, (storage) => storage.read(runId)).pipe(Effect.provide(layer))
  )
  const bytes = Buffer.byteLength(journal.entries.map((entry) => JSON.stringify(entry)).join("\n"))
  return { requests: requests.put, perByte: uploaded / bytes }
}

const all = await Promise.all(sizes.map(upload))
const figures: ReadonlyArray<Figure> = [
  ...all.map(({ perByte, requests }, i): Figure => ({
    figure: `object storage, ${sizes[i]!.toLocaleString("en")} steps: bytes sent a byte of journal`,
    value: `${(requests / sizes[i]!).toFixed(2)} writes a step`,
    ratio: perByte
  })),
  {
    figure: "object storage: bytes sent a byte, 2,000 steps against 500",
    value: `${all[2]!.perByte.toFixed(1)} against ${all[0]!.perByte.toFixed(1)}`,
    ratio: all[2]!.perByte / all[0]!.perByte,
    atMost: 1.3
  }
]
report(figures)
