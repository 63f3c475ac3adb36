// What a screen reader is told: little, at a bearable pace, and never the same twice.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PACE_MS, createAnnouncer, toneWords } from "../../../gateway/web/page/announcer.js";
import { heard } from "./page-fakes.js";

/** A clock that the test turns, and what was said when. */
function world() {
  let [ms, next] = [1000, 1];
  /** @type {Map<number, {at: number, call: () => void}>} */
  const timers = new Map();
  /** @type {{at: number, text: string}[]} */
  const said = [];
  const announcer = createAnnouncer({
    say: (text) => said.push({ at: ms, text }),
    now: () => ms,
    setTimeout(call, after) {
      timers.set(next, { at: ms + after, call });
      return next++;
    },
    clearTimeout: (timer) => timers.delete(timer),
  });
  return {
    announcer,
    said,
    timers,
    texts: () => said.map(({ text }) => text),
    /** @param {number} by */
    pass(by) {
      const end = ms + by;
      for (;;) {
        const [due] = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
        if (!due) break;
        timers.delete(due[0]);
        ms = Math.max(ms, due[1].at);
        due[1].call();
      }
      ms = end;
    },
  };
}

const tense = heard({ label: "Tense", affect: "tense" });
const calm = heard({ label: "Calm" });
const glad = heard({ label: "Animated" });

test("of any tones and notices at most one tone in a while, none right behind a notice, none twice in a row", () => {
  const step = fc.record({
    after: fc.nat(3000),
    tell: fc.boolean(),
    label: fc.constantFrom("Calm", "Tense", "Animated"),
    confidence: fc.constantFrom(0.1, 0.4, 0.9),
    speaker_id: fc.constantFrom(null, "Speaker A"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { announcer, said, timers, pass } = world();
      for (const { after, tell, ...fields } of steps) {
        pass(after);
        if (tell && after % 3 === 0) announcer.tell("Reconnecting.");
        else announcer.tone(heard(fields));
        assert.ok(timers.size <= 1);
      }
      pass(2 * PACE_MS);
      assert.equal(timers.size, 0);
      const tones = said.filter(({ text }) => text !== "Reconnecting.");
      for (const [i, { at, text }] of said.entries()) {
        if (text === "Reconnecting.") continue;
        assert.ok(i === 0 || at - said[i - 1].at >= PACE_MS, `${at - said[i - 1]?.at} ms`);
      }
      const key = (/** @type {string} */ text) => text.replace(/, [^,]*$/, "");
      tones.slice(1).forEach(({ text }, i) => assert.notEqual(key(text), key(tones[i].text)));
      const last = steps.filter((one) => !(one.tell && one.after % 3 === 0) && one.confidence >= 0.3).at(-1);
      if (last) assert.equal(key(tones[tones.length - 1].text), key(toneWords(heard(last))));
    }),
  );
});

test("the first is told at once, and of those that come meanwhile the latest", () => {
  const { announcer, texts, pass } = world();
  announcer.tone(calm);
  announcer.tone(tense);
  announcer.tone(glad);
  assert.deepEqual(texts(), ["Calm, quite sure."]);
  pass(PACE_MS - 1);
  assert.equal(texts().length, 1);
  pass(1);
  assert.deepEqual(texts(), ["Calm, quite sure.", "Animated, quite sure."]);
});

test("what was back as before when its time came is not told", () => {
  const { announcer, texts, pass } = world();
  for (const one of [calm, tense, calm]) announcer.tone(one);
  pass(PACE_MS);
  announcer.tone({ ...calm, confidence: 0.4 });
  pass(PACE_MS);
  assert.deepEqual(texts(), ["Calm, quite sure."]);
});

test("another speaker and a clear shift are news; a small one, a steady one and a guess are not", () => {
  const { announcer, texts, pass } = world();
  const tell = (/** @type {object} */ fields) => {
    const before = texts().length;
    announcer.tone({ ...calm, ...fields });
    pass(PACE_MS);
    return texts().length - before;
  };
  assert.equal(tell({}), 1);
  assert.equal(tell({ shift_direction: "escalating", shift_magnitude: 0.5 }), 0);
  assert.equal(tell({ shift_direction: "stable", shift_magnitude: 0.9 }), 0);
  assert.equal(tell({ label: "Tense", confidence: 0.29 }), 0);
  assert.equal(tell({ shift_direction: "escalating", shift_magnitude: 0.6 }), 1);
  assert.equal(tell({ shift_direction: "escalating", shift_magnitude: 0.9 }), 0);
  assert.equal(tell({ shift_direction: "de-escalating", shift_magnitude: 0.9 }), 1);
  assert.equal(tell({ speaker_id: "Speaker B" }), 1);
});

test("a notice is told at once, and a tone that waited leaves it time", () => {
  const { announcer, said, texts, pass } = world();
  announcer.tone(calm);
  announcer.tone(tense);
  pass(PACE_MS - 100);
  announcer.tell("Reconnecting.");
  announcer.tell("Connected again.");
  assert.deepEqual(texts().slice(1), ["Reconnecting.", "Connected again."]);
  pass(PACE_MS - 1);
  assert.equal(texts().length, 3);
  pass(1);
  assert.equal(texts()[3], "Tense, quite sure.");
  assert.equal(said[3].at - said[2].at, PACE_MS);
});

test("a new session's first tone is told though the last session's was the same; what waited is not", () => {
  const { announcer, texts, timers, pass } = world();
  announcer.tone(calm);
  announcer.tone(tense);
  announcer.reset();
  assert.equal(timers.size, 0);
  pass(PACE_MS);
  announcer.tone(calm);
  assert.deepEqual(texts(), ["Calm, quite sure.", "Calm, quite sure."]);
});

test("a tone's words: who, how in a sentence or a word, and how sure", () => {
  assert.equal(toneWords(heard({ affect: "warmly_Impatient" })), "Warmly impatient, quite sure.");
  const told = { subtext: "With rising tension:", speaker_id: "Speaker A", confidence: 0.4 };
  assert.equal(toneWords(heard(told)), "Speaker A. With rising tension, not very sure.");
  assert.equal(toneWords(heard({ subtext: "Sounds calm.", confidence: 0.6 })), "Sounds calm, fairly sure.");
});
