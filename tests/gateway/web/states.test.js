// Every state with every input.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSITIONS, mayReturn, step } from "../../../gateway/web/client/states.js";

const STATES = /** @type {const} */ (["idle", "connecting", "live", "reconnecting", "ended", "expired"]);
const INPUTS = /** @type {const} */ (["open", "welcome", "loss", "final", "expiry", "leave", "wake"]);
/** One row for each state; - can't happen. */
const EXPECTED = {
  idle: "connecting - - - - idle reconnecting",
  connecting: "- live - ended - idle -",
  live: "- - reconnecting ended expired idle -",
  reconnecting: "- live reconnecting ended expired idle -",
  ended: "- - - - - ended -",
  expired: "- - - - - expired -",
};

test("the table has these states and no others", () =>
  assert.deepEqual(Object.keys(TRANSITIONS), [...STATES]));

for (const state of STATES) {
  for (const [index, input] of INPUTS.entries()) {
    const next = EXPECTED[state].split(" ")[index];
    test(`${state}, ${input}: ${next}`, () => {
      if (next === "-") assert.throws(() => step(state, input), /can't happen/);
      else assert.equal(step(state, input), next);
    });
  }
}

test("close codes are judged by name or by range", () => {
  const yes = [1001, 1006, 1011, 1012, 4100, 4101, 4102, 4199];
  const no = [1000, 1002, 1005, 1009, 3000, 4000, 4001, 4004, 4005, 4008, 4009, 4010, 4099, 4200, 4999];
  assert.deepEqual(
    yes.map(mayReturn),
    yes.map(() => true),
  );
  assert.deepEqual(
    no.map(mayReturn),
    no.map(() => false),
  );
});
