/**
 * What the tests of pushed deliveries stand on: secrets, requests signed by Node's own HMAC, and a loopback
 * server for a web handler, whose connections may be dropped before or after the work.
 */
import { Effect, Redacted, type Scope } from "effect"
import { createHmac } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** Of 32 bytes that say which one it is. */
export const secretOf = (name: string): Redacted.Redacted<string> =>
  Redacted.make(`whsec_${Buffer.from(name.padEnd(32, ".")).toString("base64")}`)

export const secret = secretOf("the one")
export const other = secretOf("another one")

/** `v1,…` as another implementation of the same standard has it. */
export const signatureOf = (
  by: Redacted.Redacted<string>,
  id: string,
  seconds: string,
  body: string | Uint8Array
): string => {
  const key = Buffer.from(Redacted.value(by).slice("whsec_".length), "base64")
  const hmac = createHmac("sha256", key).update(`${id}.${seconds}.`).update(body)
  return `v1,${hmac.digest("base64")}`
}

export interface Message {
  readonly by?: Redacted.Redacted<string>
  readonly id?: string
  readonly seconds?: string
  readonly body?: string | Uint8Array<ArrayBuffer>
}

export const nowSeconds = (): string => String(Math.floor(Date.now() / 1_000))

/** The headers of a signed message. */
export const headersOf = (
  { body = `{"runId":"r1"}`, by = secret, id = "msg_1", seconds = nowSeconds() }: Message = {}
): Record<string, string> => ({
  "webhook-id": id,
  "webhook-timestamp": seconds,
  "webhook-signature": signatureOf(by, id, seconds, body)
})

export const requestOf = (
  headers: Record<string, string>,
  body: string | Uint8Array<ArrayBuffer> = `{"runId":"r1"}`
): Request => new Request("http://function.test/", { method: "POST", headers, body })

/** A delivery as a dispatcher signs it. */
export const deliveryOf = (runId: string, seconds = nowSeconds()): Request => {
  const body = JSON.stringify({ runId })
  return requestOf(headersOf({ body, seconds }), body)
}

export type Handler = (request: Request) => Promise<Response>

/** What becomes of a connection: `drop` ends it without an answer. */
export type Fate = "answer" | "drop before" | "drop after"

export interface Server {
  readonly url: string
  /** Statuses of the answers that were made, also of those that were dropped. */
  readonly statuses: Array<number>
}

const bodyOf = async (message: IncomingMessage) => {
  const chunks: Array<Uint8Array> = []
  for await (const chunk of message) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

/** Serves the handler on a port of its own until the scope is closed; `fate` is asked at each request. */
export const serve = (
  handler: Handler,
  fate: (nth: number) => Fate = () => "answer"
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const statuses: Array<number> = []
    let count = 0
    const handle = async (message: IncomingMessage, answer: ServerResponse) => {
      const what = fate(count++)
      if (what === "drop before") return void message.socket.destroy()
      const response = await handler(
        new Request(`http://127.0.0.1${message.url}`, {
          method: message.method!,
          headers: message.headers as Record<string, string>,
          body: await bodyOf(message)
        })
      )
      statuses.push(response.status)
      if (what === "drop after") return void message.socket.destroy()
      answer.writeHead(response.status, Object.fromEntries(response.headers))
      answer.end(await response.text())
    }
    const server = yield* Effect.acquireRelease(
      Effect.promise(() =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const made = createServer((message, answer) => {
            handle(message, answer).catch(() => message.socket.destroy())
          })
          made.listen(0, "127.0.0.1", () => resolve(made))
        })
      ),
      (made) =>
        Effect.promise(() =>
          new Promise<void>((resolve) => {
            made.close(() => resolve())
            made.closeAllConnections()
          })
        )
    )
    const { port } = server.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}/`, statuses }
  })
