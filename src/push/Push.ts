/**
 * Deliveries over signed HTTP: a dispatcher that is always on pushes run ids to functions that live no longer
 * than a request.
 *
 * `handler` is the function's side, `layer` the dispatcher's. A delivery is a run's id and nothing else, so one
 * that is lost, late, repeated or replayed costs a look: the journal decides what is left to do.
 */
export * from "./Client.ts"
export * from "./Handler.ts"
export { SecretRejected, type Secrets } from "./Signature.ts"
