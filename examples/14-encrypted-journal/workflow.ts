/**
 * The workflow: a prescription that a doctor signs. It knows nothing of keys; it says which field nobody is
 * to be shown.
 */
import { Effect, Redacted, Schema } from "effect"
import { Workflow } from "reprise"

export const Prescription = Schema.Struct({
  patient: Schema.NonEmptyString,
  drug: Schema.NonEmptyString,
  // The body is handed it as Redacted. Logs and listings have "<redacted>" in its place.
  insurance: Workflow.secret(Schema.NonEmptyString)
})

/** Stands for the insurance's own service. */
const ask = (number: string) => Effect.succeed({ covers: number.startsWith("K") })

export const prescribe = Workflow.make(
  "prescribe",
  { input: Prescription, events: { signed: Schema.Struct({ doctor: Schema.String }) } },
  function*(ctx, { drug, insurance, patient }) {
    const { covers } = yield* ctx.step("ask-insurance", () => ask(Redacted.value(insurance)))
    const { doctor } = yield* ctx.suspend("signed", { reason: "a doctor has to sign" })
    const note = yield* ctx.step(
      "write-note",
      () => `${drug} for ${patient}, signed by ${doctor}${covers ? ", free of charge" : ""}`
    )
    return note
  }
)
