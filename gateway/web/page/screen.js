// What is drawn, and when: events only mark what changed, and one frame draws all of it.

import { NowPanel, describe } from "./now.js";
import * as words from "./words.js";

/** With hops smaller than this a tone stays so long before the next one is shown, so that nothing flickers. */
const CALM_MS = 900;
const now = () => performance.now();

/** @typedef {{phase: import("./words.js").Phase, hopMs: number, watching: boolean, behindMs: number}} Standing */

export class Screen {
  #panel = new NowPanel();
  /** @type {Set<string>} */
  #dirty = new Set();
  /** @type {unknown} the tone that is shown, and since when */
  #shown = null;
  #shownAt = -Infinity;

  /**
   * @param {{model: import("./model.js").Model, transcript: import("./transcript.js").Transcript,
   *   bar: import("./bar.js").Bar}} parts
   * @param {() => Standing} standing
   */
  constructor(parts, standing) {
    this.parts = parts;
    this.standing = standing;
  }

  /** @param {string[]} parts that changed */
  mark(...parts) {
    if (parts.length && this.#dirty.size === 0) requestAnimationFrame(() => this.#draw());
    for (const part of parts) this.#dirty.add(part);
  }

  #draw() {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    const { transcript, bar } = this.parts;
    const { phase, behindMs, watching } = this.standing();
    if (dirty.has("lines")) transcript.render();
    if (dirty.has("interim")) transcript.renderInterim();
    if (dirty.has("now")) this.#drawNow();
    if (dirty.has("bar")) bar.render(phase, behindMs, watching);
  }

  #drawNow() {
    const { phase, hopMs, watching } = this.standing();
    const { model } = this.parts;
    const live = phase === "live";
    if (model.tone !== this.#shown) {
      if (hopMs < CALM_MS && now() - this.#shownAt < CALM_MS && live) return;
      [this.#shown, this.#shownAt] = [model.tone, now()];
    }
    this.#panel.render(describe(model, now(), live, hopMs), words.idle(phase, watching));
  }
}
