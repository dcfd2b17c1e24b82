/** Every endpoint of the API with every kind of token: what the API describes is asked, so that none can be left out. */
import { describe, expect, it } from "@effect/vitest"
import { Context } from "effect"
import { HttpApi } from "effect/http-api"
import { Http } from "reprise/http"
import { Access, Needs } from "../../src/http/Scopes.ts"
import { made, type Name, secrets, waits } from "./support/server.ts"

interface Endpoint {
  readonly method: string
  readonly path: string
  /** The scope, or undefined for one that anyone may call. */
  readonly needs: "read" | "send" | "admin" | undefined
}

const endpoints: Array<Endpoint> = []
HttpApi.reflect(Http.Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { method, path }, mergedAnnotations, middleware }) => {
    const isGuarded = Array.from(middleware).some(({ key }) => key === Access.key)
    const needs = isGuarded ? Context.get(mergedAnnotations, Needs) : undefined
    endpoints.push({ method, path, needs })
  }
})

/** What is right, said without the API: all that is not here changes how runs go on, or is not for anyone. */
const open = ["GET /health", "GET /ready", "POST /webhooks/:source"]
const sends = ["POST /api/runs", "POST /api/runs/:runId/events", "POST /api/deliveries"]

const rightOf = (method: string, path: string): Endpoint["needs"] => {
  const name = `${method} ${path}`
  if (open.includes(name)) return undefined
  if (sends.includes(name)) return "send"
  // A checkpoint has secrets in it.
  return method === "GET" && !path.endsWith("/checkpoint") ? "read" : "admin"
}

const addressOf = (path: string) => path.replace(":runId", "r1").replace(":source", "s1")

/** The tokens that are let in. */
const allowed: Readonly<Record<"read" | "send" | "admin", ReadonlyArray<Name>>> = {
  read: ["read", "admin"],
  send: ["send", "admin"],
  admin: ["admin"]
}

const names: ReadonlyArray<Name> = ["read", "send", "admin", "none"]

it("the API says of its endpoints what is right, and they are all here", () => {
  expect(endpoints.length).toBeGreaterThanOrEqual(20)
  for (const { method, needs, path } of endpoints) {
    expect(needs, `${method} ${path}`).toBe(rightOf(method, path))
  }
  const described = endpoints.map(({ method, path }) => `${method} ${path}`)
  expect(described).toEqual(expect.arrayContaining([...open, ...sends]))
  expect(described.length).toBe(new Set(described).size)
})

/** An API with a run, and the endpoint asked with one token or another. */
const asked = async ({ method, path }: Endpoint) => {
  const { ask, on } = made()
  await on(waits.start(1, { runId: "r1" }))
  const json = method === "POST" ? { json: {} } : undefined
  return (token: string | null) => ask(method, addressOf(path), { token, ...json })
}

const called = ({ method, path }: Endpoint) => `${method} ${path}`
const isOpen = (endpoint: Endpoint) => open.includes(called(endpoint))
const isSigned = (endpoint: Endpoint) => isOpen(endpoint) && endpoint.method === "POST"

for (const endpoint of endpoints.filter((one) => isOpen(one) && !isSigned(one))) {
  it(`${called(endpoint)} is for anyone`, async () => {
    const ask = await asked(endpoint)
    for (const token of [null, "a-token-that-is-unknown", secrets.expired, secrets.none]) {
      expect((await ask(token)).status).toBe(200)
    }
  })
}

for (const endpoint of endpoints.filter(isSigned)) {
  it(`${called(endpoint)} needs a signature, and no token is one`, async () => {
    const ask = await asked(endpoint)
    for (const token of [null, secrets.admin]) expect((await ask(token)).status).toBe(401)
  })
}

for (const endpoint of endpoints.filter((one) => !isOpen(one))) {
  const right = rightOf(endpoint.method, endpoint.path)!

  describe(`${called(endpoint)}`, () => {
    it("is for nobody without a token, with an unknown one, or one whose time is over", async () => {
      const ask = await asked(endpoint)
      for (const token of [null, "", "a-token-that-is-unknown", secrets.expired]) {
        const { json, status } = await ask(token)
        expect([token, status, json().type]).toEqual([token, 401, "urn:reprise:Unauthorized"])
      }
    })

    it(`is for tokens with the scope ${right}`, async () => {
      for (const name of allowed[right]) {
        const { status } = await (await asked(endpoint))(secrets[name])
        expect([401, 403, 404, 405, 415, 421, 429]).not.toContain(status)
        expect(status).toBeLessThan(500)
      }
    })

    it("is for no others", async () => {
      const ask = await asked(endpoint)
      for (const name of names.filter((one) => !allowed[right].includes(one))) {
        const { json, status } = await ask(secrets[name])
        expect([name, status, json().needs]).toEqual([name, 403, right])
      }
    })
  })
}

it("an endpoint that says nothing of scopes needs the highest", () => {
  expect(Context.get(Context.empty(), Needs)).toBe("admin")
})

it("the description of the API is for anyone, and names what each needs to be let in", async () => {
  const { ask } = made()
  const { json, status } = await ask("GET", "/openapi.json", { token: null })
  expect(status).toBe(200)
  const { paths } = json()
  for (const endpoint of endpoints) {
    const { method, path } = endpoint
    const described = paths[path.replace(/:(\w+)/g, "{$1}")][method.toLowerCase()]
    expect(described.security, `${method} ${path}`).toEqual(
      isOpen(endpoint) ? [] : [{ bearer: [] }]
    )
  }
})
