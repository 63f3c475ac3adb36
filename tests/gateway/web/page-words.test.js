// The words a person reads: one for every name of docs/protocol.md, readable ones for those nobody knows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { account } from "../../../gateway/web/page/after.js";
import { problem } from "../../../gateway/web/page/problems.js";
import * as words from "../../../gateway/web/page/words.js";
import { PHASES } from "./page-fakes.js";

const PROTOCOL = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");

/** The first cells of the generated table of that name. @param {string} name */
function table(name) {
  const [, part] = PROTOCOL.split(`<!-- generated: ${name} -->`);
  return [...part.split("<!-- end -->")[0].matchAll(/^\| `?(\w+)`? \|.* \|$/gm)]
    .map(([, cell]) => cell)
    .slice(1);
}

/** The labels of an event. @param {string} event */
function labels(event) {
  const [, part] = PROTOCOL.split(`### \`${event}\`\n`);
  return [...(/^\| `label` \| (.*?) \|/m.exec(part)?.[1] ?? "").matchAll(/`(\w+)`/g)].map(
    ([, label]) => label,
  );
}

/** Reads as a phrase. @param {unknown} text */
function plain(text) {
  assert.equal(typeof text, "string");
  assert.match(/** @type {string} */ (text), /\S/);
  assert.doesNotMatch(/** @type {string} */ (text), /undefined|null|NaN|\[object|function|_/);
}

const INHERITED = ["constructor", "toString", "hasOwnProperty", "__proto__", "valueOf"];
const strange = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom(...INHERITED));

test("every gap reason, state of the call and speaker of the protocol has a word of its own", () => {
  const reasons = table("gap-reasons");
  assert.deepEqual([reasons.length, labels("queue").length, labels("speaker").length], [5, 6, 5]);
  for (const reason of reasons) {
    plain(words.gap(1.25, reason));
    assert.match(words.gap(1.25, reason), / the /, reason); // a sentence, not just the name
  }
  for (const label of labels("queue")) plain(words.queue(label));
  for (const label of labels("speaker")) plain(words.speaker(null, label));
  assert.equal(words.queue("dtmf_tone"), "Keys pressed");
  assert.equal(words.speaker(null, "ivr_synth"), "A machine voice");
});

test("every error code of the protocol, with a message or without, is told with something to do", () => {
  const codes = table("error-codes");
  assert.equal(codes.length, 23);
  for (const code of codes)
    for (const message of [undefined, "", "so it is."]) {
      const { title, todo } = problem({ code, message });
      plain(title);
      plain(todo);
      assert.match(title, /\S$/);
      assert.notEqual(title, problem({}).title, `${code}: the gateway was reached`);
    }
});

test("what went wrong is told by its code, then its status, then its message", () => {
  const title = (/** @type {Parameters<typeof problem>[0]} */ error) => problem(error).title;
  assert.equal(title({}), "The gateway can't be reached");
  assert.equal(title({ code: "unreachable" }), "The gateway can't be reached");
  assert.equal(title({ message: "x is undefined", status: 500 }), "Something went wrong");
  assert.equal(title({ status: 401, code: "refused" }), title({ code: "unauthorized" }));
  assert.equal(title({ status: 503, code: "refused", message: "no" }), title({ code: "overloaded" }));
  assert.equal(title({ status: 429 }), title({ code: "overloaded" }));
  assert.notEqual(title({ status: 429, code: "task_limit" }), title({ code: "overloaded" }));
  assert.equal(title({ code: "flood", message: "slower" }), "The gateway says: slower");
  assert.equal(title({ code: "reader_too_slow" }), "The gateway says: reader too slow");
  assert.equal(title({ code: "session_expired" }), title({ code: "expired" }));
  assert.match(problem({ code: "draining", retryAfterMs: 1200 }).todo, / Try again in 2 seconds\.$/);
});

test("what is said without the gateway is said the same with it", () => {
  for (const code of [
    "device_lost",
    "permission_lost",
    "not_listening",
    "silent_start",
    "expired",
    "unreachable",
  ])
    assert.deepEqual(words.notice({ code }), problem({ code }));
  assert.deepEqual(words.notice({}), problem({}));
  for (const error of [{ code: "unauthorized" }, { code: "constructor" }, { status: 500 }])
    assert.equal(words.notice(error), null);
});

test("a name nobody knows is made readable and never throws, whatever else carries that name", () => {
  fc.assert(
    fc.property(strange, (name) => {
      for (const text of [
        words.queue(name),
        words.queue(name, name),
        words.speaker(null, name),
        words.speaker(name),
        words.flag(name),
        words.gap(1, name),
        words.shift(name, 0.5),
        problem({ code: name }).title,
        problem({ code: name, message: name, status: 418 }).todo,
      ])
        assert.equal(typeof text, "string");
      assert.equal(words.readable(words.readable(name)), words.readable(name));
    }),
  );
  for (const name of INHERITED) {
    assert.equal(words.queue(name), words.capital(words.readable(name)));
    assert.equal(words.shift(name, 0.5), "");
  }
});

test("names as programs write them become words", () => {
  const told = {
    Warmly_Impatient: "warmly impatient",
    halfAmused: "half amused",
    "a.b/c-d  e": "a b c d e",
    "": "",
  };
  for (const [name, text] of Object.entries(told)) assert.equal(words.readable(name), text);
  assert.equal(words.capital(""), "");
  assert.equal(words.capital("élan"), "Élan");
});

test("dialled keys are counted, never shown", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9*#A-D]{1,12}$/), (digits) => {
      const keys = digits.length === 1 ? "1 key" : `${digits.length} keys`;
      assert.equal(words.queue("dtmf_tone", digits), `${keys} pressed`);
      assert.equal(words.queue("busy", digits), "Busy signal");
    }),
  );
});

test("a clock reads back as the whole seconds it was given", () => {
  fc.assert(
    fc.property(fc.nat(1e9), (ms) => {
      const seconds = ms / 1000;
      const text = words.clock(seconds);
      assert.match(text, /^(\d+:[0-5]\d|\d{1,2}):[0-5]\d$/);
      const back = text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
      assert.equal(back, Math.floor(seconds));
    }),
  );
  assert.deepEqual(
    [65, 3723, 59.99, -1].map((seconds) => words.clock(seconds)),
    ["1:05", "1:02:03", "0:59", "0:00"],
  );
});

test("a length of time reads back, to a tenth below ten seconds and to a second beyond", () => {
  const upTo = (/** @type {number} */ max) => fc.double({ min: 0, max, noNaN: true });
  const units = { hour: 3600, minute: 60, second: 1 };
  fc.assert(
    fc.property(fc.oneof(upTo(12), upTo(3e6)), (seconds) => {
      const text = words.duration(seconds);
      let back = 0;
      for (const [, n, unit, many] of text.matchAll(/([\d.,]+) (hour|minute|second)(s?)\b/g)) {
        back += Number(n.replaceAll(",", "")) * units[/** @type {keyof typeof units} */ (unit)];
        assert.equal(many === "", n === "1", text);
      }
      assert.ok(Math.abs(back - seconds) <= (seconds < 10 ? 0.0501 : 0.5001), `${seconds}: ${text}`);
      assert.notEqual(text, "");
    }),
  );
  const told = [0, 0.4, 1, 2.5, 9.96, 59.6, 125, 3600].map(words.duration);
  assert.deepEqual(told, [
    "0 seconds",
    "0.4 seconds",
    "1 second",
    "2.5 seconds",
    "10 seconds",
    "1 minute",
    "2 minutes 5 seconds",
    "1 hour",
  ]);
});

test("lag is told to ten milliseconds, then to a tenth of a second, and not where nobody knows", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e5, noNaN: true }), (ms) => {
      const [, n, unit] = /^([\d.]+) (ms|s) behind$/.exec(words.lag(ms)) ?? [];
      const told = Number(n) * (unit === "s" ? 1000 : 1);
      assert.ok(Math.abs(told - ms) <= (unit === "s" ? 50.1 : 5.1), `${ms}: ${words.lag(ms)}`);
      assert.ok(unit === "s" || told % 10 === 0);
    }),
  );
  assert.deepEqual([994, 996, 1049].map(words.lag), ["990 ms behind", "1.0 s behind", "1.0 s behind"]);
  for (const nothing of [null, undefined, NaN, Infinity]) assert.equal(words.lag(nothing), "");
});

test("low reads as low: what is surer never has a weaker word, and a score is no per cent", () => {
  const steps = ["a guess", "not very sure", "fairly sure", "quite sure"];
  const levels = ["very low", "low", "medium", "high", "very high"];
  const unit = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(unit, unit, (one, other) => {
      const [low, high] = one < other ? [one, other] : [other, one];
      const at = (/** @type {number} */ n) => steps.indexOf(words.certainty(n));
      assert.ok(at(low) >= 0 && at(low) <= at(high));
      const level = (/** @type {number} */ n) => levels.indexOf(words.energy(n));
      assert.ok(level(low) >= 0 && level(low) <= level(high));
      const [, n] = /^(\d+) of 100$/.exec(words.score(low)) ?? [];
      assert.ok(Math.abs(Number(n) - low * 100) <= 0.5001);
    }),
  );
  assert.deepEqual([0, 0.29, 0.3, 0.5, 0.75].map(words.certainty), [steps[0], ...steps]);
  assert.deepEqual([-1, 0, 0.5, 1, 2].map(words.energy), [
    "very low",
    "very low",
    "medium",
    "very high",
    "very high",
  ]);
});

test("where a tone is going is said as far as it is known", () => {
  assert.equal(words.shift(null, 0.9), "");
  assert.equal(words.shift("stable", 0.9), "steady");
  const by = [null, 0.1, 0.25, 0.59, 0.6];
  assert.deepEqual(
    by.map((n) => words.shift("escalating", n)),
    ["rising", "rising a little", "rising", "rising", "clearly rising"],
  );
  assert.equal(words.shift("de-escalating", 0.1), "easing a little");
});

test("every phase of the connection has words", () => {
  for (const phase of PHASES)
    for (const watching of [false, true]) {
      plain(words.connection(phase, 40, watching));
      words.idle(phase, watching).forEach(plain);
    }
  assert.equal(words.connection("live", 40), "Live, 40 ms behind");
  assert.equal(words.connection("live", null, true), "Watching, read only");
  assert.equal(words.connection("reconnecting", 40), "Reconnecting");
});

test("the privacy line says truly where the audio goes", () => {
  const line = (/** @type {string} */ address, /** @type {number} */ kept) =>
    words.privacy(new URL(address), kept);
  for (const here of [
    "http://127.0.0.1:8522",
    "http://localhost:1",
    "http://a.localhost",
    "http://[::1]:8522",
  ])
    assert.match(line(here, 900), /stays on this machine\. .* until 15 minutes after the session ends\.$/);
  for (const there of ["127.0.0.1.a.test", "localhost.a.test", "notlocalhost", "10.0.0.1"]) {
    assert.match(line(`https://${there}`, 0), /encrypted on the way\. .* for a while after/, there);
    assert.match(line(`http://${there}:8522`, 0), /:8522 without encryption\./, there);
  }
});

const closing = fc
  .record({
    heard: fc.nat(1e9),
    missed: fc.oneof(fc.nat(3), fc.nat(1e6)),
    pending: fc.nat(100),
    off: fc.integer({ min: -50, max: 50 }),
  })
  .map(({ heard, missed, pending, off }) => ({
    next_sample: heard + missed + pending + off,
    classified_samples: heard,
    gap_samples: missed,
    pending_samples: pending,
    off,
    duration_s: (heard + missed) / 16_000,
    speakers: ["Speaker A"],
    events: { tone: 3, gap: 1 },
  }));

test("the closing account adds up, or says by how much it doesn't", () => {
  fc.assert(
    fc.property(closing, (told) => {
      const [length, samples, ...more] = account(told);
      assert.match(length, /of audio, 1 voice, 4 events\.$/);
      const n = [...samples.matchAll(/\d[\d,]*/g)].map(([text]) => Number(text.replaceAll(",", "")));
      if (told.off !== 0) {
        assert.match(samples, /does not balance/);
        assert.deepEqual(n, [Math.abs(told.off)]);
      } else if (told.gap_samples === 0) assert.deepEqual(n, [told.next_sample]);
      else assert.deepEqual(n, [told.next_sample, told.classified_samples, told.gap_samples]);
      assert.deepEqual(more, []);
      assert.equal(account({ ...told, record_truncated: true }).length, 3);
    }),
  );
});

test("an account in figures", () => {
  const told = { next_sample: 32_000, classified_samples: 16_000, gap_samples: 16_000, duration_s: 2 };
  assert.deepEqual(account({ ...told, speakers: [], events: {} }), [
    "2 seconds of audio, 0 voices, 0 events.",
    "Of 32,000 samples, 16,000 were listened to and 16,000 declared as not heard. None is missing.",
  ]);
});
