/**
 * Who this process is and whether another one lives, so that a dead owner on the same host loses its
 * leases at once.
 *
 * From `/proc` where there is one: a process id alone may have been given to another process since, so
 * its start time, the boot and the pid namespace are part of the name. Elsewhere by signal 0.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"

/** Names one process on one boot of one host. */
export interface ProcessName {
  readonly host: string
  /** Of the boot and the pid namespace: process ids of another one say nothing here. */
  readonly boot: string
  readonly pid: number
  /** Clock ticks from boot to the start of the process; empty where that cannot be told. */
  readonly started: string
}

export interface ThisProcess {
  readonly name: ProcessName
  /** False only when the process is certain to be gone. */
  readonly mayLive: (other: ProcessName) => Effect.Effect<boolean>
}

interface Platform {
  readonly pid?: number
  readonly kill?: (pid: number, signal: number) => unknown
}
const platform = (): Platform => (globalThis as { readonly process?: Platform }).process ?? {}

const gone = ["Z", "X"]

/** State and start time from `/proc/<pid>/stat`: the name before them may hold spaces and parentheses. */
const parseStat = (
  stat: string
): { readonly pid: number; readonly state: string; readonly started: string } => {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return { pid: Number.parseInt(stat, 10), state: fields[0] ?? "", started: fields[19] ?? "" }
}

/** How files are read; `""` for one that cannot be. */
export interface Reader {
  readonly text: (path: string) => Effect.Effect<string>
  readonly link: (path: string) => Effect.Effect<string>
}

/** By Effect's `FileSystem`. */
export const make: Effect.Effect<ThisProcess, never, FileSystem.FileSystem> = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) =>
    from({
      text: (path) => Effect.orElseSucceed(fs.readFileString(path), () => ""),
      link: (path) => Effect.orElseSucceed(fs.readLink(path), () => "")
    })
)

export const from = (files: Reader): Effect.Effect<ThisProcess> =>
  Effect.gen(function*() {
    const read = (path: string) => Effect.map(files.text(path), (text) => text.trim())
    const stat = yield* read("/proc/self/stat")
    const boot = yield* read("/proc/sys/kernel/random/boot_id")
    const namespace = yield* files.link("/proc/self/ns/pid")
    const host = (yield* read("/proc/sys/kernel/hostname")) || "localhost"
    const self = stat === "" ? { pid: platform().pid ?? 0, started: "" } : parseStat(stat)
    const name: ProcessName = {
      host,
      boot: `${boot}${namespace}`,
      pid: self.pid,
      started: self.started
    }

    const answersSignal = (pid: number) =>
      Effect.sync(() => {
        try {
          platform().kill?.(pid, 0)
          return true
        } catch (error) {
          return !(error instanceof Error && "code" in error && error.code === "ESRCH")
        }
      })

    return {
      name,
      mayLive: (other) => {
        if (other.host !== host || other.pid === 0) return Effect.succeed(true)
        if (other.boot !== name.boot) {
          // The same host after another boot; another pid namespace of this boot may live.
          return Effect.succeed(boot === "" || other.boot.startsWith(boot))
        }
        if (stat === "") return answersSignal(other.pid)
        return Effect.map(read(`/proc/${other.pid}/stat`), (text) => {
          if (text === "") return false
          const now = parseStat(text)
          return now.started === other.started && !gone.includes(now.state)
        })
      }
    }
  })
