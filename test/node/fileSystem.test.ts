/**
 * Node's file system for journals beside Effect's own: what is asked of both is answered alike, errors
 * included, and what a journal needs of a file holds.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Option, PlatformError, Result } from "effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as OwnFileSystem from "../../src/node/FileSystem.ts"

/** A directory with one of each. */
const place = (): string => {
  const at = mkdtempSync(join(tmpdir(), "reprise-files-"))
  writeFileSync(join(at, "file"), "0123456789", { mode: 0o640 })
  mkdirSync(join(at, "directory"), { mode: 0o750 })
  symlinkSync("file", join(at, "link"))
  return at
}

/** What differs from call to call, and from place to place, says nothing. */
const comparable = (info: FileSystem.File.Info) => {
  const { atime: _a, birthtime: _b, ino: _i, mtime: _m, ...rest } = info
  return { ...rest, hasNumber: Option.isSome(info.ino) }
}

const reasonOf = ({ reason }: PlatformError.PlatformError) => ({
  tag: reason._tag,
  code: "cause" in reason ? (reason.cause as NodeJS.ErrnoException).code : undefined
})

type Use = (fs: FileSystem.FileSystem, at: string) => Effect.Effect<unknown, any>

const within = (
  flag: FileSystem.OpenFlag,
  name: string,
  use: (file: FileSystem.File) => Effect.Effect<unknown, PlatformError.PlatformError>
): Use =>
(fs, at) => Effect.scoped(Effect.flatMap(fs.open(join(at, name), { flag, noFollow: true }), use))

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

const uses: Record<string, Use> = {
  "stat of a file": (fs, at) => Effect.map(fs.stat(join(at, "file")), comparable),
  "stat of a directory": (fs, at) => Effect.map(fs.stat(join(at, "directory")), comparable),
  "stat of a link": (fs, at) => Effect.map(fs.stat(join(at, "link")), comparable),
  "lstat of a link": (fs, at) => Effect.map(fs.lstat(join(at, "link")), comparable),
  "stat of nothing": (fs, at) => fs.stat(join(at, "nothing")),
  "lstat of nothing": (fs, at) => fs.lstat(join(at, "nothing")),
  "what is there": (fs, at) =>
    Effect.forEach(
      ["file", "directory", "link", "nothing", "nothing/below"],
      (name) => fs.exists(join(at, name))
    ),
  "reading nothing": within("r", "nothing", () => Effect.void),
  "reading a link that is not followed": within("r", "link", () => Effect.void),
  "making what is there": within("ax+", "file", () => Effect.void),
  "a file below a file": within("a+", "file/below", () => Effect.void),
  "a place in a file": within("r", "file", (file) =>
    Effect.gen(function*() {
      const some = yield* file.readAlloc(4, { position: 3n })
      const none = yield* file.readAlloc(4, { position: 10n })
      const rest = yield* file.readAlloc(100, { position: 8n })
      return [some, none, rest].map(Option.map(text))
    })),
  "a cursor": within("r", "file", (file) =>
    Effect.gen(function*() {
      const buffer = new Uint8Array(4)
      const seen = [yield* file.read(buffer), text(buffer)]
      yield* file.seek(1n, "current")
      const rest = Option.map(yield* file.readAlloc(3), text)
      const wrong = yield* Effect.result(file.seek(-9n, "current"))
      yield* file.seek(0n, "start")
      return [...seen, rest, Result.isFailure(wrong), Option.map(yield* file.readAlloc(2), text)]
    })),
  "appends": within("a+", "file", (file) =>
    Effect.gen(function*() {
      const written = yield* file.write(Buffer.from("ab"))
      yield* file.writeAll(Buffer.from("cd"))
      yield* file.sync
      const { size } = yield* file.stat
      return [written, size, Option.map(yield* file.readAlloc(100, { position: 0n }), text)]
    })),
  "a file that is made": within("ax+", "new", (file) =>
    Effect.gen(function*() {
      yield* file.writeAll(Buffer.from("x".repeat(100_000)))
      yield* file.truncate(5)
      return [Option.map(yield* file.readAlloc(100, { position: 0n }), text)]
    })),
  "writing to what is open for reading": within(
    "r",
    "file",
    (file) => file.write(Buffer.from("x"))
  ),
  "reading a directory as a file": within("r", "directory", (file) => file.readAlloc(1)),
  "a directory that is synced": within("r", "directory", (file) => file.sync),
  "what is opened otherwise": within(
    "w+",
    "other",
    (file) =>
      Effect.andThen(file.writeAll(Buffer.from("x")), Effect.map(file.stat, ({ size }) => size))
  )
}

const asked = (use: Use, layer: Layer.Layer<FileSystem.FileSystem>) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => use(fs, place())).pipe(
    Effect.mapError(reasonOf),
    Effect.result,
    Effect.provide(layer)
  )

describe("the file system for journals", () => {
  it.effect.each(Object.entries(uses))(
    "answers as Effect's does: %s",
    ([, use]) =>
      Effect.gen(function*() {
        expect(yield* asked(use, OwnFileSystem.layer)).toEqual(
          yield* asked(use, NodeFileSystem.layer)
        )
      })
  )

  it.effect("closes what it opened", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const at = place()
      const left = yield* Effect.scoped(fs.open(join(at, "file"), { flag: "a+" }))
      // It gets the number that the other one had.
      const other = yield* fs.open(join(at, "other"), { flag: "ax+" })
      for (const use of [left.write(Buffer.from("x")), left.sync, left.stat]) {
        expect(reasonOf(yield* Effect.flip<unknown, PlatformError.PlatformError, never>(use)).code)
          .toBe("EBADF")
      }
      expect(Number((yield* other.stat).size)).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(OwnFileSystem.layer)))

  it.effect("does not wait for a pipe in the place of a file", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const pipe = join(place(), "pipe")
      execFileSync("mkfifo", [pipe])
      const { type } = yield* Effect.scoped(
        Effect.flatMap(fs.open(pipe, { flag: "r" }), (file) => file.stat)
      )
      expect(type).not.toBe("File")
    }).pipe(Effect.provide(OwnFileSystem.layer)))
})
