/** The command that the others belong to, with the flags they share. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"

export const root = Command.make("reprise").pipe(
  Command.withSharedFlags({
    storage: Flag.String("storage").pipe(
      Flag.withDescription("Where the journals are, as file:DIR"),
      Flag.withMetavar("file:DIR"),
      Flag.withDefault("file:.reprise")
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("JSON, an object a line, or else text; JSON by itself in a pipe"),
      Flag.optional
    )
  }),
  Command.withDescription("Looks at durable workflow runs, from their journals alone")
)
