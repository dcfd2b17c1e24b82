/**
 * What SQLite's result codes mean for a storage. The codes are listed at https://sqlite.org/rescode.html.
 */
import { Storage } from "../index.ts"

const busy = 5
const locked = 6

/** The primary result code of what `node:sqlite` threw. */
const codeOf = (error: unknown): number | undefined =>
  typeof error === "object" && error !== null && "errcode" in error
    && typeof error.errcode === "number"
    ? error.errcode & 0xff
    : undefined

/** Whether another connection is in the way, and nothing was done. */
export const isBusy = (error: unknown): boolean => {
  const code = codeOf(error)
  return code === busy || code === locked
}

const reasons: Readonly<Record<number, Storage.StorageError["reason"]>> = {
  [busy]: "Unavailable",
  [locked]: "Unavailable",
  // PERM, READONLY, CANTOPEN, AUTH
  3: "Denied",
  8: "Denied",
  14: "Denied",
  23: "Denied",
  // FULL
  13: "Full"
}

export const toStorageError = (doing: string) => (cause: unknown): Storage.StorageError =>
  new Storage.StorageError({ reason: reasons[codeOf(cause) ?? 0] ?? "Unknown", doing, cause })
