/**
 * As much of a Redis client as three commands need, so that the example has no dependency. Take a real one
 * for anything else: this one neither reconnects nor logs in.
 */
import { once } from "node:events"
import { connect } from "node:net"

export interface Redis {
  /** A reply as text; null where there is none. Rejects with what the server refuses. */
  readonly command: (...words: ReadonlyArray<string>) => Promise<string | null>
  readonly close: () => void
}

interface Waiting {
  readonly resolve: (reply: string | null) => void
  readonly reject: (error: Error) => void
}

/** Of `redis://host:port`, or `unix:/path/of/the.socket`. */
export const connectTo = async (url: string): Promise<Redis> => {
  const { hostname, pathname, port, protocol } = new URL(url)
  const socket = protocol === "unix:"
    ? connect(pathname)
    : connect({ host: hostname, port: Number(port || 6379) })
  await once(socket, "connect")

  /** The server replies in the order of the commands. */
  const waiting: Array<Waiting> = []
  let bytes = Buffer.alloc(0)
  socket.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    for (let read = parse(bytes); read !== undefined; read = parse(bytes)) {
      bytes = bytes.subarray(read.length)
      const { reject, resolve } = waiting.shift()!
      if (read.reply instanceof Error) reject(read.reply)
      else resolve(read.reply)
    }
  })
  const fail = (error: Error) => {
    for (const { reject } of waiting.splice(0)) reject(error)
  }
  socket.on("error", fail)
  socket.on("close", () => fail(new Error("Redis closed the connection")))

  return {
    command: (...words) =>
      new Promise((resolve, reject) => {
        if (!socket.writable) return reject(new Error("Redis closed the connection"))
        waiting.push({ resolve, reject })
        const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
        socket.write(`*${words.length}\r\n${parts.join("")}`)
      }),
    close: () => void socket.end()
  }
}

/** The first reply, and how many bytes it is of; undefined while some of them are missing. */
const parse = (bytes: Buffer): { reply: string | null | Error; length: number } | undefined => {
  const end = bytes.indexOf("\r\n")
  if (end < 0) return undefined
  const [kind, head] = [bytes.toString("utf8", 0, 1), bytes.toString("utf8", 1, end)]
  if (kind === "-") return { reply: new Error(`Redis: ${head}`), length: end + 2 }
  if (kind !== "$") return { reply: head, length: end + 2 }
  const size = Number(head)
  if (size < 0) return { reply: null, length: end + 2 }
  const length = end + 2 + size + 2
  if (bytes.length < length) return undefined
  return { reply: bytes.toString("utf8", end + 2, end + 2 + size), length }
}
