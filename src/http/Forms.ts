/** What is known of workflows without running them: their names, and the payloads of their events as JSON Schema. */
import * as Schema from "effect/Schema"
import type { Callee } from "../Instruction.ts"
import type { Options } from "../workflow/Types.ts"
import type { Known } from "./Shapes.ts"

/** A workflow or a contract, of whatever types. */
export interface AnyContract extends Callee<any, any, any, any> {
  readonly name: string
  readonly options: Options
}

export const known = ({ name, options }: AnyContract): Known => ({
  name,
  ...(options.version === undefined ? undefined : { version: options.version }),
  events: Object.fromEntries(
    Object.entries(options.events ?? {}).map(([event, schema]) => [event, formOf(schema)])
  )
})

/** A schema without a JSON Schema, as one of a function's own, is asked for as JSON. */
const formOf = (schema: Schema.Top): { readonly schema?: Schema.Json } => {
  try {
    const document = Schema.toJsonSchemaDocument(Schema.toCodecJson(schema))
    const form = { ...document.schema, $defs: document.definitions }
    return { schema: JSON.parse(JSON.stringify(form)) as Schema.Json }
  } catch {
    return {}
  }
}
