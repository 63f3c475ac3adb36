// The event stream format, however it is cut.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makeParser } from "../../../gateway/web/client/sse.js";

const all = (/** @type {string} */ text) => makeParser()(text);

test("fields, comments, several data lines", () => {
  assert.deepEqual(all(": hello\n\nid: e:1\nevent: tone\ndata: a\ndata:  b\ndata\nunknown: x\n\n"), [
    { type: "tone", data: "a\n b\n", id: "e:1" },
  ]);
});

test("an event without data is none, and leaves no type behind", () => {
  assert.deepEqual(all("event: tone\n\ndata: x\n\n"), [{ type: "message", data: "x", id: "" }]);
});

test("the id stays until the next; one with NUL is ignored, an empty one resets", () => {
  const ids = all("id: 1\ndata: a\n\ndata: b\n\nid: \0\ndata: c\n\nid\ndata: d\n\n").map((one) => one.id);
  assert.deepEqual(ids, ["1", "1", "1", ""]);
});

test("retry is told where it is a number", () => {
  /** @type {number[]} */
  const told = [];
  makeParser((ms) => told.push(ms))("retry: 1000\nretry: soon\nretry: -1\nretry:5\n\n");
  assert.deepEqual(told, [1000, 5]);
});

test("an event that is not finished is not told", () => assert.deepEqual(all("data: x\n"), []));

test("what never ends is refused", () => {
  const parse = makeParser();
  assert.throws(() => {
    for (let n = 0; n < 40; n++) parse("x".repeat(1 << 16));
  }, /too long/);
});

test("comments without end are no event that is too long", () => {
  const parse = makeParser();
  for (let n = 0; n < 40; n++) assert.deepEqual(parse(`: ${"x".repeat(1 << 16)}\n\n`), []);
});

test("CR and LF that come apart are one line end", () => {
  const parse = makeParser();
  const text = "event: tone\r\ndata: a\r\ndata: b\r\n\r\n";
  assert.deepEqual([...text].flatMap(parse), all(text));
});

const piece = fc.oneof(
  fc.constantFrom("data: ", "event: ", "id: ", ": ", "data", ":", " ", "retry: 10", "\n", "\n\n", "\0"),
  fc.string({ unit: "grapheme", maxLength: 5 }).map((text) => text.replace(/[\r\n]/g, "")),
);

test("the cuts and the kind of line ends change nothing", () => {
  const cuts = fc.array(fc.nat(), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(piece), cuts, fc.constantFrom("\n", "\r", "\r\n"), (pieces, places, end) => {
      const text = pieces.join("");
      const other = text.replaceAll("\n", end);
      const at = [0, ...places.map((place) => place % (other.length + 1)), other.length].sort(
        (a, b) => a - b,
      );
      const parse = makeParser();
      const got = at.slice(1).flatMap((to, index) => parse(other.slice(at[index], to)));
      // A last CR may still be the first half of a line end; it ends its line all the same.
      assert.deepEqual(got, all(text));
    }),
  );
});
