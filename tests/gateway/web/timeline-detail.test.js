// The timeline's words: the clock, families, and events as text in which low reads as low.

import assert from "node:assert/strict";
import { test } from "node:test";
import { describe } from "../../../gateway/web/page/timeline-detail.js";
import { familyOf, wordOf } from "../../../gateway/web/page/timeline-labels.js";
import { clock } from "../../../gateway/web/page/words.js";
import { said, tone } from "./timeline-fakes.js";

test("the clock rounds down and shows hours only where there are any", () => {
  assert.deepEqual(
    [0, 65.39, 3599.99, 3723].map((s) => clock(s)),
    ["0:00", "1:05", "59:59", "1:02:03"],
  );
  assert.equal(clock(65.3, true), "1:05.3");
  assert.equal(clock(0.2, true), "0:00.2");
});

test("labels of models find their family, by affect or by label, and others are others", () => {
  const family = (/** @type {string} */ label, affect = null) => familyOf(tone(0, { label, affect }));
  assert.equal(family("Calm"), "calm");
  assert.equal(family("生气/angry"), "other");
  assert.equal(family("ANG"), "tense");
  assert.equal(family("hap"), "animated");
  assert.equal(family("dismissive"), "other");
  assert.equal(family("neu"), "neutral");
  assert.equal(family("Sadness"), "subdued");
  assert.equal(familyOf(tone(0, { label: "x1", affect: "tense" })), "tense");
});

test("labels read as people would write them", () => {
  assert.equal(wordOf(tone(0, { label: "Warmly_Impatient", affect: null })), "warmly impatient");
  assert.equal(wordOf(said("queue", 0, { label: "dtmf_tone", digits: "12#" })), "3 keys pressed");
  assert.equal(wordOf(said("queue", 0, { label: "hold_music", digits: null })), "Hold music");
});

test("a tone tells its time, speaker, word, confidence, subtext, arousal and what was said", () => {
  const event = tone(61, {
    confidence: 0.22,
    speaker_id: "Speaker A",
    subtext: "Sounds calm.",
    arousal: 0.71,
  });
  const words = [
    { text: "not", start_sample: 60 * 16000, end_sample: 61 * 16000 },
    { text: "yes", start_sample: 61.5 * 16000, end_sample: 61.8 * 16000 },
  ];
  const utterances = [
    said("transcript", 60, { text: "not yes", words }, 2),
    said("transcript", 61, { text: "indeed", words: null }),
    said("transcript", 70, { text: "later", words: null }),
  ];
  assert.equal(
    describe(event, 16000, utterances),
    "1:01.0 to 1:02.0. Speaker A. Tone: calm, a guess, 22 of 100. Sounds calm. Energy in the voice: high. Said: “yes indeed”.",
  );
});

test("what is unknown is left out", () => {
  const event = tone(0, { confidence: 0.65, arousal: null });
  assert.equal(describe(event, 16000, []), "0:00.0 to 0:01.0. Tone: calm, fairly sure, 65 of 100.");
});

test("gaps say why, warnings what, words whether they are final", () => {
  assert.equal(
    describe(said("gap", 2, { reason: "overload" }), 16000, []),
    "0:02.0 to 0:03.0. Not heard: the gateway was overloaded.",
  );
  const warning = { type: "service", seq: 1, status: "warning", detail: "no words for now", timestamp: 3 };
  assert.equal(describe(warning, 16000, []), "0:03.0. Notice: no words for now.");
  const words = said("transcript", 1, {
    text: "well",
    is_final: false,
    speaker_id: "Speaker B",
    confidence: null,
  });
  assert.equal(describe(words, 8000, []), "0:02.0 to 0:04.0. Speaker B. “well” so far.");
  const music = said("queue", 1, { label: "hold_music", confidence: 0.5 });
  assert.equal(describe(music, 16000, []), "0:01.0 to 0:02.0. Call: Hold music, fairly sure, 50 of 100.");
});
