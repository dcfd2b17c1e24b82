/**
 * The replay machine stepped by hand, without Effect, storage or a clock: which instructions are
 * pending under which ids, what a body is handed, and where journal and code part.
 */
import { Effect, Result } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Entry } from "../src/Entry.ts"
import * as I from "../src/Instruction.ts"
import { at, type Body, Hand, machineOf, replay, stateOf } from "./support/hand.ts"

const step = (name: string) => I.step(name, () => undefined)
const hand = (body: () => Body) => new Hand(body)

/** Runs the one combinator `fan` and returns what it gives. */
const only = (fan: () => I.Instruction<any, any, any>) =>
  hand(function*() {
    return yield* fan()
  })

/** A branch that waits for step `name` and tells what it heard. */
const told = (name: string, heard: Array<string>) =>
  function*(): Body {
    try {
      return yield* step(name)
    } catch (error) {
      heard.push(`${name}: ${(error as Error).message}`)
      throw error
    }
  }

/** A branch that cleans up with a step when it is cancelled. */
const cleaning = (name: string, cleanUp = `clean ${name}`) =>
  function*(): Body {
    try {
      return yield* step(name)
    } finally {
      yield* step(cleanUp)
    }
  }

const resultOf = (stepId: string, result?: string): Entry => ({
  type: "step",
  stepId,
  name: stepId.replace(/^.*\//, "").replace(/#\d+$/, ""),
  ...(result === undefined ? undefined : { result })
})

describe("one instruction after the other", () => {
  const order = function*(): Body {
    const a = yield* step("a")
    const b = yield* step("b")
    return [a, b, yield* I.runId]
  }

  it("stops at the first step and goes on with its value", () => {
    const run = hand(order)
    expect(run.pending).toEqual(["a"])
    run.done("a", 1)
    expect(run.pending).toEqual(["b"])
    run.done("b", { deep: [2] })
    expect(run.pending).toEqual([])
    expect(run.result).toEqual([1, { deep: [2] }, "r1"])
  })

  it("replays every prefix to the state it had live", () => {
    const run = hand(order)
    const states = [run.state]
    for (const id of ["a", "b"]) states.push(run.done(id, id).state)
    states.forEach((state, n) =>
      expect(stateOf(replay(order, run.entries.slice(0, n)))).toEqual(state)
    )
  })

  it("gives a step without a result as undefined", () => {
    expect(only(() => step("a")).done("a").result).toBeUndefined()
  })

  it("throws a failure at its step, where it can be caught", () => {
    const run = hand(function*() {
      try {
        yield* step("a")
      } catch (error) {
        return `caught ${String(error)} ${yield* step("b")}`
      }
      return "not reached"
    })
    expect(run.fails("a", "no").pending).toEqual(["b"])
    expect(run.done("b", "b").result).toBe("caught no b")
  })

  it("ends with the failure nobody caught", () => {
    expect(only(() => step("a")).fails("a", "no").error).toBe("no")
  })

  it("ends with what the body throws or fails with", () => {
    const bug = new Error("bug")
    expect(
      hand(function*() {
        throw bug
      }).error
    ).toBe(bug)
    const failure = { _tag: "Declined" }
    const run = only(() => I.fail(failure))
    expect(run.error).toBe(failure)
    expect(run.machine.declared.has(failure)).toBe(true)
  })

  it("lets the body catch what it failed with itself", () => {
    expect(
      hand(function*() {
        try {
          yield* I.fail("no")
        } catch (error) {
          return error
        }
        return "not reached"
      }).result
    ).toBe("no")
  })

  it("waits for an event and hands over its value", () => {
    const run = only(() => I.suspend("go"))
    expect(run.pending).toEqual(["go"])
    expect(run.event("go", { by: "alice" }).result).toEqual({ by: "alice" })
  })

  it("runs a body that yields nothing", () => {
    expect(
      hand(function*() {
        return 1
      }).result
    ).toBe(1)
  })

  it("tells a step from a wait by what is needed to go on", () => {
    const run = hand(function*() {
      yield* step("a")
      yield* I.suspend("go")
    })
    expect(run.machine.onlyWaits).toBe(false)
    expect(run.machine.active).toBe(1)
    run.done("a")
    expect(run.machine.onlyWaits).toBe(true)
    expect(run.machine.active).toBe(0)
    run.event("go")
    expect(run.machine.onlyWaits).toBe(false)
  })

  it("hands over the body's own logs when the slice is live, and none on replay", () => {
    const body = function*(): Body {
      yield* I.log("first", { n: 1 })
      yield* step("a")
      yield* I.log("second")
    }
    const run = hand(body).done("a")
    expect(run.machine.said.map((said) => said.op === "log" ? [said.message, said.fields] : said))
      .toEqual([
        ["first", { n: 1 }],
        ["second", {}]
      ])
    expect(replay(body, run.entries).said).toEqual([])
  })

  it("shows since when something is pending: the entry behind which it became so", () => {
    const run = hand(function*() {
      yield* step("a")
      yield* step("b")
      yield* I.suspend("go", { key: "k", reason: "because" })
    })
    run.done("a").done("b")
    expect(run.machine.waits()).toEqual([{
      stepId: "go",
      kind: "event",
      event: "go",
      key: "k",
      reason: "because",
      since: Date.parse(at(2))
    }])
  })
})

describe("ids", () => {
  it("count a name in its branch, whatever kind it has", () => {
    const run = hand(function*() {
      for (let k = 0; k < 3; k++) yield* step("a")
      yield* I.suspend("a")
      yield* I.all({ x: step("a") }, { name: "a" })
      yield* step("a")
    })
    const seen: Array<string> = []
    for (const id of ["a", "a#2", "a#3"]) {
      seen.push(...run.pending)
      run.done(id)
    }
    seen.push(...run.pending)
    seen.push(...run.event("a").pending)
    seen.push(...run.done("a#5[x]/a").pending)
    expect(seen).toEqual(["a", "a#2", "a#3", "a#4", "a#5[x]/a", "a#6"])
  })

  it("are the path of branches, and a lone instruction is a branch too", () => {
    const run = hand(function*() {
      yield* I.all({
        us: step("charge"),
        eu: function*() {
          yield* step("charge")
          yield* step("charge")
        }
      }, { name: "fan" })
    })
    expect(run.pending).toEqual(["fan[us]/charge", "fan[eu]/charge"])
    expect(run.done("fan[eu]/charge").pending).toEqual(["fan[us]/charge", "fan[eu]/charge#2"])
  })

  it("have the combinator's own name by default, and count it", () => {
    const run = hand(function*() {
      yield* I.all([
        function*() {
          yield* I.race([step("s")])
          yield* I.race([step("s")])
        },
        I.any({ k: step("s") }),
        I.forEach(["x", "y"], () => step("s")),
        I.forEach(["x"], (item) => step(item), { key: (item) => `key ${item}`, name: "items" })
      ])
      yield* I.all([step("s")])
    })
    expect(run.pending).toEqual([
      "all[0]/race[0]/s",
      "all[1]/any[k]/s",
      "all[2]/each[0]/s",
      "all[2]/each[1]/s",
      "all[3]/items[key x]/x"
    ])
    run.done("all[0]/race[0]/s")
    expect(run.pending.at(-1)).toBe("all[0]/race#2[0]/s")
    for (const id of run.pending) run.done(id)
    expect(run.pending).toEqual(["all#2[0]/s"])
  })

  it("escape # [ ] / and % in names and keys, and nothing else", () => {
    const run = hand(function*() {
      yield* I.all({ "a/b[c]#d%e": step("x#2"), "é \n": step("[/]") }, { name: "f%an/[0]" })
    })
    expect(run.pending).toEqual([
      "f%25an%2f%5b0%5d[a%2fb%5bc%5d%23d%25e]/x%232",
      "f%25an%2f%5b0%5d[é \n]/%5b%2f%5d"
    ])
  })

  it("of a name with # differ from those of a counted name", () => {
    const run = hand(function*() {
      yield* I.all([
        function*() {
          yield* step("x")
          yield* step("x")
        },
        step("x#2"),
        I.all([step("x")], { name: "all[0]/x" })
      ])
    })
    run.done("all[0]/x")
    expect(new Set(run.pending).size).toBe(3)
    expect(run.pending).toEqual(["all[1]/x%232", "all[2]/all%5b0%5d%2fx[0]/x", "all[0]/x#2"])
  })

  it("go on counting in helper generators, handlers and mapped instructions", () => {
    const helper = function*(): Body {
      yield* step("a")
    }
    const run = hand(function*() {
      yield* helper()
      yield* I.catch(step("a"), () => step("a"))
      yield* I.map(step("a"), () => 1)
    })
    run.done("a").fails("a#2")
    expect(run.pending).toEqual(["a#3"])
    expect(run.done("a#3").pending).toEqual(["a#4"])
  })

  it("do not depend on who was faster", () => {
    const body = function*(): Body {
      yield* I.all({
        l: function*() {
          for (let k = 0; k < 3; k++) yield* step("s")
        },
        r: function*() {
          for (let k = 0; k < 3; k++) yield* step("s")
        }
      })
    }
    const idsOf = (choose: (pending: ReadonlyArray<string>) => string) => {
      const run = hand(body)
      const seen = new Set<string>()
      while (run.pending.length > 0) {
        for (const id of run.pending) seen.add(id)
        run.done(choose(run.pending))
      }
      return [...seen].sort()
    }
    const first = idsOf((pending) => pending[0]!)
    expect(first).toHaveLength(6)
    expect(idsOf((pending) => pending.at(-1)!)).toEqual(first)
    expect(idsOf((pending) => [...pending].sort().at(-1)!)).toEqual(first)
  })

  it("name a combinator also when it is refused, so that what follows keeps its id", () => {
    const run = hand(function*() {
      try {
        yield* I.all([step("s")], { concurrency: 0 })
      } catch {
        yield* I.all([step("s")])
      }
    })
    expect(run.pending).toEqual(["all#2[0]/s"])
  })
})

describe("all", () => {
  it("gives a record by its keys, in their order, whatever order they ended in", () => {
    const run = only(() => I.all({ a: step("s"), b: step("s"), c: I.log("c") }))
    run.done("all[b]/s", 2).done("all[a]/s", 1)
    expect(run.result).toEqual({ a: 1, b: 2, c: undefined })
    expect(Object.keys(run.result as object)).toEqual(["a", "b", "c"])
  })

  it("gives a tuple in its order", () => {
    const run = only(() => I.all([step("s"), step("s")]))
    expect(run.done("all[1]/s", 2).done("all[0]/s", 1).result).toEqual([1, 2])
  })

  it("gives an empty record or tuple at once", () => {
    expect(only(() => I.all({})).result).toEqual({})
    expect(only(() => I.all([])).result).toEqual([])
    expect(only(() => I.all([], { discard: true })).result).toBeUndefined()
  })

  it("keeps a branch called __proto__ as a value", () => {
    const branches = JSON.parse(`{"__proto__":1,"b":2}`)
    branches.b = step("s")
    Object.defineProperty(branches, "__proto__", { value: step("s"), enumerable: true })
    const run = only(() => I.all(branches))
    run.done("all[__proto__]/s", "p").done("all[b]/s", "b")
    expect(Object.entries(run.result as object)).toEqual([["__proto__", "p"], ["b", "b"]])
  })

  it("takes instructions, generator functions and generator objects as branches", () => {
    const part = function*(name: string): Body {
      return `${name} ${yield* step(name)}`
    }
    const run = only(() => I.all([step("a"), () => part("b"), part("c")]))
    expect(run.pending).toEqual(["all[0]/a", "all[1]/b", "all[2]/c"])
    run.done("all[2]/c", 3).done("all[0]/a", 1).done("all[1]/b", 2)
    expect(run.result).toEqual([1, "b 2", "c 3"])
  })

  it("fails with the first failure, cancels the others and lets them clean up first", () => {
    const heard: Array<string> = []
    const run = only(() =>
      I.all({ a: step("a"), b: cleaning("b"), c: told("c", heard), d: step("d") })
    )
    run.fails("all[a]/a", "first")
    expect(heard).toEqual(["c: cancelled"])
    expect(run.machine.outcome).toBeUndefined()
    expect(run.pending).toEqual(["all[b]/clean b"])
    run.done("all[b]/clean b")
    expect(run.error).toBe("first")
  })

  it("is not changed by what its cancelled branches do, whether they return, fail or throw", () => {
    const body = (then: () => Body) => () =>
      I.all([
        step("a"),
        function*() {
          try {
            yield* step("b")
          } catch {
            return yield* then()
          }
        }
      ])
    for (
      const then of [
        function*(): Body {
          return "swallowed"
        },
        function*(): Body {
          throw new Error("in the clean-up")
        },
        function*(): Body {
          yield* I.fail("another")
        }
      ]
    ) {
      expect(only(body(then)).fails("all[0]/a", "first").error).toBe("first")
    }
  })

  it("gives results and fails with none in mode result", () => {
    const run = only(() =>
      I.all({ a: step("s"), b: step("s"), c: I.fail("c") }, { mode: "result" })
    )
    run.fails("all[a]/s", "no").done("all[b]/s", 2)
    expect(run.result).toEqual({
      a: Result.fail("no"),
      b: Result.succeed(2),
      c: Result.fail("c")
    })
  })

  it("keeps nothing with discard, and still fails", () => {
    const fan = () => I.all([step("a"), step("b")], { discard: true })
    expect(only(fan).done("all[0]/a", 1).done("all[1]/b", 2).result).toBeUndefined()
    expect(only(fan).fails("all[1]/b", "no").error).toBe("no")
    expect(
      only(() => I.all([step("a")], { discard: true, mode: "result" })).fails("all[0]/a").result
    ).toBeUndefined()
  })

  it("shares the body's variables with its branches, in the journal's order", () => {
    const body = function*(): Body {
      const seen: Array<string> = []
      yield* I.all(["x", "y", "z"].map((name) =>
        function*(): Body {
          yield* step(name)
          seen.push(name)
        }
      ))
      return seen
    }
    const run = hand(body)
    run.done("all[2]/z").done("all[0]/x").done("all[1]/y")
    expect(run.result).toEqual(["z", "x", "y"])
    expect(run.replayed).toEqual(run.state)
  })
})

describe("a concurrency limit", () => {
  const limited = (concurrency: number, count: number) =>
    only(() => I.all(Array.from({ length: count }, (_, n) => step(`s${n}`)), { concurrency }))

  it("starts so many, and one more for each that ends", () => {
    const run = limited(2, 4)
    expect(run.pending).toEqual(["all[0]/s0", "all[1]/s1"])
    expect(run.done("all[1]/s1", 1).pending).toEqual(["all[0]/s0", "all[2]/s2"])
    expect(run.done("all[2]/s2", 2).pending).toEqual(["all[0]/s0", "all[3]/s3"])
    expect(run.done("all[0]/s0", 0).done("all[3]/s3", 3).result).toEqual([0, 1, 2, 3])
  })

  it("of one makes a sequence", () => {
    const run = limited(1, 3)
    for (const n of [0, 1, 2]) {
      expect(run.pending).toEqual([`all[${n}]/s${n}`])
      run.done(`all[${n}]/s${n}`, n)
    }
    expect(run.result).toEqual([0, 1, 2])
  })

  it("starts nothing more after a failure", () => {
    const run = limited(2, 4)
    expect(run.fails("all[0]/s0", "no").error).toBe("no")
    expect(run.pending).toEqual([])
  })

  it("does not count branches that end at once", () => {
    const run = only(() =>
      I.all([I.log("x"), step("a"), I.log("y"), I.log("z"), step("b"), step("c")], {
        concurrency: 2
      })
    )
    expect(run.pending).toEqual(["all[1]/a", "all[4]/b"])
  })

  it("may be larger than the number of branches, and unbounded", () => {
    expect(limited(10, 2).pending).toHaveLength(2)
    expect(only(() => I.all([step("a"), step("b")], { concurrency: "unbounded" })).pending)
      .toHaveLength(2)
  })

  it("makes the branches of forEach when they start, with items as they were at the yield", () => {
    const made: Array<string> = []
    const items = ["x", "y", "z"]
    const run = hand(function*() {
      const each = I.forEach(items, (item, index) => {
        made.push(`${item}${index}`)
        return step(item)
      }, { concurrency: 1 })
      items.length = 0
      return yield* each
    })
    expect(made).toEqual(["x0"])
    run.done("each[0]/x", 1)
    expect(made).toEqual(["x0", "y1"])
    run.done("each[1]/y", 2).done("each[2]/z", 3)
    expect(run.result).toEqual([1, 2, 3])
  })
})

describe("race", () => {
  it("of a record tells the winner, of an array gives its value", () => {
    expect(
      only(() => I.race({ a: step("s"), b: step("s") })).done("race[b]/s", 2).result
    ).toEqual({ winner: "b", value: 2 })
    expect(only(() => I.race([step("s"), step("s")])).done("race[1]/s", 2).result).toBe(2)
  })

  it("fails when the first branch to end fails", () => {
    expect(only(() => I.race([step("a"), step("b")])).fails("race[1]/b", "no").error).toBe("no")
  })

  it("is decided by a branch that ends at once, and starts none behind it", () => {
    const run = only(() => I.race({ a: step("a"), b: I.runId, c: step("c") }))
    expect(run.result).toEqual({ winner: "b", value: "r1" })
    expect(run.machine.dropped.map(({ id }) => id)).toEqual(["race[a]/a"])
    expect(run.machine.fresh.map(({ id }) => id)).toEqual(["race[a]/a"])
  })

  it("cancels the losers in the order in which they became pending", () => {
    const heard: Array<string> = []
    const run = only(() =>
      I.race([
        function*() {
          yield* step("first")
          yield* told("again", heard)()
        },
        told("b", heard),
        told("c", heard),
        step("d")
      ])
    )
    run.done("race[0]/first").done("race[3]/d", "won")
    expect(heard).toEqual(["b: cancelled", "c: cancelled", "again: cancelled"])
    expect(run.result).toBe("won")
  })

  it("goes on when the last loser has cleaned up", () => {
    const run = only(() => I.race({ a: step("a"), b: cleaning("b"), c: cleaning("c") }))
    run.done("race[a]/a", "won")
    expect(run.pending).toEqual(["race[b]/clean b", "race[c]/clean c"])
    run.done("race[c]/clean c")
    expect(run.machine.outcome).toBeUndefined()
    run.done("race[b]/clean b")
    expect(run.result).toEqual({ winner: "a", value: "won" })
    expect(run.replayed).toEqual(run.state)
  })

  it("is not changed by a loser that throws or fails in its clean-up, or swallows the cancel", () => {
    const loser = (cleanUp: () => Body) =>
      function*(): Body {
        try {
          yield* I.suspend("never")
        } finally {
          yield* cleanUp()
        }
      }
    const run = only(() =>
      I.race([
        loser(function*() {
          throw new Error("in finally")
        }),
        loser(function*() {
          yield* step("x")
        }),
        function*() {
          try {
            yield* step("never")
          } catch {
            return yield* step("more")
          }
        },
        step("won")
      ])
    )
    run.done("race[3]/won", "won")
    expect(run.pending).toEqual(["race[1]/x", "race[2]/more"])
    expect(run.done("race[2]/more", 1).fails("race[1]/x").result).toBe("won")
  })

  it("cancels combinators below a loser, which start nothing more", () => {
    const heard: Array<string> = []
    const run = only(() =>
      I.race({
        a: function*() {
          try {
            yield* I.all([
              told("x", heard),
              I.all({ in: told("y", heard), late: step("z") }, { concurrency: 1 }),
              step("late")
            ], { concurrency: 2 })
          } catch (error) {
            heard.push(`a: ${(error as Error).constructor.name}`)
            return yield* step("clean")
          }
        },
        b: step("b")
      })
    )
    run.done("race[b]/b", 1)
    expect(heard).toEqual(["x: cancelled", "y: cancelled", "a: Cancelled"])
    expect(run.pending).toEqual(["race[a]/clean"])
    expect(run.done("race[a]/clean").result).toEqual({ winner: "b", value: 1 })
  })

  it("replays to the winner it had, whoever is asked first", () => {
    const body = function*(): Body {
      return yield* I.race({ a: step("s"), b: step("s") })
    }
    for (const winner of ["a", "b"]) {
      const run = hand(body).done(`race[${winner}]/s`, winner)
      expect(run.result).toEqual({ winner, value: winner })
      expect(run.replayed).toEqual(run.state)
    }
  })
})

describe("any", () => {
  it("gives the first success and cancels the rest", () => {
    const run = only(() => I.any([step("a"), step("b"), step("c")]))
    run.fails("any[0]/a", "no").done("any[2]/c", 3)
    expect(run.result).toBe(3)
    expect(run.pending).toEqual([])
  })

  it("fails with the last failure when all fail", () => {
    const run = only(() => I.any({ a: step("a"), b: step("b") }))
    expect(run.fails("any[b]/b", "b").fails("any[a]/a", "a").error).toBe("a")
  })

  it("is decided by a success that comes at once", () => {
    expect(only(() => I.any([I.fail("no"), I.runId, step("s")])).result).toBe("r1")
    expect(only(() => I.any([I.fail("no"), I.fail("neither")])).error).toBe("neither")
  })
})

describe("a combinator that cannot be run", () => {
  const part = function*(): Body {
    return yield* step("s")
  }
  const shared = (twice: (branch: Body) => I.Instruction<any, any, any>) => () => twice(part())

  it.each<[string, () => I.Instruction<any, any, any>, RegExp]>([
    [
      "an empty race",
      () => I.race([]),
      /"race" in workflow "test": a race needs at least one branch/
    ],
    ["an empty race of a record", () => I.race({}), /a race needs at least one branch/],
    ["an empty any", () => I.any([]), /a any needs at least one branch/],
    [
      "a concurrency of 0",
      () => I.all([step("s")], { concurrency: 0 }),
      /concurrency is 0, but must be at least 1/
    ],
    ["a negative concurrency", () => I.all([step("s")], { concurrency: -1 }), /concurrency is -1/],
    [
      "a concurrency that is no number",
      () => I.all([step("s")], { concurrency: Number.NaN }),
      /concurrency is NaN/
    ],
    [
      "a concurrency below 1",
      () => I.forEach([1], () => step("s"), { concurrency: 0.5 }),
      /concurrency is 0.5/
    ],
    [
      "a concurrency of 0 without branches",
      () => I.all([], { concurrency: 0 }),
      /concurrency is 0/
    ],
    [
      "a duplicate key",
      () => I.forEach(["x", "x"], step, { key: (item) => item }),
      /two branches have the same key/
    ],
    [
      "a generator object used twice",
      shared((one) => I.all([one, one])),
      /branch "1" is a generator object that was used before/
    ],
    [
      "a branch that is no branch",
      () => I.all([1 as never]),
      /branch "0" is neither an instruction nor a generator function nor a generator object/
    ],
    ["a branch that is null", () => I.race({ a: null as never }), /branch "a" is neither/],
    ["a Promise as a branch", () => I.all([Promise.resolve() as never]), /branch "0" is neither/]
  ])("fails at its yield: %s", (_, fan, message) => {
    const run = hand(function*() {
      try {
        yield* fan()
      } catch (error) {
        return error
      }
      return "accepted"
    })
    expect(run.result).toBeInstanceOf(TypeError)
    expect((run.result as Error).message).toMatch(message)
    expect(run.pending).toEqual([])
  })

  it("fails for a generator object that an earlier combinator ran", () => {
    const run = hand(function*() {
      const one = part()
      yield* I.all([one])
      return yield* I.all([one])
    })
    run.done("all[0]/s")
    expect(run.error).toBeInstanceOf(TypeError)
  })

  it("fails the branch of forEach that is given a generator object a second time", () => {
    const run = hand(function*() {
      const one = part()
      return yield* I.forEach([1, 2], () => one)
    })
    expect(run.error).toBeInstanceOf(TypeError)
  })

  it("fails the branch whose function is not a generator function, or throws", () => {
    expect(only(() => I.all([(() => 1) as never])).error).toBeInstanceOf(TypeError)
    const bug = new Error("bug")
    const throws = () => {
      throw bug
    }
    expect(only(() => I.all([throws])).error).toBe(bug)
    expect(only(() => I.all([throws, I.runId], { mode: "result" })).result).toEqual([
      Result.fail(bug),
      Result.succeed("r1")
    ])
    expect(only(() => I.forEach([1], throws)).error).toBe(bug)
    expect(only(() => I.forEach([1], () => 1 as never)).error).toBeInstanceOf(TypeError)
  })

  it("does not use up the generator objects of a combinator that was refused", () => {
    const run = hand(function*() {
      const one = part()
      try {
        yield* I.all([one], { concurrency: 0 })
      } catch {
        return yield* I.all([one])
      }
      return "accepted"
    })
    expect(run.pending).toEqual(["all#2[0]/s"])
  })
})

describe("handling", () => {
  it("of a failure as a value passes successes and failures", () => {
    expect(only(() => I.result(step("a"))).done("a", 1).result).toEqual(Result.succeed(1))
    expect(only(() => I.result(step("a"))).fails("a", "no").result).toEqual(Result.fail("no"))
  })

  it("goes on with another instruction, generator function or generator object", () => {
    const other = function*(): Body {
      return `other ${yield* step("b")}`
    }
    const handlers: Array<() => I.Branch> = [
      () => I.map(step("b"), (b) => `other ${b}`),
      () => other,
      () => other()
    ]
    for (const handler of handlers) {
      const run = only(() => I.catch(step("a"), handler)).fails("a")
      expect(run.pending).toEqual(["b"])
      expect(run.done("b", "b").result).toBe("other b")
    }
  })

  it("of a tag leaves other failures alone", () => {
    const caught = () =>
      I.catchTag(step("a") as I.Instruction<any, any, any>, "No" as never, () => I.runId)
    expect(only(caught).fails("a", { _tag: "No" }).result).toBe("r1")
    expect(only(caught).fails("a", { _tag: "Other" }).error).toEqual({ _tag: "Other" })
    expect(only(caught).fails("a", "No").error).toBe("No")
  })

  it("fails with what a handler or a mapping throws", () => {
    const bug = new Error("bug")
    const throws = () => {
      throw bug
    }
    expect(only(() => I.map(step("a"), throws)).done("a").error).toBe(bug)
    expect(only(() => I.catch(step("a"), throws)).fails("a").error).toBe(bug)
    expect(only(() => I.result(I.map(step("a"), throws))).done("a").result).toEqual(
      Result.fail(bug)
    )
  })

  it("of a combinator hears its failure once its branches have ended", () => {
    const run = only(() => I.result(I.all([step("a"), cleaning("b")]))).fails("all[0]/a", "no")
    expect(run.machine.outcome).toBeUndefined()
    expect(run.done("all[1]/clean b").result).toEqual(Result.fail("no"))
  })

  it("works for a plain yield just as for yield*", () => {
    const instructions: Record<string, () => I.Instruction<any, any, any>> = {
      map: () => I.map(step("a"), (a) => `mapped ${String(a)}`),
      result: () => I.result(step("a")),
      catch: () => I.catch(step("a"), (error) => I.map(step("b"), () => `caught ${String(error)}`)),
      nested: () => I.result(I.map(I.catch(I.map(step("a"), String), () => step("b")), (v) => [v])),
      step: () => step("a"),
      each: () => I.forEach(["x"], () => I.result(step("a")))
    }
    const histories: Array<(run: Hand) => Hand> = [
      (run) => run.done(run.pending[0]!, "A"),
      (run) => {
        run.fails(run.pending[0]!, "no")
        return run.pending.length === 0 ? run : run.done(run.pending[0]!, "B")
      },
      (run) => {
        run.fails(run.pending[0]!, "no")
        return run.pending.length === 0 ? run : run.fails(run.pending[0]!, "neither")
      },
      (run) => run.cancel("stop")
    ]
    for (const make of Object.values(instructions)) {
      for (const play of histories) {
        const plain = play(hand(function*() {
          return (yield make()) as unknown
        }))
        expect(plain.state).toEqual(play(only(make)).state)
      }
    }
  })
})

describe("cancel", () => {
  it("throws Cancelled with its reason at the pending instruction, and ends the run", () => {
    const run = only(() => step("a")).cancel("changed my mind")
    expect(run.error).toBeInstanceOf(I.Cancelled)
    expect((run.error as Error).message).toBe("changed my mind")
    expect(run.machine.cancelled).toEqual({ reason: "changed my mind" })
    expect(run.machine.dropped.map(({ id }) => id)).toEqual(["a"])
  })

  it("reaches a wait as well", () => {
    expect(only(() => I.suspend("go")).cancel().error).toBeInstanceOf(I.Cancelled)
  })

  it("lets finally blocks yield clean-up steps and waits", () => {
    const run = hand(function*() {
      try {
        yield* step("a")
      } finally {
        yield* step("release")
        yield* I.suspend("confirmed")
      }
    })
    run.cancel()
    expect(run.pending).toEqual(["release"])
    run.done("release")
    expect(run.pending).toEqual(["confirmed"])
    expect(run.machine.onlyWaits).toBe(true)
    expect(run.event("confirmed").error).toBeInstanceOf(I.Cancelled)
    expect(run.replayed).toEqual(run.state)
  })

  it("leaves the run cancelled whatever the body returns or its clean-up throws", () => {
    const returns = hand(function*() {
      try {
        yield* step("a")
      } catch {
        return "swallowed"
      }
    }).cancel()
    expect(returns.result).toBe("swallowed")
    const throws = hand(function*() {
      try {
        yield* step("a")
      } catch {
        throw new Error("in the clean-up")
      }
    }).cancel()
    expect((throws.error as Error).message).toBe("in the clean-up")
    for (const run of [returns, throws]) {
      expect(run.machine.cancelled).toBeDefined()
      for (const type of ["complete", "error"] as const) {
        const again = replay(() => run["body"](), run.entries)
        again.feed(type === "error" ? { type, error: "x" } : { type }, at(9))
        expect(again.diverged?.actual).toBe("the body has ended (cancelled)")
      }
      run.feed({ type: "cancelled" })
      expect(run.machine.diverged).toBeUndefined()
    }
  })

  it("is not seen by result and catch, and is by try and catch", () => {
    const handled: Array<unknown> = []
    const handler = (error: unknown) => {
      handled.push(error)
      return step("b")
    }
    for (
      const make of [
        () => I.result(step("a")),
        () => I.catch(step("a"), handler),
        () => I.catchTag(step("a") as I.Instruction<any, any, any>, "Cancelled" as never, handler),
        () => I.map(step("a"), handler),
        () => I.result(I.catch(I.map(step("a"), handler), handler)),
        () => I.all([step("a")], { mode: "result" }),
        () => I.forEach(["x"], step, { mode: "result", discard: true }),
        () => I.any([step("a"), step("b")])
      ]
    ) {
      expect(only(make).cancel().error).toBeInstanceOf(I.Cancelled)
    }
    expect(handled).toEqual([])
  })

  it("throws at all pending instructions in the order they became pending", () => {
    const heard: Array<string> = []
    const run = only(() =>
      I.all({
        a: function*() {
          yield* step("first")
          yield* told("late", heard)()
        },
        b: told("b", heard),
        c: I.all([told("c0", heard), told("c1", heard)])
      })
    )
    run.done("all[a]/first").cancel("stop")
    expect(heard).toEqual(["b: stop", "c0: stop", "c1: stop", "late: stop"])
    expect(run.error).toBeInstanceOf(I.Cancelled)
  })

  it("marks open combinators: no new branches, and Cancelled once the branches have ended", () => {
    const heard: Array<string> = []
    const run = hand(function*() {
      try {
        yield* I.all([
          function*() {
            try {
              yield* step("a")
            } catch {
              return yield* step("swallowed")
            }
          },
          step("never")
        ], { concurrency: 1 })
        heard.push("went on")
      } catch (error) {
        heard.push((error as Error).message)
      }
      return yield* step("after")
    })
    run.cancel("stop")
    expect(run.pending).toEqual(["all[0]/swallowed"])
    expect(heard).toEqual([])
    run.done("all[0]/swallowed", 1)
    expect(heard).toEqual(["stop"])
    expect(run.pending).toEqual(["after"])
  })

  it("overrules a race that was decided while its losers clean up", () => {
    const run = hand(function*() {
      try {
        return yield* I.race({ a: step("a"), b: cleaning("b") })
      } catch (error) {
        return (error as Error).message
      }
    })
    run.done("race[a]/a", "won").cancel("stop")
    expect(run.pending).toEqual(["race[b]/clean b"])
    expect(run.done("race[b]/clean b").result).toBe("stop")
  })

  it("does not throw again at a branch that cleans up already", () => {
    const heard: Array<string> = []
    const run = hand(function*() {
      return yield* I.race([
        step("won"),
        function*() {
          try {
            yield* I.suspend("go")
          } finally {
            yield* I.all([told("one", heard), told("two", heard)])
          }
        }
      ])
    })
    run.done("race[0]/won").cancel("stop")
    expect(run.pending).toEqual(["race[1]/all[0]/one", "race[1]/all[1]/two"])
    expect(heard).toEqual([])
    run.done("race[1]/all[1]/two").done("race[1]/all[0]/one")
    expect((run.error as Error).message).toBe("stop")
  })

  it("lets a clean-up use races, whose losers are cancelled as ever", () => {
    const run = hand(function*() {
      try {
        yield* step("a")
      } finally {
        yield* I.race({ done: step("undo"), late: cleaning("late") })
      }
    })
    run.cancel().done("race[done]/undo")
    expect(run.pending).toEqual(["race[late]/clean late"])
    expect(run.done("race[late]/clean late").error).toBeInstanceOf(I.Cancelled)
  })

  it("a second time ends the run at once, whatever is pending", () => {
    const run = hand(function*() {
      try {
        yield* I.all([step("a"), cleaning("b")])
      } finally {
        yield* I.suspend("never")
      }
    })
    run.cancel("once").done("all[1]/clean b")
    expect(run.pending).toEqual(["never"])
    run.cancel("twice")
    expect(run.pending).toEqual([])
    expect(run.machine.active).toBe(0)
    expect(run.machine.outcome).toBeDefined()
    expect(run.machine.cancelled).toEqual({ reason: "once" })
    expect(run.feed({ type: "cancelled", reason: "once" }).machine.diverged).toBeUndefined()
  })

  it("a second time drops the steps that clean up", () => {
    const run = only(() => I.all([cleaning("a"), cleaning("b")])).cancel()
    run.machine.dropped = []
    run.cancel()
    expect(run.machine.dropped.map(({ id }) => id)).toEqual(["all[0]/clean a", "all[1]/clean b"])
    expect(run.pending).toEqual([])
  })

  it("does not reach into the clean-up: a body that swallowed it goes on until it ends", () => {
    const run = hand(function*() {
      for (let k = 0; k < 2; k++) {
        try {
          yield* step("work")
        } catch {
          yield* step("ignored it")
        }
      }
      return "done"
    })
    run.cancel().done("ignored it")
    expect(run.pending).toEqual(["work#2"])
    expect(run.done("work#2").result).toBe("done")
    expect(run.machine.cancelled).toBeDefined()
  })
})

describe("events", () => {
  const twoWaits = function*(): Body {
    const [x, y] = yield* I.all([I.suspend("go", { key: "x" }), I.suspend("go", { key: "y" })])
    return [x, y, yield* I.suspend("go")]
  }

  it("go to the wait with the same name and key, and no key matches no key only", () => {
    const run = hand(twoWaits)
    expect(run.machine.taker("go", undefined)).toBeUndefined()
    expect(run.machine.taker("go", "y")?.id).toBe("all[1]/go")
    expect(run.machine.taker("stop", "y")).toBeUndefined()
    run.event("go", "for y", "y").event("go", "for x", "x").event("go", "for none")
    expect(run.result).toEqual(["for x", "for y", "for none"])
  })

  it("go to the wait that has been pending longest", () => {
    const run = only(() =>
      I.all([
        function*() {
          yield* step("first")
          return yield* I.suspend("go")
        },
        I.suspend("go"),
        I.suspend("go")
      ])
    )
    run.done("all[0]/first").event("go", 1).event("go", 2).event("go", 3)
    expect(run.result).toEqual([3, 1, 2])
  })

  it("that come too early are kept and taken by the wait, behind the outcome that made it pending", () => {
    const body = function*(): Body {
      yield* step("a")
      return yield* I.suspend("go")
    }
    const run = hand(body).event("go", "early", undefined, "e1")
    expect(run.machine.derive()).toBeUndefined()
    run.done("a")
    expect(run.machine.derive()).toEqual({
      type: "resume",
      stepId: "go",
      eventName: "go",
      eventId: "e1"
    })
    expect(run.derive().result).toBe("early")
    expect(run.replayed).toEqual(run.state)
  })

  it("that are kept go first in, first out, by name and key, oldest wait first", () => {
    const body = function*(): Body {
      yield* step("a")
      return yield* I.all([
        I.suspend("go", { key: "k" }),
        I.suspend("go"),
        I.suspend("go"),
        I.suspend("stop")
      ])
    }
    const run = hand(body)
    run.event("stop", "s").event("go", 1).event("go", 2).event("go", "k1", "k").event("go", 3)
    run.done("a").derive()
    expect(run.result).toEqual(["k1", 1, 2, "s"])
    const taken = run.entries.flatMap((e) =>
      e.type === "resume" ? [`${e.stepId} ${e.eventId}`] : []
    )
    expect(taken).toEqual(["all[0]/go e4", "all[1]/go e2", "all[2]/go e3", "all[3]/stop e1"])
    expect(run.machine["kept"].map(({ eventId }) => eventId)).toEqual(["e5"])
    expect(run.replayed).toEqual(run.state)
  })

  it("that are kept and taken one behind the other feed a loop", () => {
    const run = hand(function*() {
      yield* step("a")
      const seen: Array<unknown> = []
      for (let k = 0; k < 3; k++) seen.push(yield* I.suspend("go"))
      return seen
    })
    for (const value of [1, 2, 3]) run.event("go", value)
    expect(run.done("a").derive().result).toEqual([1, 2, 3])
  })

  it("that are kept must be taken before anything else happens", () => {
    const body = function*(): Body {
      yield* I.all([step("a"), step("b")])
      yield* I.suspend("go")
      yield* step("c")
    }
    const others: Array<Entry> = [
      { type: "cancel", eventId: "c1" },
      { type: "event", eventName: "go", eventId: "e2" },
      { type: "resume", stepId: "go", eventName: "go", eventId: "e2" },
      { type: "suspend", waits: [] },
      { type: "complete" }
    ]
    for (const other of others) {
      const run = hand(body).event("go", 1, undefined, "e1")
      run.done("all[0]/a").done("all[1]/b").feed(other)
      expect(run.machine.diverged?.actual).toBe(`"go" takes the kept event go first`)
    }
  })

  it("that are kept are not taken any more once the body broke or diverged", () => {
    const body = function*(): Body {
      yield* step("a")
      yield* I.all([
        I.suspend("go"),
        function*() {
          yield 1 as never
        }
      ])
    }
    const broken = hand(body).event("go").done("a")
    expect(broken.machine.defect).toBeDefined()
    expect(broken.machine.derive()).toBeUndefined()
    const diverged = hand(function*() {
      yield* step("a")
      yield* I.suspend("go")
    })
    diverged.event("go").done("a").feed({ type: "complete" })
    expect(diverged.machine.diverged).toBeDefined()
    expect(diverged.machine.derive()).toBeUndefined()
  })

  it("are known by their ids, cancels too", () => {
    const run = hand(twoWaits)
    run.event("go", 1, "y", "e1").event("other", 1, undefined, "e2").cancel()
    expect([...run.machine.eventIds]).toEqual(["e1", "e2", "c1"])
  })

  it("that are undefined reach the body as undefined, kept or not", () => {
    const run = hand(function*() {
      return [yield* I.suspend("a"), yield* I.suspend("b")]
    })
    expect(run.event("b").event("a").derive().result).toEqual([undefined, undefined])
  })

  it("are not given to a wait that a cancel or a lost race took out", () => {
    const run = only(() => I.race([I.suspend("go"), step("a")])).done("race[1]/a")
    expect(run.machine.taker("go", undefined)).toBeUndefined()
    expect(run.machine.waits()).toEqual([])
  })
})

describe("a suspension", () => {
  const body = function*(): Body {
    yield* step("a")
    yield* I.all([I.suspend("go", { key: "k", reason: "r" }), I.suspend("stop")])
  }
  const waiting = () => hand(body).done("a")
  const reworded = (
    change: (wait: Record<string, unknown>, n: number) => Record<string, unknown>
  ) => {
    const run = waiting()
    return run.suspend(run.machine.waits().map((wait, n) => change({ ...wait }, n)) as never)
  }

  it("cannot be heard by the body: nothing is thrown and no finally runs", () => {
    const heard: Array<string> = []
    const run = hand(function*() {
      try {
        yield* I.suspend("go")
      } catch {
        heard.push("catch")
      } finally {
        heard.push("finally")
      }
    })
    run.suspend()
    expect(run.machine.diverged).toBeUndefined()
    expect(heard).toEqual([])
  })

  it("fits the waits of the code, in any order", () => {
    const run = waiting()
    expect(run.suspend().machine.diverged).toBeUndefined()
    expect(run.suspend(run.machine.waits().reverse()).machine.diverged).toBeUndefined()
  })

  it("is not compared by reason and times, which are only shown", () => {
    const run = reworded((wait) => ({ ...wait, reason: "another", since: 1, wakeAt: 2 }))
    expect(run.machine.diverged).toBeUndefined()
  })

  it("diverges where the set of waits differs", () => {
    const changes: Array<(wait: Record<string, unknown>, n: number) => Record<string, unknown>> = [
      (wait, n) => n === 0 ? { ...wait, stepId: "all[0]/go#2" } : wait,
      (wait, n) => n === 0 ? { ...wait, event: "gone" } : wait,
      (wait, n) => n === 0 ? { ...wait, key: "l" } : wait,
      ({ key: _, ...wait }) => wait,
      (wait) => ({ ...wait, key: "k" }),
      (wait, n) => n === 0 ? { ...wait, kind: "timer" } : wait
    ]
    for (const change of changes) {
      expect(reworded(change).machine.diverged?.actual).toBe(
        `pending: suspend "all[0]/go" (key "k"), suspend "all[1]/stop"`
      )
    }
    const run = waiting()
    expect(run.suspend(run.machine.waits().slice(1)).machine.diverged).toBeDefined()
    const more = waiting()
    const [first] = more.machine.waits()
    more.suspend([...more.machine.waits(), { ...first!, stepId: "other" }])
    expect(more.machine.diverged).toBeDefined()
  })

  it("diverges where one wait stands for two", () => {
    const run = waiting()
    const [first] = run.machine.waits()
    expect(run.suspend([first!, first!]).machine.diverged).toBeDefined()
  })

  it("diverges where the code has a step to run, or has ended", () => {
    expect(hand(body).suspend([]).machine.diverged?.actual).toBe(`pending: step "a"`)
    expect(only(() => I.runId).suspend([]).machine.diverged?.actual).toBe(
      "the body has ended (complete)"
    )
  })

  it("may stand in the journal again and again", () => {
    const run = waiting().suspend()
    run.feed({ type: "start" }).suspend().event("stop").suspend().event("go", 1, "k")
    expect(run.machine.diverged).toBeUndefined()
    expect(run.machine.outcome).toBeDefined()
  })
})

describe("divergence", () => {
  const body = function*(): Body {
    yield* step("a")
    yield* I.suspend("go", { key: "k" })
    return yield* step("b")
  }
  const history: ReadonlyArray<Entry> = [
    resultOf("a"),
    { type: "resume", stepId: "go", eventName: "go", key: "k", eventId: "e1" },
    resultOf("b"),
    { type: "complete" }
  ]
  const diverges = (code: () => Body, entries: ReadonlyArray<Entry> = history) =>
    replay(code, entries).diverged

  it("is none where journal and code fit", () => {
    expect(diverges(body)).toBeUndefined()
  })

  it("is a value that names what the journal has and what the code has", () => {
    const renamed = diverges(function*() {
      yield* step("z")
    })
    expect(renamed?.expected).toBe(history[0])
    expect(renamed?.actual).toBe(`pending: step "z"`)
    expect(renamed?.instruction).toMatchObject({ op: "step", name: "z" })
  })

  it.each<[string, () => Body, Entry["type"], string]>([
    [
      "a step was renamed",
      function*() {
        yield* step("z")
      },
      "step",
      `pending: step "z"`
    ],
    [
      "a step was removed",
      function*() {
        yield* I.suspend("go", { key: "k" })
      },
      "step",
      `pending: suspend "go" (key "k")`
    ],
    [
      "a step was added",
      function*() {
        yield* step("a")
        yield* step("new")
      },
      "resume",
      `pending: step "new"`
    ],
    [
      "steps were reordered",
      function*() {
        yield* step("b")
        yield* step("a")
      },
      "step",
      `pending: step "b"`
    ],
    [
      "a step became a wait",
      function*() {
        yield* I.suspend("a")
      },
      "step",
      `pending: suspend "a"`
    ],
    [
      "a wait became a step",
      function*() {
        yield* step("a")
        yield* step("go")
      },
      "resume",
      `pending: step "go"`
    ],
    [
      "a wait has another key",
      function*() {
        yield* step("a")
        yield* I.suspend("go", { key: "other" })
      },
      "resume",
      `pending: suspend "go" (key "other")`
    ],
    [
      "a wait lost its key",
      function*() {
        yield* step("a")
        yield* I.suspend("go")
      },
      "resume",
      `pending: suspend "go"`
    ],
    [
      "a step moved into a branch",
      function*() {
        yield* I.all([step("a")])
      },
      "step",
      `pending: step "all[0]/a"`
    ],
    [
      "the body returns while entries remain",
      function*() {
        yield* step("a")
      },
      "resume",
      "the body has ended (complete)"
    ],
    [
      "the body throws while entries remain",
      function*() {
        yield* step("a")
        throw new Error("bug")
      },
      "resume",
      "the body has ended (error)"
    ],
    [
      "the body goes on behind its end",
      function*() {
        yield* body()
        yield* step("more")
      },
      "complete",
      "the body goes on"
    ],
    [
      "the body fails where it completed",
      function*() {
        yield* body()
        throw new Error("bug")
      },
      "complete",
      "the body has ended (error)"
    ]
  ])("is seen where %s", (_, code, type, actual) => {
    const diverged = diverges(code)
    expect(diverged?.expected.type).toBe(type)
    expect(diverged?.actual).toBe(actual)
  })

  it("is seen where an outcome has the right id and another name or kind", () => {
    const code = function*(): Body {
      yield* step("a")
    }
    expect(diverges(code, [{ type: "step", stepId: "a", name: "b" }])).toBeDefined()
    const wait = function*(): Body {
      yield* I.suspend("a")
    }
    expect(diverges(wait, [{ type: "step", stepId: "a", name: "a" }])).toBeDefined()
    expect(diverges(wait, [{ type: "intent", stepId: "a", name: "a", attempt: 1 }])).toBeDefined()
    expect(diverges(code, [{ type: "intent", stepId: "a", name: "b", attempt: 1 }])).toBeDefined()
    expect(
      diverges(code, [{ type: "resume", stepId: "a", eventName: "a", eventId: "e1" }])
    ).toBeDefined()
  })

  it("is seen where a resume names a wait that is not the first in line", () => {
    const code = function*(): Body {
      yield* I.all([I.suspend("go"), I.suspend("go")])
    }
    const resume = (stepId: string): Entry => ({
      type: "resume",
      stepId,
      eventName: "go",
      eventId: "e1"
    })
    expect(diverges(code, [resume("all[1]/go")])).toBeDefined()
    expect(diverges(code, [resume("all[0]/go")])).toBeUndefined()
  })

  it("is seen where an outcome is recorded twice", () => {
    const code = function*(): Body {
      yield* I.all([step("a"), step("b")])
    }
    const a = resultOf("all[0]/a")
    expect(diverges(code, [a, a])?.actual).toBe(`pending: step "all[1]/b"`)
  })

  it("is seen where an end is recorded that is another", () => {
    const ends: ReadonlyArray<Entry> = [
      { type: "complete" },
      { type: "error", error: "x" },
      { type: "cancelled" }
    ]
    const code: Record<string, () => Body> = {
      complete: function*() {},
      error: function*() {
        yield* I.fail("x")
      }
    }
    for (const [type, end] of Object.entries(code)) {
      for (const entry of ends) {
        expect(diverges(end, [entry]) === undefined).toBe(entry.type === type)
      }
    }
    const cancelled = ends.map((entry) => diverges(body, [{ type: "cancel", eventId: "c" }, entry]))
    expect(cancelled.map((diverged) => diverged === undefined)).toEqual([false, false, true])
    for (const entry of ends) expect(diverges(body, [entry])?.actual).toBe("the body goes on")
  })

  it("is seen where a schema refuses what is recorded", () => {
    expect(diverges(body, [resultOf("a", "undecodable")])?.actual).toBe(
      `step "a", whose schema does not decode what is recorded: it is not what the schema says`
    )
    const wait = function*(): Body {
      yield* I.suspend("go")
    }
    expect(
      diverges(wait, [
        { type: "resume", stepId: "go", eventName: "go", value: "undecodable", eventId: "e1" }
      ])
    ).toBeDefined()
  })

  it("is not seen at a stop, which says nothing of the body", () => {
    expect(diverges(body, [{ type: "stop", stepId: "a" }])).toBe(undefined)
  })

  it("stops the machine: no generator is called again, and the first one is kept", () => {
    let slices = 0
    const machine = machineOf(function*() {
      for (;;) {
        slices++
        yield* step("a")
      }
    })
    machine.feed({ type: "complete" }, at(1))
    const first = machine.diverged
    machine.feed({ type: "step", stepId: "a", name: "a" }, at(2))
    machine.feed({ type: "cancel", eventId: "c1" }, at(3))
    machine.feed({ type: "cancelled" }, at(4))
    expect(slices).toBe(1)
    expect(machine.diverged).toBe(first)
    expect([...machine.pending.keys()]).toEqual(["a"])
  })

  it("is not caused by further starts", () => {
    const start: Entry = { type: "start" }
    expect(diverges(body, history.flatMap((entry) => [start, entry]))).toBeUndefined()
  })
})

describe("what is no instruction", () => {
  it.each<[string, unknown, string]>([
    ["an Effect", Effect.succeed(1), "an Effect"],
    ["a Promise", Promise.resolve(1), "a Promise"],
    ["a function", () => 1, "a function"],
    ["an object", { a: 1, b: 2, c: 3, d: 4 }, "an object (a, b, c)"],
    ["a generator", (function*() {})(), "an object ()"],
    ["a string", "text", "string text"],
    ["a number", 1, "number 1"],
    ["nothing", undefined, "undefined"],
    ["null", null, "null"]
  ])("is a defect when yielded: %s", (_, value, what) => {
    const caught: Array<unknown> = []
    const run = hand(function*() {
      yield* step("a")
      try {
        yield value
      } catch (error) {
        caught.push(error)
      } finally {
        caught.push("finally")
      }
      return "went on"
    })
    run.done("a")
    const { defect, outcome } = run.machine
    expect(outcome).toBeUndefined()
    expect(caught).toEqual([])
    expect(defect?.message).toContain(`Workflow "test" yielded ${what} after "a".`)
    expect(defect?.message).toContain(`yield* ctx.step("name", () => …)`)
  })

  it("is a defect that names no step when there was none", () => {
    expect(
      hand(function*() {
        yield 1
      }).machine.defect?.message
    ).toContain("yielded number 1 before its first step.")
  })

  it("is a defect inside a branch too, and stops every generator", () => {
    const heard: Array<string> = []
    const run = hand(function*() {
      try {
        yield* I.all([
          told("a", heard),
          function*() {
            yield* step("b")
            yield 1
          },
          told("c", heard)
        ])
      } finally {
        heard.push("finally")
      }
    })
    run.done("all[1]/b")
    expect(run.machine.defect).toBeDefined()
    run.machine.feed(resultOf("all[0]/a"), at(9))
    run.machine.feed({ type: "cancel", eventId: "c1" }, at(9))
    expect(heard).toEqual([])
    expect(run.machine.outcome).toBeUndefined()
  })

  it("in the clean-up of a loser stops the race as well", () => {
    const run = only(() =>
      I.race([
        function*() {
          try {
            yield* step("a")
          } finally {
            yield 1 as never
          }
        },
        step("b")
      ])
    )
    run.done("race[1]/b", 1)
    expect(run.machine.defect).toBeDefined()
    expect(run.machine.outcome).toBeUndefined()
  })
})

describe("what a session is told while it is live", () => {
  it("is each step once when it becomes pending, and each that was taken out", () => {
    const run = only(() =>
      I.race([
        I.all([step("a"), step("b")]),
        function*() {
          yield* step("c")
          yield* I.suspend("go")
          return "won"
        }
      ])
    )
    const told = () => {
      const { dropped, fresh } = run.machine
      run.machine.fresh = []
      run.machine.dropped = []
      return [fresh.map(({ id }) => id), dropped.map(({ id }) => id)]
    }
    expect(told()).toEqual([["race[0]/all[0]/a", "race[0]/all[1]/b", "race[1]/c"], []])
    run.done("race[0]/all[1]/b")
    expect(told()).toEqual([[], []])
    run.done("race[1]/c")
    expect(told()).toEqual([[], []])
    run.event("go")
    expect(told()).toEqual([[], ["race[0]/all[0]/a"]])
    expect(run.result).toBe("won")
  })

  it("is an intent without an outcome, by the session that wrote it", () => {
    const envelope = {
      offset: 1,
      timestamp: at(1),
      incarnation: "i",
      writer: "w",
      prev: "-",
      sum: "s",
      session: 3
    }
    const body = function*(): Body {
      yield* step("a")
    }
    const machine = machineOf(body)
    const intent: Entry = { type: "intent", stepId: "a", name: "a", attempt: 1 }
    machine.feed({ ...intent, ...envelope }, at(1))
    expect(machine.pending.get("a")?.intent).toBe(3)
    machine.feed(resultOf("a"), at(2))
    expect(machine.outcome).toEqual({ ok: true, value: undefined })
  })
})

describe("a hundred thousand branches", () => {
  const many = 100_000
  const { stackTraceLimit } = Error
  // Nearly all the time of a cancel goes into the stack of its error.
  beforeAll(() => {
    Error.stackTraceLimit = 0
  })
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit
  })
  const answered = (concurrency: number | "unbounded") => () =>
    I.all(Array.from({ length: many }, () => I.runId), { concurrency })

  it("that end at once do not overflow the stack, at any limit", () => {
    for (const concurrency of [1, 2, "unbounded"] as const) {
      expect(only(answered(concurrency)).result).toHaveLength(many)
    }
  })

  it("that wait are answered one after the other", () => {
    for (const concurrency of [1, "unbounded"] as const) {
      const run = only(() =>
        I.forEach(Array.from({ length: many }, (_, n) => n), () => step("s"), { concurrency })
      )
      for (let n = 0; n < many; n++) {
        run.machine.feed({ type: "step", stepId: `each[${n}]/s`, name: "s", result: n }, at(1))
      }
      expect((run.result as Array<number>).at(-1)).toBe(many - 1)
    }
  })

  it("are cancelled by the first that wins", () => {
    const run = only(() => I.race(Array.from({ length: many }, () => step("s"))))
    expect(run.done(`race[${many - 1}]/s`, "won").result).toBe("won")
    expect(run.machine.dropped).toHaveLength(many - 1)
  })

  it("clean up when the run is cancelled", () => {
    const run = only(() =>
      I.forEach(Array.from({ length: many }, (_, n) => n), () => cleaning("s"))
    )
    run.cancel()
    expect(run.pending).toHaveLength(many)
    for (let n = 0; n < many; n++) {
      run.machine.feed({ type: "step", stepId: `each[${n}]/clean s`, name: "clean s" }, at(1))
    }
    expect(run.error).toBeInstanceOf(I.Cancelled)
  })

  it("are no more than instructions one after the other, and races in a loop", () => {
    expect(
      hand(function*() {
        for (let k = 0; k < many; k++) yield* I.log("x")
        for (let k = 0; k < many; k++) yield* I.race([step("s"), I.runId])
        return "done"
      }).result
    ).toBe("done")
  })

  it("may be nested a thousand deep", () => {
    const nested = (depth: number): I.Instruction<any, any, any> =>
      depth === 0 ? cleaningStep : I.all([nested(depth - 1)])
    const cleaningStep = I.map(step("s"), (value) => value)
    const run = only(() => nested(1_000)).done(`${"all[0]/".repeat(1_000)}s`, 1)
    expect(run.machine.outcome?.ok).toBe(true)
    const cancelled = only(() => nested(1_000)).cancel()
    expect(cancelled.error).toBeInstanceOf(I.Cancelled)
  })
})
