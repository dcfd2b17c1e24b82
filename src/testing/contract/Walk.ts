/**
 * All pages of a listing, one after the other.
 */
import * as Effect from "effect/Effect"
import type { Runs, Storage } from "../../index.ts"
import { Broken } from "./Checks.ts"

/** So many pages are no listing any more. */
const most = 100_000

/** Every page of `query`, until one has no cursor. */
export const pages = (
  driver: Storage.Driver,
  query: Storage.Query,
  now: number
): Effect.Effect<ReadonlyArray<Storage.Page>, Storage.StorageError | Broken> =>
  Effect.gen(function*() {
    const found: Array<Storage.Page> = []
    let after = query.after
    for (let n = 0; n < most; n++) {
      const page = yield* driver.list({ ...query, after }, now)
      found.push(page)
      if (page.cursor === undefined) return found
      if (page.cursor === after) {
        return yield* Effect.fail(
          new Broken("a cursor leads on", "another one than the last", page.cursor)
        )
      }
      after = page.cursor
    }
    return yield* Effect.fail(new Broken("a listing ends", "an end", `${most} pages`))
  })

/** The runs of all pages. */
export const walk = (
  driver: Storage.Driver,
  query: Storage.Query,
  now: number
): Effect.Effect<ReadonlyArray<Runs.Status>, Storage.StorageError | Broken> =>
  Effect.map(pages(driver, query, now), (all) => all.flatMap(({ runs }) => runs))
