/**
 * The codes that the command ends with: 0 when it is done, 1 when it was asked for what it does not know or failed, and
 * 2 when it did what it was asked for and found something that is not as it should be.
 */
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** What was looked at is not as it should be. The message may be empty where the answer says it all. */
export class Found extends Schema.TaggedError<Found>("reprise/Found")("Found", {
  message: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 2
}
