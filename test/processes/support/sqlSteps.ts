/**
 * A process that drives a run of six steps on a SQLite file, once: its log says which steps ran, which entries
 * were told to be safe, and what it came to. It leaves by an orderly end, or as if it was killed.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { openSync, writeSync } from "node:fs"
import { Storage } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import { Observers } from "../../../src/Observer.ts"
import { makeSteps } from "./sqlChain.ts"

const [filename, log, leaving] = process.argv.slice(2)

const file = openSync(log!, "a")
const say = (what: unknown) => writeSync(file, `${JSON.stringify(what)}\n`)

const scope = Scope.makeUnsafe()
const opened = await Effect.runPromise(
  Effect.exit(Scope.provide(SqliteStorage.make({ filename: filename! }), scope))
)
const run = (driver: Storage.Driver) =>
  makeSteps((step) => say({ did: step })).start(undefined, { runId: "r" }).pipe(
    Effect.provideService(Storage.Storage, Storage.make(driver)),
    Effect.provideService(Observers, [(event) =>
      Effect.sync(() => {
        if (event.type === "entry") say({ safe: event.entry })
      })]),
    Effect.match({
      onFailure: (error) =>
        say({ failed: error._tag, reason: error._tag === "StorageError" ? error.reason : "" }),
      onSuccess: ({ status }) => say({ ended: status })
    })
  )
await Effect.runPromise(
  Exit.isSuccess(opened)
    ? run(opened.value.driver)
    : Effect.sync(() => say({ failed: "open" }))
)
if (leaving === "killed") process.kill(process.pid, "SIGKILL")
await Effect.runPromise(Scope.close(scope, Exit.void))
