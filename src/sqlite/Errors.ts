/**
 * What SQLite's result codes mean for a storage. The codes are listed at https://sqlite.org/rescode.html.
 */
import { Storage } from "../index.ts"

const busy = 5
const locked = 6
/** Somebody is setting up the write-ahead log. */
const protocol = 15

/** The primary result code of what `node:sqlite` threw. */
const codeOf = (error: unknown): number | undefined =>
  typeof error === "object" && error !== null && "errcode" in error
    && typeof error.errcode === "number"
    ? error.errcode & 0xff
    : undefined

/** Whether another connection is in the way, and nothing was done. */
export const isBusy = (error: unknown): boolean => {
  const code = codeOf(error)
  return code === busy || code === locked || code === protocol
}

const reasons: Readonly<Record<number, Storage.StorageError["reason"]>> = {
  [busy]: "Unavailable",
  [locked]: "Unavailable",
  [protocol]: "Unavailable",
  // PERM, READONLY, CANTOPEN, AUTH
  3: "Denied",
  8: "Denied",
  14: "Denied",
  23: "Denied",
  // FULL
  13: "Full"
}

/** What the file system says when the file is made. */
const ofFiles: Readonly<Record<string, Storage.StorageError["reason"]>> = {
  EACCES: "Denied",
  EPERM: "Denied",
  EROFS: "Denied",
  EISDIR: "Denied",
  ENOTDIR: "Denied",
  EEXIST: "Denied",
  ELOOP: "Denied",
  ENOSPC: "Full",
  EDQUOT: "Full",
  EMFILE: "Full",
  ENFILE: "Full"
}

const reasonOf = (cause: unknown): Storage.StorageError["reason"] => {
  const code = codeOf(cause)
  if (code !== undefined) return reasons[code] ?? "Unknown"
  return cause instanceof Error && "code" in cause
    ? ofFiles[String(cause.code)] ?? "Unknown"
    : "Unknown"
}

export const toStorageError = (doing: string) => (cause: unknown): Storage.StorageError =>
  new Storage.StorageError({ reason: reasonOf(cause), doing, cause })
