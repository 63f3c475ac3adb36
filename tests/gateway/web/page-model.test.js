// What the page knows: each event once, lines bounded, what is only told again is no news.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MOST_LINES, Model } from "../../../gateway/web/page/model.js";
import { BADGE_MS, describe } from "../../../gateway/web/page/now.js";

/** @typedef {import("../../../gateway/web/page/model.js").Event} Event */

const RATE = 16_000;

/** @param {number} seq @param {object} [more] @returns {any} */
const tone = (seq, more = {}) => ({
  type: "tone",
  seq,
  timestamp: seq,
  start_sample: (seq - 1) * RATE,
  end_sample: seq * RATE,
  label: "Calm",
  confidence: 0.5,
  speaker_id: "Speaker A",
  affect: "calm",
  subtext: "Sounds calm.",
  shift_direction: null,
  shift_magnitude: null,
  arousal: null,
  prosody_flags: [],
  ...more,
});

/** @param {number} seq @param {string} text @param {object} [more] @returns {any} */
const words = (seq, text, more = {}) => ({
  type: "transcript",
  seq,
  timestamp: seq,
  start_sample: 0,
  end_sample: RATE,
  text,
  speaker_id: "Speaker A",
  is_final: true,
  revision: 0,
  language: null,
  ...more,
});

test("an event that comes twice counts once", () => {
  const kinds = fc.constantFrom("tone", "said", "interim", "gap", "service");
  fc.assert(
    fc.property(fc.array(kinds, { maxLength: 30 }), fc.infiniteStream(fc.nat(29)), (list, again) => {
      const events = list.map((kind, at) => {
        const seq = at + 1;
        if (kind === "tone") return tone(seq);
        if (kind === "said") return words(seq, "well");
        if (kind === "interim") return words(seq, "we", { is_final: false });
        const place = { seq, timestamp: seq, start_sample: 2 * at * RATE, end_sample: (2 * at + 1) * RATE };
        return kind === "gap"
          ? { type: "gap", reason: "overload", ...place }
          : { type: "service", status: "warning", detail: "Slow.", ...place };
      });
      const [once, twice] = [new Model(), new Model()];
      for (const event of events) once.add(event, 0);
      events.forEach((event, at) => {
        twice.add(event, 0);
        twice.add(events[again.next().value % (at + 1)], 0);
      });
      assert.deepEqual(twice, once);
    }),
  );
});

test("interim words give way to their final ones, and to nothing where nothing was said", () => {
  const model = new Model();
  model.add(words(1, "good", { is_final: false }), 0);
  model.add(words(2, "good mor", { is_final: false, revision: 1 }), 0);
  assert.deepEqual(
    model.interim.map(({ text }) => text),
    ["good mor"],
  );
  assert.deepEqual(model.add(words(3, "good morning"), 0), ["lines", "interim"]);
  assert.deepEqual(model.interim, []);
  model.add(words(4, "uh", { is_final: false, start_sample: RATE, end_sample: 2 * RATE }), 0);
  model.add(words(5, " ", { start_sample: RATE, end_sample: 2 * RATE }), 0);
  assert.deepEqual(model.interim, []);
  assert.deepEqual(
    model.lines.map(({ text }) => text),
    ["good morning"],
  );
});

test("words of two who overlap stand in the order in which they began", () => {
  const model = new Model();
  model.add(words(1, "second", { is_final: false, start_sample: 900 }), 0);
  model.add(words(2, "first", { is_final: false, start_sample: 100 }), 0);
  assert.deepEqual(
    model.interim.map(({ text }) => text),
    ["first", "second"],
  );
});

test("a line sounds as most of it did, weighed by confidence", () => {
  const model = new Model();
  model.add(tone(1, { label: "Tense", confidence: 0.2 }), 0);
  model.add(tone(2, { label: "Calm", confidence: 0.5 }), 0);
  model.add(tone(3, { label: "Tense", confidence: 0.2 }), 0);
  model.add(words(4, "one", { start_sample: 0, end_sample: 3 * RATE }), 0);
  model.add(words(5, "two", { start_sample: 9 * RATE, end_sample: 10 * RATE }), 0);
  assert.equal(model.lines[0].tone?.label, "Calm");
  assert.equal(model.lines[1].tone, null);
});

test("gaps of one reason that touch are one line", () => {
  const model = new Model();
  /** @param {number} seq @param {number} from @param {string} reason */
  const gap = (seq, from, reason) =>
    model.add({ type: "gap", seq, reason, start_sample: from * RATE, end_sample: (from + 1) * RATE }, 0);
  gap(1, 0, "overload");
  gap(2, 1, "overload");
  gap(3, 2, "client");
  gap(4, 9, "client");
  assert.deepEqual(
    model.lines.map(({ reason, start, seconds }) => [reason, start, seconds]),
    [
      ["overload", 0, 2],
      ["client", 2, 1],
      ["client", 9, 1],
    ],
  );
});

test("what is told again after a reload is no news, what comes then is", () => {
  const model = new Model();
  model.welcome({ replay_to: 2, audio: { sample_rate: 8000 } });
  model.add(tone(1), 100);
  model.add({ type: "queue", seq: 2, label: "hold_music", confidence: 1, digits: null }, 100);
  assert.equal(model.rate, 8000);
  assert.equal(model.toneAt, null);
  assert.equal(model.badges.size, 0);
  model.add(tone(3), 200);
  assert.equal(model.toneAt, 200);
});

test("lines are bounded, and it is known how many went", () => {
  const model = new Model();
  for (let seq = 1; seq <= MOST_LINES + 5; seq++) model.add(words(seq, `line ${seq}`), 0);
  assert.equal(model.lines.length, MOST_LINES);
  assert.equal(model.dropped, 5);
  assert.equal(model.lines[0].text, "line 6");
});

test("clearing leaves nothing of the session before", () => {
  const model = new Model(8000);
  model.add(tone(1), 0);
  model.add(words(2, "secret"), 0);
  model.clear();
  assert.deepEqual(model, new Model(8000));
});

test("what a later version says is passed over, and its number kept", () => {
  const model = new Model();
  assert.deepEqual(model.add({ type: "weather", seq: 7 }, 0), []);
  assert.equal(model.lastSeq, 7);
  assert.deepEqual(model.add({ type: "flow", lag_ms: 3 }, 0), []);
});

test("the panel says what is heard, then that it is quiet, and badges go by themselves", () => {
  const model = new Model();
  assert.equal(describe(model, 0, true, 1000).affect, "Listening");
  model.add(tone(1), 1000);
  model.add({ type: "queue", seq: 2, label: "ringback", confidence: 0.9, digits: null }, 1000);
  const heard = describe(model, 2000, true, 1000);
  assert.deepEqual([heard.affect, heard.subtext, heard.badges.length], ["Calm", "Sounds calm.", 1]);
  const quiet = describe(model, 1000 + BADGE_MS, true, 1000);
  assert.deepEqual([quiet.affect, quiet.subtext, quiet.badges.length], ["Quiet", "Nobody is speaking.", 0]);
  assert.equal(quiet.tone, null);
  assert.equal(describe(model, 2000, false, 1000).affect, "");
});

test("a slow window does not make the panel quiet between two tones", () => {
  const model = new Model();
  model.add(tone(1), 0);
  assert.equal(describe(model, 5000, true, 5000).affect, "Calm");
});
