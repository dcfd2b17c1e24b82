/**
 * Opens journals in a bucket: S3 as the standard environment describes it, or what speaks like it. Signs by
 * `aws4fetch`, which is installed only where it is needed: loading this file fails without it.
 *
 * `ObjectStorage` tries out at once whether the store keeps conditions, which writes an object. Here that is
 * done ahead of the first write, so that who only reads needs no right to write.
 */
import "aws4fetch"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { withoutEnd } from "../../internal/withoutEnd.ts"
import * as Keys from "../../objects/Keys.ts"
import * as ObjectDriver from "../../objects/ObjectDriver.ts"
import { type ObjectStore, probe } from "../../objects/ObjectStore.ts"
import { s3 } from "../../objects/S3.ts"
import * as Lease from "../../sql/Lease.ts"
import * as Storage from "../../Storage.ts"
import { shown, StorageRejected } from "./rejected.ts"

export const open = (storage: string) => Layer.effect(Storage.Storage, make(storage))

const make = Effect.fnUntraced(function*(storage: string) {
  const rejected = (saw: string, advice: string) =>
    new StorageRejected({ storage: shown(storage), saw, advice })
  const [, bucket, path = ""] = /^s3:\/\/([\w.-]+)(?:\/(.*))?$/is.exec(storage) ?? []
  if (bucket === undefined) {
    return yield* rejected("names no bucket", "Use s3://bucket or s3://bucket/prefix.")
  }
  const { accessKeyId, endpoint, region, secretAccessKey, sessionToken } = yield* Effect.orDie(
    settings
  )
  if (Option.isNone(accessKeyId) || Option.isNone(secretAccessKey)) {
    return yield* rejected(
      "needs keys",
      "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION, AWS_SESSION_TOKEN or "
        + "AWS_ENDPOINT_URL where they apply."
    )
  }
  const address = Option.getOrElse(endpoint, () => `https://s3.${region}.amazonaws.com`)
  if (!isAddress(address)) {
    return yield* rejected(
      "has no endpoint that can be asked",
      "Set AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL to a URL such as https://s3.example.com."
    )
  }
  const prefix = withoutEnd(path, "/")
  const base = prefix === "" ? "reprise/" : `${prefix}/`
  const store = yield* probedOnWrite(
    yield* s3({
      bucket,
      endpoint: address,
      region,
      accessKeyId: accessKeyId.value,
      secretAccessKey: secretAccessKey.value,
      sessionToken: Option.getOrUndefined(sessionToken)
    }),
    base
  )
  return Storage.make(ObjectDriver.make(store, Keys.make(base), yield* Lease.thisProcess))
})

const settings = Config.all({
  accessKeyId: Config.option(Config.String("AWS_ACCESS_KEY_ID")),
  secretAccessKey: Config.option(Config.Redacted("AWS_SECRET_ACCESS_KEY")),
  sessionToken: Config.option(Config.Redacted("AWS_SESSION_TOKEN")),
  region: Config.withDefault(Config.String("AWS_REGION"), "us-east-1"),
  endpoint: Config.option(
    Config.orElse(
      Config.String("AWS_ENDPOINT_URL_S3"),
      () => Config.String("AWS_ENDPOINT_URL")
    )
  )
})

/** One with a password in it would be in every message of `fetch`. */
const isAddress = (text: string): boolean => {
  if (!URL.canParse(text)) return false
  const { password, protocol, username } = new URL(text)
  return /^https?:$/.test(protocol) && username === "" && password === ""
}

const probedOnWrite = (store: ObjectStore, prefix: string) =>
  Effect.map(Effect.cached(probe(store, prefix)), (probed): ObjectStore => ({
    ...store,
    put: (...what) => Effect.andThen(probed, store.put(...what))
  }))
