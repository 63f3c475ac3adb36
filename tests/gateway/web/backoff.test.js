// The pauses between attempts, and the states.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { backoffMs } from "../../../gateway/web/client/backoff.js";

test("a pause is below the bound of its attempt and below ten seconds", () => {
  fc.assert(
    fc.property(
      fc.nat(5000),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        const pause = backoffMs(attempt, random);
        assert.ok(pause >= 0 && pause < 10_000 && pause < 250 * 2 ** Math.min(attempt, 60));
      },
    ),
  );
});

test("the jitter is full: the pause is any part of the bound, and the bound doubles", () => {
  assert.equal(backoffMs(0, 0), 0);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].map((n) => backoffMs(n, 0.5)),
    [125, 250, 500, 1000, 2000, 4000, 5000, 5000],
  );
});
