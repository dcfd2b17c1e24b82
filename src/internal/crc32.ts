/**
 * CRC-32 (ISO-HDLC, the one of zip and of `node:zlib`) over the UTF-8 bytes of a part of a string.
 * Written here because journals are also verified where there is no `node:zlib`, and because a
 * string is verified in place, without making bytes of it first.
 */
/** `tables[k][b]` is the checksum of byte `b` with `k` zero bytes behind it: four bytes go in one step. */
const tables = /* @__PURE__ */ (() => {
  const out = Array.from({ length: 4 }, () => new Int32Array(256))
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    out[0]![n] = c
  }
  for (let n = 0; n < 256; n++) {
    for (let k = 1; k < 4; k++) {
      const c = out[k - 1]![n]!
      out[k]![n] = out[0]![c & 0xff]! ^ (c >>> 8)
    }
  }
  return out
})()
const [table, table1, table2, table3] = tables as [Int32Array, Int32Array, Int32Array, Int32Array]

const byte = (c: number, b: number) => table[(c ^ b) & 0xff]! ^ (c >>> 8)

/** The checksum of `text.slice(from, to)` as an unsigned integer. Lone surrogates count as U+FFFD. */
export const crc32 = (text: string, from = 0, to = text.length): number => {
  let c = -1
  for (let i = from; i < to; i++) {
    const u = text.charCodeAt(i)
    if (i + 3 < to) {
      const u1 = text.charCodeAt(i + 1), u2 = text.charCodeAt(i + 2), u3 = text.charCodeAt(i + 3)
      if ((u | u1 | u2 | u3) < 0x80) {
        c ^= u | (u1 << 8) | (u2 << 16) | (u3 << 24)
        c = table3[c & 0xff]! ^ table2[(c >>> 8) & 0xff]! ^ table1[(c >>> 16) & 0xff]!
          ^ table[c >>> 24]!
        i += 3
        continue
      }
    }
    if (u < 0x80) {
      c = table[(c ^ u) & 0xff]! ^ (c >>> 8)
    } else if (u < 0x800) {
      c = byte(byte(c, 0xc0 | (u >> 6)), 0x80 | (u & 0x3f))
    } else {
      let point = u
      if (u >= 0xd800 && u < 0xe000) {
        const low = i + 1 < to ? text.charCodeAt(i + 1) : 0
        if (u < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
          point = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00)
          i++
        } else {
          point = 0xfffd
        }
      }
      if (point < 0x10000) {
        c = byte(
          byte(byte(c, 0xe0 | (point >> 12)), 0x80 | ((point >> 6) & 0x3f)),
          0x80 | (point & 0x3f)
        )
      } else {
        c = byte(c, 0xf0 | (point >> 18))
        c = byte(
          byte(byte(c, 0x80 | ((point >> 12) & 0x3f)), 0x80 | ((point >> 6) & 0x3f)),
          0x80 | (point & 0x3f)
        )
      }
    }
  }
  return (c ^ -1) >>> 0
}

/** The checksum as eight lowercase hexadecimal digits. */
export const crc32Hex = (text: string, from = 0, to = text.length): string => {
  const sum = crc32(text, from, to)
  return hex[sum >>> 24]! + hex[(sum >>> 16) & 0xff]! + hex[(sum >>> 8) & 0xff]! + hex[sum & 0xff]!
}

const hex = /* @__PURE__ */ Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"))
