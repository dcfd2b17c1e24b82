/**
 * Checkpoints under keys of Node's cryptography: who has no key can change none, and read none that is
 * encrypted; keys are rotated without losing what the old ones made.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted } from "effect"
import { createHmac } from "node:crypto"
import { crc32 } from "node:zlib"
import { Checkpoint, Runs, Storage, Workflow } from "reprise"
import { NodeCheckpointKeys } from "reprise/node"

const secret = (letter: string) => letter.repeat(32)
const A = { id: "A", secret: secret("a") }
const B = { id: "b-2_B", secret: Redacted.make(secret("b")) }

type How = NodeCheckpointKeys.Options["how"]
const hows: ReadonlyArray<How> = ["sign", "encrypt"]
const keys = (how: How, ...list: NodeCheckpointKeys.Options["keys"]) =>
  NodeCheckpointKeys.layer({ how, keys: list })

const calls: Array<string> = []
const workflow = Workflow.make("approval", function*(ctx, who: { readonly name: string }) {
  const pin = yield* ctx.step("pin", () => {
    calls.push("pin")
    return "plaintext-pin-4711"
  })
  return yield* ctx.step("check", () => {
    calls.push("check")
    return `${who.name} ${pin}`
  })
})

/** A checkpoint behind the first step, as a process with these keys makes it. */
const take = (layer: Layer.Layer<never, NodeCheckpointKeys.KeysRejected> = Layer.empty) =>
  Effect.gen(function*() {
    const texts: Array<string> = []
    yield* workflow.start({ name: "secret-ada" }, {
      runId: "r",
      onStepComplete: ({ checkpoint }) => {
        texts.push(checkpoint)
      }
    })
    return { text: texts[0]!, called: yield* workflow.checkpoint("r", { after: "pin" }) }
  }).pipe(Effect.provide(layer), Effect.provide(Storage.layerMemory), Effect.runSync)

/** What a process with these keys makes of a text: the run's result, or the reason of the refusal. */
const use = (
  text: string,
  layer: Layer.Layer<never, NodeCheckpointKeys.KeysRejected> = Layer.empty
) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(workflow.runCheckpoint(text, { runId: "n" }))
    const written = (yield* Runs.list()).runs.length
    if (Exit.isSuccess(exit)) return exit.value.status === "success" ? exit.value.result : "no end"
    expect(written).toBe(0)
    return exit.cause.reasons.map((reason) =>
      reason._tag === "Fail" && reason.error._tag === "CheckpointRejected"
        ? reason.error.reason
        : reason._tag
    ).join()
  }).pipe(Effect.provide(layer), Effect.provide(Storage.layerMemory), Effect.runSync)

const expected = "secret-ada plaintext-pin-4711"

/** `open` for many texts with the same keys. */
const opener = (layer: Layer.Layer<never, NodeCheckpointKeys.KeysRejected>) => {
  const services = Effect.runSync(
    Effect.provide(Effect.context<never>(), layer)
  ) as Context.Context<never>
  return (text: string) => {
    const opened = Checkpoint.open(text, services, 0)
    return opened instanceof Checkpoint.CheckpointRejected
      ? opened.reason
      : JSON.stringify([opened.runId, opened.output])
  }
}

/** The parts put together again, with length and sum as they should be. */
const resealed = (how: string, body: string) => {
  for (let digits = 1;; digits++) {
    const length = (`rcp1.${how}..${body}.`.length + digits + 8).toString(36)
    if (length.length !== digits) continue
    const all = `rcp1.${how}.${length}.${body}.`
    return all + crc32(all).toString(16).padStart(8, "0")
  }
}
const howOf = (text: string) => text.split(".")[1]!
const bodyOf = (text: string) => text.split(".")[3]!

describe.each(hows)("with a key to %s", (how) => {
  const layer = keys(how, A)

  it("a checkpoint is taken by a process that has the key, and the step before it does not run again", () => {
    const { called, text } = take(layer)
    for (const one of [text, called]) {
      expect(one).toMatch(/^[A-Za-z0-9._-]+$/)
      expect(howOf(one)).toBe(how === "sign" ? "s-A" : "e-A")
      calls.length = 0
      expect(use(one, layer)).toBe(expected)
      expect(calls).toEqual(["check"])
    }
  })

  it("nothing is taken by one without it, with another, or with the same id and another secret", () => {
    const { text } = take(layer)
    const unprotected = take().text
    calls.length = 0
    expect(use(text)).toBe("UnknownKey")
    expect(use(text, keys(how, B))).toBe("UnknownKey")
    expect(use(text, keys(how, { id: "a", secret: A.secret }))).toBe("UnknownKey")
    expect(use(text, keys(how, { id: "A", secret: secret("A") }))).toBe("Forged")
    expect(use(unprotected, layer)).toBe("Unprotected")
    expect(calls).toEqual([])
  })

  it("says which key it lacks, and never a secret", () => {
    const { text } = take(layer)
    const open = (other: Layer.Layer<never, NodeCheckpointKeys.KeysRejected>) =>
      Effect.runSync(Effect.flip(Effect.provide(Checkpoint.deserializeCheckpoint(text), other)))
    for (const other of [Layer.empty, keys(how, B), keys(how, { id: "A", secret: secret("z") })]) {
      const message = String(open(other))
      expect(message).toContain("\"A\"")
      expect(message).not.toMatch(/aaaa|bbbb|zzzz/)
    }
  })

  it("what the other way made with the same key is taken as well, and nothing passes for the other", () => {
    const other = how === "sign" ? "encrypt" : "sign"
    const { text } = take(keys(other, A))
    expect(use(text, layer)).toBe(expected)
    const swapped = howOf(text).replace(/^./, how === "sign" ? "s" : "e")
    expect(use(resealed(swapped, bodyOf(text)), layer)).toBe("Forged")
  })

  it("keys are rotated: the new one makes, all of them take, and one that is gone takes nothing", () => {
    const old = take(keys(how, A)).text
    const both = keys(how, B, A)
    const fresh = take(both).text
    expect(howOf(fresh)).toMatch(/^[se]-b-2_B$/)
    expect(use(old, both)).toBe(expected)
    expect(use(fresh, both)).toBe(expected)
    expect(use(old, keys(how, B))).toBe("UnknownKey")
    expect(use(fresh, keys(how, B))).toBe(expected)
    expect(use(fresh, keys(how, A))).toBe("UnknownKey")
    // One that has the name of the other was not made with it.
    const renamed = resealed(howOf(old).replace("A", "b-2_B"), bodyOf(old))
    expect(use(renamed, both)).toBe("Forged")
    const same = { id: "same", secret: A.secret }
    const twin = take(keys(how, A, same)).text
    const underTwin = resealed(howOf(twin).replace("A", "same"), bodyOf(twin))
    expect(use(underTwin, keys(how, A, same))).toBe("Forged")
  })

  it("every change of a character is refused, also with the sum made anew", () => {
    const { text } = take(layer)
    const open = opener(layer)
    const whole = open(text)
    expect(whole).toContain("plaintext-pin-4711")
    const members = ["0", "Q", "q", "-", "_", ".", " ", "\n", "é", "😀", "\ud800"]
    for (let i = 0; i < text.length; i++) {
      for (const other of members) {
        if (other === text[i]) continue
        const changed = text.slice(0, i) + other + text.slice(i + 1)
        const expected = i < 5 ? /^(NotACheckpoint|Newer)$/ : /^(Changed|Truncated)$/
        expect([`${JSON.stringify(other)} at ${i}`, open(changed)]).toEqual([
          `${JSON.stringify(other)} at ${i}`,
          expect.stringMatching(expected)
        ])
      }
    }
    const how = howOf(text), body = bodyOf(text)
    for (let i = 0; i < body.length; i++) {
      for (const other of ["A", "z", "5", "-", "_"]) {
        if (other === body[i]) continue
        const changed = body.slice(0, i) + other + body.slice(i + 1)
        const opened = open(resealed(how, changed))
        // The last character has bits that say nothing.
        const isSame = Buffer.from(changed, "base64url").equals(Buffer.from(body, "base64url"))
        expect([i, other, isSame && opened === whole ? "Forged" : opened])
          .toEqual([i, other, "Forged"])
      }
    }
    for (let length = 0; length < body.length; length++) {
      expect([`cut at ${length}`, open(resealed(how, body.slice(0, length)))]).toEqual([
        `cut at ${length}`,
        "Forged"
      ])
      expect([`from ${length}`, open(resealed(how, body.slice(length + 1)))]).toEqual([
        `from ${length}`,
        "Forged"
      ])
    }
    expect(open(resealed(how, `${body}AAAA`))).toBe("Forged")
    expect(open(resealed(how, body + body))).toBe("Forged")
  })

  it("a payload of somebody's own is refused, whatever it is given out for", () => {
    const body = bodyOf(take().text)
    const mac = createHmac("sha256", A.secret).update(Buffer.from(body, "base64url")).digest()
    const signed = Buffer.concat([Buffer.from(body, "base64url"), mac]).toString("base64url")
    for (const one of [body, signed]) {
      expect(use(resealed("p", one), layer)).toBe("Unprotected")
      expect(use(resealed("s-A", one), layer)).toBe("Forged")
      expect(use(resealed("e-A", one), layer)).toBe("Forged")
      expect(use(resealed("s-nobody", one), layer)).toBe("UnknownKey")
    }
  })

  it("what is protected is not taken for what is not, by a process without keys", () => {
    const { text } = take(layer)
    expect(use(resealed("p", bodyOf(text)))).toBe("NotACheckpoint")
  })
})

describe("an encrypted checkpoint", () => {
  const layer = keys("encrypt", A)
  const words = [
    "plaintext-pin-4711",
    "secret-ada",
    "approval",
    "stepName",
    "timestamp",
    "workflow"
  ]

  it("shows nothing of the input, the results and the names, in whatever way it is read", () => {
    const { text } = take(layer)
    const read = Buffer.from(bodyOf(text), "base64url")
    const shown = [text, read.toString("latin1"), read.toString("utf8"), read.toString("utf16le")]
    for (const word of words) {
      for (const one of shown) expect(one).not.toContain(word)
      for (let shift = 0; shift < 3; shift++) {
        const bytes = Buffer.from(" ".repeat(shift) + word)
        // What does not hang on what stands around the word.
        const encoded = bytes.subarray(3, bytes.length - bytes.length % 3).toString("base64url")
        expect(text).not.toContain(encoded)
      }
    }
    const plain = Buffer.from(bodyOf(take(keys("sign", A)).text), "base64url").toString("latin1")
    for (const word of words) expect(plain).toContain(word)
  })

  it("is another text each time, of the same things", () => {
    const bodies = Array.from({ length: 20 }, () => {
      const body = Buffer.from(bodyOf(take(layer).text), "base64url")
      return body.subarray(0, 12).toString("hex")
    })
    expect(new Set(bodies).size).toBe(20)
    const checkpoint = Effect.runSync(
      Effect.provide(Checkpoint.deserializeCheckpoint(take(layer).text), layer)
    )
    const write = () =>
      Effect.runSync(
        Effect.provide(Checkpoint.serializeCheckpoint(checkpoint), layer)
      )
    const one = write(), two = write()
    expect(one).not.toBe(two)
    const open = opener(layer)
    expect(open(one)).toBe(open(two))
  })
})

describe("a signed checkpoint", () => {
  it("is the same text for the same things, and can be read without a key", () => {
    const layer = keys("sign", A)
    const { text } = take(layer)
    const checkpoint = Effect.runSync(
      Effect.provide(Checkpoint.deserializeCheckpoint(text), layer)
    )
    expect(Effect.runSync(Effect.provide(Checkpoint.serializeCheckpoint(checkpoint), layer)))
      .toBe(text)
    expect(Buffer.from(bodyOf(text), "base64url").toString("latin1")).toContain(`"approval"`)
  })

  it("of another key goes on as one of the key that is there when it is taken apart and written", () => {
    const { text } = take(keys("sign", A))
    const checkpoint = Effect.runSync(
      Effect.provide(Checkpoint.deserializeCheckpoint(text), keys("encrypt", B, A))
    )
    const again = Effect.runSync(
      Effect.provide(Checkpoint.serializeCheckpoint(checkpoint), keys("encrypt", B, A))
    )
    expect(howOf(again)).toBe("e-b-2_B")
    expect(use(again, keys("encrypt", B))).toBe(expected)
  })
})

describe("keys that cannot be used", () => {
  const saw = (...list: NodeCheckpointKeys.Options["keys"]) =>
    Effect.runSync(Effect.flip(Effect.provide(Effect.void, keys("sign", ...list))))

  it("are refused with what is wrong, and without the secret", () => {
    const short = "tooShortSecretOf31Characters..."
    expect(short.length).toBe(31)
    const bad: ReadonlyArray<readonly [NodeCheckpointKeys.Options["keys"], RegExp]> = [
      [[{ id: "", secret: A.secret }], /id has/],
      [[{ id: "x".repeat(65), secret: A.secret }], /id has/],
      [[{ id: "a.b", secret: A.secret }], /id has/],
      [[{ id: "ä", secret: A.secret }], /id has/],
      [[{ id: "a\n", secret: A.secret }], /id has/],
      [[{ id: "a b", secret: A.secret }], /id has/],
      [[{ id: undefined as never, secret: "" }], /secret is too short|id has/],
      [[{ id: "a", secret: short }], /too short/],
      [[{ id: "a", secret: Redacted.make(short) }], /too short/],
      [[{ id: "a", secret: "" }], /too short/],
      [[{ id: "a", secret: undefined as never }], /too short/],
      [[{ id: "a", secret: 12345 as never }], /too short/],
      [[A, { id: "A", secret: secret("c") }], /same id/],
      [[A, { id: "old", secret: short }], /too short/]
    ]
    for (const [list, why] of bad) {
      const rejected = saw(...list)
      expect(rejected).toBeInstanceOf(NodeCheckpointKeys.KeysRejected)
      expect(rejected._tag).toBe("KeysRejected")
      expect(rejected.saw).toMatch(why)
      expect(rejected.message).toContain("at least 32 characters")
      expect(JSON.stringify(rejected) + rejected.message + rejected.stack).not.toContain(short)
      expect(rejected.message).not.toContain(A.secret)
    }
    expect(saw({ id: "a", secret: short }).keyId).toBe("a")
    expect(saw(A, { id: "old", secret: short }).keyId).toBe("old")
  })

  it("are none at all", () => {
    const empty = NodeCheckpointKeys.layer({ how: "sign", keys: [] as never })
    const exit = Effect.runSyncExit(Effect.provide(Effect.void, empty))
    expect(Exit.isFailure(exit) && exit.cause.reasons.map(({ _tag }) => _tag)).toEqual(["Fail"])
  })

  it("are not those at the limits", () => {
    const fine = [
      { id: "-", secret: secret("x") },
      { id: "_", secret: "ä".repeat(32) },
      { id: "z".repeat(64), secret: "y".repeat(10_000) }
    ] as const
    for (const one of fine) {
      const layer = keys("encrypt", one)
      expect(use(take(layer).text, layer)).toBe(expected)
    }
  })
})
