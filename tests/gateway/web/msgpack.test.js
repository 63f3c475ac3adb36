// The decoder against the golden vectors, against another implementation, and against garbage.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Encoder, encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { UndertoneError } from "../../../gateway/web/client/errors.js";
import { decode } from "../../../gateway/web/client/msgpack.js";

const VECTORS = JSON.parse(readFileSync(new URL("../../vectors/events.json", import.meta.url), "utf8"));
const bytes = (/** @type {string} */ hex) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const refused = (/** @type {Uint8Array} */ data, message = /./) =>
  assert.throws(
    () => decode(data),
    (error) =>
      error instanceof UndertoneError && error.code === "malformed_message" && message.test(error.message),
  );

/** What both sides can write, at most `depth` levels deep. @param {number} depth @returns {fc.Arbitrary<any>} */
const values = (depth) => {
  const leaf = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double().map((value) => value || 0), // the other side writes no -0
    fc.string({ unit: "grapheme", maxLength: 60 }),
    fc.string({ unit: "grapheme-ascii", maxLength: 400 }),
    fc.uint8Array({ maxLength: 400 }),
  );
  if (depth === 0) return leaf;
  const inner = values(depth - 1);
  const map = fc.dictionary(fc.string(), inner, { maxKeys: 20, noNullPrototype: true });
  return fc.oneof(leaf, fc.array(inner, { maxLength: 20 }), map);
};

for (const { name, fields, msgpack } of VECTORS) {
  test(`vector: ${name}`, () => assert.deepEqual(decode(bytes(msgpack)), fields));
}

test("whatever another implementation writes is read as it was", () => {
  fc.assert(
    fc.property(values(3), fc.boolean(), (value, forceFloat32) => {
      const written = forceFloat32 ? new Encoder({ forceFloat32: true }).encode(value) : encode(value);
      const read = decode(written);
      if (!forceFloat32) assert.deepEqual(read, value);
      assert.deepEqual(encode(read), encode(forceFloat32 ? read : value));
    }),
  );
});

test("integers of 64 bits are exact: numbers where these hold them, BigInt where not", () => {
  const encoder = new Encoder({ useBigInt64: true });
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (value) => {
      const read = decode(encoder.encode(value));
      assert.equal(BigInt(/** @type {number | bigint} */ (read)), value);
      assert.equal(typeof read, Number.isSafeInteger(Number(value)) ? "number" : "bigint");
    }),
  );
});

test("what is cut short is refused as such, wherever the cut is", () => {
  fc.assert(
    fc.property(values(2), fc.nat(), (value, where) => {
      const written = encode(value);
      refused(written.subarray(0, where % written.length), /cut short/);
    }),
  );
});

test("garbage yields a value or our own error, and nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
      try {
        decode(data);
      } catch (error) {
        assert.ok(error instanceof UndertoneError);
        assert.equal(error.code, "malformed_message");
      }
    }),
    { numRuns: 3000 },
  );
});

test("bytes after the value are refused", () => refused(bytes("c0 c0"), /after/));

test("eight levels are read, nine are not", () => {
  assert.deepEqual(decode(bytes(`${"91".repeat(7)}90`)), [[[[[[[[]]]]]]]]);
  refused(bytes(`${"91".repeat(8)}90`), /deeply/);
  refused(bytes(`${"81a161".repeat(8)}80`), /deeply/);
});

test("a length that nothing follows costs no memory", () => {
  for (const claim of ["dd ffffffff", "df ffffffff", "db ffffffff", "c6 ffffffff"])
    refused(bytes(claim), /cut short/);
});

test("text that is not UTF-8 is refused, short and long", () => {
  refused(bytes("a2 c328"), /UTF-8/);
  refused(bytes(`d9 28 ${"61".repeat(39)}ff`), /UTF-8/);
  refused(bytes("a3 eda080"), /UTF-8/); // a lone surrogate
});

test("a byte order mark is text like any other", () => assert.equal(decode(bytes("a3 efbbbf")), "\ufeff"));

test("of repeated keys the last counts", () =>
  assert.deepEqual(decode(bytes("82 a161 01 a161 02")), { a: 2 }));

test("__proto__ is a key like any other", () => {
  const read = /** @type {any} */ (decode(encode(JSON.parse('{"__proto__": {"polluted": 1}, "b": 2}'))));
  assert.equal(read.polluted, undefined);
  assert.equal(Object.getPrototypeOf(read), Object.prototype);
  assert.deepEqual(Object.keys(read), ["__proto__", "b"]);
});

test("keys that are not text, extension types and the reserved byte are refused", () => {
  refused(bytes("81 01 02"), /keys/);
  refused(bytes("81 90 02"), /deeply|keys/);
  for (const tag of ["c1", "c7", "c8", "c9", "d4", "d5", "d6", "d7", "d8"])
    refused(bytes(`${tag}${"01".repeat(20)}`));
  refused(encode(new Date()));
});

test("a view into a larger buffer is read from its own beginning", () => {
  const whole = bytes("ff ff 82 a161 01 a162 c403010203 ff");
  assert.deepEqual(decode(whole.subarray(2, -1)), { a: 1, b: new Uint8Array([1, 2, 3]) });
});
