// A msgpack decoder (github.com/msgpack/msgpack/blob/master/spec.md) for what a stranger sends: bounded in
// depth, whole or not at all. Map keys are text, as in JSON; extension types are refused.

import { malformed } from "./errors.js";

const MAX_DEPTH = 8;
/** Bytes below which text is read by hand: a TextDecoder call costs more than that. */
const SHORT = 24;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** What DataView has for each, from 0xca on. */
const NUMBERS = "Float32 Float64 Uint8 Uint16 Uint32 BigUint64 Int8 Int16 Int32 BigInt64"
  .split(" ")
  .map((type) => `get${type}`);
const SIZES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

/**
 * The one value in `bytes`. Integers that a number can't hold become BigInt; of repeated keys the last counts.
 * @param {Uint8Array} bytes
 */
export function decode(bytes) {
  /** @type {any} */
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  const skip = (count = 0) => {
    if (count > bytes.length - at) throw malformed("a msgpack value is cut short");
    at += count;
    return at - count;
  };

  const number = (tag = 0) => {
    /** @type {number | bigint} */
    const read = view[NUMBERS[tag - 0xca]](skip(SIZES[tag - 0xca]));
    return typeof read === "bigint" && Number.isSafeInteger(Number(read)) ? Number(read) : read;
  };
  /** A length of 1, 2 or 4 bytes, by power of two. */
  const length = (power = 0) => Number(number(0xcc + power));

  const text = (size = 0) => {
    const start = skip(size);
    if (size < SHORT) {
      let text = "";
      let next = start;
      while (next < at && bytes[next] < 0x80) text += String.fromCharCode(bytes[next++]);
      if (next === at) return text;
    }
    try {
      return utf8.decode(bytes.subarray(start, at));
    } catch {
      throw malformed("text that is not UTF-8");
    }
  };

  /** Each value needs a byte: what claims more is refused before anything is made of it. */
  const enter = (count = 0, depth = 0) => {
    if (!depth) throw malformed("nested too deeply");
    if (count > bytes.length - at) throw malformed("a msgpack value is cut short");
  };

  const list = (count = 0, depth = 0) => {
    enter(count, depth);
    const items = [];
    while (count--) items.push(value(depth - 1));
    return items;
  };

  const map = (count = 0, depth = 0) => {
    enter(2 * count, depth);
    /** @type {Record<string, unknown>} */
    const map = {};
    while (count--) {
      const key = value(0);
      if (typeof key !== "string") throw malformed("map keys must be text");
      const item = value(depth - 1);
      if (key !== "__proto__") map[key] = item;
      else
        Object.defineProperty(map, key, {
          value: item,
          enumerable: true,
          configurable: true,
          writable: true,
        });
    }
    return map;
  };

  /** @returns {unknown} */
  const value = (depth = 0) => {
    const tag = bytes[skip(1)];
    if (tag < 0x80) return tag;
    if (tag < 0x90) return map(tag & 15, depth);
    if (tag < 0xa0) return list(tag & 15, depth);
    if (tag < 0xc0) return text(tag & 31);
    if (tag >= 0xe0) return tag - 256;
    if (tag >= 0xde) return map(length(tag - 0xdd), depth);
    if (tag >= 0xdc) return list(length(tag - 0xdb), depth);
    if (tag >= 0xd9) return text(length(tag - 0xd9));
    if (tag >= 0xca && tag < 0xd4) return number(tag);
    if (tag === 0xc0) return null;
    if (tag === 0xc2 || tag === 0xc3) return tag === 0xc3;
    if (tag < 0xc4 || tag > 0xc6) throw malformed("a type of msgpack that is not taken");
    const start = skip(length(tag - 0xc4));
    return bytes.slice(start, at);
  };

  const result = value(MAX_DEPTH);
  if (at < bytes.length) throw malformed("bytes after the msgpack value");
  return result;
}
