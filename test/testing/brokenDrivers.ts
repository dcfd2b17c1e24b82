/**
 * Drivers with one bug each, planted into the memory driver, and the case of the contract that must find
 * it. Some are cut from mistakes that real drivers make: a collation, a cut text, a time that is off by one.
 */
import { Effect } from "effect"
import { Storage } from "reprise"

type Driver = Storage.Driver
type WriterOf = Storage.DriverWriter

export interface Planted {
  readonly plant: () => Driver
  /** A case that fails, as `area: name`. */
  readonly caughtBy: string
}

const memory = Storage.memoryDriver

/** The memory driver with some verbs replaced. */
const change = (verbs: (driver: Driver) => Partial<Driver>) => (): Driver => {
  const driver = memory()
  return { ...driver, ...verbs(driver) }
}

/** The memory driver with another way to append. */
const appending = (
  append: (
    args: {
      readonly driver: Driver
      readonly runId: string
      readonly writer: WriterOf
      readonly at: string
      readonly lines: ReadonlyArray<string>
      readonly row: () => Storage.Row
    }
  ) => ReturnType<WriterOf["append"]>
) =>
  change((driver) => ({
    writer: (runId) =>
      Effect.map(driver.writer(runId), (writer): WriterOf => ({
        append: (at, lines, row) => append({ driver, runId, writer, at, lines, row })
      }))
  }))

/** The memory driver with every text changed on its way out. */
const reading = (as: (text: string) => string) =>
  change((driver) => ({
    read: (runId) => Effect.map(driver.read(runId), (read) => ({ ...read, text: as(read.text) }))
  }))

const listing = (as: (page: Storage.Page, query: Storage.Query) => Storage.Page) =>
  change((driver) => ({
    list: (query, now) => Effect.map(driver.list(query, now), (page) => as(page, query))
  }))

const without = (key: keyof Storage.Query) =>
  change((driver) => ({
    list: (query, now) => driver.list({ ...query, [key]: undefined }, now)
  }))

/** The memory driver with run ids changed on their way in, so that some are taken for others. */
const naming = (as: (runId: string) => string) =>
  change((driver) => ({
    read: (runId) => driver.read(as(runId)),
    version: (runId) => driver.version(as(runId)),
    writer: (runId) => driver.writer(as(runId)),
    post: (runId, post) => driver.post(as(runId), post),
    inbox: (runId, after) => driver.inbox(as(runId), after),
    acquire: (runId, now, until) => driver.acquire(as(runId), now, until),
    renew: (runId, token, until) => driver.renew(as(runId), token, until),
    release: (runId, token) => driver.release(as(runId), token),
    holder: (runId, now) => driver.holder(as(runId), now),
    remove: (runId) => driver.remove(as(runId))
  }))

const dueWith = (sees: (driver: Driver) => Partial<Driver>) =>
  change((driver) => ({
    due: (now) =>
      Effect.gen(function*() {
        const { scanDue } = yield* Effect.promise(() => import("../../src/Due.ts"))
        const { runs } = yield* driver.list({ limit: Infinity }, now)
        return yield* scanDue({ ...driver, ...sees(driver) }, runs.map(({ runId }) => runId), now)
      })
  }))

export const broken: Readonly<Record<string, Planted>> = {
  // appends
  "appends wherever the journal stands": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.flatMap(
        driver.version(runId),
        (now) => writer.append(at === "" ? at : now, lines, row)
      )
    ),
    caughtBy: "append: an append at a state that has passed gets Moved"
  },
  "creates over a run that is there": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.flatMap(
        driver.version(runId),
        (now) => writer.append(at === "" ? now : at, lines, row)
      )
    ),
    caughtBy: "append: an append at no state gets Moved when there is a run"
  },
  "takes an unknown state for none": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.flatMap(
        driver.version(runId),
        (now) => writer.append(now === "" ? "" : at, lines, row)
      )
    ),
    caughtBy:
      "append: an append at a state of a run that is not there gets Moved and creates nothing"
  },
  "checks the state and then appends, with a pause between them": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.gen(function*() {
        if ((yield* driver.version(runId)) !== at) return yield* new Storage.Moved({ runId })
        yield* Effect.yieldNow
        return yield* writer.append(yield* driver.version(runId), lines, row)
      })
    ),
    caughtBy: "concurrency: of fifty writers at one state one wins"
  },
  "appends a repeat once more": {
    plant: () => {
      const seen = new Set<string>()
      return appending(({ at, driver, lines, row, runId, writer }) => {
        const key = lines.join()
        const repeats = seen.has(key)
        seen.add(key)
        return Effect.flatMap(
          driver.version(runId),
          (now) => writer.append(repeats ? now : at, repeats ? [...lines, "x"] : lines, row)
        )
      })()
    },
    caughtBy: "append: an append that is sent again by its writer stands once"
  },
  "tells Moved of an append that was made": {
    plant: appending(({ at, lines, row, runId, writer }) =>
      Effect.andThen(writer.append(at, lines, row), new Storage.Moved({ runId }))
    ),
    caughtBy: "append: an append at no state creates the run"
  },
  "acknowledges and appends a moment later": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.gen(function*() {
        if ((yield* driver.version(runId)) !== at) return yield* new Storage.Moved({ runId })
        yield* Effect.forkDetach(Effect.andThen(Effect.sleep(5), writer.append(at, lines, row)))
        return `${at}+`
      })
    ),
    caughtBy: "append: what was appended is read at once, by another process as well"
  },
  "goes on with an append after it was interrupted": {
    plant: appending(({ at, lines, row, writer }) =>
      Effect.callback((resume) => {
        setTimeout(() => {
          Effect.runCallback(writer.append(at, lines, row), {
            onExit: (exit) => resume(exit)
          })
        }, 5)
      })
    ),
    caughtBy:
      "writer: an append that is interrupted is whole or not there when the interruption is over"
  },
  "has one state for ever": {
    plant: () => {
      const driver = memory()
      const as = (version: string) => version === "" ? "" : "here"
      return {
        ...driver,
        read: (runId) =>
          Effect.map(driver.read(runId), (read) => ({ ...read, version: as(read.version) })),
        version: (runId) => Effect.map(driver.version(runId), as),
        writer: (runId) =>
          Effect.map(driver.writer(runId), (writer): WriterOf => ({
            append: (at, lines, row) =>
              Effect.flatMap(
                driver.version(runId),
                (now) => Effect.map(writer.append(at === "here" ? now : at, lines, row), as)
              )
          }))
      }
    },
    caughtBy: "append: every append changes the state to one that was not there before"
  },
  "changes the state with every look": {
    plant: () => {
      let looks = 0
      return change((driver) => ({
        version: (runId) =>
          Effect.map(driver.version(runId), (now) => now === "" ? "" : `${now}/${looks++}`)
      }))()
    },
    caughtBy: "append: the state stays when nothing is appended"
  },
  "changes the state with a post": {
    plant: () => {
      let posts = 0
      return change((driver) => ({
        post: (runId, post) =>
          Effect.suspend(() => {
            posts++
            return driver.post(runId, post)
          }),
        version: (runId) =>
          Effect.map(driver.version(runId), (now) => posts === 0 ? now : `${now}/${posts}`)
      }))()
    },
    caughtBy: "append: posts and leases do not change the state of a journal"
  },
  "reads what it read before": {
    plant: () => {
      const cache = new Map<string, Storage.Stored>()
      return change((driver) => ({
        read: (runId) =>
          Effect.map(driver.read(runId), (read) => {
            const known = cache.get(runId)
            if (known !== undefined && known.text !== "") return known
            cache.set(runId, read)
            return read
          })
      }))()
    },
    caughtBy: "append: what was appended is read at once, by another process as well"
  },
  // batches
  "drops the last line of a batch": {
    plant: appending(({ at, lines, row, writer }) =>
      writer.append(at, lines.length > 2 ? lines.slice(0, -1) : lines, row)
    ),
    caughtBy: "batch: the lines of an append stand in their order"
  },
  "turns batches around": {
    plant: appending(({ at, lines, row, writer }) => writer.append(at, lines.toReversed(), row)),
    caughtBy: "batch: the lines of an append stand in their order"
  },
  "keeps the first half of a batch that loses": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.catchTag(
        writer.append(at, lines, row),
        "Moved",
        (moved) =>
          Effect.flatMap(driver.version(runId), (now) =>
            Effect.andThen(
              writer.append(now, lines.slice(0, Math.floor(lines.length / 2)), row),
              Effect.fail(moved)
            ))
      )
    ),
    caughtBy: "batch: a losing batch leaves nothing that counts"
  },
  "takes a hundred lines at most": {
    plant: appending(({ at, lines, row, writer }) => writer.append(at, lines.slice(0, 100), row)),
    caughtBy: "batch: an append of five hundred lines stands whole and in order"
  },
  // incarnations
  "counts lines and forgets incarnations": {
    plant: () => {
      const driver = memory()
      const as = (version: string) => version === "" ? "" : version.split(":")[1] ?? ""
      return {
        ...driver,
        read: (runId) =>
          Effect.map(driver.read(runId), (read) => ({ ...read, version: as(read.version) })),
        version: (runId) => Effect.map(driver.version(runId), as),
        writer: (runId) =>
          Effect.map(driver.writer(runId), (writer): WriterOf => ({
            append: (at, lines, row) =>
              Effect.flatMap(
                driver.version(runId),
                (now) => Effect.map(writer.append(as(now) === at ? now : "-", lines, row), as)
              )
          }))
      }
    },
    caughtBy: "session: a writer of the run before gets Moved when the new one is as long"
  },
  "brings a removed run back": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.flatMap(
        driver.version(runId),
        (now) => writer.append(now === "" ? "" : at, lines, row)
      )
    ),
    caughtBy: "session: a writer of a removed run gets Moved and does not bring it back"
  },
  // leases
  "never ends a lease": {
    plant: change((driver) => ({
      acquire: (runId, now) => driver.acquire(runId, now, Infinity),
      renew: (runId, token) => driver.renew(runId, token, Infinity)
    })),
    caughtBy: "lease: a lease is free at its time exactly"
  },
  "ends a lease a millisecond late": {
    plant: change((driver) => ({
      acquire: (runId, now, until) => driver.acquire(runId, now - 1, until),
      holder: (runId, now) => driver.holder(runId, now - 1)
    })),
    caughtBy: "lease: a lease is free at its time exactly"
  },
  "ends a lease a millisecond early": {
    plant: change((driver) => ({
      acquire: (runId, now, until) => driver.acquire(runId, now + 1, until),
      holder: (runId, now) => driver.holder(runId, now + 1)
    })),
    caughtBy: "lease: a lease is held in the last millisecond before its time"
  },
  "measures leases by its own clock": {
    plant: change((driver) => ({ holder: (runId) => driver.holder(runId, 0) })),
    caughtBy: "lease: a lease is free at its time exactly"
  },
  "gives a lease to all that want it": {
    plant: change((driver) => ({
      acquire: (runId, _, until) => driver.acquire(runId, Infinity, until)
    })),
    caughtBy: "lease: a lease that is held is not acquired a second time"
  },
  "looks at a lease and then takes it, with a pause between them": {
    plant: change((driver) => ({
      acquire: (runId, now, until) =>
        Effect.gen(function*() {
          const by = yield* driver.holder(runId, now)
          if (by !== undefined) return { _tag: "Held", by } as const
          yield* Effect.yieldNow
          return yield* driver.acquire(runId, Infinity, until)
        })
    })),
    caughtBy: "concurrency: of thirty that want one lease one gets it"
  },
  "releases a lease whoever asks": {
    plant: () => {
      const tokens = new Map<string, string>()
      return change((driver) => ({
        acquire: (runId, now, until) =>
          Effect.tap(driver.acquire(runId, now, until), (claim) =>
            Effect.sync(() => {
              if (claim._tag === "Acquired") tokens.set(runId, claim.token)
            })),
        release: (runId) => driver.release(runId, tokens.get(runId) ?? "")
      }))()
    },
    caughtBy: "lease: the token of a lease that went to another releases nothing"
  },
  "renews a lease whoever asks": {
    plant: () => {
      const tokens = new Map<string, string>()
      return change((driver) => ({
        acquire: (runId, now, until) =>
          Effect.tap(driver.acquire(runId, now, until), (claim) =>
            Effect.sync(() => {
              if (claim._tag === "Acquired") tokens.set(runId, claim.token)
            })),
        renew: (runId, _, until) => driver.renew(runId, tokens.get(runId) ?? "", until)
      }))()
    },
    caughtBy: "lease: the token of a lease that went to another renews nothing"
  },
  "says that it renewed and does not": {
    plant: change((driver) => ({
      renew: (runId, token) =>
        Effect.map(
          driver.holder(runId, 0),
          (holder) => holder !== undefined && token !== "nobody's"
        )
    })),
    caughtBy: "lease: a lease that is renewed holds until its new time"
  },
  "forgets to release": {
    plant: change(() => ({ release: () => Effect.void })),
    caughtBy: "lease: a lease that is released is free at once"
  },
  "has one token for all": {
    plant: change((driver) => {
      const tokens = new Map<string, string>()
      return {
        acquire: (runId, now, until) =>
          Effect.map(driver.acquire(runId, now, until), (claim) => {
            if (claim._tag === "Held") return claim
            tokens.set(runId, claim.token)
            return { ...claim, token: "token" }
          }),
        renew: (runId, token, until) =>
          driver.renew(runId, token === "token" ? tokens.get(runId) ?? "" : "", until),
        release: (runId, token) =>
          driver.release(runId, token === "token" ? tokens.get(runId) ?? "" : "")
      }
    }),
    caughtBy: "lease: every claim that succeeds has a token of its own"
  },
  "lets only the holder append": {
    plant: appending(({ at, driver, lines, row, runId, writer }) =>
      Effect.flatMap(
        driver.holder(runId, 0),
        (holder) =>
          holder === undefined ? writer.append(at, lines, row) : new Storage.Moved({ runId })
      )
    ),
    caughtBy: "lease: a lease does not stop appends: only the journal's state does"
  },
  // inboxes
  "gives posts by their ids": {
    plant: change((driver) => ({
      inbox: (runId, after) =>
        Effect.map(driver.inbox(runId, after), (posts) => ({
          ...posts,
          text: posts.text.split("\n").slice(0, -1).toSorted().map((line) => `${line}\n`).join("")
        }))
    })),
    caughtBy: "inbox: the order is not that of the ids"
  },
  "gives the last post again": {
    plant: change((driver) => ({
      inbox: (runId, after) =>
        driver.inbox(runId, after === "" ? "" : String(Math.max(0, Number(after) - 1)))
    })),
    caughtBy: "inbox: a look from a cursor gives what came after it"
  },
  "leaves a post out behind a cursor": {
    plant: change((driver) => ({
      inbox: (runId, after) => driver.inbox(runId, after === "" ? "" : String(Number(after) + 1))
    })),
    caughtBy: "inbox: a look from a cursor gives what came after it"
  },
  "ignores cursors": {
    plant: change((driver) => ({ inbox: (runId) => driver.inbox(runId, "") })),
    caughtBy: "inbox: a look from the last cursor gives nothing until there is a post"
  },
  "keeps one post a run": {
    plant: change((driver) => ({
      post: (runId, post) => driver.post(runId, { ...post, id: "the one" })
    })),
    caughtBy: "inbox: posts stand in the order they were posted, by whomever"
  },
  "tells posts apart by their event": {
    plant: change((driver) => ({
      post: (runId, post) => driver.post(runId, { ...post, id: post.eventId })
    })),
    caughtBy: "inbox: two posts of one event with other contents are both kept"
  },
  "drops posts for runs that are not there": {
    plant: change((driver) => ({
      post: (runId, post) =>
        Effect.flatMap(
          driver.version(runId),
          (now) => now === "" ? Effect.void : driver.post(runId, post)
        )
    })),
    caughtBy: "inbox: a post for a run that is not there yet is kept for it"
  },
  "does not count what comes before": {
    plant: change((driver) => ({
      inbox: (runId, after) =>
        Effect.map(driver.inbox(runId, after), (posts) => ({ ...posts, before: 0 }))
    })),
    caughtBy: "inbox: `before` counts the lines that come ahead of a look"
  },
  "refuses posts while an owner is at work": {
    plant: change((driver) => ({
      post: (runId, post) =>
        Effect.flatMap(
          driver.holder(runId, 0),
          (holder) => holder === undefined ? driver.post(runId, post) : Effect.void
        )
    })),
    caughtBy: "inbox: a post reaches a run whose owner is at work"
  },
  "empties an inbox with every append": {
    plant: () => {
      let lost = new Map<string, number>()
      const driver = memory()
      return {
        ...driver,
        inbox: (runId, after) =>
          driver.inbox(runId, String(Math.max(Number(after), lost.get(runId) ?? 0))),
        writer: (runId) =>
          Effect.map(driver.writer(runId), (writer): WriterOf => ({
            append: (at, lines, row) =>
              Effect.tap(writer.append(at, lines, row), () =>
                Effect.map(driver.inbox(runId, ""), ({ cursor }) => {
                  lost = new Map(lost).set(runId, Number(cursor))
                }))
          }))
      }
    },
    caughtBy: "inbox: a post stays until its own entry stands in the journal"
  },
  // listings
  "lists all states": {
    plant: without("status"),
    caughtBy: "list: a run that has begun is pending"
  },
  "lists all workflows": {
    plant: without("workflow"),
    caughtBy: "list: a workflow's filter leaves the runs of others out"
  },
  "lists without a limit": {
    plant: change((driver) => ({
      list: (query, now) => driver.list({ ...query, limit: 1e9 }, now)
    })),
    caughtBy: "list: pages of one hold every run once"
  },
  "lists the first page for ever": {
    plant: without("after"),
    caughtBy: "list: pages of one hold every run once"
  },
  "knows no time before which": {
    plant: without("updatedBefore"),
    caughtBy: "list: `updatedBefore` leaves out its moment and what is newer"
  },
  "knows no time from which": {
    plant: without("updatedFrom"),
    caughtBy: "list: `updatedFrom` includes its moment and leaves out what is older"
  },
  "leaves out the moment from which": {
    plant: change((driver) => ({
      list: ({ updatedFrom, ...query }, now) =>
        driver.list({
          ...query,
          updatedFrom: updatedFrom === undefined ? undefined : updatedFrom + 1
        }, now)
    })),
    caughtBy: "list: `updatedFrom` includes its moment and leaves out what is older"
  },
  "filters by the time of the first entry": {
    plant: listing((page, { updatedFrom }) => ({
      ...page,
      runs: page.runs.filter(({ createdAt }) =>
        updatedFrom === undefined || Date.parse(createdAt) >= updatedFrom
      )
    })),
    caughtBy: "list: times are those of the last entry"
  },
  "lists by a language's order": {
    plant: listing((page) => ({
      ...page,
      runs: page.runs.toSorted((a, b) => a.runId.localeCompare(b.runId))
    })),
    caughtBy: "list: runs stand in the order of their ids' characters, not of a language"
  },
  "lists the newest first": {
    plant: listing((page) => ({ ...page, runs: page.runs.toReversed() })),
    caughtBy: "list: runs stand by id, whenever they were made"
  },
  "leaves a page's last run out": {
    plant: listing((page) =>
      page.cursor === undefined ? page : { ...page, runs: page.runs.slice(0, -1) }
    ),
    caughtBy: "list: pages of one hold every run once"
  },
  "knows nothing of owners in a listing": {
    plant: change((driver) => ({ list: (query) => driver.list(query, Infinity) })),
    caughtBy:
      "list: a run with a live lease is running, and pending again when the lease has run out"
  },
  "calls every run with a lease running": {
    plant: change((driver) => ({
      list: ({ status, ...query }, now) =>
        Effect.gen(function*() {
          const page = yield* driver.list(query, now)
          const runs = yield* Effect.forEach(page.runs, (run) =>
            Effect.map(
              driver.holder(run.runId, now),
              (by) => by === undefined ? run : { ...run, status: "running" as const }
            ))
          return {
            ...page,
            runs: runs.filter((run) => status === undefined || run.status === status)
          }
        })
    })),
    caughtBy: "list: a suspended run with a live lease is suspended"
  },
  "lists what the first append said": {
    plant: () => {
      const first = new Map<string, Storage.Row["status"]>()
      const driver = memory()
      return {
        ...driver,
        writer: (runId) =>
          Effect.map(driver.writer(runId), (writer): WriterOf => ({
            append: (at, lines, row) => {
              if (!first.has(runId)) first.set(runId, row().status)
              return writer.append(at, lines, row)
            }
          })),
        list: (query, now) =>
          Effect.map(driver.list(query, now), (page) => ({
            ...page,
            runs: page.runs.map((run) => first.get(run.runId) ?? run)
          }))
      }
    },
    caughtBy: "list: a run that a newer session drove on is listed by what that wrote"
  },
  "writes its index for appends that lose as well": {
    plant: () => {
      const last = new Map<string, Storage.Row["status"]>()
      const driver = memory()
      return {
        ...driver,
        writer: (runId) =>
          Effect.map(driver.writer(runId), (writer): WriterOf => ({
            append: (at, lines, row) => {
              last.set(runId, row().status)
              return writer.append(at, lines, row)
            }
          })),
        list: (query, now) =>
          Effect.map(driver.list(query, now), (page) => ({
            ...page,
            runs: page.runs.map((run) => last.get(run.runId) ?? run)
          }))
      }
    },
    caughtBy: "append: an append that lost does not change what is listed"
  },
  "fails a listing for one journal that cannot be read": {
    plant: change((driver) => ({
      list: (query, now) =>
        Effect.flatMap(driver.list(query, now), (page) =>
          page.unreadable.length === 0
            ? Effect.succeed(page)
            : new Storage.StorageError({ reason: "Unknown", doing: "list", cause: "corrupt" }))
    })),
    caughtBy: "list: a journal that cannot be read hides no other run"
  },
  // due
  "forgets posts": {
    plant: dueWith(() => ({ inbox: () => Effect.succeed({ text: "", cursor: "", before: 0 }) })),
    caughtBy: "due: a run that waits is due when an event is posted"
  },
  "forgets leases": {
    plant: dueWith(() => ({ holder: () => Effect.undefined })),
    caughtBy: "due: a run with a live lease is not due until the lease has run out"
  },
  "wakes nobody": {
    plant: change((driver) => ({ due: () => driver.due(0) })),
    caughtBy: "due: a run that sleeps is due at its time and not before"
  },
  "wakes a millisecond early": {
    plant: change((driver) => ({ due: (now) => driver.due(now + 1) })),
    caughtBy: "due: a run that sleeps is due at its time and not before"
  },
  "counts posts that were journaled": {
    plant: change((driver) => ({
      due: (now) =>
        Effect.gen(function*() {
          const { runs } = yield* driver.list({ limit: Infinity }, now)
          const due = new Set(yield* driver.due(now))
          for (const { runId, status } of runs) {
            if (status === "suspended" && (yield* driver.inbox(runId, "")).text !== "") {
              due.add(runId)
            }
          }
          return [...due]
        })
    })),
    caughtBy: "due: a run whose event was journaled is not due for it"
  },
  "names every open run": {
    plant: change((driver) => ({
      due: (now) =>
        Effect.map(
          driver.list({ limit: Infinity }, now),
          ({ runs }) => runs.filter(({ status }) => status !== "success").map(({ runId }) => runId)
        )
    })),
    caughtBy: "due: a run that only waits for an event is not due"
  },
  "forgets children": {
    plant: change((driver) => ({
      due: (now) =>
        Effect.gen(function*() {
          const due = yield* driver.due(now)
          const { runs } = yield* driver.list({ limit: Infinity }, now)
          const parents = runs.filter(({ waits }) => waits.some(({ kind }) => kind === "child"))
          return due.filter((id) => !parents.some(({ runId }) => runId === id))
        })
    })),
    caughtBy: "due: a run that waits for a child is due when that has ended, in whatever way"
  },
  // removal
  "leaves the inbox of a removed run": {
    plant: () => {
      const inboxes = new Map<string, Array<string>>()
      return change(() => ({
        post: (runId, { line }) =>
          Effect.sync(() => {
            inboxes.set(runId, [...inboxes.get(runId) ?? [], line])
          }),
        inbox: (runId, after) =>
          Effect.sync(() => {
            const lines = inboxes.get(runId) ?? []
            const text = lines.slice(Number(after)).map((line) => `${line}\n`).join("")
            return { text, cursor: String(lines.length), before: Number(after) }
          })
      }))()
    },
    caughtBy: "remove: a removal takes the inbox along"
  },
  "leaves the lease of a removed run": {
    plant: () => {
      const leases = memory()
      return change(() => ({
        acquire: leases.acquire,
        renew: leases.renew,
        release: leases.release,
        holder: leases.holder
      }))()
    },
    caughtBy: "remove: a removal takes the lease along"
  },
  "removes all that begins with an id": {
    plant: change((driver) => ({
      remove: (runId) =>
        Effect.flatMap(driver.list({ limit: Infinity }, 0), ({ runs }) =>
          Effect.forEach(
            [runId, ...runs.map((run) => run.runId).filter((id) => id.startsWith(runId))],
            driver.remove,
            { discard: true }
          ))
    })),
    caughtBy: "remove: a removal leaves every other run as it is"
  },
  "fails to remove what is not there": {
    plant: change((driver) => ({
      remove: (runId) =>
        Effect.flatMap(driver.version(runId), (now) =>
          now === ""
            ? new Storage.StorageError({ reason: "Unknown", doing: "remove", cause: "ENOENT" })
            : driver.remove(runId))
    })),
    caughtBy: "remove: what is not there can be removed"
  },
  // values
  "composes characters": {
    plant: appending(({ at, lines, row, writer }) =>
      writer.append(at, lines.map((line) => line.normalize("NFC")), row)
    ),
    caughtBy: "value: what is composed and what is decomposed stay apart"
  },
  "cuts long lines": {
    plant: appending(({ at, lines, row, writer }) =>
      writer.append(at, lines.map((line) => line.slice(0, 65_536)), row)
    ),
    caughtBy: "value: a line of a mebibyte is kept"
  },
  "parses values and writes them anew": {
    plant: appending(({ at, lines, row, writer }) =>
      writer.append(at, lines.map((line) => JSON.stringify(JSON.parse(line))), row)
    ),
    caughtBy: "value: numbers are kept as they are written"
  },
  "splits text at every separator of lines": {
    plant: reading((text) => text.split(/[\n\u2028\u2029\u0085]/).join("\n")),
    caughtBy: "value: separators of lines and paragraphs are kept"
  },
  "drops the mark of a byte order": {
    plant: reading((text) => text.replace(/\ufeff/g, "")),
    caughtBy: "value: the mark of a byte order is kept"
  },
  "holds no character beyond the first plane": {
    plant: reading((text) => text.replace(/[\ud800-\udfff]/g, "?")),
    caughtBy: "value: characters beyond the first plane are kept"
  },
  "reads escapes as characters": {
    plant: reading((text) => text.replace(/(?<!\\)\\u00e9/g, "é")),
    caughtBy: "value: an escape that could be a character stays an escape"
  },
  "fills patterns of a replacement": {
    plant: reading((text) => text.replace(/\$1/g, "")),
    caughtBy: "value: quotes and backslashes are kept"
  },
  // ids
  "folds the case of ids": {
    plant: naming((runId) => runId.toLowerCase()),
    caughtBy: "id: ids that differ in case only are apart"
  },
  "trims ids": {
    plant: naming((runId) => runId.trimEnd()),
    caughtBy: "id: ids that differ in spaces only are apart"
  },
  "cuts ids": {
    plant: naming((runId) => runId.slice(0, 128)),
    caughtBy: "id: long ids that differ in their last character are apart"
  },
  "escapes nothing twice": {
    plant: naming((runId) => {
      try {
        return decodeURIComponent(runId)
      } catch {
        return runId
      }
    }),
    caughtBy: "id: ids and what they are escaped as are apart"
  },
  "makes a file name of an id by its signs": {
    plant: naming((runId) => runId.replace(/[^a-zA-Z0-9.]/g, "-")),
    caughtBy: "id: ids that differ in signs only are apart"
  },
  // watching
  "says that it sees all, and tells nothing": {
    plant: change(() => ({ watch: () => () => {} })),
    caughtBy: "watch: an append is told, where the driver sees all"
  },
  "tells who left": {
    plant: change((driver) => ({
      watch: (runId, onChange) => {
        driver.watch(runId, onChange)
        return () => {}
      }
    })),
    caughtBy: "watch: who left is not told any more, and the others are"
  },
  "has room for one who watches": {
    plant: change((driver) => {
      const last = new Map<string, () => void>()
      return {
        watch: (runId, onChange) => {
          last.get(runId)?.()
          const unwatch = driver.watch(runId, onChange)
          last.set(runId, unwatch)
          return unwatch
        }
      }
    }),
    caughtBy: "watch: who leaves while being told harms nobody"
  },
  // blobs
  "leaves the blobs of a removed run": {
    plant: change(() => {
      const blobs = new Map<string, string>()
      return {
        blobs: {
          put: (runId, hash, text) => Effect.sync(() => void blobs.set(`${runId}/${hash}`, text)),
          get: (runId, hash) => Effect.sync(() => blobs.get(`${runId}/${hash}`))
        }
      }
    }),
    caughtBy: "blob: blobs go with their run"
  },
  "shares blobs between runs": {
    plant: change((driver) => {
      const blobs = new Map<string, string>()
      return {
        blobs: {
          put: (_, hash, text) => Effect.sync(() => void blobs.set(hash, text)),
          get: (_, hash) => Effect.sync(() => blobs.get(hash))
        },
        remove: (runId) => Effect.andThen(driver.remove(runId), Effect.sync(() => blobs.clear()))
      }
    }),
    caughtBy: "blob: blobs of other runs stay"
  },
  // transactions
  "appends before it knows that the work is done": {
    plant: change((driver) => ({
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer): WriterOf => ({
          ...writer,
          transaction: (work, append) =>
            Effect.gen(function*() {
              const value = yield* work
              const { at, lines, row } = yield* append(value)
              const now = yield* writer.append(at, lines, row)
              yield* work
              return now
            })
        }))
    })),
    caughtBy: "transaction: the work runs once"
  },
  "drops the lines of a transaction": {
    plant: change((driver) => ({
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer): WriterOf => ({
          ...writer,
          transaction: (work, append) => Effect.map(Effect.flatMap(work, append), ({ at }) => at)
        }))
    })),
    caughtBy: "transaction: the lines stand when it is over, made of what the work gave"
  }
}
