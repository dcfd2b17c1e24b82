/** A workflow of six steps, each of which says that it runs. */
import { Workflow } from "reprise"

export const chain = ["s0", "s1", "s2", "s3", "s4", "s5"]

export const makeSteps = (did: (step: string) => void, size = 10) =>
  Workflow.make("chain", function*(ctx) {
    const results: Array<string> = []
    for (const name of chain) {
      const padded = yield* ctx.step(name, () => {
        did(name)
        return name.padEnd(size, ".")
      })
      results.push(padded.replaceAll(".", ""))
    }
    return results.join()
  })
