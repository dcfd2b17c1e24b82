/**
 * 11-multi-stage-approval: two approvals, each from a checkpoint that waited in a Map, a file, SQLite or
 * Redis. A real Redis is started where one is installed; where none is, its test says so.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { afterAll } from "vitest"
import { approve, reject, submit } from "../../examples/11-multi-stage-approval/approval.ts"
import { connectTo } from "../../examples/11-multi-stage-approval/redis.ts"
import {
  ofFiles,
  ofMap,
  ofRedis,
  ofSqlite,
  type Store
} from "../../examples/11-multi-stage-approval/stores.ts"
import { runExample, scratch } from "./support/command.ts"

const directory = scratch()

const get = (store: Store, key: string) => Effect.promise(async () => store.get(key))

/** All that an approval asks of a store, opened anew for every call, as other processes would. */
const goesThrough = (open: () => Store) =>
  Effect.gen(function*() {
    const first = yield* submit(open(), "p/1", "naps")
    expect(first).toMatchObject({ request: "naps", draft: "On naps." })
    expect(first).not.toHaveProperty("reviewed")
    expect(yield* get(open(), "p/1:manager")).toMatch(/^rcp1\./)
    expect(yield* get(open(), "p/1:legal")).toBeUndefined()

    const early = yield* Effect.flip(approve(open(), "p/1", "legal", "Lex"))
    expect(early).toMatchObject({ _tag: "NothingToApprove", key: "p/1:legal" })

    const second = yield* approve(open(), "p/1", "manager", "Ada")
    expect(second).toMatchObject({ manager: "Ada", reviewed: "On naps. Read by Ada." })
    expect(second).not.toHaveProperty("published")
    expect(yield* get(open(), "p/1:manager")).toBeUndefined()
    const again = yield* Effect.flip(approve(open(), "p/1", "manager", "Eve"))
    expect(again).toMatchObject({ _tag: "NothingToApprove" })

    const third = yield* approve(open(), "p/1", "legal", "Lex")
    expect(third).toEqual({
      request: "naps",
      manager: "Ada",
      legal: "Lex",
      draft: "On naps.",
      reviewed: "On naps. Read by Ada.",
      approved: "On naps. Read by Ada. Cleared by Lex.",
      published: "ON NAPS. READ BY ADA. CLEARED BY LEX."
    })
    expect(yield* get(open(), "p/1:legal")).toBeUndefined()

    yield* submit(open(), "p/2", "naps")
    yield* reject(open(), "p/2", "manager")
    const gone = yield* Effect.flip(approve(open(), "p/2", "manager", "Ada"))
    expect(gone).toMatchObject({ _tag: "NothingToApprove" })
  })

describe("an approval in two stages", () => {
  it.effect("waits in a Map", () => {
    const map = new Map<string, string>()
    return Effect.map(goesThrough(() => ofMap(map)), () => expect(map.size).toBe(0))
  })

  it.live("waits in files", () => {
    const files = join(directory, "files")
    return Effect.map(
      goesThrough(() => ofFiles(files)),
      () => expect(readdirSync(files)).toEqual([])
    )
  })

  it.effect("waits in SQLite", () =>
    goesThrough(() => ofSqlite(join(directory, "sqlite", "cp.db"))))

  it.effect("keeps the checkpoint where what comes next could not be stored", () => {
    const map = new Map<string, string>()
    const full: Store = {
      ...ofMap(map),
      set: () => {
        throw new Error("the disk is full")
      }
    }
    return Effect.gen(function*() {
      yield* submit(ofMap(map), "p", "naps")
      const failed = yield* Effect.flip(approve(full, "p", "manager", "Ada"))
      expect(failed).toMatchObject({ _tag: "HookFailed", saw: "Error: the disk is full" })
      expect([...map.keys()]).toEqual(["p:manager"])
      yield* approve(ofMap(map), "p", "manager", "Ada")
      expect(yield* approve(ofMap(map), "p", "legal", "Lex")).toHaveProperty("published")
    })
  })
})

// ---------------------------------------------------------------------------------------------------
// Redis

const children: Array<ChildProcess> = []
afterAll(() => {
  for (const child of children) child.kill()
})

/** Starts a Redis that listens on a socket of its own, so that no port is taken; gives its address. */
const startRedis = async (): Promise<string> => {
  const socket = join(directory, "redis.sock")
  const options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory]
  const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] })
  children.push(child)
  child.stdout.setEncoding("utf8")
  await new Promise<void>((resolve, reject) => {
    let said = ""
    child.stdout.on("data", (text: string) => {
      said += text
      if (said.includes("ready to accept connections")) resolve()
    })
    child.on("exit", (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)))
  })
  return `unix:${socket}`
}

describe("Redis", () => {
  it("keeps the checkpoints of an approval, for an hour, where it is installed", async () => {
    const { error, status } = spawnSync("redis-server", ["--version"])
    if (error !== undefined) {
      if (!("code" in error) || error.code !== "ENOENT") throw error
      console.warn(
        "NOT TRIED: redis-server is not installed, so nothing was stored in a real Redis"
      )
      return
    }
    expect(status).toBe(0)
    const redis = await connectTo(await startRedis())
    try {
      await Effect.runPromise(goesThrough(() => ofRedis(redis)))
      await ofRedis(redis).set("k", "rcp1.é")
      expect(await redis.command("GET", "k")).toBe("rcp1.é")
      expect(Number(await redis.command("TTL", "k"))).toBeGreaterThan(3000)
      await expect(redis.command("NONSENSE")).rejects.toThrow(/^Redis: ERR unknown command/)
      expect(await Promise.all(["k", "none", "k"].map((key) => redis.command("GET", key))))
        .toEqual(["rcp1.é", null, "rcp1.é"])
      const large = "x".repeat(1_000_000)
      await redis.command("SET", "large", large)
      expect(await redis.command("GET", "large")).toBe(large)

      const { code, lines, stderr } = await runExample(directory, ["11"], {
        REDIS_URL: `unix:${join(directory, "redis.sock")}`
      })
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(lines.slice(-5)).toEqual(storyOn("redis"))
    } finally {
      redis.close()
    }
  })

  it("is spoken to by a client that takes replies in any pieces, and in their order", async () => {
    const heard: Array<string> = []
    const replies = Buffer.from("+OK\r\n$7\r\na\r\nb é\r\n$-1\r\n:1\r\n-ERR no\r\n$0\r\n\r\n")
    const path = join(directory, "stand-in.sock")
    let isReplying = false
    const server = createServer((socket) => {
      socket.on("data", (chunk) => {
        heard.push(String(chunk))
        // Once all are asked: byte by byte, with a cut inside of a character too.
        if (isReplying || heard.join("").split("*").length < 7) return
        isReplying = true
        void (async () => {
          for (const byte of replies) {
            await new Promise<void>((resolve) =>
              socket.write(Buffer.of(byte), () => setImmediate(resolve))
            )
          }
          socket.end()
        })()
      })
    }).listen(path)
    await once(server, "listening")
    const redis = await connectTo(`unix:${path}`)
    const asked = [
      redis.command("SET", "k", "é", "EX", "60"),
      ...["a", "b", "c", "d", "e"].map((key) => redis.command("GET", key))
    ]
    const told = await Promise.allSettled(asked)
    expect(told.map((one) => one.status === "fulfilled" ? one.value : String(one.reason))).toEqual([
      "OK",
      "a\r\nb é",
      null,
      "1",
      "Error: Redis: ERR no",
      ""
    ])
    expect(heard.join("")).toMatch(
      /^\*5\r\n\$3\r\nSET\r\n\$1\r\nk\r\n\$2\r\né\r\n\$2\r\nEX\r\n\$2\r\n60\r\n\*2\r\n/
    )
    await expect(redis.command("GET", "f")).rejects.toThrow("Redis closed the connection")
    server.close()
  })
})

const storyOn = (name: string) => [
  `${name}:`,
  "  drafted, for the manager: On working from the moon.",
  "  the lawyer is early: NothingToApprove",
  "  reviewed, for the lawyer: On working from the moon. Read by Ada.",
  "  published: ON WORKING FROM THE MOON. READ BY ADA. CLEARED BY LEX."
]

describe("npm run example 11", () => {
  it("approves a policy on every store, and says that Redis is left out", async () => {
    const { code, lines, stderr } = await runExample(directory, ["11"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines).toEqual([
      ...storyOn("map"),
      ...storyOn("files"),
      ...storyOn("sqlite"),
      "redis: left out, REDIS_URL does not say where one is"
    ])
  })
})
