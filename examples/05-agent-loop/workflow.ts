/**
 * The workflow: a model that calls tools until it has an answer.
 *
 * Every call of the model and of a tool is a step. The conversation is no state that has to be saved: it
 * is put together again from the journal, so a crash costs no more than the call that was running.
 */
import { Effect, Option, Schedule, Schema, Stream } from "effect"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import * as Response from "effect/ai/Response"
import { Workflow } from "reprise"
import { Tools } from "./tools.ts"

/** What the model says in a turn: text, or calls of tools. */
const Turn = Schema.Array(Response.Part(Tools))
type Call = Response.ToolCallParts<typeof Tools.tools>

/** The model went on and on. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", {
  turns: Schema.Int
}) {}

const mostTurns = 50

export const agent = Workflow.make("agent", {
  input: Schema.Struct({ question: Schema.NonEmptyString }),
  output: Schema.String,
  error: Schema.Union([NoAnswer, AiError.AiError])
}, function*(ctx, { question }) {
  let conversation = Prompt.make([
    { role: "system", content: "Answer from the ledger alone, and read all of its pages." },
    { role: "user", content: [{ type: "text", text: question }] }
  ])

  for (let turn = 1; turn <= mostTurns; turn++) {
    const said = yield* ctx.step("ask", () => ask(conversation), { schema: Turn, retry: patience })

    const calls = said.filter((part) => part.type === "tool-call")
    if (calls.length === 0) {
      return said.map((part) => part.type === "text" ? part.text : "").join("")
    }

    // A model may call several tools in a turn: they run at the same time.
    const results = yield* ctx.forEach(
      calls,
      (call) => ctx.step(call.name, () => use(call), { schema: Prompt.ToolResultPart }),
      { name: `turn ${turn}`, key: (call) => call.id }
    )
    conversation = conversation.pipe(
      Prompt.concat(Prompt.fromResponseParts(said)),
      Prompt.concat(Prompt.fromMessages([Prompt.toolMessage({ content: results })]))
    )
  }
  return yield* ctx.fail(new NoAnswer({ turns: mostTurns }))
})

/** For a provider that is busy, or out of reach for a while. */
const patience = {
  while: (error: AiError.AiError) => error.isRetryable,
  schedule: Schedule.exponential("1 second"),
  times: 8
}

/** Asks for the next turn. The tools in it are called by the workflow. */
const ask = Effect.fn("ask")(function*(prompt: Prompt.Prompt) {
  const { content } = yield* LanguageModel.generateText({
    prompt,
    toolkit: Tools,
    disableToolCallResolution: true
  })
  return content
})

/** Calls a tool. What it comes to is for the model to read, its failure, too. */
const use = Effect.fn("use")(function*({ id, name, params }: Call) {
  const tools = yield* Tools
  const outputs = yield* tools.handle(name, params, id)
  const { encodedResult, isFailure } = Option.getOrThrow(yield* Stream.runLast(outputs))
  return Prompt.toolResultPart({
    id,
    name,
    isFailure,
    result: encodedResult,
    providerExecuted: false
  })
})
