// What is written on the timeline's blocks, and the families of tones.

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
