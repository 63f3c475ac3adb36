/** One call when the page goes and one when it comes back, whatever events a browser sends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { watchVisibility } from "../../../gateway/web/visibility.js";

/** @param {string} [state] */
function world(state = "visible") {
  const document = Object.assign(new EventTarget(), { visibilityState: state });
  const window = new EventTarget();
  const clock = { ms: 1000 };
  /** @type {(string | number)[]} */
  const calls = [];
  const stop = watchVisibility(
    {
      hidden: () => calls.push("hidden"),
      shown: (ms) => calls.push(ms),
      online: () => calls.push("online"),
    },
    { document: /** @type {any} */ (document), window, now: () => clock.ms },
  );
  return {
    calls,
    clock,
    stop,
    /** @param {string} to */
    turn(to) {
      document.visibilityState = to;
      document.dispatchEvent(new Event("visibilitychange"));
    },
    /** @param {string} type */
    send: (type) => (/^page|online/.test(type) ? window : document).dispatchEvent(new Event(type)),
  };
}

test("hidden and shown, with the time between by the wall clock", () => {
  const { calls, clock, turn } = world();
  turn("hidden");
  clock.ms += 61_000; // no timer ran meanwhile
  turn("visible");
  assert.deepEqual(calls, ["hidden", 61_000]);
});

test("into the back/forward cache and out of it: one period", () => {
  const { calls, clock, turn, send } = world();
  send("pagehide");
  turn("hidden");
  send("freeze");
  clock.ms += 500;
  send("resume");
  turn("visible");
  send("pageshow");
  assert.deepEqual(calls, ["hidden", 500]);
});

test("resumed but still hidden is still hidden", () => {
  const { calls, clock, turn, send } = world();
  turn("hidden");
  send("freeze");
  clock.ms += 100;
  send("resume");
  assert.deepEqual(calls, ["hidden"]);
  clock.ms += 100;
  turn("visible");
  assert.deepEqual(calls, ["hidden", 200]);
});

test("a page that starts hidden says so at once", () => {
  const { calls, clock, turn } = world("hidden");
  clock.ms += 5;
  turn("visible");
  assert.deepEqual(calls, ["hidden", 5]);
});

test("a clock set back gives no negative time", () => {
  const { calls, clock, turn } = world();
  turn("hidden");
  clock.ms -= 10_000;
  turn("visible");
  assert.deepEqual(calls, ["hidden", 0]);
});

test("the network back is passed on; nothing is after the end", () => {
  const { calls, stop, turn, send } = world();
  send("online");
  stop();
  send("online");
  turn("hidden");
  send("pagehide");
  assert.deepEqual(calls, ["online"]);
});

test("handlers are optional", () => {
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const window = new EventTarget();
  const stop = watchVisibility({}, { document: /** @type {any} */ (document), window });
  document.visibilityState = "visible";
  document.dispatchEvent(new Event("visibilitychange"));
  window.dispatchEvent(new Event("online"));
  stop();
});

test("in any order of events, hidden and shown take turns and the times add up", () => {
  const steps = fc.array(
    fc.tuple(fc.constantFrom("hidden", "visible", "pagehide", "pageshow", "freeze", "resume"), fc.nat(1000)),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, (sequence) => {
      const { calls, clock, turn, send } = world();
      for (const [step, ms] of sequence) {
        if (step === "hidden" || step === "visible") turn(step);
        else send(step);
        clock.ms += ms;
      }
      calls.forEach((call, i) => assert.equal(call === "hidden", i % 2 === 0));
      const away = calls.reduce((/** @type {number} */ sum, call) => sum + (+call || 0), 0);
      assert.ok(away <= clock.ms - 1000);
    }),
  );
});
