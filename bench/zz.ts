import { Effect, Deferred, ManagedRuntime } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
const from = process.env.FROM ?? "../src"
const ext = from.includes("dist") ? "js" : "ts"
const { Workflow } = await import(`${from}/index.${ext}`)
const { NodeLocalStorage } = await import(`${from}/node.${ext}`)
const { SqliteStorage } = await import(`${from}/sqlite.${ext}`)
let atEnd: () => any = () => Effect.void
const recorded = Workflow.make("recorded", function*(ctx: any, n: number): any {
  for (let i = 0; i < n; i++) yield* ctx.step("classify", () => ({ category: "bug", severity: i % 6 }))
  yield* ctx.step("last", () => atEnd())
  return n
})
const unlimited = Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity })
const layerOf = (k: string, p: string) => k === "SQLite" ? SqliteStorage.layer({ filename: p }) : NodeLocalStorage.layer(p)
const asked = process.env.ASKED
if (asked) {
  const { kind, place } = JSON.parse(asked)
  if (process.env.CC) (await import("node:module")).enableCompileCache("/tmp/ccache")
  const runtime = ManagedRuntime.make(layerOf(kind, place) as any)
  await runtime.context()
  const began = performance.now()
  await runtime.runPromise(unlimited(recorded.resume("run")) as any)
  process.send?.(performance.now() - began)
  process.disconnect?.()
  process.exit()
}
const at = mkdtempSync("/work/main/bench/node_modules/.zz-")
for (const steps of [10, 1000]) for (const kind of ["SQLite", "LocalStorage"]) {
  const place = join(at, `${kind}${steps}`)
  await Effect.runPromise((Effect.gen(function*() {
    const d = yield* Deferred.make<void>()
    atEnd = () => Effect.andThen(Deferred.succeed(d, undefined), Effect.never)
    yield* Effect.raceFirst(Effect.orDie(recorded.start(steps, { runId: "run" }) as any), Deferred.await(d))
  }).pipe(unlimited as any, Effect.provide(layerOf(kind, place) as any))) as any)
  const times: number[] = []
  for (let i = 0; i < 15; i++) {
    const copy = join(at, `c${i}${kind}${steps}`)
    cpSync(place, copy, { recursive: true })
    const child = fork(import.meta.filename, { env: { ...process.env, ASKED: JSON.stringify({ kind, place: copy }) } })
    const [t] = await once(child, "message"); await once(child, "exit")
    times.push(t as number)
  }
  times.sort((a, b) => a - b)
  console.log(from, kind, steps, "best", times[0]!.toFixed(1), "median", times[7]!.toFixed(1))
}
rmSync(at, { recursive: true })
process.exit()
