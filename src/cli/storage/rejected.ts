/**
 * Why a storage that was named is not opened, and how it is named to people: without its password.
 *
 * Nothing of what a URL holds beside user, host and path is ever shown: a text that is no URL, too, may be
 * one with a typo in it.
 */
import * as Schema from "effect/Schema"

/** The command does not open what was named: it knows no such storage, or there is none to read. */
export class StorageRejected
  extends Schema.TaggedError<StorageRejected>("reprise/StorageRejected")("StorageRejected", {
    /** As `shown` names it. */
    storage: Schema.String,
    saw: Schema.String,
    advice: Schema.String
  })
{
  override get message(): string {
    return `The storage ${JSON.stringify(this.storage)} ${this.saw}. ${this.advice}`
  }
}

/** What a storage may be. */
export const allowed = "Use file:DIR, sqlite:FILE, postgres://… or s3://bucket/prefix."

/** A storage for people. */
export const shown = (storage: string): string => {
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(storage) ?? []
  if (scheme === "file" || scheme === "sqlite") return storage
  const isUrl = rest.startsWith("//") && URL.canParse(storage)
  if (isUrl && (scheme === "postgres" || scheme === "postgresql" || scheme === "s3")) {
    const { host, pathname, username } = new URL(storage)
    return `${scheme}://${username === "" ? "" : `${username}@`}${host}${pathname}`
  }
  return scheme === "" && !storage.includes("@") ? storage : `${scheme}:…`
}
