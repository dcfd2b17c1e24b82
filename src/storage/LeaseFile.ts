/**
 * A run's lease as a small log beside its journal: claims are numbered, and of two claims with one
 * number the first in the file holds. It decides who tries, never who may write: that is the journal's.
 *
 * Every change is one appended line, so that nobody can take away a lease that has gone to someone
 * else in between. Not synced: after a power cut nobody holds anything.
 */
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import * as Predicate from "effect/Predicate"
import type { Claim, Holder } from "../Driver.ts"
import { randomText } from "../RunId.ts"
import { type Appender, decode, encode, type Files, type Found } from "./Files.ts"
import type { ProcessName, ThisProcess } from "./ThisProcess.ts"

type Line =
  | {
    readonly claim: number
    readonly token: string
    readonly by: ProcessName
    readonly until: number
  }
  | { readonly renew: string; readonly until: number }
  | { readonly release: string }

interface State {
  /** The number of the last claim that counts. */
  readonly claim: number
  readonly held:
    | { readonly token: string; readonly by: ProcessName; readonly until: number }
    | undefined
}

/** Above this size a released lease is removed instead of written to. */
const longest = 4096

const isOwner = (u: unknown): u is ProcessName =>
  Predicate.isObject(u) && Predicate.isString(u.host) && Predicate.isString(u.boot)
  && Predicate.isNumber(u.pid) && Predicate.isString(u.started)

/** A lease is advice: a line that is cut short or was written by somebody else is passed over. */
const parse = (text: string): Line | undefined => {
  try {
    const u: unknown = JSON.parse(text)
    if (!Predicate.isObject(u)) return undefined
    const { by, claim, release, renew, token, until } = u as Record<string, unknown>
    if (Predicate.isString(release)) return { release }
    if (!Predicate.isNumber(until)) return undefined
    if (Predicate.isString(renew)) return { renew, until }
    return Predicate.isNumber(claim) && Predicate.isString(token) && isOwner(by)
      ? { claim, token, by, until }
      : undefined
  } catch {
    return undefined
  }
}

const fold = (text: string): State => {
  let claim = 0
  let held: State["held"]
  for (const raw of text.split("\n")) {
    const line = raw.trim() === "" ? undefined : parse(raw)
    if (line === undefined) continue
    if ("claim" in line) {
      if (line.claim !== claim + 1) continue
      claim = line.claim
      held = line
    } else if ("renew" in line) {
      if (held?.token === line.renew) held = { ...held, until: line.until }
    } else if (held?.token === line.release) {
      held = undefined
    }
  }
  return { claim, held }
}

const stateOf = (found: Found | undefined): State & { readonly size: number } => {
  const text = found === undefined ? "" : decode(found.bytes)
  return { ...fold(text), size: text.length }
}

const write = (file: Appender, line: Line) => file.write(encode(`\n${JSON.stringify(line)}\n`))

export interface LeaseFile {
  readonly acquire: (
    name: string,
    now: number,
    until: number
  ) => Effect.Effect<Claim, PlatformError>
  readonly renew: (
    name: string,
    token: string,
    until: number
  ) => Effect.Effect<boolean, PlatformError>
  readonly release: (name: string, token: string) => Effect.Effect<void, PlatformError>
  readonly holder: (name: string, now: number) => Effect.Effect<Holder | undefined, PlatformError>
}

export const make = (files: Files, self: ThisProcess): LeaseFile => {
  const read = (name: string) => Effect.map(files.read(name), stateOf)

  const append = (name: string, line: Line) =>
    Effect.scoped(Effect.flatMap(files.open(name, false), (file) => write(file, line)))

  const live = ({ held }: State, now: number): Effect.Effect<Holder | undefined> =>
    held === undefined || held.until <= now
      ? Effect.undefined
      : Effect.map(
        self.mayLive(held.by),
        (alive) => alive ? { host: held.by.host, pid: held.by.pid, until: held.until } : undefined
      )

  return {
    acquire: (name, now, until) =>
      Effect.scoped(Effect.gen(function*() {
        const file = yield* files.open(name, false)
        const before = stateOf(yield* file.read())
        const by = yield* live(before, now)
        if (by !== undefined) return { _tag: "Held", by } as const
        const token = randomText(8)
        yield* write(file, { claim: before.claim + 1, token, by: self.name, until })
        const found = yield* file.read()
        // A file that was removed meanwhile is nobody's lease.
        const isThere = (yield* files.identify(name))?.file === found.file
        const after = stateOf(isThere ? found : undefined)
        return after.held?.token === token
          ? { _tag: "Acquired", token } as const
          : {
            _tag: "Held",
            by: (yield* live(after, now)) ?? { host: self.name.host, until: now }
          } as const
      })),
    renew: (name, token, until) =>
      Effect.gen(function*() {
        if ((yield* read(name)).held?.token !== token) return false
        yield* append(name, { renew: token, until })
        return true
      }),
    release: (name, token) =>
      Effect.gen(function*() {
        const { held, size } = yield* read(name)
        if (held?.token !== token) return
        yield* size > longest ? files.remove(name) : append(name, { release: token })
      }),
    holder: (name, now) => Effect.flatMap(read(name), (state) => live(state, now))
  }
}
