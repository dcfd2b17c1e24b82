/** Sends to runs as their workflows declare it, where those are known here; other runs take any JSON. */
import * as Effect from "effect/Effect"
import { payloadOf } from "../JsonCalls.ts"
import { type Program, programOf } from "../Program.ts"
import * as Runs from "../Runs.ts"
import * as Token from "../Token.ts"
import type { AnyContract } from "./Forms.ts"

/** The programs of workflows, by name. */
export const programs = (workflows: ReadonlyArray<AnyContract>): ReadonlyMap<string, Program> =>
  new Map(workflows.map((workflow) => [workflow.name, programOf(workflow)]))

export const sender = (workflows: ReadonlyArray<AnyContract>) => {
  const known = programs(workflows)

  /** The run as it goes on now, and the value as its workflow declares it. */
  const checked = Effect.fnUntraced(function*(
    id: string,
    { eventName, value }: Pick<Runs.Sent, "eventName" | "value">
  ) {
    const { runId, version, workflow } = yield* Runs.latestStatus(id)
    const program = known.get(workflow)
    // A run of another version may wait for what this one does not declare.
    return program === undefined || program.version !== version
      ? { runId, value }
      : { runId, value: yield* payloadOf(program, runId, eventName, value) }
  })

  return {
    /** Gives the run that it reaches, which may be one that the named one went on as. */
    send: Effect.fnUntraced(function*(id: string, event: Runs.Sent) {
      const { runId, value } = yield* checked(id, event)
      yield* Runs.send(id, { ...event, value })
      return runId
    }),
    deliver: Effect.fnUntraced(function*(token: string, given: Runs.Sent["value"]) {
      const addressed = Token.parse(token)
      const { value } = addressed === undefined
        ? { value: given }
        : yield* checked(addressed.runId, { eventName: addressed.event, value: given })
      yield* Runs.deliver(token, value)
    })
  }
}
