// Settings out of a storage that anybody may have written to: always within the protocol's bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DEFAULTS, changes, clamp, forSession, languageTag } from "../../../gateway/web/page/settings.js";

test("anything becomes settings that the gateway takes, and those stay as they are", () => {
  const field = fc.oneof(fc.anything(), fc.integer(), fc.string(), fc.double().map(String), fc.boolean());
  const given = fc.oneof(
    fc.anything(),
    fc.dictionary(fc.constantFrom(...Object.keys(DEFAULTS)), field),
    fc.json().map((text) => JSON.parse(text)),
  );
  fc.assert(
    fc.property(given, (anything) => {
      const one = clamp(anything);
      assert.deepEqual(Object.keys(one).sort(), Object.keys(DEFAULTS).sort());
      assert.ok(Number.isInteger(one.window_ms) && one.window_ms >= 200 && one.window_ms <= 5000);
      assert.ok(Number.isInteger(one.hop_ms) && one.hop_ms >= 100 && one.hop_ms <= one.window_ms);
      assert.ok(one.min_confidence >= 0 && one.min_confidence <= 1);
      assert.ok(one.num_speakers === null || (one.num_speakers >= 1 && one.num_speakers <= 8));
      assert.ok(one.language.length <= 35);
      assert.deepEqual(clamp(one), one);
      assert.deepEqual(clamp(JSON.parse(JSON.stringify(one))), one);
    }),
  );
});

test("what a form says is read, what is wrong is as by default", () => {
  const form = {
    window_ms: "400",
    hop_ms: "900",
    num_speakers: "3",
    language: "EN-us",
    min_confidence: "0.35",
  };
  const { window_ms, hop_ms, num_speakers, language, min_confidence } = clamp(form);
  assert.deepEqual([window_ms, hop_ms, num_speakers, language, min_confidence], [400, 400, 3, "en-US", 0.35]);
  assert.deepEqual(clamp(null), DEFAULTS);
  assert.deepEqual(
    clamp({ window_ms: "", hop_ms: "wide", source: "ether", theme: 7, elcor: "yes" }),
    DEFAULTS,
  );
});

test("languages are tags or nothing", () => {
  assert.equal(languageTag(" de-ch "), "de-CH");
  for (const wrong of ["", "not a tag", "x".repeat(36), 7, null, "english!"])
    assert.equal(languageTag(wrong), "");
});

test("a session is told what is chosen, and nothing that is left open", () => {
  assert.deepEqual(forSession(clamp({})), {
    window_ms: 1000,
    hop_ms: 1000,
    elcor: false,
    min_confidence: 0.1,
  });
  assert.equal(forSession(clamp({ language: "en" })).language, "en");
  assert.ok(!("source" in forSession(clamp({}))));
});

test("a running session is told of differences only", () => {
  const before = clamp({ language: "en" });
  assert.deepEqual(changes(before, before), {});
  assert.deepEqual(changes(before, { ...before, elcor: true, theme: "dark" }), { elcor: true });
  assert.deepEqual(changes(before, { ...before, language: "" }), {});
  assert.deepEqual(changes(before, clamp({ language: "en", window_ms: 500 })), {
    window_ms: 500,
    hop_ms: 500,
  });
});
