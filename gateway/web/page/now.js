// The panel that says how it sounds now. What is unknown is not shown, and its place is kept, so nothing jumps.

import { $, el, put } from "./dom.js";
import * as words from "./words.js";

/** @typedef {import("./model.js").Model} Model */

/** Badges go by themselves so long after they were last heard. */
export const BADGE_MS = 6000;
const QUIET_MS = 2500;
const SILENT = ["no_speaker", "silence", "dead_air"];
/** The gateway repeats a state that lasts every ten seconds. */
const SILENT_MS = 15_000;

/**
 * What the panel says, as plain words. Pure.
 * @param {Model} model @param {number} now milliseconds @param {boolean} live @param {number} hopMs
 */
export function describe(model, now, live, hopMs) {
  const { tone, toneAt, speaker } = model;
  const fresh = tone && toneAt !== null && now - toneAt < QUIET_MS + 2 * hopMs;
  const badges = [...model.badges.values()]
    .filter((one) => now - one.at < BADGE_MS)
    .map(({ kind, label, digits }) => {
      // a street can be busy without a busy signal
      const text = kind === "queue" ? words.queue(label, digits) : words.capital(words.readable(label));
      return { kind, text };
    });
  if (!live || !tone || !fresh) {
    // That no tone comes is no proof that nobody speaks: it is said only where the gateway says so, and lately.
    const last = [speaker, model.badges.get("queue")];
    const nobody = last.some((one) => one && SILENT.includes(one.label) && now - one.at < SILENT_MS);
    const some = nobody || tone !== null;
    const affect = live ? (some ? "Quiet" : "Listening") : "";
    const subtext = live
      ? nobody
        ? "Nobody is speaking."
        : some
          ? "No tone just now."
          : "Nothing yet."
      : "";
    return { fresh: false, affect, subtext, badges, tone: null };
  }
  const affect = words.capital(words.readable(tone.affect ?? tone.label));
  return { fresh: true, affect, subtext: tone.subtext ?? "", badges, tone };
}

/** @param {HTMLElement} fact @param {string} text @param {number} [level] 0 to 1 */
function fill(fact, text, level) {
  fact.classList.toggle("unknown", !text);
  put(/** @type {Element} */ (fact.querySelector("dd span")), text);
  const bar = /** @type {HTMLElement | null} */ (fact.querySelector(".bar i"));
  if (bar) bar.style.transform = `scaleX(${level ?? 0})`;
}

export class NowPanel {
  /** @type {Map<string, HTMLElement>} */
  #badges = new Map();

  /** @param {ReturnType<typeof describe>} told @param {string[]} idle said while nothing runs */
  render(told, idle) {
    const { tone } = told;
    const affect = told.affect || idle[0];
    put($("affect"), affect);
    $("affect").style.setProperty("--letters", affect.length); // long ones are smaller
    put($("subtext"), told.affect ? told.subtext : idle[1]);
    const level = tone ? words.certainty(tone.confidence) : "";
    $("now").dataset.tone = tone ? words.readable(tone.label) : "";
    $("now").dataset.sure = level;
    fill($("sure"), tone ? `${words.capital(level)}, ${words.score(tone.confidence)}` : "", tone?.confidence);
    const energy = tone?.arousal ?? null;
    fill($("energy"), energy === null ? "" : words.capital(words.energy(energy)), energy ?? 0);
    fill($("shift"), tone ? words.capital(words.shift(tone.shift_direction, tone.shift_magnitude)) : "");
    put($("who"), tone ? words.speaker(tone.speaker_id) : "");
    put($("flags"), tone ? words.capital(tone.prosody_flags.map(words.flag).join(", ")) : "");
    this.#renderBadges(told.badges);
  }

  /** @param {{kind: string, text: string}[]} badges */
  #renderBadges(badges) {
    const wanted = new Map(badges.map(({ kind, text }) => [kind, text]));
    for (const [kind, node] of this.#badges) {
      node.classList.toggle("gone", !wanted.has(kind));
      if (!wanted.has(kind)) node.setAttribute("aria-hidden", "true");
    }
    for (const [kind, text] of wanted) {
      let node = this.#badges.get(kind);
      if (!node) {
        node = el("li", { class: "badge gone" });
        this.#badges.set(kind, node);
        $("badges").append(node);
      }
      put(node, text);
      node.classList.remove("gone");
      node.removeAttribute("aria-hidden");
    }
  }
}
