/**
 * `npm run bench:ui`: the inspector in Chromium, on a store of 100,000 runs and on a run of 10,000 steps: how soon the list
 * is painted, how long the longest frame is while a timeline is scrolled, and how many bytes the page is.
 *
 * The process fails when a figure that must be reached is missed; `--no-fail` only prints.
 */
import { Effect, Schema } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { type Browser, chromium } from "playwright-core"
import { args, executablePath } from "../scripts/chromium.ts"
import { Workflow } from "../src/index.ts"
import { SqliteStorage } from "../src/sqlite.ts"
import { directory } from "./files.ts"
import { type Figure, median, report, show } from "./measure.ts"

const root = join(import.meta.dirname, "..")
const filename = join(directory(), "runs.db")
const many = 100_000
const token = "a-token-for-the-bench"

const work = Workflow.make("work", { input: Schema.Int }, function*(ctx, steps) {
  for (let i = 0; i < steps; i++) {
    yield* ctx.step("classify", () => ({ category: "bug", severity: i % 6 }))
  }
})

const recorded = Effect.gen(function*() {
  yield* work.start(10_000, { runId: "a long one" })
  yield* Effect.forEach(
    Array.from({ length: many }, (_, n) => n),
    (n) => work.enqueue(3, { runId: `run-${String(n).padStart(6, "0")}` }),
    { concurrency: 256, discard: true }
  )
}).pipe(Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity }))
await Effect.runPromise(Effect.provide(recorded, SqliteStorage.layer({ filename })))

const server = spawn(process.execPath, [
  join(root, "dist", "cli", "main.js"),
  "ui",
  "--json",
  "--port",
  "0",
  "--storage",
  `sqlite:${filename}`
], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, REPRISE_TOKEN: token } })
const [line] = await once(server.stdout, "data") as [Buffer]
const { url } = JSON.parse(line.toString()) as { readonly url: string }

const browser = await chromium.launch({ executablePath: executablePath!, args })

/** Milliseconds from the call to the frame behind the one that has what is looked for; nothing is cached. */
const painted = async (browser: Browser, address: string, selector: string) => {
  const page = await browser.newPage()
  try {
    const before = performance.now()
    await page.goto(address, { waitUntil: "commit" })
    await page.waitForSelector(selector)
    await page.evaluate(() =>
      new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    )
    return performance.now() - before
  } finally {
    await page.close()
  }
}

/** The longest frame while a timeline is scrolled from its beginning to its end, in milliseconds. */
const longestFrame = async (browser: Browser) => {
  const page = await browser.newPage({ viewport: { width: 1_280, height: 800 } })
  try {
    await page.goto(url.replace(/#.*$/, `#token=${token}`))
    await page.waitForSelector("[data-run]")
    await page.goto(`${url.replace(/#.*$/, "")}#/runs/${encodeURIComponent("a long one")}`)
    await page.waitForSelector("[data-item]")
    return await page.evaluate(() =>
      new Promise<number>((resolve) => {
        const item = document.querySelector("[data-item]")!
        let box: Element = item
        while (box.scrollHeight <= box.clientHeight + 1 && box.parentElement !== null) {
          box = box.parentElement
        }
        const frames = 240
        const whole = box.scrollHeight - box.clientHeight
        let last = performance.now(), longest = 0, frame = 0
        const next = (now: number) => {
          longest = Math.max(longest, now - last)
          last = now
          if (frame++ === frames) return resolve(whole > 0 ? longest : Infinity)
          box.scrollTop = whole * frame / frames
          requestAnimationFrame(next)
        }
        requestAnimationFrame(next)
      })
    )
  } finally {
    await page.close()
  }
}

const rounds = async (round: () => Promise<number>) => {
  const samples: Array<number> = []
  for (let n = 0; n < 8; n++) samples.push(await round())
  // The first one also starts what a browser starts once.
  return samples.slice(1)
}

const lists = await rounds(() => painted(browser, url, "[data-run]"))
const empties = await rounds(() => painted(browser, "about:blank", "body"))
const frames = await rounds(() => longestFrame(browser))
await browser.close()
server.kill()

const files = join(root, "dist", "inspector")
const size = readdirSync(files)
  .map((name) => gzipSync(readFileSync(join(files, name))).length)
  .reduce((sum, bytes) => sum + bytes, 0)

const figures: ReadonlyArray<Figure> = [
  {
    figure: `first paint of ${many.toLocaleString("en")} runs: milliseconds`,
    value: `${show(median(lists))}, at best ${show(Math.min(...lists))}; an empty page ${
      show(median(empties))
    }`,
    ratio: median(lists),
    atMost: 1_000
  },
  {
    figure: "scrolling a timeline of 10,000 steps, longest frame: milliseconds",
    value: `${show(median(frames))}, at most ${show(Math.max(...frames))}`,
    ratio: median(frames),
    atMost: 100
  },
  {
    figure: "the page, compressed: KB",
    value: `${(size / 1_000).toFixed(1)} KB, three files`,
    ratio: size / 1_000,
    atMost: 150
  }
]
report(figures)
