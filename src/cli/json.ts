/** Values that stand in arguments as JSON: read strictly, with errors that name the argument. */
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Codec from "../Codec.ts"
import * as Text from "../Text.ts"

/** An argument is not what the command can work with. Nothing was done. */
export class ArgumentRejected
  extends Schema.TaggedError<ArgumentRejected>("reprise/ArgumentRejected")("ArgumentRejected", {
    /** As it is called in the help. */
    argument: Schema.String,
    saw: Schema.String,
    /** What to do instead. */
    instead: Schema.String
  })
{
  override get message(): string {
    return `${this.argument} ${this.saw}. ${this.instead}. Nothing was done.`
  }
}

/** What stands in `text` as it is, without what JSON would lose or a journal refuses. */
export const parse = (
  argument: string,
  text: string
): Effect.Effect<Schema.Json, ArgumentRejected> =>
  Effect.flatMap(Effect.context<never>(), (services) => {
    const instead = `Write JSON, as in '{"approved":true}' or '"text"': a shell takes the outer `
      + "quotes away"
    const parsed = parsedOf(text)
    if (!parsed.ok) {
      return Effect.fail(
        new ArgumentRejected({ argument, saw: parsed.why, instead })
      )
    }
    const encoded = Codec.strict.encode(parsed.value, services)
    return encoded.ok
      ? Effect.succeed(encoded.json as Schema.Json)
      : Effect.fail(
        new ArgumentRejected({
          argument,
          saw: Text.cut(Codec.why(encoded.refused), 240),
          instead: "Send a value that a journal can keep, or keep it elsewhere and send its place"
        })
      )
  })

/** As `parse`; `-` stands for what is read from stdin. */
export const valueOf = (
  argument: string,
  text: string
): Effect.Effect<Schema.Json, ArgumentRejected | PlatformError, Stdio.Stdio> =>
  text === "-"
    ? Effect.flatMap(stdin(argument), (read) => parse(`${argument}, from stdin,`, read))
    : parse(argument, text)

type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly why: string }

const isJson = (text: string): boolean => parsedOf(text).ok

const parsedOf = (text: string): Parsed => {
  try {
    return {
      ok: true,
      value: JSON.parse(text, exactly as (key: string, value: unknown) => unknown)
    }
  } catch (error) {
    const { message } = error as Error
    const why = Text.cut(Text.plain(message), 160).replace(/\.$/, "")
    return { ok: false, why: error instanceof Rounded ? why : `is no JSON: ${why}` }
  }
}

class Rounded extends Error {}

/** A whole number that would be rounded is most likely an id. */
const exactly = (_: string, value: unknown, { source }: { readonly source?: string }): unknown => {
  const isLong = typeof value === "number" && /^-?\d{16,}$/.test(source ?? "")
  if (isLong && Number.isFinite(value) && BigInt(value) !== BigInt(source ?? "")) {
    throw new Rounded(`holds ${source}, which would be rounded to ${BigInt(value)}`)
  }
  return value
}

/** A name and its JSON; the name may hold "=" where what follows is no JSON. */
export const pair = (argument: string, text: string) => {
  const at = [...text.matchAll(/=/g)].map(({ index }) => index)
  const end = at.find((index) => isJson(text.slice(index + 1))) ?? at[0]
  if (end === undefined || end === 0) {
    return Effect.fail(
      new ArgumentRejected({
        argument,
        saw: `is ${Text.short(text)}`,
        instead: `Write a step's id, "=" and JSON, as in ${argument} 'classify={"severity":1}'`
      })
    )
  }
  const name = text.slice(0, end)
  return Effect.map(
    parse(`${argument} of ${Text.short(name)}`, text.slice(end + 1)),
    (value) => [name, value] as const
  )
}

/** Far more than a value may take, in whatever way it is written. */
const longest = 64 * 1024 * 1024

const stdin = Effect.fnUntraced(function*(argument: string) {
  const { stdin } = yield* Stdio.Stdio
  const reject = (saw: string) =>
    new ArgumentRejected({
      argument: `${argument}, from stdin,`,
      saw,
      instead: "Pipe JSON in UTF-8 into the command"
    })
  const parts: Array<Uint8Array> = []
  let length = 0
  yield* Stream.runForEach(stdin, (part) => {
    length += part.length
    parts.push(part)
    return length > longest ? Effect.fail(reject("does not end")) : Effect.void
  })
  return yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(concat(parts, length)),
    catch: () => reject("is no UTF-8")
  })
})

const concat = (parts: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
