/** Instants as entries write them. */
let last = Number.NaN
let text = ""

/** UTC milliseconds in ISO 8601. Many in a row are the same one. */
export const isoOf = (millis: number): string => {
  if (millis !== last) {
    text = new Date(millis).toISOString()
    last = millis
  }
  return text
}
