/**
 * 10-human-approval-by-mail: the link that is all there is of a run, what is refused, and what a second
 * click does.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Checkpoint, Runs, Storage } from "reprise"
import { NodeCheckpointKeys } from "reprise/node"
import { ask, click } from "../../examples/10-human-approval-by-mail/approval.ts"
import { type Mail, Mailer } from "../../examples/10-human-approval-by-mail/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const question = { from: "carol@example.com", body: "Is it blue?" }

const keys = (secret: string) =>
  NodeCheckpointKeys.layer({ how: "sign", keys: [{ id: "k1", secret: secret.repeat(32) }] })

/** A desk with an outbox, and a place elsewhere with another storage. */
const withOutbox = () => {
  const mails: Array<Mail> = []
  const mailer = Layer.succeed(Mailer, {
    send: (mail) =>
      Effect.sync(() => {
        mails.push(mail)
      })
  })
  const lifetime = Layer.succeed(Checkpoint.Lifetime, "7 days")
  const place = (secret: string) =>
    Layer.fresh(Layer.mergeAll(mailer, lifetime, keys(secret), Storage.layerMemory))
  return { mails, place, link: () => /https:\S+/.exec(mails[0]!.text)![0] }
}

const to = (mails: ReadonlyArray<Mail>) => mails.map((mail) => mail.to)

describe("an approval by mail", () => {
  it.effect("mails a link and sends nothing, until somebody follows it on another storage", () => {
    const { link, mails, place } = withOutbox()
    return Effect.gen(function*() {
      const asked = yield* ask(question).pipe(Effect.provide(place("a")))
      expect(asked).toMatchObject({ status: "stopped", stepId: "draft" })
      expect(to(mails)).toEqual(["editor@example.com"])
      // It passes through a mail as it is, in one line.
      expect(link()).toMatch(/^[\w:/?=.-]{1,998}$/)

      yield* Effect.gen(function*() {
        const runId = `${asked.runId}-approved`
        expect(yield* click(link())).toMatchObject({ status: "success", runId })
        expect(to(mails)).toEqual(["editor@example.com", "carol@example.com"])
        expect(mails[1]!.text).toContain("Is it blue?")

        const { entries } = yield* Runs.journal(runId)
        expect(yield* click(link())).toMatchObject({ status: "success", runId })
        expect(mails).toHaveLength(2)
        expect((yield* Runs.journal(runId)).entries).toEqual(entries)
      }).pipe(Effect.provide(place("a")))
    })
  })

  it.effect("is done once where two follow the link at the same time", () => {
    const { link, mails, place } = withOutbox()
    return Effect.gen(function*() {
      yield* ask(question).pipe(Effect.provide(place("a")))
      yield* Effect.all([click(link()), click(link())], { concurrency: 2 }).pipe(
        Effect.provide(place("a"))
      )
      expect(to(mails)).toEqual(["editor@example.com", "carol@example.com"])
    })
  })

  it.effect("is refused for a link that was changed at any place, and nothing is sent", () => {
    const { link, mails, place } = withOutbox()
    return Effect.gen(function*() {
      yield* ask(question).pipe(Effect.provide(place("a")))
      const whole = link()
      const from = whole.indexOf("=") + 1
      yield* Effect.gen(function*() {
        for (let at = from; at < whole.length; at++) {
          const other = whole[at] === "A" ? "B" : "A"
          const changed = whole.slice(0, at) + other + whole.slice(at + 1)
          expect(yield* Effect.flip(click(changed))).toMatchObject({ _tag: "CheckpointRejected" })
          const cut = Effect.flip(click(whole.slice(0, at)))
          expect(yield* cut).toMatchObject({ _tag: "CheckpointRejected" })
        }
        expect(yield* Runs.list()).toMatchObject({ runs: [] })
      }).pipe(Effect.provide(place("a")))
      expect(mails).toHaveLength(1)
    })
  })

  it.effect("is refused for a link of somebody without the key, and for an old one", () => {
    const { link, mails, place } = withOutbox()
    return Effect.gen(function*() {
      yield* ask(question).pipe(Effect.provide(place("a")))
      const own = yield* Checkpoint.deserializeCheckpoint(
        new URL(link()).searchParams.get("checkpoint")!
      ).pipe(Effect.provide(place("a")))
      const forged = { ...own, metadata: { ...question, from: "mallory@example.com" } }
      const linkOf = (text: string) => `https://desk.example/approve?checkpoint=${text}`
      const bare = yield* Checkpoint.serializeCheckpoint(forged)
      const signed = yield* Checkpoint.serializeCheckpoint(forged).pipe(Effect.provide(place("b")))

      const clicks: ReadonlyArray<readonly [link: string, secret: string, reason: string]> = [
        [linkOf(bare), "a", "Unprotected"],
        [linkOf(signed), "a", "Forged"],
        ["https://desk.example/approve", "a", "NotACheckpoint"]
      ]
      for (const [link, secret, reason] of clicks) {
        const refused = yield* Effect.flip(click(link)).pipe(Effect.provide(place(secret)))
        expect(refused).toMatchObject({ _tag: "CheckpointRejected", reason })
      }
      yield* TestClock.adjust("7 days")
      const late = yield* Effect.flip(click(link())).pipe(Effect.provide(place("a")))
      expect(late).toMatchObject({ _tag: "CheckpointRejected", reason: "Expired" })
      expect(to(mails)).toEqual(["editor@example.com"])
    })
  })
})

describe("npm run example 10", () => {
  const directory = scratch()

  it("refuses the changed link, sends the answer once, and tells the second click of it", async () => {
    const { code, lines, stderr } = await runExample(directory, ["10"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const refused = lines.find((line) => line.includes("refused"))
    expect(refused).toMatch(/^ {2}The checkpoint is refused \(Changed\): .*Nothing was run/)
    expect(lines.filter((line) => line !== refused).map((line) => line.replace(/\w{26}/, "…")))
      .toEqual([
        "the question comes in:",
        "  mail to editor@example.com: May this answer go to carol@example.com?",
        "  the run is stopped, and this process needs it no more",
        "somebody changes the link:",
        "the editor follows it:",
        "  mail to carol@example.com: Re: Do you ship to Norway?",
        "  success: run …-approved",
        "and once more:",
        "  success: run …-approved"
      ])
    const outbox = readFileSync(join(directory, "runs", "10", "outbox.txt"), "utf8")
    expect(outbox.match(/^To: .*$/gm)).toEqual([
      "To: editor@example.com",
      "To: carol@example.com"
    ])
  })

  it("goes on from the link alone, in a process whose storage is empty", async () => {
    const outbox = readFileSync(join(directory, "runs", "10", "outbox.txt"), "utf8")
    const [link] = /https:\S+/.exec(outbox)!
    const elsewhere = join(directory, "empty")
    const clicked = await runExample(directory, ["10", "click", link], { REPRISE_DIR: elsewhere })
    expect(clicked).toMatchObject({ code: 0, stderr: "" })
    expect(clicked.lines[0]).toBe("  mail to carol@example.com: Re: Do you ship to Norway?")
    expect(readdirSync(join(elsewhere, "10")).toSorted()).toEqual(["elsewhere", "outbox.txt"])

    const foreign = await runExample(directory, ["10", "click", link], {
      REPRISE_DIR: join(directory, "foreign"),
      SECRET: "another secret of 32 characters or more"
    })
    expect(foreign.lines.join("")).toContain("refused (Forged)")
    expect(existsSync(join(directory, "foreign", "10", "outbox.txt"))).toBe(false)
  })
})
