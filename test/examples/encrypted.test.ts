/**
 * 14-encrypted-journal: what stands in the files, with which key, and who is shown what.
 */
import { describe, expect, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Journal } from "reprise"
import { runExample, scratch } from "./support/command.ts"

const words = "Lovelace, laudanum, K-1815, Dr. Elliotson"

describe("npm run example 14", () => {
  const directory = scratch()

  it("shows what is in the files, and the values to nobody without the keys", async () => {
    const { code, lines, stderr } = await runExample(directory, ["14"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const said = lines.map((line) =>
      line.replace(/ {2}\(\d+ms\)$/, "").replace(/prescribe \w{26}/, "prescribe …")
    )
    expect(said.slice(0, -2)).toEqual([
      "a prescription comes in, and the live log shows it:",
      "prescribe …",
      "  … ask-insurance",
      "  ✓ ask-insurance  {\"covers\":true}",
      "  ⏸ signed  a doctor has to sign",
      "in the files:",
      `  of ${words} the files hold nothing`,
      "  2 values are sealed with key 2026-10",
      "there is a new key, and the doctor signs:",
      "  laudanum for Ada Lovelace, signed by Dr. Elliotson, free of charge",
      `  of ${words} the files hold nothing`,
      "  4 values are sealed with key 2026-11",
      "  2 values are sealed with key 2026-10",
      "somebody with the keys looks, and prints what may be printed:",
      "  {\"patient\":\"Ada Lovelace\",\"drug\":\"laudanum\",\"insurance\":\"<redacted>\"}",
      "somebody without a key looks:",
      "  prescribe: success, 2 steps"
    ])
    expect(said.at(-2)).toMatch(/^ {2}Could not open a value of run "…": it is encoded/)
    expect(said.at(-1)).toMatch(/it was encrypted with key "2026-10", which is not given here/)
  })

  it("leaves files that hold no value as it is, and a journal that is sound all the same", () => {
    const at = join(directory, "runs", "14")
    const files = readdirSync(at)
    expect(files.filter((name) => name.endsWith(".jsonl"))).toHaveLength(1)
    for (const name of files) {
      const text = readFileSync(join(at, name), "utf8")
      for (const word of words.split(", ")) expect(text).not.toContain(word)
      if (!name.endsWith(".jsonl")) continue
      const read = Journal.read(name.slice(0, -".jsonl".length), text)
      expect(read).toMatchObject({ _tag: "Success", success: { rejected: 0, torn: 0 } })
    }
  })
})
