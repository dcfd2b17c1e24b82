/**
 * A model that needs no key and no network: it reads page after page, and adds up at the end.
 *
 * Like a real one it remembers nothing: all that it knows is in the prompt. Any provider's layer of
 * `effect/ai` takes its place:
 *
 *     OpenAiLanguageModel.model("gpt-5.2").pipe(
 *       Layer.provide(OpenAiClient.layerConfig({ apiKey: Config.Redacted("OPENAI_API_KEY") })),
 *       Layer.provide(FetchHttpClient.layer)
 *     )
 */
import { Console, Effect, Layer, Schema, Stream } from "effect"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import { Page } from "./tools.ts"

export const layerScripted = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: ({ prompt }) => {
      const pages = pagesIn(prompt)
      return Effect.as(Console.log(`model: turn ${pages.length + 1}`), [turn(pages)])
    },
    streamText: () => Stream.die("nothing is streamed here")
  })
)

/** What the tools have answered so far. */
const pagesIn = (prompt: Prompt.Prompt): ReadonlyArray<Page> =>
  prompt.content
    .flatMap((message) => message.role === "tool" ? message.content : [])
    .flatMap((part) => part.type === "tool-result" ? [decodePage(part.result)] : [])

const decodePage = Schema.decodeUnknownSync(Page)

const turn = (pages: ReadonlyArray<Page>): Response.PartEncoded => {
  const last = pages.at(-1)
  const page = last === undefined ? 1 : last.next
  if (page !== undefined) {
    return { type: "tool-call", id: `call-${page}`, name: "readPage", params: { page } }
  }
  const euros = pages.flatMap(({ lines }) => lines)
    .filter(({ what }) => what === "trains")
    .reduce((sum, line) => sum + line.euros, 0)
  return { type: "text", text: `We spent ${euros} euros on trains.` }
}
