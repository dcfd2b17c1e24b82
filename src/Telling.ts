/**
 * What a session tells the world besides its journal: observers, logs, published progress, and what
 * surrounds a step's effect. Never changes what happens.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import * as Codec from "./Codec.ts"
import type { Entry } from "./Entry.ts"
import type { Live } from "./Live.ts"
import type { Pending, Said } from "./Machine.ts"
import { Observers, type RunEvent } from "./Observer.ts"
import type { Of } from "./Record.ts"

export class Telling {
  private readonly of: Of
  private readonly live: Live
  private readonly observers
  /** Whether anybody sees spans. */
  readonly isTraced: boolean
  private readonly warnings: Array<string> = []

  constructor(of: Of, live: Live) {
    this.of = of
    this.live = live
    this.observers = Context.get(of.services, Observers)
    this.isTraced = of.services.mapUnsafe.has(Tracer.Tracer.key)
  }

  get isHeard(): boolean {
    return this.observers.length > 0
  }

  /** Whether `warn` has something to say. */
  get hasWarnings(): boolean {
    return this.warnings.length > 0
  }

  tell(events: ReadonlyArray<RunEvent>): Effect.Effect<void> {
    return Effect.forEach(
      events,
      // Whoever watches cannot break what is watched.
      (event) =>
        Effect.forEach(this.observers, (observer) => Effect.ignoreCause(observer(event)), {
          discard: true
        }),
      { discard: true }
    )
  }

  entry(entry: Entry, timestamp: string): RunEvent {
    return { type: "entry", runId: this.of.runId, entry, timestamp }
  }

  leave(why: string): Effect.Effect<void> {
    return this.tell([{ type: "left", runId: this.of.runId, why }])
  }

  announce({ id, instruction }: Pending): Effect.Effect<void> {
    const { runId } = this.of
    return this.tell([{
      type: "started",
      runId,
      stepId: id,
      name: "name" in instruction ? instruction.name : id,
      ...(instruction.op === "child" ? { isChild: true } : undefined)
    }])
  }

  /** What the body logged and published. */
  say(said: ReadonlyArray<Said>): Effect.Effect<void> {
    return this.inRun(Effect.forEach(
      said,
      (one) => {
        if (one.op === "log") {
          return Effect.annotateLogs(Effect.log(one.message), one.fields)
        }
        this.publish(one.channel, one.value)
        return Effect.void
      },
      { discard: true }
    ))
  }

  /** Shows a value on a channel; one that does not fit is warned of and shown to nobody. */
  publish(
    channel: string,
    value: unknown,
    from?: { readonly stepId: string; readonly attempt: number }
  ): void {
    const { channels } = this.of.program
    const codec = Object.hasOwn(channels, channel) ? channels[channel] : undefined
    const names = Object.keys(channels)
    if (codec === undefined && names.length > 0) {
      this.warnings.push(`no channel "${channel}" is declared; there are: ${names.join(", ")}`)
      return
    }
    const encoded = (codec ?? Codec.strict).encode(value, this.of.services)
    if (!encoded.ok) {
      const what = `channel "${channel}"`
      this.warnings.push(Codec.rejection(encoded.refused, { runId: this.of.runId, what }).message)
      return
    }
    const { json } = encoded
    this.live.publish(channel, { ...(json === undefined ? undefined : { value: json }), ...from })
  }

  warn(): Effect.Effect<void> {
    const warnings = this.warnings.splice(0)
    return this.inRun(Effect.forEach(
      warnings,
      (warning) => Effect.logWarning(`A published value is not shown: ${warning}`),
      { discard: true }
    ))
  }

  /** Adds to a step's effect what its logs and spans are told apart by. */
  surround<A>(pending: Pending, effect: Effect.Effect<A>): Effect.Effect<A> {
    const { program, runId } = this.of
    const ids = { runId, workflow: program.name, stepId: pending.id }
    const logged = Effect.annotateLogs(effect, ids)
    return this.isTraced
      ? Effect.withSpan(logged, `step ${pending.id}`, { attributes: ids })
      : logged
  }

  private inRun<A>(effect: Effect.Effect<A>): Effect.Effect<A> {
    return Effect.annotateLogs(effect, {
      runId: this.of.runId,
      workflow: this.of.program.name
    })
  }
}
