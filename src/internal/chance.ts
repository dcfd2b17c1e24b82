/**
 * Numbers and UUIDs that look random and follow from a text alone: the same text, the same values.
 *
 * Four lanes of 32 bits, each mixed with the finalizer of MurmurHash3 (Appleby, public domain). Made to
 * spread well, not to be secret.
 */
const finish = (lane: number): number => {
  let h = lane
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

const lanes = (text: string): readonly [number, number, number, number] => {
  let a = 0x9e3779b9, b = 0x243f6a88, c = 0xb7e15162, d = 0xdeadbeef
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x597399) + b | 0
    b = Math.imul(b ^ code, 0x1b873593) + c | 0
    c = Math.imul(c ^ code, 0x38b34ae5) + d | 0
    d = Math.imul(d ^ code, 0xa1e38b93) + (a >>> 15) | 0
  }
  a = finish(a ^ text.length)
  b = finish(b ^ a)
  c = finish(c ^ b)
  d = finish(d ^ c)
  return [finish(a + d), b, c, d]
}

/** In [0, 1), with 53 bits. */
export const number = (text: string): number => {
  const [a, b] = lanes(text)
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53
}

const hex = (lane: number) => lane.toString(16).padStart(8, "0")

/** The layout of a version 4 UUID (RFC 9562). */
export const uuid = (text: string): string => {
  const [a, b, c, d] = lanes(text)
  const all = hex(a) + hex(b) + hex(c) + hex(d)
  const variant = "89ab"[Number.parseInt(all[16]!, 16) & 3]
  return `${all.slice(0, 8)}-${all.slice(8, 12)}-4${all.slice(13, 16)}-${variant}${
    all.slice(17, 20)
  }-${all.slice(20)}`
}
