/**
 * Debian's Chromium, driven by Playwright, for the tests of the inspector; and what of a page must hold in all of them:
 * no error, no broken policy, and nothing asked of anyone but the server.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, expect } from "vitest"
import { args, executablePath } from "../../../scripts/chromium.ts"

if (executablePath === undefined) {
  console.log(
    "The inspector is not tested in a browser: there is no /usr/bin/chromium (apt-get install chromium)"
  )
}

/** Where screenshots are kept: those in the docs are made by `npm run screenshots`. */
const directory = process.env["REPRISE_SCREENSHOTS"] ?? ".screenshots"

/** Where the picture of this name is kept. */
export const picture = (name: string): string => join(directory, `${name}.png`)

export interface Opened {
  readonly page: Page
  /** Keeps a picture of the page, under this name. */
  readonly keep: (name: string) => Promise<void>
}

type Open = (url: string, options?: BrowserContextOptions) => Promise<Opened>

/** Where there is none, tests are left out, and it has been said. */
export const hasBrowser = executablePath !== undefined

/** Opens pages for the tests of a `describe`, in one browser. */
export const browsing = (): Open => {
  let browser: Browser
  const closing: Array<() => Promise<void>> = []
  beforeAll(async () => {
    mkdirSync(directory, { recursive: true })
    browser = await chromium.launch({ executablePath: executablePath!, args })
  })
  afterAll(() => browser.close())
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })
  return async (url, options) => {
    const context = await browser.newContext({
      viewport: { width: 1_200, height: 760 },
      locale: "en-GB",
      timezoneId: "UTC",
      reducedMotion: "reduce",
      ...options
    })
    const page = await context.newPage()
    page.setDefaultTimeout(10_000)
    const faults: Array<string> = []
    page.on("pageerror", ({ message }) => faults.push(message))
    page.on("dialog", (dialog) => {
      faults.push(`a dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on("console", (message) => {
      // What the server answered is on the page, too.
      if (message.type() === "error" && !/Failed to load resource/.test(message.text())) {
        faults.push(message.text())
      }
    })
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(url).origin) faults.push(request.url())
    })
    closing.push(async () => {
      await context.close()
      expect(faults).toEqual([])
    })
    await page.goto(url)
    return {
      page,
      keep: async (name) => {
        await page.screenshot({ path: picture(name) })
      }
    }
  }
}
