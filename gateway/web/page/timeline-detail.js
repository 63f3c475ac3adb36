// The words of the timeline: families of tones, and an event as text.

import * as words from "./words.js";

/** @import {Event} from "./timeline-types.js" */

/** Words of classifiers, whole or their beginnings. @type {Record<string, RegExp>} */
const FAMILIES = {
  calm: /^(calm|relax|warm(th)?$|confident)/,
  neutral: /^neu(tral)?$/,
  animated: /^(animat|happ|hap$|joy|cheer|exc|sur)/,
  tense: /^(tens|ang|frus|fru$|fea|afraid|anxi|nervous|irrit|impat|stress|urgen|dis$|disgust)/,
  subdued: /^(subdued|sad|bored|tired|resign)/,
};

/** @type {Record<string, string>} */
const KINDS = {
  queue: "Call",
  environ: "Surroundings",
  scene: "Place",
  speaker: "Heard",
  warning: "Notice",
  error: "Fault",
};

const MOST = 40;

/** What is written on a block. @param {Event} e */
export const wordOf = (e) =>
  e.type === "queue"
    ? words.queue(e.label, e.digits)
    : e.type === "speaker"
      ? words.speaker(null, e.label)
      : words.readable(e.affect || e.label).slice(0, MOST);

/** @param {Event} e */
export const familyOf = (e) =>
  Object.keys(FAMILIES).find(
    (f) => FAMILIES[f].test(wordOf(e)) || FAMILIES[f].test(words.readable(e.label)),
  ) ?? "other";

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
