/** What the doctor says of one thing. */
export interface Check {
  readonly check: string
  readonly state: "ok" | "warning" | "wrong"
  readonly saw: string
  /** What to do; of what is not ok. */
  readonly advice?: string
}

export const ok = (check: string, saw: string): Check => ({ check, state: "ok", saw })

export const warning = (check: string, saw: string, advice: string): Check => ({
  check,
  state: "warning",
  saw,
  advice
})

export const wrong = (check: string, saw: string, advice: string): Check => ({
  check,
  state: "wrong",
  saw,
  advice
})
