/** `reprise/http`: runs by HTTP, with an API, webhooks in, a typed client and the inspector. */
export * as Http from "./http/Http.ts"
