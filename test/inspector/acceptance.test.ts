/**
 * The way of the quickstart in a browser, by real processes: `npm start` leaves a ticket that waits, `reprise ui` shows it,
 * the form answers it, and the run ends; then it is forked with another result. The pictures in the docs are these.
 */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { buildInspector } from "../../scripts/build-inspector.ts"
import { browsing, hasBrowser, picture } from "./support/browser.ts"

const scratch = mkdtempSync(join(tmpdir(), "reprise-ui-"))
const source = "--conditions=reprise-source"
const quickstart = resolve("examples", "01-quickstart")

/** Serves the inspector on the runs of the scratch directory; gives its address, and what ends it. */
const served = async (...args: ReadonlyArray<string>) => {
  const server = spawn(
    process.execPath,
    [source, resolve("src/cli/main.ts"), "ui", "--json", "--port", "0", ...args],
    { cwd: scratch, stdio: ["ignore", "pipe", "inherit"] }
  )
  const [line] = await once(server.stdout, "data") as [Buffer]
  const { url } = JSON.parse(line.toString()) as { readonly url: string }
  return {
    url,
    stop: async () => {
      server.kill()
      await once(server, "exit")
    }
  }
}

beforeAll(async () => {
  await buildInspector()
  await promisify(execFile)(process.execPath, [source, join(quickstart, "main.ts")], {
    cwd: scratch
  })
}, 60_000)

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe.skipIf(!hasBrowser)("the inspector, after the quickstart", () => {
  const open = browsing()

  it("shows the ticket that waits, and approving it there finishes it", async () => {
    const { stop, url } = await served(
      "--storage",
      "file:.reprise",
      "--workflow",
      join(quickstart, "workflows.ts")
    )
    try {
      const { keep, page } = await open(url)
      // The token is kept, and not where it could be read over someone's shoulder or be shared.
      await page.waitForSelector("[data-run]")
      expect(page.url()).not.toContain("token")

      const row = page.locator("[data-run][data-state=suspended]")
      await row.waitFor()
      expect(await row.count()).toBe(1)
      expect(await row.textContent()).toContain("manual-review")
      await keep("runs")

      await row.getByRole("link").first().click()
      const form = page.locator("[data-event=\"manual-review\"]")
      await form.waitFor()
      await form.getByLabel("approved").check()
      await form.getByLabel("reviewer").fill("ada")
      await keep("waiting")
      await page.emulateMedia({ colorScheme: "dark" })
      await keep("waiting-dark")
      await page.emulateMedia({ colorScheme: "light" })

      await form.getByRole("button", { name: "Send manual-review" }).click()
      await page.locator("main[data-state=success]").waitFor()
      await page.getByText(/approved by ada/).first().waitFor()
      await keep("done")

      // From the classification on it is done again, as if it had been a mild one.
      const first = await page.locator("main").getAttribute("data-run")
      await page.locator("[data-item=classify]").getByRole("button").first().click()
      await page.getByRole("button", { name: /another result/i }).click()
      await page.getByLabel("Result, as JSON").fill(`{ "category": "question", "severity": 1 }`)
      await keep("fork")
      await page.getByRole("dialog").getByRole("button", { name: /fork/i }).click()
      await page.locator(`main[data-state=success]:not([data-run="${first}"])`).waitFor()
      await page.getByText(/Triaged as question, severity 1/).first().waitFor()

      await page.getByRole("navigation", { name: "Views of the run" }).getByText("Diff").click()
      await page.locator("[data-item=classify][data-kind=changed]").waitFor()
      await keep("diff")
    } finally {
      await stop()
    }
  })

  it("makes the pictures of the docs", () => {
    const text = readFileSync("docs/inspector.md", "utf8")
    const named = Array.from(text.matchAll(/images\/([\w-]+)\.png/g), ([, name]) => name!)
    expect(named.length).toBeGreaterThan(3)
    expect(named.filter((name) => !existsSync(picture(name)))).toEqual([])
    expect(named.filter((name) => !existsSync(`docs/images/${name}.png`))).toEqual([])
  })
})
