/**
 * The bugs that are planted for `storages.ts`: what stands in the library, and what is put in its place.
 */
import type { Bug } from "./bugs.ts"
import type * as storages from "./storages.ts"

export const storageBugs: ReadonlyArray<Bug<keyof typeof storages>> = [
  // SQLite
  {
    bug: "append in SQLite over what another has written",
    file: "sqlite/Appends.ts",
    from: "INSERT OR IGNORE INTO reprise_entries",
    to: "INSERT OR REPLACE INTO reprise_entries",
    check: "rowsMove"
  },
  {
    bug: "append in SQLite behind nothing",
    file: "sqlite/Appends.ts",
    from: "(SELECT ?3 FROM reprise_entries WHERE id = (?1 << 32 | ?2) - 1)",
    to: "?3",
    check: "formerLives"
  },
  {
    bug: "let a second run be made under the id of one in SQLite",
    file: "sqlite/Appends.ts",
    from: "ON CONFLICT (run_id) DO NOTHING RETURNING key",
    to: "ON CONFLICT (run_id) DO UPDATE SET key = key + 1000 RETURNING key",
    check: "rowsMove"
  },
  {
    bug: "give a run the key of one that was removed",
    file: "sqlite/migrations.ts",
    from: "key INTEGER PRIMARY KEY AUTOINCREMENT",
    to: "key INTEGER PRIMARY KEY",
    check: "statesDiffer"
  },
  {
    bug: "append at the state of another run",
    file: "sql/Index.ts",
    from: "version.slice(place!.length) !== runId",
    to: "runId === undefined",
    check: "otherRuns"
  },
  {
    bug: "only count a step whose outcome nobody knew",
    file: "Status.ts",
    from: " && status.intents.length === 0",
    to: "",
    check: "countedSteps"
  },
  {
    bug: "leave out of a listing the steps that came behind the row",
    file: "sql/Index.ts",
    from: "const status = steps === 0 ? written",
    to: "const status = steps < 1e9 ? written",
    check: "countedSteps"
  },
  {
    bug: "find runs by the time of their row",
    file: "sqlite/SqliteDriver.ts",
    from: " OR ${behindRow} >= $fromIso",
    to: "",
    check: "countedTimes"
  },
  {
    bug: "keep the lease of a run that has ended, and say that it was given back",
    file: "sqlite/Appends.ts",
    from: "if (lease !== undefined) prepare(giveBack)",
    to: "if (lease === null) prepare(giveBack)",
    check: "leasesOfEnded"
  },
  {
    bug: "sync less where FULL is promised",
    file: "sqlite/Connection.ts",
    from: "PRAGMA synchronous=${synchronous}",
    to: "PRAGMA synchronous=NORMAL",
    check: "syncedFully"
  },
  {
    bug: "sync less unless FULL is asked for",
    file: "sqlite/Connection.ts",
    from: `synchronous = "FULL" }: Options`,
    to: `synchronous = "NORMAL" }: Options`,
    check: "syncedFully"
  },
  {
    bug: "take the write lock when something is written, and not before",
    file: "sqlite/Commits.ts",
    from: `prepare("BEGIN IMMEDIATE")`,
    to: `prepare("BEGIN")`,
    check: "waitsForOthers"
  },
  {
    bug: "wait for nobody who writes",
    file: "sqlite/Commits.ts",
    from: "if (isBusy(error)) return undefined",
    to: "",
    check: "waitsForOthers"
  },
  {
    bug: "let others write behind what a transaction has read",
    file: "sqlite/Connection.ts",
    from: `beginTransaction: "BEGIN IMMEDIATE"`,
    to: `beginTransaction: "BEGIN"`,
    check: "readsFirst"
  },
  {
    bug: "acknowledge before COMMIT",
    file: "sqlite/Commits.ts",
    from: `      prepare("COMMIT").run()
      return results`,
    to: `      setImmediate(() => {
        if (db.isOpen && db.isTransaction) prepare("COMMIT").run()
      })
      return results`,
    check: "seenAtOnce"
  },
  {
    bug: "let one that fails take the others of its commit with it",
    file: "sqlite/Commits.ts",
    from: "if (jobs.length === 1 || exits.every(Exit.isSuccess)) {",
    to: "if (jobs.length > 0) {",
    check: "othersStay"
  },
  {
    bug: "write the last of those who wait first",
    file: "sqlite/Commits.ts",
    from: "const jobs = waiting\n",
    to: "const jobs = waiting.toReversed()\n",
    check: "inOrder"
  },
  {
    bug: "leave posts fresh that an entry has taken",
    file: "sqlite/Appends.ts",
    from: "prepare(take).run(runId, toColumn(eventId))",
    to: "toColumn(eventId)",
    check: "takenPosts"
  },
  {
    bug: "write into a transaction that the user has open",
    file: "sqlite/Commits.ts",
    from:
      `      if (db.isTransaction && !isLocked) return lock.withPermit(flush(since, tries, true))
      const isBegunByHand = db.isTransaction
`,
    to: `      const isBegunByHand = false
`,
    check: "besideUser"
  },
  {
    bug: "append when the transaction of its step is over",
    file: "sqlite/SqliteDriver.ts",
    from: "beside(client)(client.withTransaction(inside))",
    to: `beside(client)(Effect.flatMap(
            client.withTransaction(Effect.mapError(work, (error) => new Own<E>(error))),
            (value) =>
              Effect.flatMap(
                Effect.mapError(append(value), (error) => new Own<E2>(error)),
                ({ at, lines, row }) =>
                  Effect.suspend(() => {
                    const what = { at, lines, row: row(), lease: undefined }
                    const version = Appends.append(prepare, runId, what)
                    return version === undefined ? moved() : Effect.succeed(version)
                  })
              )
          ))`,
    check: "bothOrNeither"
  },
  {
    bug: "commit with whatever client is given",
    file: "sql/Transaction.ts",
    from: "given.value.transactionService === client.transactionService",
    to: "given.value !== undefined",
    check: "ownClient"
  },
  {
    bug: "start within a transaction where none is open",
    file: "sql/Transaction.ts",
    from: `      _tag === "Some" ? Effect.void`,
    to: `      _tag !== undefined ? Effect.void`,
    check: "outsideRefused"
  },
  {
    bug: "put text into a column as it is",
    file: "sql/Index.ts",
    from: "odd.test(text) ? JSON.stringify(text).slice(1, -1) : text",
    to: "text",
    check: "namesKept"
  },
  {
    bug: "do not escape what escapes",
    file: "sql/Index.ts",
    from: String.raw`/[\0\\]|`,
    to: String.raw`/[\0]|`,
    check: "namesKept"
  },
  {
    bug: "show a run that is driven as pending",
    file: "sql/Index.ts",
    from: "Status.withOwner(status, isHeld)",
    to: "Status.withOwner(status, false)",
    check: "drivenRuns"
  },
  {
    bug: "find a run that is driven among the pending ones",
    file: "sqlite/SqliteDriver.ts",
    from:
      "WHEN l.owner IS NULL THEN r.alone WHEN r.state = 'pending' THEN 'running' ELSE r.state END",
    to: "WHEN l.owner IS NULL THEN r.alone ELSE r.state END",
    check: "drivenRuns"
  },
  {
    bug: "renew a lease in SQLite without comparing its token",
    file: "sqlite/SqliteDriver.ts",
    from: "SET until = ? WHERE run_id = ? AND token = ?",
    to: "SET until = ? WHERE run_id = ? AND ? <> ''",
    check: "leasesInSqlite"
  },
  {
    bug: "release a lease in SQLite without comparing its token",
    file: "sqlite/Appends.ts",
    from: "DELETE FROM reprise_leases WHERE run_id = ? AND token = ?",
    to: "DELETE FROM reprise_leases WHERE run_id = ? AND ? <> ''",
    check: "leasesInSqlite"
  },
  {
    bug: "refuse a post that is sent again",
    file: "sqlite/SqliteDriver.ts",
    from: "WHERE true ON CONFLICT (run_id, id) DO NOTHING",
    to: "WHERE true",
    check: "postsInSqlite"
  },
  {
    bug: "leave the posts of a run that is removed",
    file: "sqlite/SqliteDriver.ts",
    from: `["runs", "inbox", "leases", "blobs"]`,
    to: `["runs", "leases", "blobs"]`,
    check: "postsInSqlite"
  },
  // Postgres
  {
    bug: "take a place in Postgres that is taken for one's own",
    file: "postgres/Asks.ts",
    from: "isPlaceTaken, () => Effect.succeed([undefined]))",
    to: "isPlaceTaken, () => Effect.succeed([item!.key]))",
    check: "rowsMoveInPostgres"
  },
  {
    bug: "append in Postgres behind nothing",
    file: "postgres/statements.ts",
    from:
      `WHERE EXISTS (SELECT 1 FROM \${t("entries")} WHERE run = $1::bigint AND "offset" = $2::int - 1)`,
    to: "WHERE $1::bigint > 0",
    check: "formerLivesInPostgres"
  },
  {
    bug: "take a commit without an answer for a failure",
    file: "postgres/PostgresDriver.ts",
    from: "return sent === undefined",
    to: "return sent !== null",
    check: "lostCommits"
  },
  {
    bug: "take a commit without an answer for a success",
    file: "postgres/PostgresDriver.ts",
    from: "entry !== undefined && entry.line === lines[0]",
    to: "entry !== null",
    check: "lostCommits"
  },
  {
    bug: "send two appends of one run in one statement",
    file: "postgres/Batches.ts",
    from: "keys.has(key) || ",
    to: "",
    check: "onceInBatch"
  },
  {
    bug: "give up a post whose place another one took",
    file: "postgres/PostgresDriver.ts",
    from: `error.reason._tag === "UniqueViolation"`,
    to: "error === null",
    check: "postsInTurn"
  },
  {
    bug: "renew a lease in Postgres without comparing its token",
    file: "postgres/statements.ts",
    from: "WHERE run_id = $1 AND token = $2\n      RETURNING",
    to: "WHERE run_id = $1 AND (token = $2 OR true)\n      RETURNING",
    check: "leasesInPostgres"
  },
  // objects
  {
    bug: "omit If-Match",
    file: "objects/S3.ts",
    from: `if ("ifMatch" in condition) headers["if-match"] = condition.ifMatch`,
    to: `if ("ifMatch" in condition) {}`,
    check: "zombies"
  },
  {
    bug: "omit If-None-Match",
    file: "objects/S3.ts",
    from: `else headers["if-none-match"] = "*"`,
    to: "",
    check: "zombies"
  },
  {
    bug: "open the next segment over one that is there",
    file: "objects/Segments.ts",
    from: `yield* write(runId, next, { ifNoneMatch: "*" })`,
    to: "yield* write(runId, next, undefined as never)",
    check: "zombies"
  },
  {
    bug: "write an older segment over a newer one",
    file: "objects/Segments.ts",
    from: "{ ifMatch: etag }",
    to: "undefined as never",
    check: "zombies"
  },
  {
    bug: "take a write that was refused for one's own",
    file: "objects/Segments.ts",
    from: "if (etag === undefined) return Effect.fail(new Storage.Moved({ runId }))",
    to: `if (etag === undefined) return Effect.succeed({ ...tail, etag: "", isSealed })`,
    check: "zombies"
  },
  {
    bug: "take 412 for a success",
    file: "objects/S3.ts",
    from: "if (status === 412 || (condition !== undefined && isMissing(answer))) {",
    to: `if (status === 412) return Effect.succeed("none")
          if (condition !== undefined && isMissing(answer)) {`,
    check: "zombies"
  },
  {
    bug: "write on in a sealed segment",
    file: "objects/Segments.ts",
    from: "if (isSealed) return yield* open(",
    to: "if (isSealed && index < 0) return yield* open(",
    check: "sealsHold"
  },
  {
    bug: "read a seal as nothing",
    file: "objects/Segments.ts",
    from: "found.body.endsWith(`\\n${seal}`)",
    to: "false",
    check: "sealsHold"
  },
  {
    bug: "open a segment of a run that was removed",
    file: "objects/Segments.ts",
    from: "if ((yield* rootOf(runId)) === root) return tail",
    to: "return tail",
    check: "removedStay"
  },
  {
    bug: "take 404 under a condition for an error",
    file: "objects/S3.ts",
    from: "status === 412 || (condition !== undefined && isMissing(answer))",
    to: "status === 412",
    check: "removedStay"
  },
  {
    bug: "believe a store without trying it",
    file: "objects/ObjectStorage.ts",
    from: "yield* probe(store, prefix)",
    to: "",
    check: "storesTried"
  },
  {
    bug: "do not try conditions on what is not there",
    file: "objects/ObjectStore.ts",
    from: `if ((yield* put("5", { ifMatch: second })) !== undefined) {`,
    to: "if (false) {",
    check: "storesTried"
  },
  {
    bug: "believe a pack of an earlier run",
    file: "objects/Segments.ts",
    from: "last?.root === root && last.isSealed",
    to: "last?.isSealed",
    check: "packsBelong"
  },
  {
    bug: "take 409 for a conflict",
    file: "objects/S3.ts",
    from: "if (status === 412 || ",
    to: "if (status === 412 || status === 409 || ",
    check: "answersSettled"
  },
  {
    bug: "take an error under 200 for an answer",
    file: "objects/S3.ts",
    from: "return status < 300 && etag !== undefined",
    to: "return status < 300",
    check: "answersSettled"
  },
  {
    bug: "lose a lease to one's own write",
    file: "objects/ObjectDriver.ts",
    from: "taken !== undefined || (yield* leaseOf(runId))?.row?.token === token",
    to: "taken !== undefined",
    check: "answersSettled"
  },
  // transactions
  {
    bug: "feed the entry of a transaction that was rolled back",
    file: "Session.ts",
    from: "if (!turn.end.isCommitted || entry === undefined) return",
    to: "if (entry === undefined) return",
    check: "committedOnly"
  },
  {
    bug: "feed the entry of a transaction before it is committed",
    file: "Session.ts",
    from: "          turn.hand(entry)\n",
    to: `          turn.hand(entry)
          if (entry !== undefined) return this.takeCommitted(entry)
`,
    check: "committedOnly"
  },
  {
    bug: "do not try a transaction again that was in the way of another",
    file: "session/Transactions.ts",
    from: "error instanceof StorageError && error.isRetryable",
    to: "false",
    check: "committedOnly"
  },
  {
    bug: "begin a transaction while another one is open",
    file: "session/Transactions.ts",
    from: "this.waiting.push(turn)",
    to: "this.waiting.push(turn); turn.begin()",
    check: "oneAtATime"
  },
  {
    bug: "tell the index what held when a transaction began",
    file: "Storage.ts",
    from: `        let next = status
        const lines = (entry: Journal.Stamped): Append => {
          const sealed = Journal.seal(head, stamp, [entry])
          behind = sealed.head
          next = copyOf(status)
`,
    to: `        let next = copyOf(status)
        const lines = (entry: Journal.Stamped): Append => {
          const sealed = Journal.seal(head, stamp, [entry])
          behind = sealed.head
`,
    check: "rowsFollow"
  },
  {
    bug: "forget for the index what a transaction did",
    file: "Storage.ts",
    from: `          Effect.flatMap((now) => {
            status = next
`,
    to: `          Effect.flatMap((now) => {
`,
    check: "rowsFollow"
  },
  // answers that were lost
  {
    bug: "take an append without an answer for a failure",
    file: "Storage.ts",
    from: "if (journal.entries[behind.offset - 1]?.sum !== behind.prev) return succeedFalse",
    to: "if (journal !== null) return succeedFalse",
    check: "lostAppends"
  },
  {
    bug: "take an append without an answer for a success",
    file: "Storage.ts",
    from: "if (journal.entries[behind.offset - 1]?.sum !== behind.prev) return succeedFalse",
    to: "",
    check: "lostAppends"
  },
  // values
  {
    bug: "let a value open in another place",
    file: "storage/JournalCodec.ts",
    from: "utf8.encode(`${at} ",
    to: "utf8.encode(`",
    check: "valuesBound"
  },
  {
    bug: "read nothing where the key is missing",
    file: "storage/JournalCodec.ts",
    from: "            if (key === undefined) {\n",
    to: `            if (key === undefined) return "null"
            if (key === undefined) {
`,
    check: "valuesBound"
  },
  {
    bug: "read nothing where the secret is another",
    file: "storage/JournalCodec.ts",
    from: `                  key,
                  fromBase64(kept)
                )`,
    to: `                  key,
                  fromBase64(kept)
                ).catch(() => utf8.encode("null"))`,
    check: "valuesBound"
  },
  {
    bug: "leave the run out of the place of a value",
    file: "Values.ts",
    from: "`${runId} ${incarnation} ${at} ${field}`",
    to: "`${at} ${field}`",
    check: "placesDiffer"
  },
  {
    bug: "leave the entry out of the place of a value",
    file: "Values.ts",
    from: "`${runId} ${incarnation} ${at} ${field}`",
    to: "`${runId} ${incarnation} ${field}`",
    check: "placesDiffer"
  },
  {
    bug: "leave the field out of the place of a value",
    file: "Values.ts",
    from: "`${runId} ${incarnation} ${at} ${field}`",
    to: "`${runId} ${incarnation} ${at}`",
    check: "placesDiffer"
  },
  {
    bug: "keep a large value behind the entry that names it",
    file: "Values.ts",
    from: "yield* blobs.put(place.runId, blob, text)",
    to: "yield* Effect.forkDetach(Effect.delay(blobs.put(place.runId, blob, text), 1))",
    check: "blobsFirst"
  },
  {
    bug: "believe a large value that was changed",
    file: "Values.ts",
    from: "sealed.blob !== undefined && (yield* hashOf(incarnation, text)) !== sealed.blob",
    to: "sealed.blob === null",
    check: "blobsCompared"
  },
  {
    bug: "show secrets in lists",
    file: "Secret.ts",
    from: "  let hidden: Record<string, unknown> | undefined\n",
    to: `  if (Array.isArray(json)) return json
  let hidden: Record<string, unknown> | undefined
`,
    check: "secretsHidden"
  },
  {
    bug: "do not compare the journal that was copied",
    file: "Copy.ts",
    from: "if (offset !== journal.head.offset || prev !== journal.head.prev) {",
    to: "if (offset < 0 || prev === null) {",
    check: "copiesCompared"
  },
  {
    bug: "do not compare the posts that were copied",
    file: "Copy.ts",
    from: "if (posts.some(({ line }) => !arrivedLines.has(line))) {",
    to: "if (isThere === undefined) {",
    check: "copiesCompared"
  }
]
