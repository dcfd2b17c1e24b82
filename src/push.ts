/** `reprise/push`: deliveries over signed HTTP, to functions that live no longer than a request. */
export * as Push from "./push/Push.ts"
