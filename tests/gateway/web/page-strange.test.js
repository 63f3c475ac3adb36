// A server may say anything: what can't be shown is passed over, and everything else is shown as ever.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import fc from "fast-check";
import { account } from "../../../gateway/web/page/after.js";
import { toneWords } from "../../../gateway/web/page/announcer.js";
import { Model, usable } from "../../../gateway/web/page/model.js";
import { NowPanel, describe } from "../../../gateway/web/page/now.js";
import { createModel } from "../../../gateway/web/page/timeline-model.js";
import { Transcript } from "../../../gateway/web/page/transcript.js";
import { FakeElement, event, page, tone, words } from "./page-fakes.js";

/** @typedef {import("../../../gateway/web/page/model.js").Event} Event */

beforeEach(() => page.clear());

const summary = {
  next_sample: 9,
  classified_samples: 9,
  gap_samples: 0,
  duration_s: 1,
  speakers: ["Speaker A"],
  events: { tone: 1 },
};
/** One of each, as the gateway says it. @type {Event[]} */
const GOOD = [
  tone(1, 0, { affect: "calm", arousal: 0.5, shift_direction: "stable", shift_magnitude: 0, digits: null }),
  words(1, 0, "one", { language: "en", speaker_id: "Speaker A", confidence: 0.5 }),
  words(1, 0, "one", { is_final: false }),
  event("speaker", 1, 0, { label: "human_single", speaker_id: null }),
  event("queue", 1, 0, { label: "dtmf_tone", digits: "12" }),
  event("scene", 1, 0, { label: "street", confidence: 0.4 }),
  event("gap", 1, 0, { reason: "client" }),
  { type: "service", seq: 1, timestamp: 1, status: "warning", detail: "it is slow" },
  { type: "summary", seq: 1, timestamp: 1, ...summary },
  { type: "configured", hop_ms: 500, language: null, num_speakers: null },
  event("of tomorrow", 1, 0, { text: "new" }),
];

/** All that is done with an event. @param {Event} one */
function show(one) {
  const model = new Model();
  const transcript = new Transcript(model);
  model.add(tone(1, 0), 0);
  model.add(words(2, 1, "before"), 0);
  model.add({ ...one, seq: 3 }, 0);
  createModel().add(/** @type {any} */ ({ ...one, seq: 3 }));
  for (const id of ["sure", "energy", "shift"])
    /** @type {any} */ (document.getElementById(id)).querySelector = () => new FakeElement();
  new NowPanel().render(describe(model, 0, true, 1000), ["Ready", ""]);
  transcript.render();
  transcript.renderInterim();
  if (model.tone) toneWords(model.tone);
  if (model.summary) account(model.summary);
  model.add(words(4, 4, "behind"), 0);
  transcript.render();
  assert.ok(!page.get("lines")?.textContent.includes("NaN"));
  assert.match(page.get("lines")?.textContent ?? "", /behind$/);
}

test("what the gateway says is shown, and what is new tomorrow does no harm", () => {
  for (const one of GOOD) {
    assert.ok(usable(one), one.type);
    show(one);
  }
});

test("whatever stands in whatever field, nothing dies of it", () => {
  const field = fc
    .constantFrom(...new Set(GOOD.flatMap((one) => Object.keys(one))))
    .filter((name) => name !== "type" && name !== "seq");
  const odd = fc.oneof(
    fc.constantFrom(null, undefined, NaN, Infinity, -1, 1e300, "", true, [], {}, [null], [{}], "en_GB"),
    fc.anything(),
  );
  const strange = fc.tuple(fc.constantFrom(...GOOD), fc.dictionary(field, odd, { maxKeys: 3 }));
  fc.assert(
    fc.property(strange, ([one, wrong]) => {
      page.clear();
      const event = /** @type {Event} */ ({ ...one, ...wrong });
      if (usable(event)) show(event);
    }),
    { numRuns: 3000 },
  );
});
