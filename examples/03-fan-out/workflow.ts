/**
 * The workflow: a thumbnail of every photo of an album, four at a time, and how far that is.
 *
 * What is published is seen live by whoever watches, and is not journaled.
 */
import { Effect, Schema } from "effect"
import { Workflow } from "reprise"

export const Thumbnail = Schema.Struct({ photo: Schema.String, bytes: Schema.Int })

export const album = Workflow.make("album", {
  input: Schema.Struct({ photos: Schema.Array(Schema.NonEmptyString) }),
  output: Schema.Array(Thumbnail),
  channels: {
    album: Schema.Struct({ done: Schema.Int, of: Schema.Int }),
    photo: Schema.Struct({ photo: Schema.String, percent: Schema.Int })
  }
}, function*(ctx, { photos }) {
  let done = 0
  return yield* ctx.forEach(photos, function*(photo) {
    const thumbnail = yield* ctx.step(
      "shrink",
      ({ publish }) => shrink(photo, (percent) => publish("photo", { photo, percent }))
    )
    done += 1
    yield* ctx.publish("album", { done, of: photos.length })
    return thumbnail
  }, { concurrency: 4, key: (photo) => photo })
})

/** As slow as the real thing, and as talkative. */
const shrink = Effect.fn("shrink")(function*(photo: string, show: (percent: number) => void) {
  for (const percent of [25, 50, 75, 100]) {
    yield* Effect.sleep(10 * photo.length)
    show(percent)
  }
  return { photo, bytes: 1000 * photo.length }
})
