/** The command as a process of its own, on journals in files that another process wrote. */
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const scratch = mkdtempSync(join(tmpdir(), "reprise-cli-"))
const directory = join(scratch, "runs", ".reprise")
const command = ["--conditions=reprise-source", resolve("src/cli/main.ts")]

const triage = Workflow.make("triage", {
  events: { "manual-review": Schema.Struct({ approved: Schema.Boolean }) }
}, function*(ctx, ticket: { id: string }) {
  yield* ctx.step("classify", () => ({ severity: 5, id: ticket.id }))
  const { approved } = yield* ctx.suspend("manual-review", { reason: "severity 5" })
  return approved
})

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Without what would force colours on a pipe. */
const { FORCE_COLOR: _, ...env } = process.env

const spawned = (file: string, args: ReadonlyArray<string>, cwd: string) =>
  new Promise<Said>((done) => {
    execFile(file, args, { cwd, env }, (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })

/** The command where the journals are, or in `cwd`. */
const reprise = (args: ReadonlyArray<string>, cwd = join(scratch, "runs")) =>
  spawned(process.execPath, [...command, ...args], cwd)
/** The same, for people. */
const text = (args: ReadonlyArray<string>, cwd?: string) => reprise(["--no-json", ...args], cwd)

const journalOf = (runId: string) => join(directory, `${runId}.jsonl`)

/** Changes a letter of a line in the middle of a journal. */
const damage = (runId: string) => {
  const text = readFileSync(journalOf(runId), "utf8")
  writeFileSync(journalOf(runId), text.replace("\"classify\"", "\"clarify!\""))
}

beforeAll(async () => {
  mkdirSync(join(scratch, "empty"))
  mkdirSync(join(scratch, "runs"))
  const runs = Effect.gen(function*() {
    for (const runId of ["r1", "r2", "Long Name", "damaged", "Damaged Long Name"]) {
      yield* triage.start({ id: runId }, { runId })
    }
    yield* triage.resume("r2", { eventName: "manual-review", value: { approved: true } })
  })
  await Effect.runPromise(Effect.provide(runs, NodeLocalStorage.layer(directory)))
  damage("damaged")
})

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe("the reprise command", () => {
  it("lists the runs of ./.reprise, those that cannot be read last, and succeeds", async () => {
    const { code, err, out } = await text(["list"])
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const [header, ...lines] = out.trimEnd().split("\n")
    expect(header).toMatch(/^RUN +WORKFLOW +STATUS +WAITS FOR +UPDATED +STEPS$/)
    expect(lines.map((line) => line.slice(0, 9).trimEnd())).toEqual([
      "Damaged L",
      "Long Name",
      "r1",
      "r2",
      "damaged"
    ])
    expect(lines[2]).toMatch(/^r1 +triage +suspended +manual-review +\S+ +1$/)
    expect(lines[3]).toMatch(/^r2 +triage +success +- +\S+ +1$/)
    expect(lines[4]).toMatch(/^damaged {2}cannot be read: The journal of run "damaged" is damaged/)
  })

  it("finds a storage by its directory, relative or absolute, before and after the verb", async () => {
    const ids = (said: Said) => said.out.trimEnd().split("\n").map((line) => JSON.parse(line).runId)
    const all = ids(await reprise(["list", "--json"]))
    expect(all).toHaveLength(5)
    expect(ids(await reprise(["list", "--json", "--storage", "file:runs/.reprise"], scratch)))
      .toEqual(all)
    expect(ids(await reprise(["--storage", `file:${directory}`, "list", "--json"], "/")))
      .toEqual(all)
  })

  it("shows a run, and the call that goes on with it", async () => {
    const { code, err, out } = await text(["show", "Long Name"])
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toContain("✓ classify  {\"severity\":5,\"id\":\"Long Name\"}")
    expect(out).toContain("⏸ manual-review  severity 5")
    expect(out).toContain(
      "triage.resume(\"Long Name\", { eventName: \"manual-review\", value: … })"
    )
    const { out: json } = await reprise(["show", "r2", "--json"])
    expect(JSON.parse(json)).toMatchObject({ status: "success", result: true })
  })

  it("only looks: it makes no directory and touches no file", async () => {
    const empty = join(scratch, "empty")
    expect(await text(["list"], empty)).toEqual({
      code: 0,
      out: "",
      err: "No runs in file:.reprise.\n"
    })
    expect(readdirSync(empty)).toEqual([])
    expect((await reprise(["show", "r1"], empty)).err).toMatch(/^There is no run "r1"/)
    expect(readdirSync(empty)).toEqual([])

    const files = () =>
      readdirSync(directory).map((file) => [file, readFileSync(join(directory, file), "utf8")])
    const before = files()
    await reprise(["show", "r1"])
    await text(["list"])
    expect(files()).toEqual(before)
  })

  it("fails with one line on stderr and code 1", async () => {
    const failed = async (...args: ReadonlyArray<string>) => {
      const { code, err, out } = await reprise(args)
      expect({ code, out, lines: err.trimEnd().split("\n").length }).toEqual({
        code: 1,
        out: "",
        lines: 1
      })
      return err
    }
    expect(await failed("show", "nope")).toMatch(/^There is no run "nope" in this storage\. /)
    expect(await failed("show", "../r1")).toMatch(/^"\.\.\/r1" is no run id/)
    expect(await failed("show", "damaged")).toMatch(/damaged at line \d+: its checksum/)
    expect(await failed("list", "--storage", "https://bucket")).toMatch(
      /^The storage "https:…" is none that this command can open\. Use file:DIR, sqlite:FILE/
    )
    expect(await failed("list", "--storage", "file:")).toContain("Use file:DIR")
  })

  it("explains itself, and what it does not know", async () => {
    const help = await reprise(["--help"])
    expect(help.code).toBe(0)
    expect(help.out).toMatch(
      /--storage URL .*file:DIR, sqlite:FILE, postgres:.*s3:.*REPRISE_STORAGE/
    )
    const unknown = await reprise(["lst"])
    expect(unknown.code).toBe(1)
    expect(unknown.err).toContain("list")
  })

  it("has the version of the package", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8"))
    const { code, out } = await reprise(["--version"])
    expect({ code, out }).toEqual({ code: 0, out: `reprise v${version}\n` })
  })

  it("says nothing when its reader has had enough", async () => {
    const line = `"${process.execPath}" ${command.join(" ")} list --json | true`
    const { code, err } = await spawned("sh", ["-c", line], join(scratch, "runs"))
    expect({ code, err }).toEqual({ code: 0, err: "" })
  })

  it("lists a damaged run whose file name is a hash", async () => {
    const name = readdirSync(directory).find((file) => /^damaged-long-name~.*jsonl$/.test(file))
    expect(name).toBeDefined()
    damage(name!.replace(".jsonl", ""))
    const { code, out } = await text(["list"])
    expect(code).toBe(0)
    expect(out).toMatch(/damaged-long-name.* {2}cannot be read: /)
  })

  it("lists the others when a file with a hashed name cannot be opened", async () => {
    mkdirSync(join(directory, "not-a-file~0123.jsonl"))
    expect(existsSync(journalOf("not-a-file~0123"))).toBe(true)
    const { code, err, out } = await text(["list"])
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toMatch(/^r1 +triage/m)
    expect(out).toMatch(/not-a-file.* {2}cannot be read: /)
  })
})
