/** What goes into the API and out of it, apart from the endpoints that it belongs to. */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Status from "../Status.ts"
import { Millis, Name, Text, Value } from "./Inputs.ts"

const optional = Schema.optionalKey

/** Runs by id, those that cannot be read, and where the next page begins. */
export const Page = Schema.Struct({
  runs: Schema.Array(Status.Status),
  unreadable: Schema.Array(Schema.Struct({ runId: Schema.String, message: Schema.String })),
  cursor: optional(Schema.String)
})
export type Page = typeof Page.Type

/** How many to give; default 100. */
export const limited = (most: number) =>
  optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: most })))

/** Which runs to give. */
export const ListQuery = Schema.Struct({
  status: optional(Status.State),
  workflow: optional(Name),
  /** Part of a run id or of a workflow's name. */
  search: optional(Name),
  updatedFrom: optional(Millis),
  updatedBefore: optional(Millis),
  limit: limited(1_000),
  after: optional(Text)
})

/** A workflow that the server has the code, or the contract, of. */
export const Known = Schema.Struct({
  name: Schema.String,
  version: optional(Schema.String),
  /** By their names; `schema` is a JSON Schema of the payload. */
  events: Schema.Record(Schema.String, Schema.Struct({ schema: optional(Schema.Json) }))
})
export type Known = typeof Known.Type

/** The run that a post reached, and the id under which it is known. */
export const Posted = Schema.Struct({ runId: Schema.String, eventId: optional(Schema.String) })

/** The run that was begun. */
export const Made = Schema.Struct({ runId: Schema.String })

/** A value that is none, which JSON has no word for: `{ "void": true }`. */
export const Nothing = Schema.Struct({ void: Schema.Literal(true) }).pipe(
  Schema.decodeTo(
    Schema.Struct({ value: Schema.Undefined }),
    SchemaTransformation.transform<{ readonly value: undefined }, { readonly void: true }>({
      decode: () => ({ value: undefined }),
      encode: () => ({ void: true })
    })
  )
)

/** How a run that is begun from another one differs from it. */
export const Changed = {
  override: optional(Schema.Record(Schema.String, Value)),
  runId: optional(Name)
}

/** What URLs are normalized without: a path never has it. */
const unaddressable = new Set(["", ".", ".."])

/** A run in a path. */
export const run = {
  params: {
    runId: Schema.String.check(
      Schema.makeFilter((runId) =>
        !unaddressable.has(runId)
        || `A run called "${runId}" has no address: a URL cannot hold that`
      )
    )
  }
}
