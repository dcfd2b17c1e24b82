/** Waiting for runs whose end this process saw, and for those that somebody else has driven without a word. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { join } from "node:path"
import { JournalCodec, Runs, Storage, Worker, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import { temporary } from "../storage/support/local.ts"

/** Takes a moment, so that whoever waits for it does so before it ends. */
const list = Workflow.make("list", { input: Schema.Int }, function*(ctx, count) {
  return yield* ctx.step("make", () => {
    const items = Array.from({ length: count }, (_, n) => ({ n }))
    return Effect.as(Effect.sleep("50 millis"), { items })
  })
})

const other = Workflow.make("other", function*() {})

const worker = Worker.layer({ workflows: [list] })

/** A database whose reads of journals are counted. */
const counted = Effect.map(
  SqliteStorage.make({ filename: join(temporary(), "runs.db") }),
  ({ driver }) => {
    const reads: Array<string> = []
    const storage = Storage.make({
      ...driver,
      read: (runId) => {
        reads.push(runId)
        return driver.read(runId)
      }
    })
    return { reads, storage }
  }
)

const database = () => SqliteStorage.layer({ filename: join(temporary(), "runs.db") })

/** Two processes with one database. */
const two = Effect.suspend(() => {
  const filename = join(temporary(), "runs.db")
  const one = Layer.build(Layer.fresh(SqliteStorage.layer({ filename })))
  return Effect.all({ here: one, there: one })
})

describe("a run that is driven here", () => {
  it.live("is not read by those who enqueue, drive and wait for it", () =>
    Effect.gen(function*() {
      const { reads, storage } = yield* counted
      const layer = worker.pipe(Layer.provideMerge(Layer.succeed(Storage.Storage, storage)))
      yield* Effect.gen(function*() {
        const runId = yield* list.enqueue(2)
        expect(yield* list.join(runId)).toEqual({ items: [{ n: 0 }, { n: 1 }] })
        expect(reads).toEqual([])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped))

  it.live("gives everyone who waits values of their own", () =>
    Effect.gen(function*() {
      const runId = yield* list.enqueue(1)
      const [a, b] = yield* Effect.all(
        [Runs.end(runId), Runs.end(runId)],
        { concurrency: "unbounded" }
      )
      expect(a.result).toEqual({ items: [{ n: 0 }] })
      expect(b.result).toEqual(a.result)
      expect((b.result as any).items).not.toBe((a.result as any).items)
    }).pipe(Effect.provide(worker.pipe(Layer.provideMerge(database())))))

  it.live("is of the workflow that is asked, also when its end is heard of", () =>
    Effect.gen(function*() {
      const runId = yield* list.enqueue(1)
      expect(yield* Effect.flip(other.join(runId))).toMatchObject({
        _tag: "RunExists",
        seen: "other",
        recorded: "list"
      })
    }).pipe(Effect.provide(worker.pipe(Layer.provideMerge(database())))))

  it.live("ends with what it gave, also where values are stored otherwise than they are", () => {
    const secret = Redacted.make("an example of 32 characters or more")
    const sealed = JournalCodec.layer({ keys: [{ id: "a", secret }] }).pipe(
      Layer.provide(database())
    )
    return Effect.gen(function*() {
      expect(yield* list.join(yield* list.enqueue(1))).toEqual({ items: [{ n: 0 }] })
    }).pipe(Effect.provide(worker.pipe(Layer.provideMerge(sealed))))
  })
})

describe("a run that somebody else has driven", () => {
  it.live("is joined by who enqueued it and has heard of nothing since", () =>
    Effect.gen(function*() {
      const { here, there } = yield* two
      const runId = yield* Effect.provide(list.enqueue(1), here)
      yield* Effect.provide(list.resume(runId), there)
      expect(yield* Effect.provide(list.join(runId), here)).toEqual({ items: [{ n: 0 }] })
    }).pipe(Effect.scoped))

  it.live("is refused to the worker here that thinks it knows it", () =>
    Effect.gen(function*() {
      const { here, there } = yield* two
      const runId = yield* Effect.provide(list.enqueue(1), here)
      yield* Effect.provide(list.resume(runId), there)
      const before = yield* Effect.provide(Runs.journal(runId), there)
      yield* Effect.provide(Layer.build(worker), here)
      Context.get(here, Storage.Storage).hint(runId)
      // Behind it in the line.
      yield* Effect.provide(Effect.flatMap(list.enqueue(2), list.join), here)
      expect(yield* Effect.provide(Runs.journal(runId), there)).toEqual(before)
    }).pipe(Effect.scoped))

  it.live("is gone for who enqueued it when somebody has removed it", () =>
    Effect.gen(function*() {
      const { here, there } = yield* two
      const runId = yield* Effect.provide(list.enqueue(1), here)
      yield* Effect.provide(Runs.remove(runId), there)
      expect(yield* Effect.flip(Effect.provide(list.join(runId), here)))
        .toMatchObject({ _tag: "RunNotFound" })
    }).pipe(Effect.scoped))
})
