/**
 * Where the texts of a call's log go: to Effect's `Console`, or to a function of the user's; and in which
 * colours. Nothing that becomes of a text changes the call.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

export interface To {
  /** Takes each text instead of the console; without colours unless they are asked for. */
  readonly logFn?: ((text: string) => void) | undefined
  /** Takes the texts of failures. Default: `logFn`, else the console's `error`. */
  readonly errorLogFn?: ((text: string) => void) | undefined
  /** Default: where the console writes to a terminal, unless `NO_COLOR` is set. */
  readonly colors?: boolean | undefined
}

interface Stream {
  readonly isTTY?: boolean
}

const process = (globalThis as {
  process?: { env?: Record<string, string | undefined>; stdout?: Stream; stderr?: Stream }
}).process

const codes = { good: "32", bad: "31", dim: "2", bold: "1" } as const

/** `bad` is a failure. */
export type Colour = keyof typeof codes

export class Lines {
  private readonly to: To
  private readonly waiting: Array<readonly [text: string, isError: boolean]> = []

  constructor(to: To) {
    this.to = to
  }

  /** To be printed with the next `flush`. Only the first line of `text` is coloured. */
  say(text: string, colour?: Colour): void {
    const isError = colour === "bad"
    const coloured = colour !== undefined && this.isColoured(isError)
      ? text.replace(/[^\n]+/, (line) => `\u001b[${codes[colour]}m${line}\u001b[0m`)
      : text
    this.waiting.push([coloured, isError])
  }

  flush(): Effect.Effect<void> {
    return Effect.forEach(this.waiting.splice(0), ([text, isError]) => {
      const given = this.given(isError)
      const printed = given !== undefined
        ? Effect.sync(() => hand(given, text))
        : isError
        ? Console.error(text)
        : Console.log(text)
      return Effect.ignoreCause(printed)
    }, { discard: true })
  }

  private given(isError: boolean): To["logFn"] {
    const { errorLogFn, logFn } = this.to
    return isError ? errorLogFn ?? logFn : logFn
  }

  private isColoured(isError: boolean): boolean {
    const { colors } = this.to
    if (colors !== undefined) return colors
    const stream = isError ? process?.stderr : process?.stdout
    return this.given(isError) === undefined && stream?.isTTY === true
      && (process?.env?.NO_COLOR ?? "") === ""
  }
}

/** An asynchronous function fits the type, too: its rejection would end the process. */
const hand = (given: (text: string) => unknown, text: string): void => {
  const said = given(text)
  if (said instanceof Promise) said.catch(() => {})
}
