/** 20-telemetry: what a collector is told of a run. */
import { describe, expect, it } from "@effect/vitest"
import { startCollector } from "../../examples/20-telemetry/collector.ts"
import { runExample, scratch } from "./support/command.ts"

describe("npm run example 20", () => {
  const directory = scratch()
  const told = [
    "traces:",
    "  run order",
    "    step price",
    "  run order",
    "    step charge",
    "      charge",
    "logs:",
    "  charging 42 euros (run order-1, step charge)",
    "metrics:",
    "  reprise_runs order complete 1",
    "  reprise_sessions order Ended 1",
    "  reprise_sessions order Suspended 1",
    "  reprise_steps order failure 0",
    "  reprise_steps order success 2"
  ]

  it("shows the spans, logs and counts of a run", async () => {
    const { code, lines, stderr } = await runExample(directory, ["20"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines).toEqual(told)
  })

  it("sends them where the environment says", async () => {
    const collector = await startCollector()
    try {
      const { lines } = await runExample(directory, ["20"], {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url
      })
      expect(lines).toEqual([`exported to ${collector.url}`])
      expect(collector.lines()).toEqual(told)
    } finally {
      collector.stop()
    }
  })
})
