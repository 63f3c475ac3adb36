// What a screen reader is told, at a bearable pace: of tones only changes worth telling, at most one in a while,
// and of those the latest; a change of the connection at once. Pure: clock and timers are injected.

import { capital, certainty, readable } from "./words.js";

/** Milliseconds between two announcements of tones. */
export const PACE_MS = 5000;
const CLEAR_SHIFT = 0.6;
const GUESS = 0.3;

/** @typedef {import("./model.js").Heard} Heard */

/** What a tone is remembered by: the same again is no news. @param {Heard} tone */
const keyOf = (tone) => {
  const clear = (tone.shift_magnitude ?? 0) >= CLEAR_SHIFT && tone.shift_direction !== "stable";
  return `${tone.speaker_id ?? ""}|${tone.affect ?? tone.label}|${clear ? tone.shift_direction : ""}`;
};

/** The words for a tone. @param {Heard} tone */
export function toneWords(tone) {
  const said = tone.subtext ?? capital(readable(tone.affect ?? tone.label));
  const who = tone.speaker_id ? `${tone.speaker_id}. ` : "";
  return `${who}${said.replace(/[.:]$/, "")}, ${certainty(tone.confidence)}.`;
}

/**
 * @param {{say: (text: string) => void, now: () => number,
 *   setTimeout: (call: () => void, ms: number) => unknown, clearTimeout: (timer: any) => void}} environment
 */
export function createAnnouncer({ say, now, setTimeout, clearTimeout }) {
  let told = "";
  let toldAt = -Infinity;
  /** @type {Heard | null} */
  let waiting = null;
  /** @type {unknown} */
  let timer = null;

  function speak() {
    const left = toldAt + PACE_MS - now();
    timer = left > 0 ? setTimeout(speak, left) : null;
    if (timer !== null) return; // something was told meanwhile
    const tone = waiting;
    waiting = null;
    if (!tone || keyOf(tone) === told) return;
    told = keyOf(tone);
    toldAt = now();
    say(toneWords(tone));
  }

  return {
    /** @param {Heard} tone */
    tone(tone) {
      if (tone.confidence < GUESS) return;
      waiting = tone;
      if (timer === null) speak();
    },
    /** At once, whatever the pace. @param {string} text */
    tell(text) {
      toldAt = now(); // a tone right behind would cut it off
      say(text);
    },
    /** A new session: nothing was told yet. */
    reset() {
      if (timer !== null) clearTimeout(timer);
      timer = waiting = null;
      told = "";
    },
  };
}
