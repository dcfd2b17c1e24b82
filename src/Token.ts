/**
 * The text of `ctx.token`: run, incarnation, event and key as base64url of JSON, fit for a link.
 *
 * The incarnation is random and stands nowhere but in the journal, so a token cannot be made from a run
 * id alone, and one of a run that was removed reaches no later run of the same id.
 */
import * as Schema from "effect/Schema"

/** The text is not a token, or was cut on its way. */
export class TokenRejected
  extends Schema.TaggedError<TokenRejected>("reprise/TokenRejected")("TokenRejected", {
    saw: Schema.String
  })
{
  override get message(): string {
    return `This is not a token of ctx.token: ${this.saw}. Check that the whole link arrived; nothing was delivered.`
  }
}

/** What a token names. */
export interface Addressed {
  readonly runId: string
  readonly incarnation: string
  readonly event: string
  readonly key: string | undefined
}

/** The token of an event of a run. */
export const make = ({ event, incarnation, key, runId }: Addressed): string => {
  const json = JSON.stringify([runId, incarnation, event, ...(key === undefined ? [] : [key])])
  const bytes = String.fromCharCode(...new TextEncoder().encode(json))
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

/** What a token names, or undefined when the text is none. */
export const parse = (token: string): Addressed | undefined => {
  try {
    const bytes = atob(token.replaceAll("-", "+").replaceAll("_", "/"))
    const text = new TextDecoder("utf-8", { fatal: true }).decode(
      Uint8Array.from(bytes, (c) => c.charCodeAt(0))
    )
    const parts: unknown = JSON.parse(text)
    if (!Array.isArray(parts) || parts.length < 3 || parts.length > 4) return undefined
    if (!parts.every((part) => typeof part === "string")) return undefined
    const [runId, incarnation, event, key] = parts
    return { runId: runId!, incarnation: incarnation!, event: event!, key }
  } catch {
    return undefined
  }
}
