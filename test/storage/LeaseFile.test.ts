/**
 * The lease of a run: one live holder at a time, a dead one loses it at once, one that cannot be seen
 * loses it when it expires, and no damage to the file gives it to two or keeps it from everyone.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { LocalStorage, type Storage } from "reprise"
import { afterEach } from "vitest"
import * as ThisProcess from "../../src/storage/ThisProcess.ts"
import { platform, temporary } from "./support/local.ts"

const seconds = (n: number) => n * 1_000
const now = 1_750_000_000_000

const open = (directory: string): Effect.Effect<Storage.Driver> =>
  Effect.provide(LocalStorage.driver(directory), platform())

const me = Effect.provide(ThisProcess.make, platform())

const children: Array<ChildProcess> = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL")
})

/** Another process that holds the lease of run "r". */
const holder = (directory: string, until: number) =>
  Effect.promise(async () => {
    const script = fileURLToPath(new URL("support/hold.ts", import.meta.url))
    const child = spawn(
      process.execPath,
      ["--conditions=reprise-source", script, directory, "r", String(now), String(until)],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    children.push(child)
    const [answer] = await once(child.stdout, "data") as [Buffer]
    return { child, claim: JSON.parse(String(answer)) as Storage.Claim }
  })

const kill = (child: ChildProcess) =>
  Effect.promise(async () => {
    const gone = once(child, "exit")
    child.kill("SIGKILL")
    await gone
  })

const claim = (
  by: Partial<ThisProcess.ProcessName>,
  until: number,
  token = "other"
) =>
  Effect.map(
    me,
    ({ name }) => `\n${JSON.stringify({ claim: 1, token, by: { ...name, ...by }, until })}\n`
  )

describe("a lease", () => {
  it.live("is held by one live process until it is released, and only its token releases it", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const one = yield* open(directory)
      const two = yield* open(directory)
      const first = yield* one.acquire("r", now, now + seconds(15))
      expect(first._tag).toBe("Acquired")
      const token = first._tag === "Acquired" ? first.token : ""

      expect(yield* two.acquire("r", now + 1, now + seconds(16))).toMatchObject({
        _tag: "Held",
        by: { pid: process.pid, until: now + seconds(15) }
      })
      expect(yield* two.holder("r", now + 1)).toMatchObject({ pid: process.pid })
      yield* two.release("r", "not it")
      expect(yield* two.renew("r", "not it", now + seconds(60))).toBe(false)
      expect(yield* two.holder("r", now + 1)).toMatchObject({ until: now + seconds(15) })

      expect(yield* one.renew("r", token, now + seconds(30))).toBe(true)
      expect(yield* two.holder("r", now + seconds(20))).toMatchObject({ until: now + seconds(30) })
      yield* one.release("r", token)
      expect(yield* two.holder("r", now)).toBeUndefined()
      expect((yield* two.acquire("r", now, now + seconds(15)))._tag).toBe("Acquired")
      expect(yield* one.renew("r", token, now + seconds(60))).toBe(false)
    }))

  it.live("that expired goes to the next, and the old holder's token is worth nothing", () =>
    Effect.gen(function*() {
      const driver = yield* open(temporary())
      const old = yield* driver.acquire("r", now, now + seconds(15))
      expect(yield* driver.holder("r", now + seconds(15))).toBeUndefined()
      const next = yield* driver.acquire("r", now + seconds(15), now + seconds(30))
      expect(next._tag).toBe("Acquired")
      const token = old._tag === "Acquired" ? old.token : ""
      expect(yield* driver.renew("r", token, now + seconds(99))).toBe(false)
      yield* driver.release("r", token)
      expect(yield* driver.holder("r", now + seconds(20))).toMatchObject({
        until: now + seconds(30)
      })
    }))

  it.live("of one run says nothing of another", () =>
    Effect.gen(function*() {
      const driver = yield* open(temporary())
      expect((yield* driver.acquire("a", now, now + 1))._tag).toBe("Acquired")
      expect((yield* driver.acquire("b", now, now + 1))._tag).toBe("Acquired")
    }))

  it.live("goes to exactly one of many that claim it at once, over and over", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const drivers = yield* Effect.forEach([1, 2, 3, 4], () => open(directory))
      for (let round = 0; round < 50; round++) {
        const claims = yield* Effect.forEach(
          drivers,
          (driver) => driver.acquire("r", now, now + seconds(15)),
          { concurrency: "unbounded" }
        )
        const winners = claims.flatMap((one) => one._tag === "Acquired" ? [one.token] : [])
        expect(winners).toHaveLength(1)
        yield* drivers[0]!.release("r", winners[0]!)
      }
    }))

  it.live("keeps its file small however often it changes hands", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const driver = yield* open(directory)
      for (let round = 0; round < 100; round++) {
        const one = yield* driver.acquire("r", now, now + seconds(15))
        if (one._tag === "Acquired") yield* driver.release("r", one.token)
        else expect(one).toBe("acquired")
      }
      const path = join(directory, "r.lease")
      expect(existsSync(path) ? statSync(path).size : 0).toBeLessThan(8_192)
    }))
})

describe("a holder on this host", () => {
  it.live("that is alive keeps it, also while it is stopped, and loses it at once when killed", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const driver = yield* open(directory)
      const { child, claim } = yield* holder(directory, now + seconds(3_600))
      expect(claim._tag).toBe("Acquired")
      const held = { _tag: "Held", by: { pid: child.pid, until: now + seconds(3_600) } }
      expect(yield* driver.acquire("r", now, now + seconds(15))).toMatchObject(held)
      child.kill("SIGSTOP")
      expect(yield* driver.acquire("r", now, now + seconds(15))).toMatchObject(held)
      yield* kill(child)
      expect(yield* driver.holder("r", now)).toBeUndefined()
      expect((yield* driver.acquire("r", now, now + seconds(15)))._tag).toBe("Acquired")
    }))

  it.live("whose process id was given to another process counts as dead", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const driver = yield* open(directory)
      writeFileSync(join(directory, "r.lease"), yield* claim({ started: "1" }, now + seconds(99)))
      expect((yield* driver.acquire("r", now, now + seconds(15)))._tag).toBe("Acquired")
    }))

  it.live("before the last boot counts as dead", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const driver = yield* open(directory)
      writeFileSync(join(directory, "r.lease"), yield* claim({ boot: "before" }, now + seconds(99)))
      expect((yield* driver.acquire("r", now, now + seconds(15)))._tag).toBe("Acquired")
    }))

  it.live("in another pid namespace may live: only time takes it from there", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const driver = yield* open(directory)
      const { boot } = (yield* me).name
      const other = yield* claim({ boot: `${boot}[other]`, pid: 1 }, now + seconds(99))
      writeFileSync(join(directory, "r.lease"), other)
      expect((yield* driver.acquire("r", now, now + seconds(15)))._tag).toBe("Held")
      expect((yield* driver.acquire("r", now + seconds(99), now + seconds(120)))._tag).toBe(
        "Acquired"
      )
    }))
})

describe("a holder elsewhere", () => {
  it.live("is believed until its time is over", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const driver = yield* open(directory)
      const other = yield* claim({ host: "elsewhere", pid: 1 }, now + seconds(15))
      writeFileSync(join(directory, "r.lease"), other)
      expect(yield* driver.acquire("r", now, now + seconds(15))).toEqual({
        _tag: "Held",
        by: { host: "elsewhere", pid: 1, until: now + seconds(15) }
      })
      expect((yield* driver.acquire("r", now + seconds(15), now + seconds(30)))._tag).toBe(
        "Acquired"
      )
    }))
})

describe("a lease file", () => {
  it.live("cut short anywhere is taken by one, and keeps what was whole", () =>
    Effect.gen(function*() {
      const text = yield* claim({ host: "elsewhere" }, now + seconds(15))
      for (let length = 0; length <= text.length; length += 3) {
        const directory = temporary()
        const driver = yield* open(directory)
        writeFileSync(join(directory, "r.lease"), text.slice(0, length))
        const isWhole = text.slice(0, length).trimEnd().endsWith("}")
          && text.slice(0, length).includes(`"until"`)
        const one = yield* driver.acquire("r", now, now + seconds(15))
        expect([length, one._tag]).toEqual([length, isWhole ? "Held" : "Acquired"])
        expect((yield* driver.acquire("r", now, now + seconds(15)))._tag).toBe("Held")
      }
    }))

  const rubbish = [
    "null",
    "5",
    "true",
    "\"text\"",
    "[]",
    "{}",
    "{\"claim\":1}",
    "{\"claim\":1,\"token\":\"a\",\"by\":null,\"until\":9999999999999}",
    "{\"claim\":1,\"token\":\"a\",\"by\":{},\"until\":9999999999999}",
    "{\"claim\":\"1\",\"token\":1,\"by\":5,\"until\":\"x\"}",
    "{\"renew\":null}",
    "{\"release\":null}",
    "\0\0\0\0\0\0",
    "\u{1F600}",
    "{"
  ]
  for (const line of rubbish) {
    it.live(`with the line ${JSON.stringify(line)} in it is read without a defect`, () =>
      Effect.gen(function*() {
        const directory = temporary()
        const driver = yield* open(directory)
        appendFileSync(join(directory, "r.lease"), `\n${line}\n`)
        // Whatever it says, it is over after its time.
        const late = 10_000_000_000_000
        yield* driver.holder("r", now)
        yield* driver.renew("r", "nobody", late)
        yield* driver.release("r", "nobody")
        expect((yield* driver.acquire("r", late, late + 1))._tag).toBe("Acquired")
      }))
  }

  it.live("is readable by its owner only, and only grows while it is held", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const driver = yield* open(directory)
      const one = yield* driver.acquire("r", now, now + seconds(15))
      const path = join(directory, "r.lease")
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const before = readFileSync(path, "utf8")
      if (one._tag === "Acquired") yield* driver.renew("r", one.token, now + seconds(30))
      expect(readFileSync(path, "utf8").startsWith(before)).toBe(true)
    }))
})
