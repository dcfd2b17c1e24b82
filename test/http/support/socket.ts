/** The API on a real port of Node's server, and clients that write whatever bytes they like. */
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Logger, type Scope } from "effect"
import { HttpServer } from "effect/http"
import { createServer, type ServerOptions } from "node:http"
import { connect, type Socket } from "node:net"
import { Storage } from "reprise"
import { Http } from "reprise/http"
import { secrets, tokens } from "./server.ts"

export interface Listening {
  readonly port: number
  /** As a caller of the library in this process, on the same storage. */
  readonly on: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, Storage.Storage>>
}

/** Listens until the scope is closed. */
export const listening = (
  { driver = Storage.memoryDriver(), ...options }: Partial<Http.Options> & {
    readonly driver?: Storage.Driver
  } = {},
  server: ServerOptions = {}
): Effect.Effect<Listening, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const storage = Storage.make(driver)
    const node = NodeHttpServer.layer(() => createServer({ ...Http.serverOptions, ...server }), {
      port: 0,
      host: "127.0.0.1",
      gracefulShutdownTimeout: "50 millis"
    })
    const context = yield* Layer.build(
      Http.serve({ tokens, rates: { token: 1e6, refused: 1e6 }, ...options }).pipe(
        Layer.provide(Layer.succeed(Storage.Storage, storage)),
        Layer.provideMerge(node),
        Layer.provide(Logger.layer([]))
      )
    )
    const { address } = yield* Effect.provide(HttpServer.HttpServer, context)
    return {
      port: "port" in address ? address.port : 0,
      on: Effect.provideService(Storage.Storage, storage)
    }
  })

/** A connection, and what came by it. */
export interface Client {
  readonly socket: Socket
  readonly write: (bytes: string | Uint8Array) => void
  /** All that has come, as soon as it fits. */
  readonly until: (fits: (text: string) => boolean) => Effect.Effect<string>
  /** All that came, when the server has closed the connection. */
  readonly closed: Effect.Effect<string>
}

export const dial = (port: number): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect(port, "127.0.0.1")
      let text = ""
      let isOver = false
      const listeners = new Set<() => void>()
      const tell = () => listeners.forEach((listener) => listener())
      socket.setEncoding("latin1")
      socket.on("data", (more) => {
        text += String(more)
        tell()
      })
      // What is written to who has gone away is no fault of the test's.
      socket.on("error", () => {})
      socket.on("close", () => {
        isOver = true
        tell()
      })
      const when = (fits: () => boolean) =>
        Effect.callback<string>((resume) => {
          const look = () => {
            if (!fits()) return
            listeners.delete(look)
            resume(Effect.succeed(text))
          }
          listeners.add(look)
          look()
          return Effect.sync(() => listeners.delete(look))
        })
      return {
        socket,
        write: (bytes: string | Uint8Array) => void socket.write(bytes),
        until: (fits: (text: string) => boolean) => when(() => fits(text)),
        closed: when(() => isOver)
      }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

/** The head of a request by the administrator, up to the headers that are its own. */
export const head = (line: string, ...headers: ReadonlyArray<string>): string =>
  [
    `${line} HTTP/1.1`,
    "Host: localhost",
    `Authorization: Bearer ${secrets.admin}`,
    ...headers,
    "",
    ""
  ].join("\r\n")

export const asJson = "Content-Type: application/json"
export const once = "Connection: close"
