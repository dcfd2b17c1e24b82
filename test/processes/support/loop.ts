/** A workflow of many short steps that ends when a file stands there: long enough for any chaos. */
import * as Effect from "effect/Effect"
import { existsSync } from "node:fs"
import { Workflow } from "reprise"

export const makeLoop = (stopFile: string) =>
  Workflow.make("loop", function*(ctx) {
    let sum = 0
    for (let round = 0;; round++) {
      // Long enough for another process to read the journal in between.
      const isOver = yield* ctx.step("look", () =>
        Effect.as(Effect.sleep(round % 12), existsSync(stopFile)))
      if (isOver) {
        return { round, sum }
      }
      sum += yield* ctx.step("add", () =>
        round)
      if (round % 5 === 3) {
        const [a, b, c] = yield* ctx.all([
          ctx.step("a", () => Promise.resolve(1)),
          ctx.step("b", () => 2),
          function*() {
            return (yield* ctx.step("c", () => 1))
              + (yield* ctx.step("c", () => Promise.resolve(1)))
          }
        ], { name: `fan${round}` })
        sum += a + b - c - 1
      }
    }
  })
