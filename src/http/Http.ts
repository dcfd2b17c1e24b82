/** What `reprise/http` exports under one name. */
export { type Rates, TokensRejected } from "./Access.ts"
export { Api } from "./Api.ts"
export type { AnyContract } from "./Forms.ts"
export { type Page, PageMissing, readPage } from "./Page.ts"
export { DeliveryRejected, Forbidden, NotReady, TooManyRequests, Unauthorized } from "./Problems.ts"
export type { Scope, Token } from "./Scopes.ts"
export { type Options, serve, type ServeError, serverOptions, toWebHandler } from "./Server.ts"
export { type Delivered, SecretRejected, type Webhook } from "./Webhooks.ts"
