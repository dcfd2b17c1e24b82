/**
 * One Postgres for all test files of a run, started when the first of them asks for it: a run that needs
 * none pays for a listening socket only.
 */
import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import type { TestProject } from "vitest/node"
import type { Postgres } from "../scripts/postgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** Where to ask for the shared Postgres: whoever connects is told its URL, or what went wrong. */
    readonly postgresPort: number
  }
}

export default async ({ provide }: TestProject) => {
  let server: Promise<Postgres> | undefined
  const desk = createServer((socket) => {
    // Who asks and then goes away is not our trouble.
    socket.on("error", () => {})
    // Loaded only now: it brings a Postgres client with it.
    server ??= import("../scripts/postgres.ts").then(({ startPostgres }) => startPostgres())
    server.then(
      ({ url }) => socket.end(JSON.stringify({ url })),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) }))
    )
  })
  desk.listen(0, "127.0.0.1")
  await once(desk, "listening")
  desk.unref()
  provide("postgresPort", (desk.address() as AddressInfo).port)

  return async () => {
    desk.close()
    await server?.then((postgres) => postgres.stop(), () => {})
  }
}
