/** Serves the inspector and the API on Node's HTTP server, and drives runs if there is code. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import * as Http from "../http/Http.ts"
import { describe } from "../internal/describe.ts"
import { Storage } from "../Storage.ts"
import * as Text from "../Text.ts"
import * as Worker from "../Worker.ts"
import { driven } from "./driving.ts"
import type { AnyWorkflow, Code } from "./workflows.ts"

/** The server cannot listen where it was told to. */
export class NotListening
  extends Schema.TaggedError<NotListening>("reprise/NotListening")("NotListening", {
    host: Schema.String,
    port: Schema.Int,
    saw: Schema.String
  })
{
  override get message(): string {
    return `Could not listen on ${this.host}, port ${this.port}: ${this.saw}. `
      + "Give another --port, 0 for any that is free, or another --host."
  }
}

export interface Serving {
  readonly code: Code | undefined
  readonly host: string
  readonly port: number
  readonly scope: Http.Scope
  readonly token: Redacted.Redacted<string>
  /** Called with the address once it listens. */
  readonly told: (address: string) => Effect.Effect<void>
}

/** Serves until it is interrupted. */
export const serving = ({ code, host, port, scope, token, told }: Serving) =>
  Effect.gen(function*() {
    const storage = Layer.succeed(Storage, yield* Storage)
    const page = yield* Http.readPage
    const workflows = [...code?.workflows.values() ?? []]
    const name = host.includes(":") ? `[${host}]` : host
    const server = Http.serve({
      page,
      workflows,
      drives: code !== undefined,
      tokens: [{ name: "ui", token, scopes: [scope] }],
      hosts: ["localhost", "127.0.0.1", "[::1]", name]
    }).pipe(
      Layer.provide(storage),
      Layer.provideMerge(
        NodeHttpServer.layer(() => createServer(Http.serverOptions), {
          host,
          port,
          // An open page is never done by itself.
          gracefulShutdownTimeout: "300 millis"
        })
      )
    )
    return yield* Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      yield* told(`http://${name}:${"port" in address ? address.port : port}`)
      if (code !== undefined) yield* driving(code, workflows)
      return yield* Effect.never
    }).pipe(Effect.provide(server))
  }).pipe(
    Effect.catchTag(
      "ServeError",
      ({ cause }) => Effect.fail(new NotListening({ host, port, saw: describe(cause).message }))
    )
  )

/** Drives what is due; what makes that impossible is told, and the runs can still be looked at. */
const driving = (code: Code, workflows: ReadonlyArray<AnyWorkflow>) => {
  // What else the workflows need is given by the layers of their modules, whose types nobody knows.
  const worker = Layer.launch(Worker.layer({ workflows })) as Effect.Effect<never, never, Storage>
  return driven(code, "", worker).pipe(
    Effect.catch((error) =>
      Console.error(`No runs are driven any more: ${Text.plain(describe(error).message)}`)
    )
  )
}
