// The timeline as a whole: what is drawn, when frames are asked for, and how it is used without a mouse.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { createTimeline } from "../../../gateway/web/page/timeline.js";
import { fakePage, said, tone } from "./timeline-fakes.js";

const RATE = 16000;
/** Pixels of the names at the left: the fake canvas is 848 wide, so that 800 are left for time. */
const GUTTER = 48;

/** @param {import("./timeline-fakes.js").Call[]} calls @param {string} name */
const named = (calls, name) => calls.filter((call) => call.name === name);

/** What a touch sets off is loaded. */
const loaded = () => import("../../../gateway/web/page/timeline-hand.js").then(() => setImmediate());

/** With the keyboard on it, unless that is still to come. */
async function started({ reduced = false, touched = true } = {}) {
  const page = fakePage({ reduced });
  const { canvas, detail, environment } = page;
  const timeline = createTimeline({ canvas, detail, environment });
  page.frame();
  if (touched) page.fire("focus");
  await loaded();
  /** Follow up to the last event, so that a minute is seen from 0. @param {object[]} events */
  const show = (...events) => {
    for (const event of events) timeline.add(/** @type {any} */ (event));
    return page.frame();
  };
  return { page, timeline, show, text: () => detail.textContent };
}

/** Where a fill or an outline came to lie, with the translation in force. @param {import("./timeline-fakes.js").Call[]} calls */
function placed(calls) {
  let [shift, kept] = [0, 0];
  const boxes = [];
  for (const { name, args, style } of calls) {
    if (name === "save") kept = shift;
    if (name === "restore") shift = kept;
    if (name === "translate") shift += args[0];
    if (name === "fillRect" || name === "strokeRect")
      boxes.push({ name, x: args[0] + shift, y: args[1], width: args[2], height: args[3], style });
  }
  return boxes;
}

test("a tone is drawn over the audio it owns, in its family's colour, with its word", async () => {
  const { show } = await started();
  const calls = show(
    tone(30, { label: "Tense", affect: "tense" }),
    tone(31, { label: "Tense", affect: "tense" }),
  );
  const boxes = placed(calls).filter(
    ({ style }) => style.fillStyle === "tone-tense" && style.globalAlpha < 1,
  );
  assert.deepEqual(
    boxes.map(({ x, width }) => [Math.round(x - GUTTER), Math.round(width)]),
    [
      [400, 13],
      [413, 14],
    ],
  );
  assert.equal(
    named(calls, "fillText").filter(({ args }) => args[0] === "t…" || args[0] === "tense").length,
    0,
  );
  const wide = show(
    ...Array.from({ length: 8 }, (_, i) => tone(32 + i, { label: "Tense", affect: "tense" })),
  );
  assert.equal(named(wide, "fillText").filter(({ args }) => args[0] === "tense").length, 1);
  assert.equal(
    placed(wide).filter(({ name }) => name === "strokeRect").length,
    1,
    "neighbours are one block",
  );
});

test("the same tone on both sides of a silence is two blocks", async () => {
  const { show } = await started();
  const calls = show(...[1, 2, 3, 6, 7, 8].map((at) => tone(at)));
  assert.equal(named(calls, "strokeRect").length, 2);
});

test("low confidence is paler, dashed and asks", async () => {
  const { show } = await started();
  const run = (/** @type {number} */ at, /** @type {number} */ confidence) =>
    Array.from({ length: 8 }, (_, i) => tone(at + i, { confidence }));
  const calls = show(...run(10, 0.2), ...run(30, 0.6));
  const outlines = named(calls, "strokeRect").map(({ style }) => style.dash.length);
  assert.deepEqual(outlines, [2, 0]);
  const alphas = placed(calls).filter(
    ({ style, name }) => name === "fillRect" && style.fillStyle === "tone-calm",
  );
  assert.ok(alphas[0].style.globalAlpha < alphas[8].style.globalAlpha);
  assert.ok(named(calls, "fillText").some(({ args }) => args[0] === "calm?"));
});

test("gaps are hatched over all lanes, after everything that stands in them", async () => {
  const { show } = await started();
  const calls = show(said("gap", 5, { reason: "client" }, 3), tone(5), said("queue", 6, { label: "busy" }));
  const boxes = placed(calls);
  const hatch = boxes.findIndex(({ style, height }) => style.fillStyle?.pattern && height > 60);
  const last = boxes.findLastIndex(({ style }) => /^(tone|queue)/.test(style.fillStyle));
  assert.ok(hatch > last && last > 0);
  assert.equal(Math.round(boxes[hatch].x - GUTTER), 67);
});

test("arousal breaks where it is unknown and where nothing was heard", async () => {
  const { show } = await started();
  const calls = show(tone(1), tone(2), tone(3, { arousal: null }), tone(4), tone(6, { arousal: 0.9 }));
  assert.equal(named(calls, "moveTo").length, 3);
});

test("nothing is drawn of what lies outside, and what is drawn is clipped to the lanes", async () => {
  const { show, timeline, page } = await started();
  show(...Array.from({ length: 3600 }, (_, i) => tone(i, { speaker_id: "Speaker A" })));
  timeline.zoom(6);
  timeline.pan(-30);
  const calls = page.frame();
  assert.ok(named(calls, "fillRect").length < 80);
  for (const { x, width } of placed(calls))
    assert.ok((x + width >= GUTTER - 90 && x <= 850) || x === 4, `${x}`);
  assert.deepEqual(named(calls, "rect")[0].args.slice(0, 1), [GUTTER]);
  assert.ok(
    calls.findIndex(({ name }) => name === "clip") < calls.findIndex(({ name }) => name === "fillText"),
  );
});

test("an hour is drawn in columns: far fewer boxes than events, the same however it is scrolled", async () => {
  const { show, timeline, page } = await started();
  const labels = ["Calm", "Tense", "Neutral"];
  show(...Array.from({ length: 3600 }, (_, i) => tone(i, { label: labels[i % 3], affect: null })));
  timeline.zoom(1 / 60);
  const calls = page.frame();
  assert.ok(named(calls, "fillRect").length < 800);
});

test("words stand under their speaker when there is room, and shorten when there is little", async () => {
  const { show, timeline, page } = await started();
  const words = said(
    "transcript",
    50,
    { text: "that is fine", is_final: true, revision: 1, speaker_id: "Speaker B" },
    6,
  );
  assert.ok(named(show(words), "fillText").some(({ args }) => /^that.*…$/.test(args[0])));
  timeline.zoom(4);
  assert.ok(named(page.frame(), "fillText").some(({ args }) => args[0] === "that is fine"));
});

test("ticks lie apart and count in round steps at every zoom", async () => {
  const { show, timeline, page } = await started();
  show(tone(14000));
  for (let zoom = 0; zoom < 20; zoom++) {
    timeline.redraw();
    const ticks = named(page.frame(), "fillText").filter(({ args }) => /^[\d:.]+$/.test(args[0]));
    assert.ok(ticks.length >= 2 && ticks.length <= 14, `${ticks.length}`);
    const apart = ticks.slice(1).map(({ args }, i) => args[1] - ticks[i].args[1]);
    assert.ok(Math.min(...apart) >= 62);
    assert.equal(new Set(ticks.map(({ args }) => args[0])).size, ticks.length);
    timeline.zoom(zoom < 10 ? 1.6 : 0.4);
  }
});

test("no frames while nothing moves, frames while live, none when hidden, one when shown again", async () => {
  const { page, timeline, show } = await started();
  show(tone(1));
  assert.equal(page.waiting(), 0);
  timeline.live(2 * RATE);
  for (let i = 0; i < 30; i++) {
    page.frame();
    assert.equal(page.waiting(), 1);
  }
  page.frame(1000);
  page.frame();
  assert.equal(page.waiting(), 0, "live no longer");
  page.page.hidden = true;
  timeline.live(3 * RATE);
  timeline.add(tone(2));
  assert.equal(page.waiting(), 0);
  page.page.hidden = false;
  page.page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(page.waiting(), 1);
});

test("a frame in which nothing moved by a pixel draws nothing", async () => {
  const { page, timeline, show } = await started();
  show(tone(3599));
  timeline.zoom(1 / 60);
  page.frame();
  let drawn = 0;
  for (let i = 0; i < 60; i++) {
    if (i % 6 === 0) timeline.live((3600 + i / 60) * RATE);
    drawn += page.frame(16).length ? 1 : 0;
  }
  assert.ok(drawn <= 3, `${drawn}`);
});

test("with reduced motion it steps once a second", async () => {
  const { page, timeline } = await started({ reduced: true });
  let drawn = 0;
  for (let i = 0; i < 50; i++) {
    timeline.live((100 + i / 10) * RATE);
    drawn += page.frame(100).length ? 1 : 0;
  }
  assert.equal(drawn, 5);
});

test("arrow keys go from event to event and from lane to lane, and the detail says which", async () => {
  const { page, show, text } = await started();
  show(
    ...[10, 11, 12].map((at) => tone(at, { speaker_id: "Speaker A" })),
    said("queue", 20, { label: "ringback" }),
    said("gap", 15, { reason: "overload" }),
  );
  const press = (/** @type {string} */ key) => {
    page.fire("keydown", { key });
    assert.equal(page.canvas.attributes["aria-valuetext"], text() || "Nothing selected");
    return text();
  };
  assert.match(press("ArrowLeft"), /^0:12.0/);
  assert.match(press("ArrowLeft"), /^0:11.0/);
  assert.match(press("Home"), /^0:10.0/);
  assert.match(press("ArrowLeft"), /^0:10.0/);
  assert.match(press("End"), /^0:12.0.*Tone/);
  press("ArrowDown");
  assert.match(press("ArrowDown"), /^0:20.0.*Ringing/);
  assert.match(press("ArrowDown"), /^0:15.0.*overloaded/);
  assert.match(press("ArrowDown"), /^0:15.0.*overloaded/);
  for (let i = 0; i < 5; i++) press("ArrowUp");
  assert.match(text(), /Tone/);
  assert.equal(press("Escape"), "");
});

test("what is pressed or tapped before the hand is there is done when it is", async () => {
  const { page, show, text } = await started({ touched: false });
  show(tone(10), tone(20));
  page.fire("keydown", { key: "End" });
  page.fire("keydown", { key: "ArrowLeft" });
  assert.equal(text(), "");
  await loaded();
  assert.match(text(), /^0:10.0/);
  const other = await started({ touched: false });
  other.show(tone(10));
  other.page.canvas.setPointerCapture = () => {
    throw new Error("it was lifted");
  };
  const at = { clientX: GUTTER + 140, clientY: 50 };
  for (const type of ["pointerenter", "pointerdown", "pointerup"]) other.page.fire(type, at);
  await loaded();
  assert.match(other.text(), /^0:10.0/);
});

test("selecting is told, outlined, and brought into sight", async () => {
  const { page, timeline, show } = await started();
  const events = [tone(10), tone(3000)];
  show(...events);
  /** @type {any[]} */
  const told = [];
  timeline.addEventListener("select", (e) => told.push(/** @type {CustomEvent} */ (e).detail.event));
  page.fire("keydown", { key: "Home" });
  const calls = page.frame();
  const outline = placed(calls).filter(
    ({ name, style }) => name === "strokeRect" && style.strokeStyle === "focus",
  );
  assert.equal(outline.length, 1);
  assert.ok(outline[0].x > GUTTER && outline[0].x < 848);
  page.fire("keydown", { key: "Escape" });
  assert.deepEqual(told, [events[0], null]);
});

test("other keys, and keys of the browser, are left alone", async () => {
  const { page } = await started();
  assert.equal(page.fire("keydown", { key: "a" }).defaultPrevented, false);
  assert.equal(page.fire("keydown", { key: "f", ctrlKey: true }).defaultPrevented, false);
  assert.equal(page.fire("keydown", { key: "F" }).defaultPrevented, true);
});

test("hovering tells the event under the pointer, a tap keeps it, a drag pans", async () => {
  const { page, timeline, show, text } = await started();
  show(tone(10), tone(600));
  timeline.follow(false);
  timeline.pan(-100);
  page.frame();
  const at = { clientX: GUTTER + 140, clientY: 50 };
  page.fire("pointermove", at);
  assert.match(text(), /^0:10.0/);
  page.fire("pointerleave");
  assert.equal(text(), "");
  page.fire("pointerdown", at);
  page.fire("pointerup", at);
  page.fire("pointerleave");
  assert.match(text(), /^0:10.0/);
  page.fire("pointerdown", at);
  page.fire("pointermove", { ...at, clientX: at.clientX - 80 });
  page.fire("pointerup", { ...at, clientX: at.clientX - 80 });
  page.fire("pointermove", { ...at, clientX: at.clientX - 80 });
  assert.match(text(), /^0:10.0/, "the event went with the finger");
  page.fire("keydown", { key: "End" });
  assert.match(text(), /^10:00.0/, "the keyboard speaks last");
});

test("two fingers zoom, the wheel pans, and zooms with control", async () => {
  const { page, timeline, show } = await started();
  show(tone(600));
  /** @type {any} */
  let seen;
  timeline.addEventListener("view", (e) => (seen = /** @type {CustomEvent} */ (e).detail));
  page.fire("pointerdown", { clientX: 300 });
  page.fire("pointerdown", { clientX: 400, pointerId: 2 });
  page.fire("pointermove", { clientX: 500, pointerId: 2 });
  assert.equal(seen.seconds, 30);
  page.fire("pointerup", { pointerId: 2 });
  page.fire("pointerup", { clientX: 300 });
  assert.equal(page.fire("wheel", { deltaY: -100, clientX: 400 }).defaultPrevented, true);
  assert.equal(seen.following, false);
  page.fire("dblclick");
  assert.equal(seen.following, true);
  assert.equal(page.fire("wheel", { deltaY: 100, clientX: 400 }).defaultPrevented, false, "the page scrolls");
  assert.equal(page.fire("wheel", { deltaY: -100, ctrlKey: true, clientX: 400 }).defaultPrevented, true);
  assert.ok(seen.seconds < 30);
});

test("clear forgets everything, and the next session begins at its beginning", async () => {
  const { page, timeline, show, text } = await started();
  show(tone(600));
  page.fire("keydown", { key: "End" });
  timeline.clear();
  page.frame();
  assert.equal(text(), "");
  timeline.rate = 8000;
  timeline.add({ ...tone(1), seq: 1, start_sample: 8000, end_sample: 16000 });
  page.fire("keydown", { key: "End" });
  assert.match(text(), /^0:01.0 to 0:02.0/);
});

test("a theme or a pixel ratio that changed is read again, and the height follows the lanes", async () => {
  const { page, timeline, show } = await started();
  const before = page.canvas.height;
  show(tone(1, { speaker_id: "Speaker A" }));
  assert.ok(page.canvas.height > before);
  assert.equal(page.canvas.style.height, `${page.canvas.height}px`);
  page.page.defaultView.devicePixelRatio = 2;
  timeline.redraw();
  page.frame();
  assert.equal(page.canvas.width, 1696);
});

test("after dispose nothing is drawn or heard any more", async () => {
  const { page, timeline } = await started();
  timeline.dispose();
  timeline.add(tone(1));
  page.fire("keydown", { key: "End" });
  assert.equal(page.waiting(), 0);
});

test("a label that types share is written in the words of each: a street can be busy without a busy signal", async () => {
  const { show } = await started();
  const calls = show(
    ...Array.from({ length: 8 }, (_, i) => said("queue", 10 + i, { label: "busy", confidence: 0.6 })),
    ...Array.from({ length: 8 }, (_, i) => said("environ", 10 + i, { label: "busy", confidence: 0.6 })),
  );
  const written = named(calls, "fillText").map(({ args }) => args[0]);
  assert.ok(written.includes("Busy signal"));
  assert.ok(written.includes("busy"));
});
