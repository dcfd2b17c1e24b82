/**
 * `reprise/cluster`: runs that go on by themselves on a fleet, over `effect/cluster`. `ClusterWorker` is for runners,
 * `ClusterClient` for processes that enqueue and post but drive nothing.
 */
export * as ClusterClient from "./cluster/ClusterClient.ts"
export * as ClusterWorker from "./cluster/ClusterWorker.ts"
