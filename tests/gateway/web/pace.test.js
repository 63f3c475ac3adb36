// What is paced never reads as a flood.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makePace } from "../../../gateway/web/client/pace.js";

test("whatever is sent keeps to the server's own bucket, with room to spare", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(2000), fc.integer({ min: 1, max: 250 })), { maxLength: 200 }),
      (course) => {
        const pace = makePace(1000, 4, 5);
        let [now, tokens] = [0, 5000]; // the server's: a burst of 5 s, four times real time
        for (const [pause, samples] of course) {
          now += pause;
          tokens = Math.min(5000, tokens + pause * 4);
          const wait = pace.wait(now);
          assert.ok(wait <= 84, `${wait} ms for a quarter of a second`);
          if (wait > 0) continue;
          pace.spend(samples);
          tokens -= samples;
          assert.ok(tokens >= 0, "a flood");
        }
      },
    ),
  );
});

test("live audio never waits", () => {
  const pace = makePace(1000, 4, 5);
  for (let now = 0; now < 60_000; now += 100) {
    assert.equal(pace.wait(now), 0);
    pace.spend(100);
  }
});

test("no limits, no waiting; a clock set back does no harm", () => {
  const free = makePace(1000);
  free.spend(1e9);
  assert.equal(free.wait(0), 0);
  const pace = makePace(1000, 4, 5);
  pace.spend(4000);
  const wait = pace.wait(1e6);
  assert.ok(pace.wait(0) >= wait);
});

test("a network that held what was under way, and what follows at once, are no flood together", () => {
  const pace = makePace(1000, 4, 5);
  const held = pace.burst;
  pace.wait(0);
  pace.spend(held);
  let tokens = 5000 - held; // all of it arrives now, after a long stall: the server's bucket was full
  for (let now = 60_000; now < 62_000; now += 10) {
    tokens = Math.min(5000, tokens + 40);
    while (pace.wait(now) === 0) {
      pace.spend(250);
      tokens -= 250;
      assert.ok(tokens >= 0, "a flood");
    }
  }
});
