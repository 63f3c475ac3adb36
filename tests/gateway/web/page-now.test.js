// What the big panel says: only what was heard just now, and nothing that isn't known.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Model } from "../../../gateway/web/page/model.js";
import { BADGE_MS, describe } from "../../../gateway/web/page/now.js";
import { event, tone } from "./page-fakes.js";

/** @param {import("../../../gateway/web/page/model.js").Event[]} events */
function heardAt(events, at = 1000) {
  const model = new Model();
  for (const one of events) model.add(one, at);
  return model;
}

const told = (/** @type {ReturnType<typeof describe>} */ { fresh, affect, subtext }) => [
  fresh,
  affect,
  subtext,
];

test("a fresh tone is told by its affect, or its label, and its sentence", () => {
  const model = heardAt([tone(1, 0, { affect: "warmly_Impatient", subtext: "Sounds so." })]);
  const seen = describe(model, 1500, true, 1000);
  assert.deepEqual(told(seen), [true, "Warmly impatient", "Sounds so."]);
  assert.equal(seen.tone, model.tone);
  assert.deepEqual(told(describe(heardAt([tone(1, 0)]), 1500, true, 1000)), [true, "Calm", ""]);
});

test("a tone is fresh for two hops and a while, and never when it was only told again", () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 5000 }), fc.nat(20_000), (hopMs, age) => {
      const { fresh, tone: shown } = describe(heardAt([tone(1, 0)]), 1000 + age, true, hopMs);
      assert.equal(fresh, age < 2500 + 2 * hopMs);
      assert.equal(shown !== null, fresh);
    }),
  );
  const model = new Model();
  model.welcome({ replay_to: 1 });
  model.add(tone(1, 0), 1000);
  assert.deepEqual(told(describe(model, 1000, true, 1000)), [false, "Quiet", "No tone just now."]);
});

test("before anything was heard it listens; afterwards it is quiet", () => {
  assert.deepEqual(told(describe(new Model(), 0, true, 1000)), [false, "Listening", "Nothing yet."]);
  assert.equal(describe(heardAt([tone(1, 0)]), 60_000, true, 1000).affect, "Quiet");
});

test("that nobody speaks is said where the gateway says so, and lately: no tone is no proof", () => {
  const subtext = (/** @type {any} */ one, /** @type {number} */ now) => {
    const model = heardAt([one]);
    return describe(model, now, true, 1000).subtext;
  };
  for (const one of [
    event("queue", 1, 0, { label: "silence" }),
    event("queue", 1, 0, { label: "dead_air" }),
    event("speaker", 1, 0, { label: "no_speaker", speaker_id: null }),
  ]) {
    assert.equal(subtext(one, 12_000), "Nobody is speaking.");
    assert.notEqual(subtext(one, 60_000), "Nobody is speaking.");
  }
  assert.equal(subtext(tone(1, 0), 60_000), "No tone just now.");
  assert.notEqual(subtext(event("queue", 1, 0, { label: "hold_music" }), 12_000), "Nobody is speaking.");
});

test("while not live nothing is claimed to be heard now", () => {
  assert.deepEqual(told(describe(heardAt([tone(1, 0)]), 1000, false, 1000)), [false, "", ""]);
});

test("badges go by themselves, and each is told in the words of its kind", () => {
  const events = ["queue", "environ", "scene", "accent"].map((kind, i) =>
    event(kind, i + 1, 0, { label: "busy" }),
  );
  const model = heardAt(events);
  const badges = (/** @type {number} */ now) => describe(model, now, true, 1000).badges;
  assert.deepEqual(badges(1000 + BADGE_MS - 1), [
    { kind: "queue", text: "Busy signal" },
    { kind: "environ", text: "Busy" },
    { kind: "scene", text: "Busy" },
    { kind: "accent", text: "Busy" },
  ]);
  model.add(event("queue", 5, 1, { label: "dtmf_tone", digits: "12" }), 2000);
  assert.deepEqual(badges(1000 + BADGE_MS), [{ kind: "queue", text: "2 keys pressed" }]);
  assert.deepEqual(badges(2000 + BADGE_MS), []);
});
