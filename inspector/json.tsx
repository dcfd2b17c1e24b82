/**
 * Values as JSON that people read: coloured when they are short, in parts when they are long, and whole
 * when somebody asks for that.
 */
import type { ComponentChildren, JSX } from "preact"
import { useMemo, useState } from "preact/hooks"
import { announce } from "./store.ts"
import { isCut, type Json } from "./types.ts"
import { Text } from "./ui.tsx"

/** Behind this many characters one has to ask. */
const shown = 20_000
/** Colours cost elements. */
const coloured = 6_000

/** A text that is cut may end within a string. */
const tokens = /("(?:[^"\\]|\\.)*"?)(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

const inColour = (text: string): ReadonlyArray<ComponentChildren> => {
  const out: Array<ComponentChildren> = []
  let from = 0
  for (const found of text.matchAll(tokens)) {
    const [whole, quoted, colon, word] = found
    if (found.index > from) out.push(text.slice(from, found.index))
    const kind = quoted === undefined ? word === undefined ? "n" : "w" : colon ? "k" : "s"
    out.push(
      <span key={found.index} class={kind}>
        <Text text={whole} max={Infinity} />
      </span>
    )
    from = found.index + whole.length
  }
  out.push(text.slice(from))
  return out
}

export const pretty = (value: Json | undefined): string =>
  value === undefined ? "" : JSON.stringify(value, null, 2)

const Long = ({ label, text }: { readonly label: string; readonly text: string }): JSX.Element => {
  const [isWhole, setWhole] = useState(false)
  const isLong = text.length > shown && !isWhole
  const part = isLong ? text.slice(0, shown) : text
  const made = useMemo(
    () =>
      part.length <= coloured
        ? inColour(part)
        : <Text text={part} max={Infinity} keeps={"\n"} />,
    [part]
  )
  return (
    <>
      <pre class="json" tabIndex={0} aria-label={label}>{made}{isLong ? "…" : ""}</pre>
      {isLong
        ? (
          <button type="button" class="button small" onClick={() => setWhole(true)}>
            Show all {text.length.toLocaleString("en")} characters
          </button>
        )
        : null}
    </>
  )
}

/** A value; `whole` fetches one of which only the beginning came. */
export const Value = ({ label, value, whole }: {
  readonly label: string
  readonly value: Json | undefined
  readonly whole?: (() => Promise<Json | undefined>) | undefined
}): JSX.Element => {
  const [fetched, setFetched] = useState<Json>()
  const [isBusy, setBusy] = useState(false)
  const now = fetched ?? value
  const text = useMemo(() => isCut(now) ? now.cut : pretty(now), [now])
  if (now === undefined) return <p class="none">No value</p>
  return (
    <div class="value">
      <Long label={label} text={text} />
      {isCut(now)
        ? (
          <p class="note">
            The first characters of {now.characters.toLocaleString("en")}.{" "}
            {whole === undefined ? null : (
              <button
                type="button"
                class="button small"
                disabled={isBusy}
                onClick={() => {
                  setBusy(true)
                  void whole()
                    .then(setFetched, (error: unknown) => announce(String(error), true))
                    .then(() => setBusy(false))
                }}
              >
                {isBusy ? "Fetching…" : "Fetch the whole value"}
              </button>
            )}
          </p>
        )
        : null}
    </div>
  )
}
