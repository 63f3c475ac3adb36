// Every word a person reads: plain, exact, never empty, never shouted.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { account } from "../../../gateway/web/page/after.js";
import * as words from "../../../gateway/web/page/words.js";

test("times and lengths", () => {
  assert.deepEqual(
    [0, 65.9, 3723, -1].map((one) => words.clock(one)),
    ["0:00", "1:05", "1:02:03", "0:00"],
  );
  assert.equal(words.duration(0.44), "0.4 seconds");
  assert.equal(words.duration(1), "1 second");
  assert.equal(words.duration(125), "2 minutes 5 seconds");
  assert.equal(words.duration(3600), "1 hour");
});

test("a low confidence reads as low, and never falls as it grows", () => {
  const order = ["a guess", "not very sure", "fairly sure", "quite sure"];
  const unit = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(unit, unit, (a, b) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      assert.ok(order.indexOf(words.certainty(low)) <= order.indexOf(words.certainty(high)));
      assert.ok(order.includes(words.certainty(a)));
    }),
  );
  assert.equal(words.certainty(0.29), "a guess");
  assert.equal(words.score(0.424), "42 of 100");
});

test("energy has a word for every arousal", () => {
  fc.assert(
    fc.property(fc.double({ min: -1, max: 2, noNaN: true }), (arousal) => assert.ok(words.energy(arousal))),
  );
  assert.deepEqual([0, 0.5, 1].map(words.energy), ["very low", "medium", "very high"]);
});

test("a shift is told as far as it is known", () => {
  assert.equal(words.shift("escalating", null), "rising");
  assert.equal(words.shift("escalating", 0.1), "rising a little");
  assert.equal(words.shift("de-escalating", 0.7), "clearly easing");
  assert.equal(words.shift("stable", 0.1), "steady");
  assert.equal(words.shift(null, 0.9), "");
  assert.equal(words.shift("sideways", 0.9), "");
});

test("labels nobody knows become readable", () => {
  assert.equal(words.readable("Warmly_Impatient"), "warmly impatient");
  assert.equal(words.flag("creaky_voice"), "creaky voice");
  assert.equal(words.flag("flat_f0"), "flat pitch");
  assert.equal(words.queue("music_on_hold"), "Music on hold");
  assert.equal(words.speaker(null, "robot_choir"), "Robot choir");
  assert.equal(words.gap(2, "overload"), "2.0 s not heard: the gateway was overloaded");
  assert.equal(words.gap(0.25, "solar_flare"), "0.3 s not heard: solar flare");
});

test("dialled keys may be a secret: how many, never which", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9*#]{1,20}$/), (digits) => {
      const told = words.queue("dtmf_tone", digits);
      assert.equal(told, `${digits.length} ${digits.length === 1 ? "key" : "keys"} pressed`);
    }),
  );
});

test("the connection says how far behind it is, calmly", () => {
  assert.equal(words.connection("live", 43.2), "Live, 40 ms behind");
  assert.equal(words.connection("live", 2449), "Live, 2.4 s behind");
  assert.equal(words.connection("live", null), "Live");
  assert.equal(words.connection("live", 12, true), "Watching, read only, 10 ms behind");
  assert.equal(words.connection("reconnecting", 12), "Reconnecting, your words are kept");
  assert.equal(words.connection("idle"), "Not connected");
});

test("every problem has a title and what to do, and shouts at nobody", () => {
  const codes = ["permission_denied", "no_device", "insecure_context", "replaced", "expired", "unreachable"];
  fc.assert(
    fc.property(
      fc.record(
        {
          code: fc.oneof(fc.constantFrom(...codes), fc.string(), fc.constantFrom("constructor", "__proto__")),
          status: fc.constantFrom(401, 403, 404, 429, 500, 503),
          retryAfterMs: fc.integer({ min: 1, max: 90_000 }),
        },
        { requiredKeys: [] },
      ),
      (error) => {
        const { title, todo } = words.problem(error);
        assert.equal(typeof title, "string");
        assert.ok(title.length > 0 && todo.length > 0);
        assert.doesNotMatch(title + todo, /!|undefined|\[object/);
      },
    ),
  );
  assert.match(words.problem({ status: 503, retryAfterMs: 3000 }).todo, /Try again in 3 seconds\./);
  assert.equal(words.problem({}).title, "The gateway can't be reached");
  assert.equal(
    words.problem({ code: "teapot", message: "short and stout", status: 418 }).title,
    "The gateway says: short and stout",
  );
});

test("the privacy line says where the audio goes", () => {
  const at = (/** @type {string} */ url) => new URL(url);
  for (const url of ["http://127.0.0.1:8522", "http://localhost", "http://[::1]:8522", "http://127.9.8.7"]) {
    assert.match(words.privacy(at(url)), /stays on this machine/, url);
  }
  assert.match(words.privacy(at("https://gateway.example")), /gateway\.example, encrypted/);
  assert.match(words.privacy(at("http://127.0.0.1.example")), /without encryption/);
  assert.match(words.privacy(at("http://localhost"), 900), /until 15 minutes after/);
});

test("the account balances, or says that it does not", () => {
  const told = {
    next_sample: 32_000,
    classified_samples: 32_000,
    gap_samples: 0,
    duration_s: 2,
    speakers: ["Speaker A"],
    events: { tone: 2, speaker: 1 },
  };
  assert.deepEqual(account(told), [
    "2 seconds of audio, 1 voice, 3 events.",
    "All 32,000 samples were listened to.",
  ]);
  const missed = account({ ...told, classified_samples: 30_000, gap_samples: 2000, record_truncated: true });
  assert.match(missed[1], /30,000 were listened to and 2,000 declared as not heard\. None is missing/);
  assert.match(missed[2], /limit/);
  assert.match(account({ ...told, classified_samples: 31_000 })[1], /does not balance: 1,000/);
});
