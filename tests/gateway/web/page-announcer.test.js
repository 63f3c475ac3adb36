// What a screen reader is told: changes only, at a bearable pace, the latest of them, never the same twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PACE_MS, createAnnouncer, toneWords } from "../../../gateway/web/page/announcer.js";

/** @returns {{told: [number, string][], announcer: ReturnType<typeof createAnnouncer>, pass(ms: number): void}} */
function stage() {
  let at = 0;
  /** @type {{when: number, call: () => void}[]} */
  let timers = [];
  /** @type {[number, string][]} */
  const told = [];
  const announcer = createAnnouncer({
    say: (text) => told.push([at, text]),
    now: () => at,
    setTimeout(call, ms) {
      const timer = { when: at + ms, call };
      timers.push(timer);
      return timer;
    },
    clearTimeout: (timer) => (timers = timers.filter((one) => one !== timer)),
  });
  return {
    told,
    announcer,
    pass(ms) {
      const end = at + ms;
      for (;;) {
        const due = timers.filter(({ when }) => when <= end).sort((a, b) => a.when - b.when)[0];
        if (!due) break;
        at = Math.max(at, due.when);
        timers = timers.filter((one) => one !== due);
        due.call();
      }
      at = end;
    },
  };
}

/** @param {string} label @param {object} [more] @returns {any} */
const tone = (label, more = {}) => ({
  label,
  affect: label.toLowerCase(),
  subtext: `Sounds ${label.toLowerCase()}.`,
  confidence: 0.5,
  speaker_id: null,
  shift_direction: null,
  shift_magnitude: null,
  ...more,
});

test("the first tone is told at once, the same again never", () => {
  const { told, announcer, pass } = stage();
  for (let second = 0; second < 30; second++) {
    announcer.tone(tone("Calm"));
    pass(1000);
  }
  assert.deepEqual(told, [[0, "Sounds calm, fairly sure."]]);
});

test("of changes in quick order only the latest is told, when its time has come", () => {
  const { told, announcer, pass } = stage();
  announcer.tone(tone("Calm"));
  pass(1000);
  announcer.tone(tone("Tense"));
  pass(1000);
  announcer.tone(tone("Animated"));
  pass(10_000);
  assert.deepEqual(
    told.map(([at, text]) => [at, text.split(",")[0]]),
    [
      [0, "Sounds calm"],
      [PACE_MS, "Sounds animated"],
    ],
  );
});

test("a change that went back before it could be told is none", () => {
  const { told, announcer, pass } = stage();
  announcer.tone(tone("Calm"));
  pass(1000);
  announcer.tone(tone("Tense"));
  pass(1000);
  announcer.tone(tone("Calm"));
  pass(10_000);
  assert.equal(told.length, 1);
});

test("a guess is not told; another speaker and a clear shift are", () => {
  const { told, announcer, pass } = stage();
  announcer.tone(tone("Calm", { confidence: 0.2 }));
  assert.deepEqual(told, []);
  announcer.tone(tone("Calm", { speaker_id: "Speaker A" }));
  pass(PACE_MS);
  announcer.tone(tone("Calm", { speaker_id: "Speaker B" }));
  pass(PACE_MS);
  announcer.tone(
    tone("Calm", { speaker_id: "Speaker B", shift_direction: "escalating", shift_magnitude: 0.8 }),
  );
  assert.equal(told.length, 3);
  assert.match(told[1][1], /^Speaker B\. /);
});

test("the connection is told at once, and a tone leaves it its time", () => {
  const { told, announcer, pass } = stage();
  announcer.tone(tone("Calm"));
  pass(100);
  announcer.tell("Reconnecting, your words are kept.");
  announcer.tone(tone("Tense"));
  pass(PACE_MS - 1);
  assert.deepEqual(
    told.map(([at]) => at),
    [0, 100],
  );
  pass(1);
  assert.equal(told.length, 3);
});

test("a new session begins anew, and nothing of the old one comes later", () => {
  const { told, announcer, pass } = stage();
  announcer.tone(tone("Calm"));
  announcer.tone(tone("Tense"));
  announcer.reset();
  pass(10_000);
  assert.equal(told.length, 1);
  announcer.tone(tone("Calm"));
  assert.equal(told.length, 2);
});

test("whatever comes, tones are never closer than the pace, and never repeat", () => {
  const step = fc.record({
    label: fc.constantFrom("Calm", "Tense", "Animated"),
    confidence: fc.double({ min: 0, max: 1, noNaN: true }),
    wait: fc.integer({ min: 0, max: 3000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { told, announcer, pass } = stage();
      for (const { label, confidence, wait } of steps) {
        announcer.tone(tone(label, { confidence }));
        pass(wait);
      }
      pass(2 * PACE_MS);
      for (let at = 1; at < told.length; at++) {
        assert.ok(told[at][0] - told[at - 1][0] >= PACE_MS);
        const label = (/** @type {string} */ text) => text.split(",")[0];
        assert.notEqual(label(told[at][1]), label(told[at - 1][1]));
      }
    }),
  );
});

test("a tone without a sentence is told by its word, and Elcor style without its colon", () => {
  assert.equal(toneWords(tone("Calm", { subtext: null, affect: null })), "Calm, fairly sure.");
  assert.equal(
    toneWords(tone("Tense", { subtext: "With rising tension:" })),
    "With rising tension, fairly sure.",
  );
});
