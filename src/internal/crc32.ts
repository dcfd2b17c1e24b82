/**
 * CRC-32 (ISO-HDLC, the one of zip and of `node:zlib`) over the UTF-8 bytes of a part of a string.
 * Written here because journals are also verified where there is no `node:zlib`.
 *
 * Bytes are taken eight at a time, with a table for each place ("slicing by 8", M. Kounavis and F. Berry,
 * 2005). They are made in a buffer that is used again: reading a string character by character costs more.
 */
const tables: ReadonlyArray<Int32Array> = /* @__PURE__ */ (() => {
  const out = Array.from({ length: 8 }, () => new Int32Array(256))
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    out[0]![n] = c
  }
  for (let n = 0; n < 256; n++) {
    for (let k = 1; k < 8; k++) {
      const c = out[k - 1]![n]!
      out[k]![n] = out[0]![c & 0xff]! ^ (c >>> 8)
    }
  }
  return out
})()
const t0 = tables[0]!, t1 = tables[1]!, t2 = tables[2]!, t3 = tables[3]!
const t4 = tables[4]!, t5 = tables[5]!, t6 = tables[6]!, t7 = tables[7]!

const encoder = new TextEncoder()
const bytes = new Uint8Array(4096)
const words = new Int32Array(bytes.buffer)
/** Two words hold eight bytes in their order only where the lowest byte comes first. */
const isLittleEndian = /* @__PURE__ */ new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

/** The checksum of `text.slice(from, to)` as an unsigned integer. Lone surrogates count as U+FFFD. */
export const crc32 = (text: string, from = 0, to = text.length): number => {
  let rest = from === 0 && to === text.length ? text : text.slice(from, to)
  let c = -1
  for (;;) {
    // Stops before a character that does not fit, so no character is split.
    const { read, written } = encoder.encodeInto(rest, bytes)
    const pairs = isLittleEndian ? written >>> 3 : 0
    for (let i = 0; i < pairs; i++) {
      const a = c ^ words[2 * i]!, b = words[2 * i + 1]!
      c = t7[a & 0xff]! ^ t6[(a >>> 8) & 0xff]! ^ t5[(a >>> 16) & 0xff]! ^ t4[a >>> 24]!
        ^ t3[b & 0xff]! ^ t2[(b >>> 8) & 0xff]! ^ t1[(b >>> 16) & 0xff]! ^ t0[b >>> 24]!
    }
    for (let i = pairs << 3; i < written; i++) c = t0[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8)
    if (read === rest.length) return (c ^ -1) >>> 0
    rest = rest.slice(read)
  }
}

const hex = /* @__PURE__ */ Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"))

/** The checksum as eight lowercase hexadecimal digits. */
export const crc32Hex = (text: string, from = 0, to = text.length): string => {
  const sum = crc32(text, from, to)
  return hex[sum >>> 24]! + hex[(sum >>> 16) & 0xff]! + hex[(sum >>> 8) & 0xff]! + hex[sum & 0xff]!
}
