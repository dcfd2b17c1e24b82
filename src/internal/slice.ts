/**
 * What happens while a body runs between two yields, as far as the slice guard looks: a flag that is up
 * only then, the instructions made meanwhile, and the first forbidden call.
 *
 * One state for the whole process: a slice is synchronous, so two never overlap.
 */

/** A call that a body must not make, and what to use instead. */
export interface Violation {
  readonly call: string
  readonly instead: string
  /** Its stack shows the line. */
  readonly error: Error
}

export const slice: {
  /** True while a guarded body runs. */
  isOpen: boolean
  /** Instructions made since the slice began. */
  readonly made: Array<object>
  violation: Violation | undefined
} = { isOpen: false, made: [], violation: undefined }
