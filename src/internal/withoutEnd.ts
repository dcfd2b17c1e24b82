/** Takes what repeats itself off the end of a text, in time that grows with the text: a pattern looks at each start anew. */

/** The text without any of `marks` at its end. */
export const withoutEnd = (text: string, ...marks: ReadonlyArray<string>): string => {
  let end = text.length
  for (;;) {
    const mark = marks.find((mark) => text.endsWith(mark, end))
    if (mark === undefined) return text.slice(0, end)
    end -= mark.length
  }
}
