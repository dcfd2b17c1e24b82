/** Drives runs with code that a module gave: with the services it says it needs, on the storage of the command. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Failure from "../Failure.ts"
import { describe } from "../internal/describe.ts"
import { StepHook } from "../StepHook.ts"
import { Storage } from "../Storage.ts"
import { type Code, CodeRejected } from "./workflows.ts"

/** What is driven needs something that neither the command nor the modules give. */
export class ServiceMissing
  extends Schema.TaggedError<ServiceMissing>("reprise/ServiceMissing")("ServiceMissing", {
    service: Schema.String,
    runId: Schema.String,
    /** The step that asked for it, if one did. */
    stepId: Schema.optionalKey(Schema.String)
  })
{
  override get message(): string {
    return `${
      this.stepId === undefined ? "The workflow" : `Step "${this.stepId}"`
    } needs the service `
      + `"${this.service}", which nobody gives here. Run "${this.runId}" stays open, and no outcome was journaled. `
      + `Export a Layer of what the workflows need as "layer" from the module, then resume the run.`
  }
}

/**
 * Drives with what the modules say that their workflows need, on the storage of the command, whatever they
 * say of that. What is logged goes to stderr.
 */
export const driven = <A, E>(
  { layers }: Code,
  runId: string,
  driving: Effect.Effect<A, E, Storage>
): Effect.Effect<A, E | CodeRejected | ServiceMissing, Storage> =>
  Effect.scoped(Effect.gen(function*() {
    const storage = yield* Storage
    const missing = yield* Deferred.make<never, ServiceMissing>()
    // A missing service would fail the step, and with it the run: it is left where it stands.
    const hook: StepHook = ({ runId, stepId }, work) =>
      Effect.catchCause(work, (cause) => {
        const service = missingIn(cause)
        return service === undefined
          ? Effect.failCause(cause)
          : Effect.andThen(
            Deferred.fail(missing, new ServiceMissing({ service, runId, stepId })),
            Effect.never
          )
      })
    let given = Context.empty() as Context.Context<unknown>
    for (const { layer, module } of layers) {
      const built = Effect.catchCause(Layer.build(layer), (cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.fail(layerFailed(module, cause)))
      given = Context.merge(
        given,
        yield* built as Effect.Effect<Context.Context<unknown>, CodeRejected>
      )
    }
    return yield* Effect.raceFirst(driving, Deferred.await(missing)).pipe(
      Effect.catchCause((cause) => {
        const service = missingIn(cause)
        return service === undefined
          ? Effect.failCause(cause)
          : Effect.fail(new ServiceMissing({ service, runId }))
      }),
      Effect.provideService(Storage, storage),
      Effect.provideService(StepHook, hook),
      Effect.provideContext(given as Context.Context<never>),
      Effect.provideService(Logger.LogToStderr, true)
    )
  }))

const layerFailed = (module: string, cause: Cause.Cause<unknown>): CodeRejected => {
  const { message, tag } = describe(Failure.ofCause(cause).error)
  const saw = `exports a "layer" that could not be built: ${tag}: ${message.replace(/\.$/, "")}`
  return new CodeRejected({ module, saw, instead: "Nothing was run" })
}

/** The name of the service that a defect says is not there. */
const missingIn = ({ reasons }: Cause.Cause<unknown>): string | undefined => {
  for (const reason of reasons) {
    if (!Cause.isDieReason(reason)) continue
    const name = /^Service not found: (.+)/.exec(describe(reason.defect).message)?.[1]
    if (name !== undefined) return name
  }
  return undefined
}
