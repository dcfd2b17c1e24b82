/** The inspector in this process: on a storage of the test, with what it knows of workflows. */
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Exit, Layer, Redacted, Scope } from "effect"
import { HttpServer } from "effect/http"
import { createServer } from "node:http"
import { Storage } from "reprise"
import { Http } from "reprise/http"

const secret = "a-token-of-the-tests"

/** The address with a token in it, and without. */
export interface Served {
  readonly url: string
  readonly bare: string
  readonly stop: () => Promise<void>
}

export const served = async (
  storage: Storage.Storage["Service"],
  { scopes = ["admin"], ...options }:
    & Partial<Http.Options>
    & { readonly scopes?: ReadonlyArray<Http.Scope> } = {}
): Promise<Served> => {
  const scope = await Effect.runPromise(Scope.make())
  const serving = Effect.gen(function*() {
    const page = yield* Http.readPage
    const context = yield* Layer.build(
      Http.serve({
        page,
        tokens: [{ name: "tests", token: Redacted.make(secret), scopes }],
        ...options
      }).pipe(
        Layer.provide(Layer.succeed(Storage.Storage, storage)),
        Layer.provideMerge(
          NodeHttpServer.layer(() => createServer(Http.serverOptions), {
            host: "127.0.0.1",
            port: 0
          })
        )
      )
    )
    const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
    return "port" in address ? address.port : 0
  })
  const port = await Effect.runPromise(
    serving.pipe(Scope.provide(scope), Effect.provide(NodeHttpServer.layerHttpServices))
  )
  const bare = `http://127.0.0.1:${port}/`
  return {
    bare,
    url: `${bare}#token=${secret}`,
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
