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
  /** The instruction that was made first since the slice began: mostly the one that is yielded. */
  made: object | undefined
  /** The others. */
  readonly more: Array<object>
  /** Made in an earlier slice, and used in this one without being yielded. */
  readonly used: Array<object>
  violation: Violation | undefined
} = { isOpen: false, made: undefined, more: [], used: [], violation: undefined }

/** Remembers an instruction that was made in a slice. */
export const remember = (instruction: object): void => {
  if (slice.made === undefined) slice.made = instruction
  else slice.more.push(instruction)
}

/** Takes note of the use of an instruction that is not itself yielded: another was made of it, or runs in its place. */
export const use = (instruction: object): void => {
  const { more, used } = slice
  if (slice.made === instruction) slice.made = more.pop()
  else if (more.includes(instruction)) more.splice(more.lastIndexOf(instruction), 1)
  else used.push(instruction)
}
