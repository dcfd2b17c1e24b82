/**
 * The storage contract as named programs: what every driver must do, ours and other people's. It knows no
 * test runner.
 */
import { appends } from "./contract/Appends.ts"
import { batches } from "./contract/Batches.ts"
import { blobs } from "./contract/Blobs.ts"
import type { ContractCase } from "./contract/Case.ts"
import { dues } from "./contract/Dues.ts"
import { engine } from "./contract/Engine.ts"
import { ids } from "./contract/Ids.ts"
import { inboxes } from "./contract/Inboxes.ts"
import { leases } from "./contract/Leases.ts"
import { lists } from "./contract/Lists.ts"
import { paging } from "./contract/Pages.ts"
import { races } from "./contract/Races.ts"
import { removals } from "./contract/Removals.ts"
import { sessions } from "./contract/Sessions.ts"
import { transactions } from "./contract/Transactions.ts"
import { values } from "./contract/Values.ts"
import { watches } from "./contract/Watches.ts"
import { writers } from "./contract/Writers.ts"

export {
  type Area,
  ContractBroken,
  type ContractCase,
  type StorageUnderTest,
  type Store
} from "./contract/Case.ts"

/**
 * All cases of the contract. `run` takes an Effect that opens the store: it gives a driver, or `{ driver,
 * other, services }`: two drivers on one store, as two processes have them, and what the work of a
 * transaction needs. It may be scoped; each case opens it once. A store may be fresh each time or shared by
 * all cases, also at once: each has names of its own. What is optional in a driver (`blobs`, a writer's
 * `transaction`) is tested where it is there. Cases are meant to run in real time, with no clock of a test.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Storage } from "reprise"
 * import { Effect } from "effect"
 * import test from "node:test"
 *
 * const store = Effect.sync(() => Storage.memoryDriver()) // yours
 * for (const { area, name, run } of Testing.storageContract) {
 *   test(`${area}: ${name}`, () => Effect.runPromise(run(store)))
 * }
 * ```
 */
export const storageContract: ReadonlyArray<ContractCase> = [
  ...appends,
  ...batches,
  ...sessions,
  ...writers,
  ...transactions,
  ...inboxes,
  ...leases,
  ...lists,
  ...paging,
  ...dues,
  ...removals,
  ...values,
  ...ids,
  ...races,
  ...watches,
  ...blobs,
  ...engine
]
