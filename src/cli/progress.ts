/** How far long work is: a line on stderr that is written over, where that is a terminal. */
import * as Effect from "effect/Effect"
import * as Text from "../Text.ts"

const write = (text: string) =>
  Effect.sync(() => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
  })

export const show = (text: string): Effect.Effect<void> => write(Text.plain(text))

/** Ahead of other output, and at the end. */
export const clear: Effect.Effect<void> = write("")
