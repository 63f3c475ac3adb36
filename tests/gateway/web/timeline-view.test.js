// The timeline's view: zoom keeps its anchor, nothing leaves the session, and the edge glides.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { reveal } from "../../../gateway/web/page/timeline-find.js";
import { createEdge, createView } from "../../../gateway/web/page/timeline-view.js";

/** @param {number} edge */
function viewOf(edge, seconds = 60) {
  const view = createView();
  view.moveTo(edge);
  view.zoom(view.seconds / seconds);
  return view;
}

test("the instant under the anchor stays where it is", () => {
  const anchor = fc.double({ min: 0, max: 1, noNaN: true });
  const factor = fc.double({ min: 0.5, max: 4, noNaN: true });
  fc.assert(
    fc.property(anchor, factor, (at, by) => {
      const view = viewOf(36000);
      view.follow(false);
      view.pan(-18000);
      const before = view.start + at * view.seconds;
      view.zoom(by, at);
      assert.ok(Math.abs(view.start + at * view.seconds - before) < 1e-6);
    }),
  );
});

test("whatever is done, the view stays inside the session and between two seconds and four hours", () => {
  const number = fc.double({ min: -1e6, max: 1e6 });
  const act = fc.oneof(
    fc.tuple(fc.constant("zoom"), fc.oneof(number, fc.constantFrom(0, NaN, Infinity))),
    fc.tuple(fc.constant("pan"), number.filter(Number.isFinite)),
    fc.tuple(fc.constant("follow"), fc.boolean()),
    fc.tuple(fc.constant("moveTo"), fc.nat(90000)),
  );
  fc.assert(
    fc.property(fc.array(act), (acts) => {
      const view = /** @type {any} */ (createView());
      for (const [name, value] of acts) view[/** @type {string} */ (name)](value);
      assert.ok(view.seconds >= 2 && view.seconds <= 14400, `${view.seconds}`);
      assert.ok(view.start >= 0 && view.start <= Math.max(0, view.edge), `${view.start}`);
    }),
  );
});

test("following keeps the live edge in sight while zooming and as it moves", () => {
  const view = viewOf(500);
  view.zoom(4, 0.1);
  view.moveTo(700);
  assert.ok(view.following);
  assert.ok(view.edge < view.start + view.seconds && view.edge > view.start + 0.9 * view.seconds);
});

test("leaving the edge stops following, and coming back follows again", () => {
  const view = viewOf(500);
  assert.equal(view.pan(-10), true);
  assert.equal(view.following, false);
  const { start } = view;
  view.moveTo(600);
  assert.equal(view.start, start);
  view.pan(1000);
  assert.equal(view.following, true);
  assert.equal(view.pan(10), false);
});

test("a session shorter than the view begins at the left", () => {
  assert.equal(viewOf(10).start, 0);
});

test("a stretch is brought into sight from either side, and nothing moves when it is there", () => {
  const view = viewOf(500);
  reveal(view, 100, 101);
  assert.ok(view.start < 100 && view.start + view.seconds > 101);
  const { start } = view;
  reveal(view, 120, 121);
  assert.equal(view.start, start);
  reveal(view, 300, 301);
  assert.ok(view.start < 300 && view.start + view.seconds > 301);
});

test("the edge goes on between reports, without jumps or steps back, and jumps when far", () => {
  const edge = createEdge();
  edge.tell(100, 0);
  assert.ok(Math.abs(edge.advance(16, true) - 100) < 0.1);
  let last = 0;
  for (let now = 32; now < 3000; now += 16) {
    if (now % 96 === 0) edge.tell(100 + (now - (now % 192 ? 60 : 0)) / 1000, now);
    const at = edge.advance(now, true);
    assert.ok(at >= last && (last === 0 || at - last < 0.05));
    last = at;
  }
  assert.ok(Math.abs(last - 103) < 0.2);
  assert.equal(edge.moving(3500), true);
  assert.equal(edge.moving(5000), false);
  edge.tell(200, 5000);
  assert.equal(edge.advance(5000, false), 200);
});
