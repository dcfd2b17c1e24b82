/** What callers may send at all: whatever no storage could hold is refused, with the place where it stands. */
import { describe, expect, it } from "vitest"
import { made, waits } from "./support/server.ts"

const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`

describe("the API refuses", () => {
  for (const levels of [201, 9_000, 400_000]) {
    it(`JSON ${levels} levels deep, wherever a value may stand`, async () => {
      const { ask, on } = made()
      await on(waits.start(1, { runId: "r1" }))
      const bodies = [
        ["/api/runs", `{"workflow":"w","input":${deep(levels)}}`],
        ["/api/runs/r1/events", `{"eventName":"go","value":${deep(levels)}}`],
        ["/api/runs/r1/fork", `{"fromOffset":1,"override":{"a":${deep(levels)}}}`],
        ["/api/runs/r1/settle", `{"stepId":"a","verdict":{"value":${deep(levels)}}}`],
        ["/api/deliveries", `{"token":"t","value":${deep(levels)}}`]
      ] as const
      for (const [path, body] of bodies) {
        const answer = await ask("POST", path, { body })
        expect([path, answer.status]).toEqual([path, 400])
      }
    })
  }

  it("and takes what is as deep as a journal allows", async () => {
    const { ask, on } = made()
    await on(waits.start(1, { runId: "r1" }))
    const body = `{"eventName":"go","value":${deep(199)}}`
    expect((await ask("POST", "/api/runs/r1/events", { body })).status).toBe(202)
  })

  const long = "x".repeat(501)
  const odd: ReadonlyArray<readonly [string, string, string, unknown?]> = [
    ["an event id that no index holds", "POST", "/api/runs/r1/events", {
      eventName: "go",
      eventId: long
    }],
    ["a key that no index holds", "POST", "/api/runs/r1/events", { eventName: "go", key: long }],
    ["NUL in a name", "POST", "/api/runs/r1/events", { eventName: "a\0" }],
    ["NUL in a workflow", "POST", "/api/runs", { workflow: "w\0", input: 1 }],
    ["a workflow without a name", "POST", "/api/runs", { workflow: "", input: 1 }],
    ["an instant that is none", "POST", "/api/prune", { endedBefore: 1e308 }],
    ["a negative instant", "POST", "/api/prune", { endedBefore: -1 }],
    ["a time that is none in a list", "GET", "/api/runs?updatedFrom=1e308"],
    ["a cursor with NUL", "GET", "/api/runs?after=%00"],
    ["an instant that is none for what is due", "GET", "/api/due?now=1e308"]
  ]
  for (const [what, method, path, json] of odd) {
    it(`${what}`, async () => {
      const { ask, on } = made()
      await on(waits.start(1, { runId: "r1" }))
      const answer = await ask(method, path, json === undefined ? {} : { json })
      expect(answer.status).toBe(400)
      expect(answer.json().errors).toMatchObject([{
        path: [expect.any(String), expect.any(String)]
      }])
    })
  }
})
