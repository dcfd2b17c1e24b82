/**
 * Stands between a Postgres client and its server and fails as it is told: it loses a request or the
 * answer to it, cuts connections, refuses new ones and holds bytes back.
 *
 * It follows the protocol far enough to know which statement each message executes and which answer is
 * whose. It speaks no TLS and says so to a client that asks.
 */
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

export interface Proxy {
  /** As the URL of the server, but through the proxy. */
  readonly url: string
  /**
   * The server gets the `nth` statement (from now on) that matches and executes it; the client hears
   * nothing of it, and its connection is cut. What the server answered is in `counts.lost`.
   */
  readonly loseAnswer: (statement: RegExp, nth?: number) => void
  /** The `nth` statement that matches never reaches the server, and the connection is cut. */
  readonly loseRequest: (statement: RegExp, nth?: number) => void
  /** Cuts every connection that is open now, on both sides. */
  readonly cutAll: () => void
  /** Whether new connections are cut as they come. */
  refuse: boolean
  /** Every piece of data, either way, first waits so many milliseconds, or for the promise. */
  delay: number | (() => Promise<unknown>)
  readonly counts: {
    readonly accepted: number
    readonly refused: number
    /** Connections that a fault or `cutAll` ended. */
    readonly cut: number
    /** Pieces of data that had to wait. */
    readonly delayed: number
    /** Every statement that the server was sent, in order. */
    readonly statements: ReadonlyArray<string>
    readonly lost: ReadonlyArray<Lost>
  }
  /** Cuts all and listens no more. */
  readonly close: () => Promise<void>
}

export interface Lost {
  readonly statement: string
  /** Of an answer: its tag, such as `COMMIT` or `INSERT 0 1`, or the code of the error. */
  readonly answer: string | undefined
}

interface Fault {
  readonly kind: "answer" | "request"
  readonly statement: RegExp
  left: number
}

/** What the server owes an answer to. */
interface Owed {
  readonly kind: "query" | "execute" | "sync"
  readonly statement: string
  readonly lose: boolean
}

/** What becomes of a message; with "cut" the connection ends, behind what came before the message. */
type Verdict = "pass" | "hold" | "cut"

/** `type` is the first byte, empty for the messages a client begins with; `bytes` is all of it. */
interface Message {
  readonly type: string
  readonly bytes: Buffer
}

/** Cuts a stream of bytes into messages, the first of which have no type until `typed` is set. */
class Splitter {
  typed: boolean
  private rest: Buffer = Buffer.alloc(0)

  constructor(typed: boolean) {
    this.typed = typed
  }

  push(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk])
  }

  next(): Message | undefined {
    const head = this.typed ? 1 : 0
    if (this.rest.length < head + 4) return undefined
    const length = head + this.rest.readInt32BE(head)
    if (this.rest.length < length) return undefined
    const bytes = this.rest.subarray(0, length)
    this.rest = this.rest.subarray(length)
    return { type: this.typed ? String.fromCharCode(bytes[0]!) : "", bytes }
  }
}

/** The strings that a message begins with, behind `from`; each ends with a zero. */
const strings = (bytes: Buffer, from: number, count: number): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let at = from; found.length < count;) {
    const end = bytes.indexOf(0, at)
    found.push(bytes.toString("utf8", at, end))
    at = end + 1
  }
  return found
}

/** The SQLSTATE of an ErrorResponse. */
const errorCode = (bytes: Buffer): string => {
  for (let at = 5; bytes[at] !== 0;) {
    const end = bytes.indexOf(0, at)
    if (bytes[at] === "C".charCodeAt(0)) return bytes.toString("utf8", at + 1, end)
    at = end + 1
  }
  return "error"
}

const encryptionRequests = [80_877_103, 80_877_104]

export const startProxy = async (server: string): Promise<Proxy> => {
  const upstream = new URL(server)
  const faults: Array<Fault> = []
  const open = new Set<() => void>()
  const statements: Array<string> = []
  const lost: Array<Lost> = []
  const counts = { accepted: 0, refused: 0, cut: 0, delayed: 0, statements, lost }

  /** The fault whose turn it is with this statement; every fault counts the statements that match it. */
  const faultOf = (statement: string): Fault["kind"] | undefined => {
    const due = faults.filter((fault) =>
      statement.search(fault.statement) !== -1 && --fault.left === 0
    )
    for (const fault of due) faults.splice(faults.indexOf(fault), 1)
    return due[0]?.kind
  }

  const waiting = (): Promise<unknown> | undefined => {
    if (proxy.delay === 0) return undefined
    counts.delayed++
    return typeof proxy.delay === "number" ? sleep(proxy.delay) : proxy.delay()
  }

  /** Handles the data of one side in order, each piece after what it has to wait for. */
  const inOrder = (socket: Socket, handle: (chunk: Buffer) => void, end: () => void) => {
    let last: Promise<void> | undefined
    const after = (wait: Promise<unknown> | undefined, act: () => void) => {
      // With nothing to wait for it acts at once.
      if (last === undefined && wait === undefined) return act()
      const mine: Promise<void> = Promise.allSettled([last, wait]).then(() => {
        if (last === mine) last = undefined
        act()
      })
      last = mine
    }
    socket.on("data", (chunk: Buffer) => after(waiting(), () => handle(chunk)))
    socket.on("close", () => after(undefined, end))
    // "close" follows.
    socket.on("error", () => {})
  }

  const listener = createServer((client) => {
    if (proxy.refuse) {
      counts.refused++
      client.on("error", () => {})
      client.resetAndDestroy()
      return
    }
    counts.accepted++
    const backend = connect(Number(upstream.port || 5432), upstream.hostname)
    for (const socket of [client, backend]) socket.setNoDelay(true)

    const end = () => {
      open.delete(cut)
      client.destroy()
      backend.destroy()
    }
    const cut = () => {
      if (!open.has(cut)) return
      counts.cut++
      end()
    }
    open.add(cut)

    const fromClient = new Splitter(false)
    const fromServer = new Splitter(true)
    const prepared = new Map<string, string>()
    const portals = new Map<string, string>()
    const owed: Array<Owed> = []

    const send = (kind: Owed["kind"], statement: string): Verdict => {
      const fault = faultOf(statement)
      if (fault === "request") {
        lost.push({ statement, answer: undefined })
        return "cut"
      }
      statements.push(statement)
      owed.push({ kind, statement, lose: fault === "answer" })
      return "pass"
    }

    const asked = ({ type, bytes }: Message): Verdict => {
      switch (type) {
        case "": {
          if (encryptionRequests.includes(bytes.readInt32BE(4))) {
            client.write("N")
            return "hold"
          }
          fromClient.typed = true
          return "pass"
        }
        case "P": {
          const [name, statement] = strings(bytes, 5, 2)
          prepared.set(name!, statement!)
          return "pass"
        }
        case "B": {
          const [portal, name] = strings(bytes, 5, 2)
          portals.set(portal!, prepared.get(name!) ?? "")
          return "pass"
        }
        case "E":
          return send("execute", portals.get(strings(bytes, 5, 1)[0]!) ?? "")
        case "Q":
          return send("query", strings(bytes, 5, 1)[0]!)
        case "S":
          owed.push({ kind: "sync", statement: "", lose: false })
          return "pass"
        default:
          return "pass"
      }
    }

    /** The answer that is being swallowed, once there is one: to the end of what the server has to say. */
    let swallowed: { readonly statement: string; answer: string } | undefined

    const answered = ({ type, bytes }: Message): Verdict => {
      const head = owed[0]
      const finish = (answer: string) => {
        if (head?.lose) swallowed ??= { statement: head.statement, answer }
      }
      let pass = swallowed === undefined && head?.lose !== true
      switch (type) {
        // CommandComplete, EmptyQueryResponse, PortalSuspended
        case "C":
        case "I":
        case "s":
          finish(type === "C" ? strings(bytes, 5, 1)[0]! : "")
          if (head?.kind === "execute") owed.shift()
          break
        case "E":
          // The server skips everything up to the next Sync.
          while (owed[0]?.kind === "execute") {
            const skipped = owed.shift()!
            if (!skipped.lose) continue
            swallowed ??= { statement: skipped.statement, answer: errorCode(bytes) }
            pass = false
          }
          finish(errorCode(bytes))
          break
        // ReadyForQuery: only now is a statement that was its own transaction committed.
        case "Z":
          if (swallowed !== undefined) {
            lost.push(swallowed)
            return "cut"
          }
          owed.shift()
          break
      }
      return pass ? "pass" : "hold"
    }

    const relay = (
      from: Socket,
      to: Socket,
      splitter: Splitter,
      verdictOn: (message: Message) => Verdict
    ) =>
      inOrder(from, (chunk) => {
        // It may have been cut while the data waited.
        if (!open.has(cut)) return
        splitter.push(chunk)
        const passed: Array<Buffer> = []
        let verdict: Verdict = "pass"
        while (verdict !== "cut") {
          const message = splitter.next()
          if (message === undefined) break
          verdict = verdictOn(message)
          if (verdict === "pass") passed.push(message.bytes)
        }
        if (passed.length > 0) to.write(Buffer.concat(passed))
        if (verdict === "cut") cut()
      }, end)
    relay(client, backend, fromClient, asked)
    relay(backend, client, fromServer, answered)
  })
  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  const through = new URL(server)
  through.hostname = "127.0.0.1"
  through.port = String((listener.address() as AddressInfo).port)

  const cutAll = () => {
    for (const cut of open) cut()
  }
  const proxy: Proxy = {
    url: through.href,
    loseAnswer: (statement, nth = 1) => void faults.push({ kind: "answer", statement, left: nth }),
    loseRequest: (statement, nth = 1) =>
      void faults.push({ kind: "request", statement, left: nth }),
    cutAll,
    refuse: false,
    delay: 0,
    counts,
    close: async () => {
      const closed = once(listener, "close")
      listener.close()
      cutAll()
      await closed
    }
  }
  return proxy
}
