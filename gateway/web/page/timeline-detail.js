// The words of the timeline: its clock, families of tones, and an event as text.

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
const WORDS = {
  ringback: "ringing",
  busy: "busy tone",
  dtmf_tone: "keys",
  ivr_synth: "recorded voice",
  human_single: "one person",
  human_multi: "several people at once",
  client: "not sent, or no audio",
  overload: "the gateway was too busy",
  classifier: "the classifier failed",
  drain: "the session or the gateway ended first",
  failover: "the gateway that held the session was lost",
  queue: "Call",
  environ: "Surroundings",
  scene: "Place",
  speaker: "Heard",
  warning: "Notice",
  error: "Fault",
};

/** @param {string} label */
const plain = (label) =>
  WORDS[label] ??
  label
    .replace(/(?<=[a-z])(?=[A-Z])|[\s_\-./]+/g, " ")
    .trim()
    .toLowerCase()
    .slice(0, 40);

/** What is written on a block. @param {Event} e */
export const wordOf = (e) => plain(e.affect || e.label) + (e.digits ? ` ${e.digits}` : "");

/** @param {Event} e */
export const familyOf = (e) =>
  Object.keys(FAMILIES).find((f) => FAMILIES[f].test(wordOf(e)) || FAMILIES[f].test(plain(e.label))) ??
  "other";

/** `1:05`, `1:05.3`, `1:02:03`. @param {number} seconds */
export function clock(seconds, tenths = false) {
  const t = Math.floor(seconds * 10 + 1e-6);
  const two = (/** @type {number} */ n) => String(n % 60).padStart(2, "0");
  const minutes = Math.floor(t / 600);
  const hours = minutes < 60 ? minutes : `${Math.floor(minutes / 60)}:${two(minutes)}`;
  return `${hours}:${two(Math.floor(t / 10))}${tenths ? `.${t % 10}` : ""}`;
}

/** @param {number | null} c */
const sure = (c) =>
  c == null ? "" : `, ${c < 0.3 ? "low" : c < 0.6 ? "medium" : "high"} confidence (${Math.round(c * 100)} %)`;

/** The words of an utterance between two samples; all of them where their places aren't known.
 * @param {Event} e @param {number} from @param {number} to @returns {string} */
function said(e, from, to) {
  const inside = (/** @type {Event} */ part) => part.start_sample < to && part.end_sample > from;
  const heard = e.words?.filter(inside).map((/** @type {Event} */ word) => word.text);
  return inside(e) ? (heard?.join(" ") ?? e.text) : "";
}

/** An event in short sentences. @param {Event} e @param {number} rate @param {Event[]} utterances of its time */
export function describe(e, rate, utterances) {
  const from = clock(e.start_sample / rate, true);
  const at =
    e.type === "service" ? clock(e.timestamp, true) : `${from} to ${clock(e.end_sample / rate, true)}`;
  const parts = [at, e.speaker_id];
  if (e.type === "gap") parts.push(`Not heard: ${plain(e.reason)}`);
  else if (e.type === "service") parts.push(`${WORDS[e.status]}: ${e.detail}`);
  else if (e.type === "transcript")
    parts.push(`“${e.text}”${e.is_final ? "" : " so far"}${sure(e.confidence)}`);
  else if (e.type !== "tone") parts.push(`${WORDS[e.type]}: ${wordOf(e)}${sure(e.confidence)}`);
  else {
    const words = utterances.map((u) => said(u, e.start_sample, e.end_sample)).filter(Boolean);
    parts.push(`Tone: ${wordOf(e)}${sure(e.confidence)}`, e.subtext?.replace(/\.$/, ""));
    if (e.arousal != null) parts.push(`Arousal ${Math.round(e.arousal * 100)} %`);
    if (words.length) parts.push(`Said: “${words.join(" ")}”`);
  }
  return parts.filter(Boolean).join(". ") + ".";
}
