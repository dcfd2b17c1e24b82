/**
 * The driver keeps the contract: every case of the suite, on one file that two drivers have open, as two
 * processes do. What stands here is all that somebody with a driver of their own writes.
 */
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Testing from "reprise/testing"
import { afterAll, describe, it } from "vitest"
import { make } from "./driver.ts"

const directory = mkdtempSync(join(tmpdir(), "own-driver-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** A new file for each case: each reads the whole of it. */
let files = 0
const store = Effect.suspend(() => {
  const file = join(directory, `${++files}.log`)
  return Effect.all({ driver: make(file), other: make(file) })
})

describe("a storage of one's own", () => {
  for (const { area, name, run } of Testing.storageContract) {
    it(`${area}: ${name}`, () => Effect.runPromise(run(store)))
  }
})
