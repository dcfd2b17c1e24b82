/** Forms from schemas: what is asked for, and the value that comes of what was filled in. */
import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Draft, empty, read } from "../../inspector/draft.ts"
import { type Field, fieldOf } from "../../inspector/schema.ts"
import type { Json } from "../../inspector/types.ts"

/** The form that a server has for a schema of Effect. */
const formOf = (schema: Schema.Top): Field => {
  const { definitions, schema: json } = Schema.toJsonSchemaDocument(Schema.toCodecJson(schema))
  return fieldOf(JSON.parse(JSON.stringify({ ...json, $defs: definitions })) as Json)
}

const text = (text: string): Draft => ({ kind: "text", text })
const parts = (...parts: ReadonlyArray<Draft>): Draft => ({ kind: "parts", parts })
const maybe = (inner: Draft, isOn = true): Draft => ({ kind: "maybe", isOn, inner })

const mistakes = (field: Field, draft: Draft) =>
  read(field, draft).mistakes?.map(({ text }) => text)

describe("fieldOf", () => {
  it("asks for each field of a struct by itself", () => {
    const form = formOf(Schema.Struct({
      approved: Schema.Boolean,
      severity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
      by: Schema.NonEmptyString.annotate({ title: "Approved by", description: "Who says so" }),
      channel: Schema.Literals(["mail", "chat"]),
      note: Schema.optionalKey(Schema.String),
      amount: Schema.Number,
      of: Schema.Literal("ticket"),
      limit: Schema.NullOr(Schema.Int),
      pair: Schema.Tuple([Schema.String, Schema.Boolean])
    }))
    expect(form).toMatchObject({
      kind: "object",
      fields: [
        { name: "approved", field: { kind: "boolean" } },
        { name: "severity", field: { kind: "number", isInteger: true, min: 1, max: 5 } },
        {
          name: "by",
          field: { kind: "string", minLength: 1, title: "Approved by", about: "Who says so" }
        },
        { name: "channel", field: { kind: "pick", options: ["mail", "chat"] } },
        { name: "note", field: { kind: "maybe", otherwise: "absent", inner: { kind: "string" } } },
        { name: "amount", field: { kind: "number", isInteger: false } },
        { name: "of", field: { kind: "const", value: "ticket" } },
        { name: "limit", field: { kind: "maybe", otherwise: "null", inner: { kind: "number" } } },
        { name: "pair", field: { kind: "tuple", items: [{ kind: "string" }, { kind: "boolean" }] } }
      ]
    })
  })

  it("finds what a reference names, in a document of Effect too", () => {
    const Address = Schema.Struct({ city: Schema.String }).annotate({ identifier: "Ad/dress ~" })
    const form = formOf(Schema.Struct({ home: Address, others: Schema.Array(Address) }))
    const address = { kind: "object", fields: [{ name: "city", field: { kind: "string" } }] }
    expect(form).toMatchObject({
      fields: [{ field: address }, { field: { kind: "list", items: address, min: 0 } }]
    })
    expect(fieldOf({
      dialect: "draft-2020-12",
      schema: { $ref: "#/$defs/A" },
      definitions: { A: { type: "boolean" } }
    })).toMatchObject({ kind: "boolean" })
    expect(fieldOf({ $ref: "#/definitions/A", definitions: { A: { type: "integer" } } }))
      .toMatchObject({ kind: "number", isInteger: true })
  })

  it("takes all of allOf, the narrowest of each", () => {
    expect(fieldOf({ type: "string", minLength: 2, allOf: [{ minLength: 5 }, { maxLength: 9 }] }))
      .toMatchObject({ kind: "string", minLength: 5, maxLength: 9 })
    expect(fieldOf({
      allOf: [{ $ref: "#/$defs/N" }, { maximum: 5 }],
      $defs: { N: { type: "integer", maximum: 7 } }
    })).toMatchObject({ kind: "number", isInteger: true, max: 5 })
  })

  it("asks for JSON where it knows no better, and only there", () => {
    const form = formOf(Schema.Struct({
      either: Schema.Union([Schema.Struct({ a: Schema.String }), Schema.Struct({ b: Schema.Int })]),
      any: Schema.Json,
      byName: Schema.Record(Schema.String, Schema.Int),
      flag: Schema.Boolean
    }))
    expect(form).toMatchObject({
      fields: ["json", "json", "json", "boolean"].map((kind) => ({ field: { kind } }))
    })
  })

  it("asks for JSON below a schema that holds itself", () => {
    interface Tree {
      readonly of: ReadonlyArray<Tree>
    }
    const Tree = Schema.Struct({
      of: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
    }).annotate({ identifier: "Tree" })
    expect(formOf(Tree)).toMatchObject({
      fields: [{ name: "of", field: { kind: "list", items: { kind: "json" } } }]
    })
  })

  it.each([
    undefined,
    null,
    true,
    "x",
    [],
    {},
    { $ref: "#/nowhere" },
    { $ref: "https://example.com/schema" },
    { $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/A" } } },
    { allOf: [true] },
    { anyOf: [] },
    { enum: [] },
    { type: "something" },
    { type: "object", properties: { a: 5 }, required: "a" }
  ])("makes a form of anything: %j", (schema) => {
    const form = fieldOf(schema as Json)
    expect(read(form, empty(form))).toBeDefined()
  })
})

describe("read", () => {
  it("gives what was filled in, and leaves out what was left empty", () => {
    const form = fieldOf({
      type: "object",
      properties: {
        ok: { type: "boolean" },
        n: { type: "integer" },
        note: { type: "string" },
        tags: { type: "array", items: { type: "string" } },
        pick: { enum: ["a", 2, null] }
      },
      required: ["ok", "n", "pick"]
    })
    const filled = (note: string, tags: Draft): Draft =>
      parts({ kind: "flag", isOn: true }, text(" 7 "), maybe(text(note)), tags, text("1"))
    expect(read(form, filled("", maybe(parts(), false))))
      .toEqual({ value: { ok: true, n: 7, pick: 2 } })
    expect(read(form, filled("hm", maybe(parts(text("x"), text(""))))))
      .toEqual({ value: { ok: true, n: 7, note: "hm", tags: ["x", ""], pick: 2 } })
  })

  it("says what is wrong, and where", () => {
    const form = fieldOf({
      type: "object",
      properties: {
        n: { type: "integer", minimum: 1, maximum: 5 },
        s: { type: "string", minLength: 1 },
        p: { enum: ["a", "b"] },
        j: {}
      },
      required: ["n", "s", "p", "j"]
    })
    expect(read(form, empty(form))).toEqual({
      mistakes: [
        { path: "/0", text: "Give a number" },
        { path: "/1", text: "Fill this in" },
        { path: "/2", text: "Choose one" },
        { path: "/3", text: "Give JSON" }
      ]
    })
    const wrong = (n: string) => mistakes(form, parts(text(n), text("s"), text("0"), text("{}")))
    expect(wrong("1.5")).toEqual(["Give a whole number"])
    expect(wrong("x")).toEqual(["This is no number"])
    expect(wrong("0")).toEqual(["At least 1"])
    expect(wrong("6")).toEqual(["At most 5"])
    expect(wrong("5")).toBeUndefined()
  })

  it("sends null where nothing was given for what may be null", () => {
    const form = fieldOf({
      type: "object",
      properties: { a: { anyOf: [{ type: "string" }, { type: "null" }] } },
      required: ["a"]
    })
    expect(read(form, empty(form))).toEqual({ value: { a: null } })
    expect(read(form, parts(maybe(text("x"))))).toEqual({ value: { a: "x" } })
  })

  it("takes JSON without a schema, and nothing at all", () => {
    const form = fieldOf(undefined)
    expect(read(form, text("  "))).toEqual({})
    expect(read(form, text(`{"a":[1]}`))).toEqual({ value: { a: [1] } })
    expect(mistakes(form, text("{a}"))?.[0]).toContain("This is no JSON")
  })

  it("makes a field of a name that objects have already", () => {
    const form = fieldOf({
      type: "object",
      properties: JSON.parse(`{"__proto__": {"type": "string"}}`) as Json,
      required: ["__proto__"]
    })
    expect(JSON.stringify(read(form, parts(text("x"))))).toBe(`{"value":{"__proto__":"x"}}`)
  })

  it("begins with the defaults that the schema gives", () => {
    const form = fieldOf({
      type: "object",
      properties: {
        n: { type: "integer", default: 3 },
        on: { type: "boolean", default: true },
        p: { enum: ["a", "b"], default: "b" }
      },
      required: ["n", "on", "p"]
    })
    expect(read(form, empty(form))).toEqual({ value: { n: 3, on: true, p: "b" } })
  })

  it("gives a value that the schema's own reader takes, whatever was typed", () => {
    const Event = Schema.Struct({
      by: Schema.NonEmptyString,
      severity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
      ok: Schema.Boolean,
      note: Schema.optionalKey(Schema.String)
    })
    const form = formOf(Event)
    const decode = Schema.decodeUnknownExit(Schema.toCodecJson(Event))
    const number = fc.oneof(fc.string(), fc.integer({ min: -1, max: 7 }).map(String))
    fc.assert(fc.property(fc.string(), number, fc.boolean(), (typed, number, isOn) => {
      const given = read(
        form,
        parts(text(typed), text(number), { kind: "flag", isOn }, maybe(text(typed)))
      )
      const meant = decode({ by: typed, severity: Number(number), ok: isOn, note: typed })
      expect(given.mistakes === undefined).toBe(meant._tag === "Success")
      expect(decode(given.mistakes === undefined ? given.value : undefined)).toEqual(
        meant._tag === "Success" ? meant : decode(undefined)
      )
    }))
  })
})
