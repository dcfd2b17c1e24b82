/**
 * Strict JSON and the checksum: what is accepted comes back as it was, what JSON would lose or change is
 * refused with its path, and both agree with the platform's own `JSON` and `node:zlib`.
 */
import { Context } from "effect"
import fc from "fast-check"
import { isDeepStrictEqual } from "node:util"
import vm from "node:vm"
import zlib from "node:zlib"
import { describe, expect, it, vi } from "vitest"
import * as Codec from "../src/Codec.ts"
import { crc32, crc32Hex } from "../src/internal/crc32.ts"
import { type Copied, copy, equals } from "../src/internal/json.ts"
import { drawn, patience } from "./support/amount.ts"

vi.setConfig({ testTimeout: patience })

const depth = 200

/** Accepts or fails the test. */
const accepted = (value: unknown, limit = depth): Extract<Copied, { ok: true }> => {
  const copied = copy(value, limit)
  if (!copied.ok) throw new Error(`refused at ${copied.refused.path}: ${copied.refused.saw}`)
  return copied
}

const refused = (value: unknown, limit = depth) => {
  const copied = copy(value, limit)
  return copied.ok ? "accepted" : copied.refused
}

const bytes = (json: unknown) => Buffer.byteLength(JSON.stringify(json) ?? "")

// What hurts parsers and copies: names that objects have anyway, halves of characters, line ends of
// JavaScript that JSON does not know, and numbers at the edges.
const awkwardText = fc.constantFrom(
  "",
  "__proto__",
  "constructor",
  "prototype",
  "toJSON",
  "hasOwnProperty",
  "length",
  "0",
  "-1",
  "4294967295",
  "\ud800",
  "\udfff",
  "\udfff\ud800",
  "\u2028",
  "\u2029",
  "\u0000",
  "\u001f",
  "\"",
  "\\",
  "a b",
  "é",
  "😀"
)
const text = fc.oneof(awkwardText, fc.string({ unit: "binary", maxLength: 12 }))
const surrogates = fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 6 }).map((
  units
) => String.fromCharCode(...units))
// Not a lone backslash: after `{"a":1,"\\\\":1}` the JSON.parse of V8 13.6 (Node 24) reads the key of
// `{"a":1,"\\n":1}` as a backslash, so there is nothing to compare with.
const key = fc.oneof(text, surrogates).filter((key) => key !== "\\")
const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => Object.is(n, -0) ? 0 : n),
  fc.integer(),
  fc.constantFrom(
    0,
    -2.2250738585072014e-308,
    Number.MIN_VALUE,
    Number.MAX_VALUE,
    -Number.MAX_VALUE,
    Number.MAX_SAFE_INTEGER,
    2 ** 53 + 2,
    1e21,
    1e-7
  )
)

interface Shapes {
  readonly value: unknown
  readonly array: ReadonlyArray<unknown>
  readonly object: object
}

/** Values that may stand in a journal. */
const { value: plain } = fc.letrec<Shapes>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, depthSize: "small" },
    fc.constantFrom(null, true, false),
    number,
    text,
    surrogates,
    tie("array"),
    tie("object")
  ),
  array: fc.array(tie("value"), { maxLength: 6 }),
  object: fc.tuple(
    fc.array(
      fc.tuple(
        key,
        // A property that is undefined is no property.
        fc.oneof({ weight: 6, arbitrary: tie("value") }, {
          weight: 1,
          arbitrary: fc.constant(undefined)
        })
      ),
      { maxLength: 6 }
    ),
    fc.boolean()
  ).map(([fields, bare]) => {
    const out: object = bare ? Object.create(null) : {}
    for (const [key, value] of fields) {
      Object.defineProperty(out, key, {
        value,
        enumerable: true,
        configurable: true,
        writable: true
      })
    }
    return out
  })
}))

describe("a copy", () => {
  it("equals what a write and a read of the value give", () => {
    fc.assert(
      fc.property(plain, (value) => {
        const { value: copied } = accepted(value)
        const read: unknown = JSON.parse(JSON.stringify(value))
        expect(isDeepStrictEqual(copied, read)).toBe(true)
        // Also in the order of keys.
        expect(JSON.stringify(copied)).toBe(JSON.stringify(read))
      }),
      drawn(3_000)
    )
  })

  it("is a fixed point: a copy of the copy is the same", () => {
    fc.assert(
      fc.property(plain, (value) => {
        const { value: copied } = accepted(value)
        expect(JSON.stringify(accepted(copied).value)).toBe(JSON.stringify(copied))
      }),
      drawn(500)
    )
  })

  it("shares nothing with the value", () => {
    const inner = { at: [1] }
    const { value: copied } = accepted({ inner, again: inner })
    inner.at.push(2)
    expect(copied).toStrictEqual({ inner: { at: [1] }, again: { at: [1] } })
  })

  it("keeps own __proto__ and constructor keys as properties and leaves prototypes alone", () => {
    const value = JSON.parse(`{"__proto__":{"polluted":true},"constructor":{"prototype":{"x":1}}}`)
    const { value: copied } = accepted(value)
    expect(Object.getPrototypeOf(copied)).toBe(Object.prototype)
    expect(Object.keys(copied as object)).toStrictEqual(["__proto__", "constructor"])
    expect(JSON.stringify(copied)).toBe(
      `{"__proto__":{"polluted":true},"constructor":{"prototype":{"x":1}}}`
    )
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it("keeps lone surrogates, U+2028 and NUL", () => {
    const value = { "\ud800": "\udc00", "\u2028": "\u2029", "\u0000": "\u0000" }
    expect(accepted(value).value).toStrictEqual(value)
    expect(JSON.parse(JSON.stringify(accepted(value).value))).toStrictEqual(value)
  })

  it("of nothing is nothing", () => {
    expect(copy(undefined, depth)).toStrictEqual({ ok: true, value: undefined, weight: 0 })
  })

  it("leaves out properties that are undefined and those that are not enumerable", () => {
    const value = Object.defineProperty({ a: 1, b: undefined }, "hidden", { value: 1 })
    expect(accepted(value).value).toStrictEqual({ a: 1 })
  })

  it("takes plain objects without a prototype and of another realm", () => {
    const bare = Object.assign(Object.create(null) as object, { a: 1 })
    expect(accepted(bare).value).toStrictEqual({ a: 1 })
    const foreign: unknown = vm.runInNewContext(`({ a: [1, { b: null }] })`)
    expect(accepted(foreign).value).toStrictEqual({ a: [1, { b: null }] })
  })

  it("takes as many levels as are allowed, and no more", () => {
    const nested = (levels: number): unknown => {
      let value: unknown = 1
      for (let k = 0; k < levels; k++) value = k % 2 === 0 ? [value] : { a: value }
      return value
    }
    expect(accepted(nested(depth)).value).toStrictEqual(nested(depth))
    const saw = "nesting deeper than allowed, or a cycle"
    expect(refused(nested(depth + 1))).toMatchObject({ saw })
    expect(refused([], 0)).toStrictEqual({ path: "$", saw })
    expect(accepted(1, 0).value).toBe(1)
  })

  it("takes empty objects and arrays", () => {
    expect(accepted({ a: {}, b: [], c: [{}, []] }).value).toStrictEqual({
      a: {},
      b: [],
      c: [{}, []]
    })
  })

  it("reads a getter once", () => {
    let reads = 0
    const value = {
      get at() {
        return ++reads
      }
    }
    expect(accepted(value).value).toStrictEqual({ at: 1 })
    expect(reads).toBe(1)
  })
})

class Money {
  readonly amount = 1
}
class Bare extends (null as unknown as ObjectConstructor) {}

describe("refused", () => {
  it.each<[string, unknown, string]>([
    ["NaN", Number.NaN, "NaN"],
    ["an infinity", Number.POSITIVE_INFINITY, "Infinity"],
    ["the other infinity", Number.NEGATIVE_INFINITY, "-Infinity"],
    ["-0", -0, "-0"],
    ["a bigint", 1n, "a bigint"],
    ["a symbol", Symbol("s"), "a symbol"],
    ["a function", () => 1, "a function"],
    ["a class", Money, "a function"],
    ["a Date", new Date(0), "an instance of Date"],
    ["a Map", new Map(), "an instance of Map"],
    ["a Set", new Set(), "an instance of Set"],
    ["bytes", new Uint8Array(1), "an instance of Uint8Array"],
    ["an Error", new TypeError("x"), "an instance of TypeError"],
    ["a RegExp", /x/, "an instance of RegExp"],
    ["a Promise", Promise.resolve(), "an instance of Promise"],
    ["a boxed string", Object("x"), "an instance of String"],
    ["a boxed number", Object(1), "an instance of Number"],
    ["a class instance with plain fields", new Money(), "an instance of Money"],
    [
      "an instance of a class that extends null",
      Reflect.construct(Object, [], Bare),
      "an instance of Bare"
    ],
    ["an object that inherits", Object.create({ a: 1 }), "an object with a prototype of its own"],
    ["a Date of another realm", vm.runInNewContext("new Date(0)"), "an instance of Date"],
    [
      "an object that inherits from a bare one",
      Object.create(Object.create(null) as object),
      "an object with a prototype of its own"
    ]
  ])("is %s, wherever it stands", (_, value, saw) => {
    expect(refused(value)).toStrictEqual({ path: "$", saw })
    expect(refused([1, value])).toStrictEqual({ path: "$[1]", saw })
    expect(refused({ a: { b: value } })).toStrictEqual({ path: "$.a.b", saw })
    expect(refused({ a: undefined, __proto__x: [[value]] })).toStrictEqual({
      path: "$.__proto__x[0][0]",
      saw
    })
  })

  it("is undefined in an array, and a hole", () => {
    expect(refused([1, undefined])).toStrictEqual({ path: "$[1]", saw: "undefined" })
    expect(refused({ list: Array.from({ length: 3 }) })).toStrictEqual({
      path: "$.list[0]",
      saw: "undefined"
    })
    const sparse: Array<number> = []
    sparse[4_000_000_000] = 1
    expect(refused(sparse)).toStrictEqual({ path: "$[0]", saw: "undefined" })
  })

  it("is a cycle", () => {
    const object: { self?: unknown } = {}
    object.self = object
    const array: Array<unknown> = []
    array.push(array)
    for (const cyclic of [object, array, { object }, [array]]) {
      expect(refused(cyclic)).toMatchObject({ saw: "nesting deeper than allowed, or a cycle" })
    }
    expect((refused(object, 3) as { path: string }).path).toBe("$.self.self.self")
  })

  it("is a symbol key", () => {
    expect(refused({ a: { [Symbol("s")]: 1, b: 1 } })).toStrictEqual({
      path: "$.a",
      saw: "a symbol key"
    })
  })

  it("is an object whose getter throws", () => {
    const value = {
      fine: 1,
      get broken(): number {
        throw new Error("no")
      }
    }
    expect(refused({ a: [value] })).toMatchObject({ saw: "a property that throws when it is read" })
  })

  it("is a proxy that throws or never ends, and a revoked one", () => {
    const throwing = new Proxy({}, {
      ownKeys() {
        throw new Error("no")
      }
    })
    const { proxy: revoked, revoke } = Proxy.revocable({}, {})
    revoke()
    const endless: object = new Proxy({}, {
      ownKeys: () => ["deeper"],
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }),
      get: () => endless
    })
    for (const proxy of [throwing, revoked]) {
      expect(refused({ a: proxy })).toStrictEqual({
        path: "$.a",
        saw: "a property that throws when it is read"
      })
    }
    expect(refused(endless)).toMatchObject({ saw: "nesting deeper than allowed, or a cycle" })
  })

  it("has a path that can be pasted: plain keys after a dot, others quoted", () => {
    expect(refused({ orders: [{}, {}, {}, { at: new Date(0) }] })).toMatchObject({
      path: "$.orders[3].at"
    })
    expect(refused({ "a b": { "0": { "it's \"": { $x_1: { "é": Number.NaN } } } } })).toMatchObject(
      {
        path: `$["a b"]["0"]["it's \\""].$x_1["é"]`
      }
    )
    expect(refused({ "": [-0] })).toMatchObject({ path: `$[""][0]` })
  })

  it("leaves nothing behind: the next copy starts anew", () => {
    expect(refused({ a: { b: [Number.NaN] } })).toMatchObject({ path: "$.a.b[0]" })
    expect(refused(Number.NaN)).toMatchObject({ path: "$" })
    const { weight } = accepted(["1234"])
    expect(refused(["12345678", Number.NaN])).toMatchObject({ path: "$[1]" })
    expect(accepted(["1234"]).weight).toBe(weight)
  })

  it("is whatever holds one thing that JSON would lose, at its path", () => {
    const lost = fc.constantFrom<readonly [unknown, string]>(
      [Number.NaN, "NaN"],
      [-0, "-0"],
      [1n, "a bigint"],
      [new Date(0), "an instance of Date"],
      [() => 1, "a function"]
    )
    fc.assert(
      fc.property(plain, plain, fc.array(fc.oneof(fc.nat(3), text), { maxLength: 8 }), lost, (
        before,
        after,
        trail,
        [value, saw]
      ) => {
        const whole = trail.reduceRight<unknown>(
          (inner, key) =>
            typeof key === "number"
              ? [...Array.from({ length: key }, () => before), inner, after]
              : Object.defineProperty({ before }, key, { value: inner, enumerable: true }),
          value
        )
        const path = trail.reduce<string>(
          (at, key) =>
            at + (typeof key === "string" && /^[A-Za-z_$][\w$]*$/.test(key)
              ? `.${key}`
              : `[${JSON.stringify(key)}]`),
          "$"
        )
        expect(refused(whole)).toStrictEqual({ path, saw })
      }),
      drawn(1_000)
    )
  })
})

describe("weight", () => {
  const holds = (value: unknown) => {
    const { value: copied, weight } = accepted(value)
    expect(weight * 8).toBeGreaterThanOrEqual(bytes(copied))
  }

  it("is at least an eighth of the bytes of the JSON", () => {
    fc.assert(fc.property(plain, holds), drawn(3_000))
  })

  it("is so for long lists of the longest numbers", () => {
    holds(Array.from({ length: 10_000 }, () => -2.2250738585072014e-308))
  })

  it("is so for keys and texts that are escaped, one long number each", () => {
    holds("\u0000".repeat(1_000))
    holds(Array.from({ length: 1_000 }, () => "\ud800"))
    holds(
      Object.fromEntries(
        Array.from({ length: 2_048 }, (_, k) => [
          String.fromCharCode(0xd800 + k),
          -2.2250738585072014e-308
        ])
      )
    )
  })

  it("lets no value over the limit pass unmeasured", () => {
    const value = Array.from({ length: 43_500 }, () => -2.2250738585072014e-308)
    const limit = 1024 * 1024
    expect(bytes(value)).toBeGreaterThan(limit)
    expect(Codec.strict.encode(value, Context.empty())).toStrictEqual({
      ok: false,
      refused: { _tag: "Size", bytes: bytes(value), limit }
    })
  })

  it("is so for a lone value", () => {
    for (const value of [null, true, false, 0, -2.2250738585072014e-308, "", [], {}]) holds(value)
  })
})

describe("equals", () => {
  const shuffled = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(shuffled)
      : typeof value === "object" && value !== null
      ? Object.keys(value).reverse().reduce<object>(
        (out, key) =>
          Object.defineProperty(out, key, {
            value: shuffled((value as Record<string, unknown>)[key]),
            enumerable: true,
            configurable: true,
            writable: true
          }),
        {}
      )
      : value

  it("does not mind the order of keys", () => {
    fc.assert(
      fc.property(plain, (value) => {
        const json: unknown = JSON.parse(JSON.stringify(value))
        expect(equals(json, shuffled(json))).toBe(true)
        expect(equals(shuffled(json), json)).toBe(true)
      }),
      drawn(500)
    )
  })

  it("tells apart what is written differently", () => {
    const canonical = (value: unknown): string =>
      JSON.stringify(
        value,
        (_, v: unknown) =>
          typeof v === "object" && v !== null && !Array.isArray(v)
            ? Object.entries(v).sort(([a], [b]) => a < b ? -1 : 1)
            : v
      )
    const small = fc.letrec<Shapes>((tie) => ({
      value: fc.oneof(
        { maxDepth: 2 },
        fc.constantFrom(null, 0, 1, "", "0", true),
        tie("array"),
        tie("object")
      ),
      array: fc.array(tie("value"), { maxLength: 2 }),
      object: fc.dictionary(fc.constantFrom("0", "a", "__proto__", "length"), tie("value"), {
        maxKeys: 2
      })
    })).value
    // An array and an object of its entries may be written the same here, so they are told apart first.
    const tagged = (value: unknown): unknown =>
      Array.isArray(value)
        ? { list: value.map(tagged) }
        : typeof value === "object" && value !== null
        ? {
          fields: Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map((
            [k, v]
          ) => [k, tagged(v)])
        }
        : value
    fc.assert(
      fc.property(small, small, (a, b) => {
        const [x, y] = [accepted(a).value, accepted(b).value]
        expect(equals(x, y)).toBe(canonical(tagged(x)) === canonical(tagged(y)))
      }),
      drawn(3_000)
    )
  })

  it("looks at own properties only", () => {
    expect(equals(JSON.parse(`{"__proto__":1}`), { toString: 1 })).toBe(false)
    expect(equals({ toString: 1 }, JSON.parse(`{"valueOf":1}`))).toBe(false)
    expect(equals([], {})).toBe(false)
    expect(equals([undefined], [])).toBe(false)
    expect(equals(undefined, undefined)).toBe(true)
    expect(equals(undefined, null)).toBe(false)
  })
})

describe("the checksum", () => {
  const anyText = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: "grapheme", maxLength: 20 }),
    surrogates,
    fc.array(awkwardText, { maxLength: 6 }).map((parts) => parts.join("")),
    // Long runs of ASCII with something else in between, which is where a quick way is left and taken up.
    fc.array(
      fc.oneof(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), awkwardText),
      { maxLength: 6 }
    ).map((parts) => parts.join(""))
  )

  it("is the one of node:zlib over the UTF-8 bytes", () => {
    fc.assert(
      fc.property(anyText, (whole) => {
        expect(crc32(whole)).toBe(zlib.crc32(Buffer.from(whole)))
      }),
      drawn(3_000)
    )
  })

  it("of a part is the checksum of that part alone, also where it cuts a character in half", () => {
    fc.assert(
      fc.property(anyText, fc.nat(200), fc.nat(200), (whole, a, b) => {
        const from = Math.min(a, b, whole.length)
        const to = Math.min(Math.max(a, b), whole.length)
        const part = whole.slice(from, to)
        expect(crc32(whole, from, to)).toBe(zlib.crc32(Buffer.from(part)))
        expect(crc32Hex(whole, from, to)).toBe(
          zlib.crc32(Buffer.from(part)).toString(16).padStart(8, "0")
        )
      }),
      drawn(3_000)
    )
  })

  it("is right for long texts, wherever a character stands", () => {
    const wrong: Array<number> = []
    for (const character of ["é", "€", "😀", "\ud800", "\udc00"]) {
      for (const length of [4_096, 8_192, 16_384, 65_536]) {
        for (let before = length - 10; before <= length; before++) {
          const whole = `${"a".repeat(before)}${character}${"é".repeat(before % 3)}z`
          if (crc32(whole) !== zlib.crc32(Buffer.from(whole))) wrong.push(before)
        }
      }
    }
    expect(wrong).toStrictEqual([])
  })

  it("is right for every single unit of UTF-16 and its neighbours", () => {
    const wrong: Array<string> = []
    for (let unit = 0; unit < 0x10000; unit += 7) {
      const around = `a${String.fromCharCode(unit)}\udc00z`
      if (crc32(around) !== zlib.crc32(Buffer.from(around))) wrong.push(unit.toString(16))
    }
    expect(wrong).toStrictEqual([])
    expect(crc32("123456789")).toBe(0xcbf43926)
  })
})
