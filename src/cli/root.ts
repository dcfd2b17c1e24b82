/** The command that the others belong to, with the flags they share. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"

export const root = Command.make("reprise").pipe(
  Command.withSharedFlags({
    storage: Flag.String("storage").pipe(
      Flag.withDescription(
        "Where the journals are: file:DIR, sqlite:FILE, postgres://… or s3://bucket/prefix; else as "
          + "REPRISE_STORAGE says, or reprise.json here or above, or file:.reprise"
      ),
      Flag.withMetavar("URL"),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("JSON, an object a line, or else text; JSON by itself in a pipe"),
      Flag.optional
    )
  }),
  Command.withDescription("Looks at durable workflow runs, from their journals alone")
)
