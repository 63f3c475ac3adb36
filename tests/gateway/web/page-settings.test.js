// What a person chose: whatever the storage holds, the settings are ones that the gateway takes.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { changes } from "../../../gateway/web/page/chooser.js";
import { storage } from "../../../gateway/web/page/dom.js";
import { DEFAULTS, clamp, forSession, languageTag } from "../../../gateway/web/page/settings.js";

/** @typedef {import("../../../gateway/web/page/settings.js").Settings} Settings */

const value = fc.oneof(
  fc.anything(),
  fc.integer({ min: -10, max: 9000 }),
  fc.double(),
  fc.constantFrom("", " ", "700", "1e999", "NaN", "en-us", "microphone", "dark", [], [400], true, null),
);
const anySettings = fc
  .oneof(
    fc.anything(),
    fc.record(Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, value])), { requiredKeys: [] }),
  )
  .map((given) => /** @type {unknown} */ (given));

/** What docs/protocol.md says a gateway takes. @param {Settings} s */
function withinBounds(s) {
  assert.ok(Number.isInteger(s.window_ms) && s.window_ms >= 200 && s.window_ms <= 5000);
  assert.ok(Number.isInteger(s.hop_ms) && s.hop_ms >= 100 && s.hop_ms <= s.window_ms);
  assert.ok(s.min_confidence >= 0 && s.min_confidence <= 1);
  const { num_speakers: speakers } = s;
  assert.ok(speakers === null || (Number.isInteger(speakers) && speakers >= 1 && speakers <= 8));
  assert.ok(
    s.language === "" || (s.language.length <= 35 && /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(s.language)),
  );
  assert.ok(["microphone", "tab", "file"].includes(s.source));
  assert.ok(["auto", "light", "dark"].includes(s.theme));
  assert.deepEqual([typeof s.device, typeof s.processing, typeof s.elcor], ["string", "boolean", "boolean"]);
}

test("out of anything come settings within the protocol's bounds, and out of those the same", () => {
  fc.assert(
    fc.property(anySettings, (given) => {
      const settings = clamp(given);
      withinBounds(settings);
      assert.deepEqual(Object.keys(settings), Object.keys(DEFAULTS));
      assert.deepEqual(clamp(settings), settings);
      assert.deepEqual(clamp(JSON.parse(JSON.stringify(settings))), settings);
    }),
    { numRuns: 1000 },
  );
});

test("what is missing or of another kind is as by default", () => {
  for (const given of [undefined, null, 7, "x", [], {}, () => {}]) assert.deepEqual(clamp(given), DEFAULTS);
  for (const wrong of [null, true, false, [], [7], {}, "", " ", "fast", NaN, Infinity, "1e999"]) {
    const numbers = { window_ms: wrong, hop_ms: wrong, min_confidence: wrong, num_speakers: wrong };
    assert.deepEqual(clamp(numbers), DEFAULTS, JSON.stringify(wrong));
  }
  const others = { source: "radio", device: 5, processing: "yes", elcor: 1, theme: "pink", language: ["en"] };
  assert.deepEqual(clamp(others), DEFAULTS);
});

test("numbers come as a form gives them, too, and stop at the nearest bound", () => {
  const s = clamp({ window_ms: "700", hop_ms: "250", min_confidence: "0.35", num_speakers: "3" });
  assert.deepEqual([s.window_ms, s.hop_ms, s.min_confidence, s.num_speakers], [700, 250, 0.35, 3]);
  const far = clamp({ window_ms: 1e9, hop_ms: -1, min_confidence: 7, num_speakers: 99 });
  assert.deepEqual([far.window_ms, far.hop_ms, far.min_confidence, far.num_speakers], [5000, 100, 1, 8]);
  assert.equal(clamp({ window_ms: 300, hop_ms: 900 }).hop_ms, 300);
  assert.equal(clamp({ window_ms: 300 }).hop_ms, 300);
  assert.equal(clamp({ window_ms: 3000 }).hop_ms, 1000);
  const cut = clamp({ window_ms: 700.5, hop_ms: "250.4", num_speakers: 2.2 });
  assert.deepEqual([cut.window_ms, cut.hop_ms, cut.num_speakers], [701, 250, 2]);
  assert.equal(clamp({ num_speakers: "0" }).num_speakers, null);
});

test("a language is a tag in its usual spelling, of 35 characters at most, or none", () => {
  const told = {
    "en-us": "en-US",
    " de ": "de",
    ZH_hant: "",
    "": "",
    "klingon for beginners": "",
    "en\0": "",
  };
  for (const [given, tag] of Object.entries(told)) assert.equal(languageTag(given), tag, given);
  const grows = "en-US-u-ca-islamicc-x-abcdefgh-ab"; // its usual spelling is islamic-civil
  assert.ok(grows.length <= 35);
  assert.equal(languageTag(grows), "");
  assert.equal(languageTag("en-x-abcdefgh-abcdefgh-abcdefgh-abcdefgh"), "");
});

test("the gateway is told what it knows, and open fields not at all", () => {
  const open = forSession(clamp({}));
  assert.deepEqual(open, { window_ms: 1000, hop_ms: 1000, elcor: false, min_confidence: 0.1 });
  const all = forSession(
    clamp({ language: "fr", num_speakers: 2, elcor: true, min_confidence: 0, device: "x" }),
  );
  assert.deepEqual(all, {
    window_ms: 1000,
    hop_ms: 1000,
    elcor: true,
    min_confidence: 0,
    language: "fr",
    num_speakers: 2,
  });
});

test("what was told before is taken back in words: nothing would leave it as it was", () => {
  const told = clamp({ language: "fr", num_speakers: 2 });
  assert.deepEqual(changes(told, clamp({})), { language: "auto", num_speakers: 0 });
  assert.deepEqual(changes(clamp({}), told), { language: "fr", num_speakers: 2 });
  assert.deepEqual(changes(told, { ...told, num_speakers: null }), { num_speakers: 0 });
});

test("a running session is told only what changed, and that is enough", () => {
  fc.assert(
    fc.property(anySettings, anySettings, (one, other) => {
      const [before, after] = [clamp(one), clamp(other)];
      const told = changes(before, after);
      const open = { language: "auto", num_speakers: 0 };
      const [was, is] = /** @type {Record<string, unknown>[]} */ (
        [before, after].map((s) => ({ ...open, ...forSession(s) }))
      );
      for (const [name, now] of Object.entries(told)) assert.notEqual(was[name], now);
      assert.deepEqual({ ...was, ...told }, is);
      assert.deepEqual(changes(before, before), {});
    }),
  );
});

test("what only this browser minds is no change for the session", () => {
  const after = clamp({ source: "tab", device: "x", processing: true, theme: "dark" });
  assert.deepEqual(changes(clamp({}), after), {});
  assert.deepEqual(changes(clamp({}), clamp({ window_ms: 500 })), { window_ms: 500, hop_ms: 500 });
});

test("a storage that holds nonsense, or is refused, gives the defaults and keeps nothing", () => {
  /** @type {Map<string, string>} */
  const held = new Map([["undertone.settings", "{not json"]]);
  const fake = {
    getItem: (/** @type {string} */ name) => held.get(name) ?? null,
    setItem: (/** @type {string} */ name, /** @type {string} */ text) => void held.set(name, text),
    removeItem: (/** @type {string} */ name) => void held.delete(name),
  };
  const kept = storage("local");
  const define = (/** @type {PropertyDescriptor} */ how) =>
    Object.defineProperty(globalThis, "localStorage", { configurable: true, ...how });
  define({ get: () => fake });
  assert.deepEqual(clamp(kept.get("settings")), DEFAULTS);
  kept.set("settings", clamp({ theme: "dark" }));
  assert.equal(clamp(kept.get("settings")).theme, "dark");
  kept.set("settings", null);
  assert.equal(held.size, 0);
  define({
    get() {
      throw new Error("SecurityError");
    },
  });
  kept.set("settings", DEFAULTS);
  assert.equal(kept.get("settings"), null);
  Reflect.deleteProperty(globalThis, "localStorage");
});
