// What the page knows: each event counts once, however often and in whatever portions it comes.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MOST_LINES, Model } from "../../../gateway/web/page/model.js";
import { event, tone, words } from "./page-fakes.js";

/** @typedef {import("../../../gateway/web/page/model.js").Event} Event */

/** @param {Event[]} events */
function modelOf(events, model = new Model()) {
  for (const one of events) model.add(one, one.seq * 10);
  return model;
}

/** All that can be seen of it. @param {Model} model */
const seen = (model) => ({ ...model, interim: model.interim });

const who = fc.constantFrom(null, "Speaker A", "Speaker B");
const anyEvent = fc.oneof(
  fc.record({
    type: fc.constant("tone"),
    label: fc.constantFrom("Calm", "Tense"),
    confidence: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  fc.record({ type: fc.constant("speaker"), label: fc.constant("human_single"), speaker_id: who }),
  fc.record({
    type: fc.constantFrom("queue", "environ", "scene", "accent"),
    label: fc.constantFrom("silence", "street"),
  }),
  fc.record({ type: fc.constant("gap"), reason: fc.constantFrom("client", "overload") }),
  fc.record({
    type: fc.constant("transcript"),
    text: fc.constantFrom("", "one", " two "),
    is_final: fc.boolean(),
    speaker_id: who,
  }),
  fc.record({
    type: fc.constant("service"),
    status: fc.constantFrom("ready", "loading", "warning", "error"),
    detail: fc.constant("so"),
  }),
  fc.record({ type: fc.constantFrom("task", "summary", "unheard_of") }),
);
const numbered = fc
  .array(fc.tuple(anyEvent, fc.nat(40), fc.integer({ min: 1, max: 9 })), { maxLength: 40 })
  .map((events) => events.map(([fields, at, seconds], i) => event(fields.type, i + 1, at, fields, seconds)));

test("portions that overlap, as history, replay and live ones do, give what one telling gives", () => {
  const portions = fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 12 });
  fc.assert(
    fc.property(numbered, portions, (events, cuts) => {
      const model = new Model();
      let told = 0;
      for (const [back, length] of [...cuts, [0, events.length]]) {
        const from = Math.max(0, told - back);
        modelOf(events.slice(from, from + length), model);
        told = Math.max(told, Math.min(events.length, from + length));
      }
      assert.deepEqual(seen(model), seen(modelOf(events)));
    }),
  );
});

test("in no order whatever does an event count twice, or a line stand before an earlier one", () => {
  const mixed = numbered.chain((events) =>
    fc.array(events.length ? fc.constantFrom(...events) : fc.constant(event("task", 1, 0)), {
      maxLength: 60,
    }),
  );
  fc.assert(
    fc.property(mixed, (events) => {
      const model = new Model();
      for (const one of events) {
        const before = model.lastSeq;
        const parts = model.add(one, 0);
        assert.equal(model.lastSeq, Math.max(before, one.seq));
        if (one.seq <= before) assert.deepEqual(parts, []);
        assert.deepEqual(model.add(one, 0), []);
      }
      const seqs = model.lines.map(({ seq }) => seq);
      assert.deepEqual(
        seqs,
        [...new Set(seqs)].sort((a, b) => a - b),
      );
    }),
  );
});

test("what isn't durable changes nothing; what is unknown only counts", () => {
  const model = new Model();
  assert.deepEqual(model.add({ type: "flow", lag_ms: 3 }, 0), []);
  assert.deepEqual(model.add({ type: "tone", seq: "7" }, 0), []);
  assert.equal(model.lastSeq, 0);
  assert.deepEqual(model.add({ type: "constructor", seq: 7 }, 0), []);
  assert.equal(model.lastSeq, 7);
  assert.deepEqual(seen(model), { ...seen(new Model()), lastSeq: 7 });
});

test("each kind of event names the parts that changed", () => {
  const model = new Model();
  const parts = [
    tone(1, 0),
    event("speaker", 2, 0, { label: "human_single", speaker_id: "Speaker A" }),
    event("scene", 3, 0, { label: "office" }),
    words(4, 0, "so", { is_final: false }),
    words(5, 0, "so it is"),
    words(6, 1, "  "),
    event("gap", 7, 2, { reason: "client" }),
    event("gap", 8, 3, { reason: "client" }),
    event("service", 9, 4, { status: "ready", detail: "" }),
    { type: "service", seq: 10, timestamp: 4, status: "warning", detail: "No words just now." },
    { type: "task", seq: 11, timestamp: 4 },
    { type: "summary", seq: 12, timestamp: 4 },
  ].map((one) => model.add(one, 0).join(" "));
  assert.deepEqual(parts, [
    "now",
    "now",
    "now",
    "interim",
    "lines interim",
    "interim",
    "lines",
    "lines",
    "",
    "lines",
    "task",
    "summary interim now",
  ]);
  assert.deepEqual(
    model.lines.map(({ kind, start, text }) => [kind, start, text]),
    [
      ["said", 0, "so it is"],
      ["gap", 2, ""],
      ["service", 4, "No words just now."],
    ],
  );
});

test("words that are not final stand in their order, are revised, and go when empty or final", () => {
  const model = new Model();
  const interim = () => model.interim.map(({ start, text }) => [start / 16_000, text]);
  model.add(words(1, 3, "b", { is_final: false, speaker_id: "Speaker B" }), 0);
  model.add(words(2, 1, " a", { is_final: false }), 0);
  model.add(words(3, 3, "b c ", { is_final: false }), 0);
  assert.deepEqual(interim(), [
    [1, "a"],
    [3, "b c"],
  ]);
  assert.equal(model.lines.length, 0);
  model.add(words(4, 1, "a d", { speaker_id: "Speaker A", language: "en" }), 0);
  assert.deepEqual(interim(), [[3, "b c"]]);
  const [{ text, speaker, language, kind }] = model.lines;
  assert.deepEqual(
    { text, speaker, language, kind },
    { text: "a d", speaker: "Speaker A", language: "en", kind: "said" },
  );
  model.add(words(5, 3, "", { is_final: false }), 0);
  assert.deepEqual(interim(), []);
});

test("an utterance that was given up goes with a later final one, and all with the summary", () => {
  const model = new Model();
  model.add(words(1, 1, "given up", { is_final: false }), 0);
  model.add(words(2, 5, "later", {}), 0);
  assert.deepEqual(model.interim, []);
  model.add(words(3, 8, "open", { is_final: false }), 0);
  model.add({ type: "summary", seq: 4, timestamp: 9 }, 0);
  assert.deepEqual(model.interim, []);
  assert.equal(model.summary.seq, 4);
});

test("a gap told in pieces that touch is one of the same length, at any rate", () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 48_000 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(cuts, fc.nat(10_000_000), fc.constantFrom(8000, 16_000, 44_100), (pieces, from, rate) => {
      const model = new Model(rate);
      let [at, seq] = [from, 0];
      for (const piece of pieces) {
        model.add(
          { type: "gap", seq: ++seq, start_sample: at, end_sample: at + piece, reason: "overload" },
          0,
        );
        at += piece;
      }
      assert.equal(model.lines.length, 1);
      assert.ok(Math.abs((model.lines[0].seconds ?? 0) - (at - from) / rate) < 1e-6);
      assert.equal(model.lines[0].start, from / rate);
    }),
  );
});

test("gaps of another reason, apart, or with something between stay two", () => {
  const first = event("gap", 1, 0, { reason: "client" });
  for (const others of [
    [event("gap", 2, 1, { reason: "overload" })],
    [event("gap", 2, 1.001, { reason: "client" })],
    [words(2, 1, "hm"), event("gap", 3, 1, { reason: "client" })],
  ]) {
    const gaps = modelOf([first, ...others]).lines.filter(({ kind }) => kind === "gap");
    assert.deepEqual(
      gaps.map(({ seconds }) => seconds),
      [1, 1],
    );
  }
});

test("the lines are bounded, the oldest go first and are counted", () => {
  const model = new Model();
  for (let seq = 1; seq <= MOST_LINES + 3; seq++) model.add(words(seq, seq, "w"), 0);
  assert.equal(model.lines.length, MOST_LINES);
  assert.equal(model.lines[0].seq, 4);
  assert.equal(model.dropped, 3);
});

test("so are the tones", () => {
  const model = new Model();
  for (let seq = 1; seq <= 5000; seq++) model.add(tone(seq, seq), 0);
  assert.ok(model.tones.length < 1000);
  assert.equal(model.tones.at(-1), model.tone);
});

test("what is told again fills the record and is no news", () => {
  const model = new Model();
  model.welcome({ replay_to: 5 });
  const told = [
    tone(1, 0),
    event("queue", 2, 0, { label: "busy" }),
    event("speaker", 3, 0, { label: "human_single", speaker_id: "Speaker A" }),
    words(4, 0, "before"),
    tone(5, 1),
  ].map((one) => model.add(one, 70));
  assert.deepEqual(told, [["now"], [], [], ["lines", "interim"], ["now"]]);
  assert.deepEqual([model.toneAt, model.badges.size, model.speaker], [null, 0, null]);
  assert.equal(model.tone?.label, "Calm");
  model.add(tone(6, 2), 80);
  model.add(event("queue", 7, 2, { label: "busy" }), 81);
  model.add(event("speaker", 8, 2, { label: "human_single", speaker_id: "Speaker A" }), 82);
  assert.equal(model.toneAt, 80);
  assert.deepEqual(model.badges.get("queue"), { kind: "queue", label: "busy", digits: undefined, at: 81 });
  assert.deepEqual(model.speaker, { id: "Speaker A", label: "human_single", at: 82 });
});

test("a welcome without a replay makes all that comes news, and tells the rate", () => {
  const model = new Model();
  model.replayTo = Infinity;
  model.welcome({ replay_to: null, audio: { sample_rate: 8000 } });
  model.add({ ...tone(1, 0) }, 5);
  assert.equal(model.toneAt, 5);
  model.add({ type: "gap", seq: 2, start_sample: 8000, end_sample: 12_000, reason: "client" }, 5);
  assert.deepEqual([model.lines[0].start, model.lines[0].seconds], [1, 0.5]);
  model.welcome({});
  assert.equal(model.rate, 8000);
});

test("a line has the tone with the most of its stretch, weighed by confidence", () => {
  const tones = fc.array(
    fc.record({
      label: fc.constantFrom("Calm", "Tense", "Animated"),
      confidence: fc.constantFrom(0.25, 0.5, 1),
      at: fc.nat(20),
      seconds: fc.integer({ min: 1, max: 5 }),
    }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(tones, fc.nat(20), fc.integer({ min: 1, max: 10 }), (given, at, seconds) => {
      const model = modelOf(
        given.map((one, i) =>
          tone(i + 1, one.at, { label: one.label, confidence: one.confidence }, one.seconds),
        ),
      );
      model.add(words(100, at, "so", {}, seconds), 0);
      /** @type {Record<string, number>} */
      const most = {};
      for (const one of given) {
        const shared = Math.min(at + seconds, one.at + one.seconds) - Math.max(at, one.at);
        if (shared > 0) most[one.label] = (most[one.label] ?? 0) + shared * one.confidence;
      }
      const found = model.lines[0].tone;
      if (!found) return assert.deepEqual(most, {});
      assert.equal(most[found.label], Math.max(...Object.values(most)));
    }),
  );
});

test("of several tones with the same label a line has the latest, as it has the latest words for it", () => {
  const affects = ["calm", "gentle", "at ease"];
  const model = modelOf(affects.map((affect, i) => tone(i + 1, i, { affect })));
  model.add(words(4, 0, "so", {}, 2), 0);
  assert.equal(model.lines[0].tone?.affect, "gentle");
});

test("half a minute of words at ten tones a second is judged by all of it", () => {
  const model = new Model();
  for (let i = 0; i < 300; i++) model.add(tone(i + 1, i / 10, { label: i < 200 ? "Calm" : "Tense" }, 0.1), 0);
  model.add(words(301, 0, "a long story", {}, 30), 0);
  assert.equal(model.lines[0].tone?.label, "Calm");
});

test("cleared, it begins anew at the same rate", () => {
  fc.assert(
    fc.property(numbered, (events) => {
      const model = modelOf(events, new Model(8000));
      model.clear();
      assert.deepEqual(seen(model), seen(new Model(8000)));
      assert.deepEqual(seen(modelOf(events, model)), seen(modelOf(events, new Model(8000))));
    }),
  );
});
