/**
 * A workflow as the engine sees it, made of its name, its options and its body.
 */
import type * as Schema from "effect/Schema"
import * as Codec from "../Codec.ts"
import * as Hooks from "../Hooks.ts"
import { byName, type Naming } from "../Naming.ts"
import * as Replay from "../Replay.ts"
import type { Options } from "./Types.ts"

const noBody = () => {
  throw new Error("a contract has no body to run")
}

/** A workflow as the engine sees it; without a body it can be written to and not driven. */
export const makeProgram = (
  name: string,
  options: Options,
  body: Replay.Program["body"] | undefined,
  /** Names a pipeline's steps. */
  naming?: Naming
): Replay.Program => ({
  name,
  version: options.version,
  previous: (options.previous ?? []).map(Replay.programOf),
  retired: options.retired ?? [],
  durability: options.durability ?? "sync",
  runIdOf: options.runId,
  input: Codec.of(options.input),
  output: Codec.of(options.output),
  error: options.error === undefined ? undefined : Codec.fromSchema(options.error),
  events: codecs(options.events),
  channels: codecs(options.channels),
  hasBody: body !== undefined,
  body: body ?? noBody,
  hook: Hooks.ofHooks(options, naming ?? byName),
  accumulates: naming !== undefined,
  naming,
  refusesBase: undefined
})

const codecs = (schemas: Readonly<Record<string, Schema.Top>> = {}) =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, Codec.fromSchema(schema)])
  )
