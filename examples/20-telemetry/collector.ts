/** A collector in this process, as far as the example needs one: it takes what is exported, and shows it. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Span {
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly attributes: ReadonlyArray<Attribute>
}

const values = (attributes: ReadonlyArray<Attribute>): Record<string, string> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, String(Object.values(value)[0])]))

export const startCollector = async () => {
  const spans: Array<Span> = []
  const logs: Array<{ body: string; attributes: Record<string, string> }> = []
  const counts = new Map<string, number>()
  const take: Record<string, (sent: any) => void> = {
    "/v1/traces": ({ resourceSpans }) => {
      for (const { scopeSpans } of resourceSpans) {
        for (const one of scopeSpans) spans.push(...one.spans)
      }
    },
    "/v1/logs": ({ resourceLogs }) => {
      for (const { scopeLogs } of resourceLogs) {
        for (const { logRecords } of scopeLogs) {
          for (const { attributes, body } of logRecords) {
            logs.push({ body: String(Object.values(body)[0]), attributes: values(attributes) })
          }
        }
      }
    },
    "/v1/metrics": ({ resourceMetrics }) => {
      for (const { scopeMetrics } of resourceMetrics) {
        for (const { metrics } of scopeMetrics) {
          for (const { name, sum } of metrics) {
            for (const { asDouble, asInt, attributes } of sum?.dataPoints ?? []) {
              const { workflow, unit: _, ...labels } = values(attributes)
              counts.set(
                [name, workflow, ...Object.values(labels)].join(" "),
                Number(asDouble ?? asInt)
              )
            }
          }
        }
      }
    }
  }
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      take[request.url ?? ""]?.(JSON.parse(body))
      response.setHeader("content-type", "application/json").end("{}")
    })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")

  /** The spans below `parent`, in the order in which they ended. */
  const below = (parent: string | undefined, indent: string): ReadonlyArray<string> =>
    spans.filter(({ parentSpanId }) => (parentSpanId ?? "") === (parent ?? "")).flatMap((span) => [
      `${indent}${span.name}`,
      ...below(span.spanId, `${indent}  `)
    ])

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lines: () => [
      "traces:",
      ...below(undefined, "  "),
      "logs:",
      ...logs.map(({ attributes, body }) =>
        `  ${body} (run ${attributes.runId}, step ${attributes.stepId})`
      ),
      "metrics:",
      ...Array.from(counts, ([name, count]) => `  ${name} ${count}`)
        .filter((line) => line.startsWith("  reprise_")).toSorted()
    ],
    stop: () => server.close()
  }
}
