// What is left of a session: the closing account, and files to keep.

import { $, el, put, show } from "./dom.js";
import { capital, count, duration } from "./words.js";

/** @typedef {import("./files.js").SessionRecord} SessionRecord */

/**
 * The closing account of a session.
 * @param {{next_sample: number, classified_samples: number, gap_samples: number, pending_samples?: number,
 *   duration_s: number, speakers: readonly string[], events: Record<string, number>, record_truncated?: boolean}} told
 */
export function account(told) {
  const { next_sample: all, classified_samples: heard, gap_samples: missed } = told;
  const events = Object.values(told.events).reduce((sum, n) => sum + n, 0);
  const lines = [
    `${capital(duration(told.duration_s))} of audio, ${count(told.speakers.length, "voice")}, ${count(events, "event")}.`,
  ];
  const rest = all - heard - missed - (told.pending_samples ?? 0);
  const n = (/** @type {number} */ samples) => samples.toLocaleString("en");
  if (rest !== 0) lines.push(`The account does not balance: ${n(Math.abs(rest))} samples differ.`);
  else if (missed === 0) lines.push(`All ${n(all)} samples were listened to.`);
  else
    lines.push(
      `Of ${n(all)} samples, ${n(heard)} were listened to and ${n(missed)} declared as not heard. None is missing.`,
    );
  if (told.record_truncated) lines.push("The record reached its limit and lacks what came later.");
  return lines;
}

export class After {
  /** @type {string | null} */
  #session = null;
  #busy = false;

  /** @param {{record: () => Promise<SessionRecord>, keyed: () => boolean, problem: (error: any) => void}} page */
  constructor(page) {
    this.page = page;
    $("export").addEventListener("click", () => this.#make("export"));
    $("report").addEventListener("click", () => this.#make("report"));
  }

  /** @param {string} session its id @param {any} summary null where the session had none @param {boolean} files */
  open(session, summary, files) {
    this.#session = session;
    put($("made"), "");
    $("report-link").replaceChildren();
    const lines = summary
      ? account(summary)
      : ["There is no closing account: the session goes on elsewhere, or ended while this page was away."];
    $("account").replaceChildren(...lines.map((line) => el("p", {}, line)));
    show($("files"), files);
    show($("after"), true);
  }

  /** What makes them is loaded when one is asked for. @param {"export" | "report"} what */
  async #make(what) {
    if (!this.#session || this.#busy) return;
    this.#busy = true;
    try {
      const [{ makers }, record] = await Promise.all([import("./files.js"), this.page.record()]);
      await makers[what](record, this.#session, this.page.keyed());
    } catch (error) {
      put($("made"), "");
      this.page.problem(error);
    } finally {
      this.#busy = false;
    }
  }
}
