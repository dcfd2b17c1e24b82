/** What the Postgres storage tells other processes: at once, then together, and never of itself. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Storage } from "reprise"
import * as News from "../../src/postgres/News.ts"

const telling = (answer: Effect.Effect<void, Storage.StorageError> = Effect.void) => {
  const payloads: Array<string> = []
  const news = News.make((payload) => {
    payloads.push(payload)
    return answer
  })
  /** The runs of each payload. */
  const told = () => payloads.map((payload) => payload.split("\n").slice(1))
  return { news, payloads, told }
}

const until = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => isSo() ? Effect.void : Effect.andThen(Effect.sleep(1), until(isSo)))

describe("news", () => {
  it.live("of one run are told when the call returns", () =>
    Effect.gen(function*() {
      const { news, told } = telling()
      yield* news.tell("a b")
      expect(told()).toEqual([["a b"]])
    }))

  it.live("that come behind that go together, each run once", () =>
    Effect.gen(function*() {
      const { news, told } = telling()
      for (const runId of ["a", "b", "c", "b"]) yield* news.tell(runId)
      expect(told()).toEqual([["a"]])
      yield* until(() => told().length > 1)
      expect(told()).toEqual([["a"], ["b", "c"]])
      yield* until(() => told().length === 2)
      // And then at once again.
      yield* Effect.sleep(20)
      yield* news.tell("d")
      expect(told().at(-1)).toEqual(["d"])
    }))

  it.live("keep to what the server takes", () =>
    Effect.gen(function*() {
      const { news, payloads, told } = telling()
      const ids = Array.from({ length: 200 }, (_, n) => `${n}`.padStart(200, "x"))
      for (const runId of ["first", ...ids]) yield* news.tell(runId)
      yield* news.told
      expect(told().flat()).toEqual(["first", ...ids])
      for (const payload of payloads) expect(payload.length).toBeLessThan(8_000)
    }))

  it.live("that are left are told before the storage is closed, and nothing after", () =>
    Effect.gen(function*() {
      const { news, told } = telling()
      for (const runId of ["a", "b"]) yield* news.tell(runId)
      yield* news.told
      expect(told()).toEqual([["a"], ["b"]])
      yield* Effect.sleep(20)
      expect(told()).toHaveLength(2)
    }))

  it.live("that could not be told fail nobody", () =>
    Effect.gen(function*() {
      const { news, told } = telling(
        Effect.fail(
          new Storage.StorageError({ reason: "Unavailable", doing: "tell", cause: "gone" })
        )
      )
      yield* news.tell("a")
      yield* news.tell("b")
      yield* news.told
      expect(told()).toEqual([["a"], ["b"]])
    }))

  it.live("are told although who tells is interrupted", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { news, told } = telling(Deferred.await(gate))
      const fiber = yield* Effect.forkChild(news.tell("a"), { startImmediately: true })
      const ended = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(ended)
      yield* news.tell("b")
      yield* until(() => told().length === 2)
      expect(told()).toEqual([["a"], ["b"]])
    }))

  it("are heard of others, and not of oneself", () => {
    const { news } = telling()
    const other = telling().news
    const payload = `${other.sender}a\nb c`
    expect(news.heard(payload)).toEqual(["a", "b c"])
    expect(other.heard(payload)).toEqual([])
    expect(news.heard("strange")).toEqual([])
    expect(news.heard("")).toEqual([])
  })
})
