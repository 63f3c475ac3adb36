// The timeline's model: the same whatever order events came in, bounded, and searched as quickly as truly.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { near, step } from "../../../gateway/web/page/timeline-find.js";
import { createModel, search } from "../../../gateway/web/page/timeline-model.js";
import { said, tone } from "./timeline-fakes.js";

/** @import {Event} from "../../../gateway/web/page/timeline-types.js" */

const who = fc.constantFrom(null, "Speaker A", "Speaker B", "Speaker J", "ann");
const span = { start_sample: fc.nat(40), length: fc.integer({ min: 1, max: 30 }) };
const anyEvent = fc.oneof(
  fc.record({ type: fc.constant("tone"), label: fc.constantFrom("Calm", "Tense"), speaker_id: who, ...span }),
  fc.record({
    type: fc.constant("speaker"),
    label: fc.constantFrom("human_single", "ivr_synth"),
    speaker_id: who,
    ...span,
  }),
  fc.record({ type: fc.constant("gap"), reason: fc.constant("overload"), ...span }),
  fc.record({
    type: fc.constant("transcript"),
    text: fc.constantFrom("", "one", "one two"),
    revision: fc.nat(3),
    speaker_id: who,
    ...span,
  }),
);
const numbered = fc.array(anyEvent, { maxLength: 40 }).map((events) =>
  events.map(({ length, ...event }, i) => ({
    ...event,
    seq: i + 1,
    end_sample: event.start_sample + length,
  })),
);

/** @param {Event[]} events @param {number} [most] */
function modelOf(events, most) {
  const model = createModel(most);
  for (const event of events) model.add(event);
  return model;
}

/** What a person would see. @param {ReturnType<typeof createModel>} model */
const seen = (model) => model.rows(1).map(({ list, ...row }) => ({ ...row, items: list.items }));

test("events in any order, some of them twice, give the same model", () => {
  const shuffled = numbered.chain((events) =>
    fc.tuple(
      fc.constant(events),
      fc.shuffledSubarray(events, { minLength: events.length }),
      fc.subarray(events),
    ),
  );
  fc.assert(
    fc.property(shuffled, fc.constantFrom(5, 1000), ([events, other, again], most) => {
      const [a, b] = [modelOf(events, most), modelOf([...other, ...again], most)];
      assert.deepEqual(seen(b), seen(a));
      assert.equal(b.count, a.count);
    }),
  );
});

test("the bound keeps exactly the newest, and lists hold no more than that", () => {
  const events = Array.from({ length: 30 }, (_, i) => tone(i, { speaker_id: "Speaker A" }));
  const model = modelOf([...events.slice(10), ...events.slice(0, 10)], 12);
  assert.equal(model.count, 12);
  assert.deepEqual(model.list("tone").items, events.slice(18));
  assert.deepEqual(model.list("voice Speaker A").items, events.slice(18));
  assert.equal(model.dropped, events[17]);
  assert.equal(model.add(events[17]), false);
});

test("search, first and near find what looking at every item finds", () => {
  fc.assert(
    fc.property(numbered, fc.nat(60), fc.nat(20), (events, sample, reach) => {
      const model = modelOf(events);
      const list = model.list("tone");
      const index = list.items.findIndex((e) => e.start_sample >= sample);
      assert.equal(
        search(list.items, (e) => e.start_sample < sample),
        index < 0 ? list.items.length : index,
      );
      const reaching = list.items.findIndex((e) => e.end_sample >= sample);
      if (reaching >= 0) assert.ok(model.first(list, sample) <= reaching);
      const away = (/** @type {Event} */ e) => Math.max(e.start_sample - sample, sample - e.end_sample, 0);
      const best = Math.min(...list.items.map(away));
      const found = near(model, list, sample, reach);
      assert.equal(found && away(found), best <= reach ? best : null);
    }),
  );
});

test("the last revision of an utterance wins, moves it to its speaker, and takes it back when empty", () => {
  const model = createModel();
  const revision = (/** @type {number} */ n, text = "w", speaker_id = "Speaker A") =>
    said("transcript", 3, { text, revision: n, speaker_id, is_final: false }, 1 + n);
  const [first, second, third] = [revision(0), revision(1, "w x", "Speaker B"), revision(2, "")];
  model.add(second);
  assert.equal(model.add(first), false);
  assert.deepEqual(model.list("words Speaker B").items, [second]);
  assert.deepEqual(model.list("words Speaker A").items, []);
  model.add(third);
  assert.equal(model.add(second), false);
  assert.deepEqual(
    model.rows(1).filter(({ kind }) => kind === "words"),
    [],
  );
  assert.equal(model.count, 1);
});

test("a revision counts by its number, whatever number its event has", () => {
  const of = (/** @type {number} */ revision) => said("transcript", 3, { text: `r${revision}`, revision });
  const [second, first] = [of(2), of(1)];
  const model = modelOf([second, first]);
  assert.deepEqual(model.list("words ").items, [second]);
});

test("a second hour of interims leaves as many events as utterances", () => {
  const model = createModel();
  for (let i = 0; i < 20_000; i++)
    model.add(said("transcript", Math.floor(i / 25), { text: `${i}`, revision: i % 25, speaker_id: null }));
  assert.equal(model.count, 800);
  assert.equal(model.list("words ").items.length, 800);
});

test("what is out of range, unknown or wrongly made is ignored", () => {
  const model = createModel();
  const wrong = [
    said("task", 1),
    tone(1, { end_sample: 16000 }),
    tone(1, { start_sample: -1 }),
    tone(1, { start_sample: NaN }),
    tone(1, { end_sample: 2 ** 53 }),
    tone(1, { label: null }),
    tone(1, { seq: "1" }),
    said("constructor", 1),
    said("gap", 1),
    said("speaker", 1, { label: "no_speaker", speaker_id: null }),
    said("service", 1, { status: "ready", detail: "" }),
  ];
  for (const event of wrong) assert.equal(model.add(event), false, JSON.stringify(event));
  assert.equal(model.count, 0);
});

test("eight speakers have lanes of their own and the others share one", () => {
  const model = createModel();
  for (let i = 10; i > 0; i--) model.add(tone(i, { speaker_id: `Speaker ${"ABCDEFGHIJ"[i - 1]}` }));
  const voices = model.rows(1).filter(({ kind }) => kind === "voice");
  assert.deepEqual(
    voices.map(({ name }) => name),
    [..."ABCDEFGH+"],
  );
  assert.deepEqual(voices[1].colour, "speaker-2");
  assert.equal(voices[8].list.items.length, 2);
});

test("a lane's colour stays with its letter when an earlier speaker was never heard", () => {
  const model = modelOf([tone(1, { speaker_id: "Speaker C" })]);
  assert.equal(model.rows(1).find(({ kind }) => kind === "voice")?.colour, "speaker-3");
});

test("a recorded voice and a transfer stand in the call's lane", () => {
  const model = modelOf([said("speaker", 1, { label: "ivr_synth", speaker_id: null })]);
  assert.equal(model.list("queue").items.length, 1);
});

test("lanes don't overlap, and gaps lie over all of them but the axis", () => {
  fc.assert(
    fc.property(numbered, (events) => {
      const rows = modelOf(events).rows(1);
      const gap = /** @type {any} */ (rows.pop());
      rows.reduce((end, { y, height }) => (assert.ok(y >= end), y + height), 0);
      assert.equal(gap.y, rows[1].y);
      const last = rows[rows.length - 1];
      assert.equal(gap.y + gap.height, last.y + last.height);
    }),
  );
});

test("one step goes to the neighbour, past the same stretch told twice, and stops at the ends", () => {
  const [a, b, c] = [1, 2, 3].map((at) => tone(at, { speaker_id: "ann" }));
  const twice = said("speaker", 2, { label: "human_single", speaker_id: "ann" });
  const model = modelOf([c, twice, b, a]);
  const list = model.list("voice ann");
  assert.equal(step(model, list, a, 1), b);
  assert.equal(step(model, list, b, 1), c);
  assert.equal(step(model, list, c, 1), c);
  assert.equal(step(model, list, a, -1), a);
});

test("a service warning stands at its time whatever the rate", () => {
  const warning = { type: "service", seq: 9, status: "warning", detail: "slow", timestamp: 2 };
  const model = modelOf([warning]);
  assert.equal(model.start(warning), 32000);
  model.rate = 8000;
  assert.equal(model.start(warning), 16000);
});
