// The lines in the document: those that came, each once, in their order, and no more than there is room for.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Model } from "../../../gateway/web/page/model.js";
import { Transcript } from "../../../gateway/web/page/transcript.js";
import { event, page, tone, words } from "./page-fakes.js";

/** @import {FakeElement} from "./page-fakes.js" */

const list = () => /** @type {FakeElement} */ (page.get("lines"));
const texts = () => list().children.map((line) => line.querySelector(".text").textContent);

beforeEach(() => page.clear());

function world() {
  const model = new Model();
  const transcript = new Transcript(model);
  let seq = 0;
  return {
    model,
    transcript,
    /** @param {number} n */
    say(n) {
      for (let i = 0; i < n; i++) model.add(words(++seq, seq, `w${seq}`), 0);
    },
    gap: (/** @type {number} */ at) => model.add(event("gap", ++seq, at, { reason: "client" }), 0),
  };
}

test("lines are added as they come; none is drawn twice", () => {
  const { transcript, say } = world();
  say(2);
  transcript.render();
  transcript.render();
  const first = list().children[0];
  say(1);
  transcript.render();
  assert.deepEqual(texts(), ["w1", "w2", "w3"]);
  assert.equal(list().children[0], first);
});

test("a gap that grew is told anew, also where a line came behind it before it was drawn", () => {
  const { transcript, say, gap } = world();
  gap(0);
  transcript.render();
  gap(1);
  transcript.render();
  assert.match(texts()[0], /^2\.0 s not heard/);
  gap(2);
  say(1);
  transcript.render();
  assert.match(texts()[0], /^3\.0 s not heard/);
  assert.equal(texts()[1], "w4");
});

test("the document holds the newest, earlier ones come when asked for, and all go with the session", () => {
  const { model, transcript, say } = world();
  say(1200);
  transcript.render();
  assert.deepEqual([texts().length, texts()[0]], [500, "w701"]);
  assert.equal(page.get("earlier")?.hidden, false);
  page.get("earlier")?.dispatchEvent(new Event("click"));
  assert.deepEqual([texts().length, texts()[0]], [1000, "w201"]);
  page.get("earlier")?.dispatchEvent(new Event("click"));
  assert.deepEqual([texts().length, texts()[0], texts().at(-1)], [1200, "w1", "w1200"]);
  assert.equal(page.get("earlier")?.hidden, true);
  say(1);
  transcript.render();
  assert.deepEqual([texts().length, texts().at(-1)], [1200, "w1201"]); // as much room as was asked for
  model.clear();
  transcript.clear();
  assert.deepEqual(texts(), []);
  assert.equal(page.get("no-lines")?.hidden, false);
});

test("a line says when, who and how; a guess reads as one; other lines are no speech", () => {
  const { model, transcript } = world();
  model.add(tone(1, 0, { label: "Tense", confidence: 0.2 }), 0);
  model.add(words(2, 0, "so", { speaker_id: "Speaker A" }), 0);
  model.add(event("service", 3, 61, { status: "warning", detail: "No words just now." }), 0);
  transcript.render();
  const [said, service] = list().children;
  assert.equal(said.textContent, "0:00Speaker Aperhaps tenseso");
  assert.equal(service.textContent, "1:01No words just now.");
  assert.equal(service.attributes.class, "line service");
});

test("words that are not final yet stand apart, and the view stays at the end", () => {
  const { model, transcript, say } = world();
  say(50);
  model.add(words(51, 60, "not yet", { is_final: false, speaker_id: "Speaker B" }), 0);
  transcript.render();
  transcript.renderInterim();
  assert.equal(page.get("interim-text")?.textContent, "not yet");
  assert.equal(page.get("interim-who")?.textContent, "Speaker B");
  const box = /** @type {FakeElement} */ (page.get("lines-box"));
  assert.equal(box.scrollTop, 1000);
  box.scrollTop = 0;
  box.dispatchEvent(new Event("scroll"));
  assert.equal(page.get("latest")?.hidden, false);
  say(5);
  transcript.render();
  assert.equal(box.scrollTop, 0);
  page.get("latest")?.dispatchEvent(new Event("click"));
  assert.equal(box.scrollTop, box.scrollHeight);
});
