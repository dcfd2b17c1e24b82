/**
 * What types say of the worker: it needs what the steps and schemas of its workflows need, and takes only
 * what can be driven.
 */
import { Context, Effect, type Layer, Schema } from "effect"
import { Dispatch, type Storage, Worker, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

class Mailer extends Context.Service<Mailer, {
  readonly send: (to: string) => Effect.Effect<void>
}>()("test/Mailer") {}
class Clerk extends Context.Service<Clerk, { readonly name: string }>()("test/Clerk") {}

const mail = Workflow.make("mail", function*(ctx, to: string) {
  yield* ctx.step("send", Effect.flatMap(Mailer, (mailer) => mailer.send(to)))
})
const sign = Workflow.make("sign", function*(ctx) {
  return yield* ctx.step("sign", Effect.map(Clerk, ({ name }) => name))
})
const plain = Workflow.make("plain", { input: Schema.Number }, function*(ctx, n) {
  return yield* ctx.step("twice", () => n * 2)
})

describe("Worker.layer", () => {
  it("needs the storage, and what the steps of all its workflows need", () => {
    expectTypeOf(Worker.layer({ workflows: [plain] })).toEqualTypeOf<
      Layer.Layer<Worker.Worker, never, Storage.Storage>
    >()
    expectTypeOf(Worker.layer({ workflows: [mail, plain, sign] })).toEqualTypeOf<
      Layer.Layer<Worker.Worker, never, Storage.Storage | Mailer | Clerk>
    >()
    expectTypeOf(Worker.layer({ workflows: [mail] }))
      // @ts-expect-error nobody brings the mailer
      .toEqualTypeOf<Layer.Layer<Worker.Worker, never, Storage.Storage>>()
  })

  it("takes workflows with a body, and no contracts", () => {
    const contract = Workflow.define("plain", { input: Schema.Number })
    // @ts-expect-error a contract cannot be driven
    Worker.layer({ workflows: [contract] })
    // @ts-expect-error what is to be driven must be said
    Worker.layer({ concurrency: 3 })
    // @ts-expect-error not how fast
    Worker.layer({ workflows: [plain], speed: 3 })
  })
})

describe("Dispatch", () => {
  it("gives a verdict and fails with nothing", () => {
    expectTypeOf(Dispatch.handle("r1")).toEqualTypeOf<
      Effect.Effect<Dispatch.Verdict, never, Dispatch.Dispatch>
    >()
    expectTypeOf(Dispatch.layer([mail, sign])).toEqualTypeOf<
      Layer.Layer<Dispatch.Dispatch, never, Storage.Storage | Mailer | Clerk>
    >()
    expectTypeOf(Dispatch.layer([mail]))
      // @ts-expect-error nobody brings the mailer
      .toEqualTypeOf<Layer.Layer<Dispatch.Dispatch, never, Storage.Storage>>()
  })

  it("says when a run goes on only where it waits", () => {
    const of = null as unknown as Dispatch.Verdict
    if (of._tag === "Waits") expectTypeOf(of.until).toEqualTypeOf<number | undefined>()
    // @ts-expect-error a run that has ended waits for nothing
    if (of._tag === "Done") void of.until
  })
})
