// An event of the timeline as text.

import { wordOf } from "./timeline-labels.js";
import * as words from "./words.js";

/** @import {Event} from "./timeline-types.js" */

/** @type {Record<string, string>} */
const KINDS = {
  queue: "Call",
  environ: "Surroundings",
  scene: "Place",
  speaker: "Heard",
  warning: "Notice",
  error: "Fault",
};

/** @param {number | null} c */
const sure = (c) => (c == null ? "" : `, ${words.certainty(c)}, ${words.score(c)}`);

/** The words of an utterance between two samples; all of them where their places aren't known.
 * @param {Event} e @param {number} from @param {number} to @returns {string} */
function said(e, from, to) {
  const inside = (/** @type {Event} */ part) => part.start_sample < to && part.end_sample > from;
  const heard = e.words?.filter(inside).map((/** @type {Event} */ word) => word.text);
  return inside(e) ? (heard?.join(" ") ?? e.text) : "";
}

/** An event in short sentences. @param {Event} e @param {number} rate @param {Event[]} utterances of its time */
export function describe(e, rate, utterances) {
  const from = words.clock(e.start_sample / rate, true);
  const at =
    e.type === "service"
      ? words.clock(e.timestamp, true)
      : `${from} to ${words.clock(e.end_sample / rate, true)}`;
  const parts = [at, e.speaker_id];
  if (e.type === "gap") parts.push(`Not heard: ${words.unheard(e.reason)}`);
  else if (e.type === "service") parts.push(`${KINDS[e.status]}: ${e.detail}`);
  else if (e.type === "transcript")
    parts.push(`“${e.text}”${e.is_final ? "" : " so far"}${sure(e.confidence)}`);
  else if (e.type !== "tone") parts.push(`${KINDS[e.type]}: ${wordOf(e)}${sure(e.confidence)}`);
  else {
    const told = utterances.map((u) => said(u, e.start_sample, e.end_sample)).filter(Boolean);
    parts.push(`Tone: ${wordOf(e)}${sure(e.confidence)}`, e.subtext?.replace(/\.$/, ""));
    if (e.arousal != null) parts.push(`Energy in the voice: ${words.energy(e.arousal)}`);
    if (told.length) parts.push(`Said: “${told.join(" ")}”`);
  }
  return parts.filter(Boolean).join(". ") + ".";
}
