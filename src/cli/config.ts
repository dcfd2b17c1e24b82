/**
 * `reprise.json`: the storage and the workflows of a project, for every call in its directory or below. The nearest one
 * counts, and is not passed over when something is wrong with it: another storage would be read.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"

const fields = {
  storage: "Write {\"storage\": \"file:.reprise\"} into it, or name the storage by --storage.",
  workflows: "Write {\"workflows\": \"./workflows.ts\"} into it, or name the module by --workflow."
}

export type Field = keyof typeof fields

/** The file does not say what it is asked for. What it says is told without a word of it: it may hold a password. */
export class ConfigRejected
  extends Schema.TaggedError<ConfigRejected>("reprise/ConfigRejected")("ConfigRejected", {
    file: Schema.String,
    field: Schema.Literals(["storage", "workflows"]),
    saw: Schema.String
  })
{
  override get message(): string {
    return `${this.file} names no ${this.field}: ${this.saw}. ${fields[this.field]}`
  }
}

export interface Configured {
  readonly file: string
  readonly directory: string
  /** Undefined where the file does not have it. */
  readonly value: unknown
}

const name = "reprise.json"

/** What the nearest file has for a field; undefined when there is no file. */
export const nearest = Effect.fnUntraced(function*(
  field: Field
): Effect.fn.Return<
  Configured | undefined,
  ConfigRejected,
  FileSystem.FileSystem | Path.Path
> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  for (let directory = paths.resolve("."), last = "";; directory = paths.dirname(directory)) {
    if (directory === last) return undefined
    last = directory
    const file = paths.join(directory, name)
    const rejected = (saw: string) => new ConfigRejected({ file, field, saw })
    const text = yield* fs.readFileString(file).pipe(
      Effect.catchTag("PlatformError", ({ reason }) =>
        reason._tag === "NotFound"
          ? Effect.undefined
          : Effect.fail(rejected(`it cannot be read (${reason._tag})`)))
    )
    if (text === undefined) continue
    const json = parsed(text)
    return typeof json === "string"
      ? yield* rejected(json)
      : { file, directory, value: json[field] }
  }
})

/** What the text has by field, or what is wrong with it. */
const parsed = (text: string): Partial<Record<Field, unknown>> | string => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return "it is not JSON"
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return "it is not a JSON object"
  }
  const other = Object.keys(json).find((key) => !Object.hasOwn(fields, key))
  return other === undefined
    ? json
    : `it has ${JSON.stringify(other)}, and only "storage" and "workflows" are known`
}
