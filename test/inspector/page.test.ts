/** What the inspector does with what it is not shown every day: hostile texts, changes, keys, tokens that allow little. */
import { Effect, Schema } from "effect"
import { Instruction, Storage, Workflow } from "reprise"
import { afterEach, beforeAll, describe, expect, it } from "vitest"
import { buildInspector } from "../../scripts/build-inspector.ts"
import { browsing, hasBrowser } from "./support/browser.ts"
import { type Served, served } from "./support/served.ts"

const Verdict = Schema.Struct({
  approved: Schema.Boolean,
  level: Schema.Literals(["low", "high"]),
  amount: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
  notes: Schema.optionalKey(Schema.Array(Schema.String))
})

const review = Workflow.make("review", { events: { verdict: Verdict } }, function*(ctx) {
  yield* ctx.step("ask", () => "asked")
  const verdict = yield* ctx.suspend("verdict", { reason: "someone has to look" })
  return verdict
})

/** Would run, if it were anything but text. */
const script = `<img src=x onerror="alert('run')"><script>alert("run")</script>`
const odd = `${script} \u202egnp.exe \u0000\u001b[31m "'\`</textarea> ${"x".repeat(3_000)}`

const hostile = Workflow.make(`w ${script}`, {
  events: { [`e ${script}`]: Schema.Struct({ [`f ${script}`]: Schema.String }) }
}, function*(ctx, input: string) {
  yield* ctx.step(`s ${script}`, () => ({ [odd]: [odd, input] }))
  yield* ctx.step("fails", () => Effect.fail(new Error(odd)), { retry: 1 }).pipe(
    Instruction.result
  )
  yield* ctx.all({ [`b ${script}`]: ctx.step("in", () => odd) }, { name: `n ${script}` })
  yield* ctx.suspend(`e ${script}`, { reason: odd, key: `k ${script}` })
})

let servers: Array<Served> = []
const serve = async (...args: Parameters<typeof served>) => {
  const server = await served(...args)
  servers.push(server)
  return server
}

beforeAll(() => buildInspector())

afterEach(async () => {
  for (const { stop } of servers) await stop()
  servers = []
})

const memory = () => Storage.make(Storage.memoryDriver())

const on = <A, E>(
  storage: Storage.Storage["Service"],
  effect: Effect.Effect<A, E, Storage.Storage>
) => Effect.runPromise(Effect.provideService(effect, Storage.Storage, storage))

describe.skipIf(!hasBrowser)("the inspector", () => {
  const open = browsing()

  it("shows hostile texts as texts, wherever they stand", async () => {
    const storage = memory()
    const runId = `<img src=x onerror=alert(1)> "'&#?%41`
    await on(storage, hostile.start(odd, { runId }))
    const { url } = await serve(storage, { workflows: [hostile] })
    const { keep, page } = await open(url)
    const row = page.locator("[data-run]").first()
    await row.waitFor()
    expect(await row.textContent()).toContain(runId)
    await row.getByRole("link").first().click()
    await page.locator("main[data-state=suspended]").waitFor()
    expect(await page.locator("main").getAttribute("data-run")).toBe(runId)
    await keep("hostile")
    for (const item of await page.locator("[data-item][data-state]").all()) {
      await item.getByRole("button").first().click({ timeout: 5_000 })
    }
    await page.getByRole("navigation", { name: "Views of the run" }).getByText("Journal").click()
    await page.locator("[data-entry]").first().waitFor()
    for (const entry of await page.locator("[data-entry]").all()) {
      await entry.getByRole("button").first().click({ timeout: 5_000 })
    }
    expect(await page.locator("main img, main script").count()).toBe(0)
    // Nothing wider than the window: one long word does not push the rest out of sight.
    await page.waitForFunction("document.documentElement.scrollWidth <= innerWidth")
  })

  it("follows what happens elsewhere, in the list and in a run", async () => {
    const storage = memory()
    await on(storage, review.start(undefined, { runId: "r1" }))
    const { url } = await serve(storage, { workflows: [review] })
    const { page } = await open(url)
    await page.locator("[data-run=r1][data-state=suspended]").waitFor()
    await on(storage, review.start(undefined, { runId: "r2" }))
    await page.locator("[data-run=r2][data-state=suspended]").waitFor()
    await page.locator("[data-run=r1]").getByRole("link").first().click()
    await page.locator("main[data-state=suspended]").waitFor()
    const value = { approved: true, level: "high", amount: 3 } as const
    await on(storage, review.resume("r1", { eventName: "verdict", value }))
    await page.locator("main[data-state=success]").waitFor()
  })

  it("shows the end of a run that ends while it is being opened", async () => {
    const storage = memory()
    await on(storage, review.start(undefined, { runId: "r1" }))
    const { url } = await serve(storage, { workflows: [review] })
    const { page } = await open(url)
    await page.locator("[data-run=r1]").waitFor()
    // What the page asks for first is answered last, with what was true when it was asked.
    let isFirst = true
    await page.route("**/api/runs/r1", async (route) => {
      const answer = await route.fetch()
      if (isFirst) {
        isFirst = false
        const value = { approved: true, level: "high", amount: 3 } as const
        await on(storage, review.resume("r1", { eventName: "verdict", value }))
        // The stream is opened behind that, and tells of the end alone.
        await stream
      }
      await route.fulfill({ response: answer })
    })
    let opened = () => {}
    const stream = new Promise<void>((resolve) => opened = resolve)
    await page.route("**/api/runs/r1/changes", async (route) => {
      while (isFirst) await new Promise((resolve) => setTimeout(resolve, 20))
      await on(storage, review.join("r1"))
      const answer = await route.fetch()
      await route.fulfill({ response: answer })
      opened()
    })
    await page.locator("[data-run=r1]").getByRole("link").first().click()
    await page.locator("main[data-state=success]").waitFor()
    await page.locator("[data-item=verdict][data-state=done]").waitFor()
  })

  it("makes a form of an event's schema, and sends nothing that does not fit", async () => {
    const storage = memory()
    await on(storage, review.start(undefined, { runId: "r1" }))
    const { url } = await serve(storage, { workflows: [review] })
    const { page } = await open(url)
    await page.locator("[data-run=r1]").getByRole("link").first().click()
    const form = page.locator("[data-event=verdict]")
    await form.getByLabel("approved").check()
    await form.getByLabel("level").selectOption("high")
    await form.getByLabel("amount").fill("12")
    await form.getByRole("button", { name: /Send verdict/ }).click()
    // Refused by the page or by the server: either way it says so, and the run still waits.
    await form.or(page.getByRole("alert")).getByText(/9|between/i).first().waitFor()
    await form.getByLabel("amount").fill("7")
    await form.getByRole("button", { name: /Send verdict/ }).click()
    await page.getByText(/Sent verdict/).first().waitFor()
    expect(await on(storage, review.resume("r1"))).toMatchObject({
      status: "success",
      result: { approved: true, level: "high", amount: 7 }
    })
  })

  it("is used by keys alone", async () => {
    const storage = memory()
    await on(
      storage,
      Effect.all([
        review.start(undefined, { runId: "alpha" }),
        review.start(undefined, { runId: "beta" })
      ])
    )
    const { url } = await serve(storage, { workflows: [review] })
    const { page } = await open(url)
    await page.locator("[data-run=beta]").waitFor()
    await page.keyboard.press("/")
    await page.keyboard.type("bet")
    await page.locator("[data-run=alpha]").waitFor({ state: "detached" })
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.locator("main[data-run=beta]").waitFor()
    await page.keyboard.press("Escape")
    await page.locator("[data-run=beta][data-state=suspended]").waitFor()
    await page.keyboard.press("?")
    await page.getByRole("dialog").waitFor()
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "detached" })
  })

  it("asks for a token when it has none that is good, and keeps none in the address", async () => {
    const storage = memory()
    await on(storage, review.start(undefined, { runId: "r1" }))
    const { bare } = await serve(storage)
    const { page } = await open(`${bare}#token=not-a-token-that-is-known`)
    await page.getByLabel("Token").fill("a-token-of-the-tests")
    await page.keyboard.press("Enter")
    await page.locator("[data-run=r1]").waitFor()
    expect(page.url()).not.toContain("token")
  })

  it("offers a token that only looks nothing else", async () => {
    const storage = memory()
    await on(storage, review.start(undefined, { runId: "r1" }))
    const { url } = await serve(storage, { scopes: ["read"], workflows: [review] })
    const { page } = await open(url)
    await page.locator("[data-run=r1]").getByRole("link").first().click()
    const send = page.getByRole("button", { name: /Send verdict/ })
    await send.waitFor()
    expect(await send.isDisabled()).toBe(true)
    expect(await page.getByRole("button", { name: /Cancel run/ }).isDisabled()).toBe(true)
  })

  it("goes on by itself when the server was away", async () => {
    const storage = memory()
    await on(storage, review.start(undefined, { runId: "r1" }))
    const first = await serve(storage)
    const { page } = await open(first.url)
    await page.locator("[data-run=r1]").waitFor()
    await page.context().setOffline(true)
    await on(storage, review.start(undefined, { runId: "r2" }))
    await page.context().setOffline(false)
    await page.locator("[data-run=r2]").waitFor()
  })

  it("cancels a run with a reason, once it was asked twice", async () => {
    const storage = memory()
    await on(storage, review.start(undefined, { runId: "r1" }))
    const { url } = await serve(storage, { workflows: [review] })
    const { page } = await open(url)
    await page.locator("[data-run=r1]").getByRole("link").first().click()
    await page.getByRole("button", { name: /Cancel run/ }).click()
    const dialog = page.getByRole("dialog")
    await dialog.getByRole("textbox").fill("no longer wanted")
    await dialog.getByRole("button", { name: /Cancel/ }).last().click()
    await dialog.waitFor({ state: "detached" })
    expect(await on(storage, review.resume("r1"))).toMatchObject({
      status: "cancelled",
      reason: "no longer wanted"
    })
  })
})
