/** `reprise/objects`: journals in object stores with conditional writes. */
export * as ObjectStorage from "./objects/ObjectStorage.ts"
