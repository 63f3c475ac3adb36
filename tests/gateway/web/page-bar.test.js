// The bar at the top: one button that says what it does, a level, and calm notices.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Bar } from "../../../gateway/web/page/bar.js";
import { PHASES, page } from "./page-fakes.js";

beforeEach(() => page.clear());

/** @param {string} id */
const at = (id) => document.getElementById(id) ?? assert.fail(id);

function world() {
  /** @type {string[]} */
  const told = [];
  return { bar: new Bar((text) => told.push(text)), told };
}

test("in each phase the button, the title and what can be shared fit", () => {
  const { bar } = world();
  const seen = PHASES.map((phase) => {
    bar.render(phase, 40, false);
    bar.title(phase);
    return [at("main-button").textContent, document.title, !at("share").hidden && !at("meter").hidden];
  });
  assert.deepEqual(seen, [
    ["Start", "Undertone", false],
    ["Cancel", "Undertone", false],
    ["Stop", "Live · Undertone", true],
    ["Stop", "Reconnecting · Undertone", true],
    ["Stopping", "Undertone", false],
    ["Start again", "Ended · Undertone", false],
    ["Start again", "Timed out · Undertone", false],
  ]);
  bar.render("live", 40, true);
  assert.deepEqual([at("share").hidden, at("meter").hidden], [true, true]);
  assert.equal(at("state-text").textContent, "Watching, read only, 40 ms behind");
});

test("the level stays within its bar, from digital silence to full scale", () => {
  const { bar } = world();
  const scale = (/** @type {number} */ rms) => {
    bar.level(rms, 1);
    return Number(/^scaleX\((.*)\)$/.exec(at("level").style.transform)?.[1]);
  };
  const scales = [-Infinity, -60, -33, -6, 0, 3].map(scale);
  assert.deepEqual(scales, [0, 0, 0.5, 1, 1, 1]);
});

test("a source that stays silent is asked about, once it has been for a while, until it is heard", () => {
  const { bar } = world();
  const asked = (/** @type {number} */ rms, /** @type {number} */ now) => {
    bar.level(rms, now);
    return at("level-text").textContent !== "";
  };
  assert.deepEqual([asked(-90, 1000), asked(-90, 5000), asked(-90, 5001)], [false, false, true]);
  assert.deepEqual([asked(-40, 5100), asked(-90, 5200), asked(-90, 9201)], [false, false, true]);
});

test("the silence at the end of one session is not counted in the next one", () => {
  const { bar } = world();
  bar.render("live");
  bar.level(-90, 1000);
  bar.render("ended");
  bar.render("live");
  bar.level(-90, 60_000);
  assert.equal(at("level-text").textContent, "");
});

test("a notice is told at once, its button acts once and takes it away", () => {
  const { bar, told } = world();
  let pressed = 0;
  bar.notice({ title: "It stopped", todo: "Try again." }, [{ label: "Again", press: () => pressed++ }]);
  assert.deepEqual(told, ["It stopped. Try again."]);
  assert.equal(at("notice").textContent, "It stoppedTry again.AgainDismiss");
  assert.equal(at("notice").hidden, false);
  at("notice").children[1].children[0].dispatchEvent(new Event("click"));
  assert.deepEqual([pressed, at("notice").hidden, at("notice").textContent], [1, true, ""]);
});

test("focus that was in a notice is on the button afterwards; elsewhere it is left alone", () => {
  const { bar } = world();
  const acts = () => at("notice").children[1].children;
  const again = () => bar.notice({ title: "So it is" }, [{ label: "Again", press() {} }]);
  for (const leave of [
    () => acts()[0].dispatchEvent(new Event("click")),
    () => acts()[1].dispatchEvent(new Event("click")),
    () => bar.hush(),
    again,
  ]) {
    again();
    /** @type {any} */ (acts()[0]).focus();
    leave();
    assert.equal(document.activeElement, at("main-button"));
  }
  at("share").focus();
  again();
  bar.hush();
  assert.equal(document.activeElement, at("share"));
});

test("a notice can be put away without doing anything", () => {
  const { bar } = world();
  bar.notice({ title: "So it is" });
  at("notice").children[1].children[0].dispatchEvent(new Event("click"));
  assert.equal(at("notice").hidden, true);
});
