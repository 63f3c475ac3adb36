// The words a person reads that aren't in index.html: labels of the protocol (docs/protocol.md) made plain.
// Pure. A label that isn't in a table is made readable, never guessed at.

/** @type {Record<string, string>} */
const QUEUE = {
  ringback: "Ringing",
  busy: "Busy signal",
  dtmf_tone: "Keys pressed",
};

/** @type {Record<string, string>} */
const FLAGS = {
  flat_f0: "flat pitch",
  loud: "louder than usual",
  soft: "softer than usual",
  tense: "pressed voice",
  rising_terminal: "rising at the end",
};

/** @type {Record<string, string>} */
const SPEAKERS = {
  human_single: "One person",
  human_multi: "Several people",
  ivr_synth: "A machine voice",
  no_speaker: "Nobody",
};

/** @type {Record<string, string>} */
const GAPS = {
  client: "the audio did not reach the gateway",
  overload: "the gateway was overloaded",
  classifier: "the classifier failed",
  drain: "the gateway was going away",
  failover: "the gateway failed and another took over",
};

/** What happened, and what to do, also where the gateway is away. The rest is in problems.js.
 * @type {Record<string, [string, string]>} */
export const NOTICES = {
  device_lost: ["The microphone went away", "Your session is still open. Connect it again, then continue."],
  permission_lost: [
    "The microphone is no longer allowed",
    "Your session is still open. Allow the microphone again, then continue.",
  ],
  not_listening: ["Nothing is listened to", "Your session is still open. Choose a source, then continue."],
  silent_start: ["The browser waits for you", "Press Continue to listen again. Your session is still open."],
  expired: [
    "This session timed out",
    "Nothing reached the gateway for too long. What was said until then stays on this page.",
  ],
  unreachable: [
    "The gateway can't be reached",
    "Check that it runs and that you are connected. This page tries again when the network is back.",
  ],
};

/** What `table` itself has: no label is called `constructor`. @template T @param {Record<string, T>} table @param {string} name */
export const of = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);

/** `Warmly_Impatient` as people would write it. @param {string} label */
export const readable = (label) =>
  label
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replace(/[\s_./-]+/g, " ")
    .trim()
    .toLowerCase();

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Minutes and seconds: `1:05`, `1:05.3`, `1:02:03`. @param {number} seconds */
export function clock(seconds, tenths = false) {
  const t = Math.max(0, Math.floor(seconds * 10 + 1e-6));
  const two = (/** @type {number} */ n) => String(n % 60).padStart(2, "0");
  const minutes = Math.floor(t / 600);
  const hours = minutes < 60 ? minutes : `${Math.floor(minutes / 60)}:${two(minutes)}`;
  return `${hours}:${two(Math.floor(t / 10))}${tenths ? `.${t % 10}` : ""}`;
}

/** @param {number} n @param {string} one @param {string} [many] */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** A length of time: `2 minutes 5 seconds`, `0.4 seconds`. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 10) return count(Math.round(seconds * 10) / 10, "second");
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 3600), "hour"],
    [Math.floor(whole / 60) % 60, "minute"],
    [whole % 60, "second"],
  ];
  return parts.flatMap(([n, unit]) => (n ? [count(Number(n), String(unit))] : [])).join(" ");
}

/** How sure a score sounds: low must read as low. @param {number} confidence */
export function certainty(confidence) {
  if (confidence < 0.3) return "a guess";
  if (confidence < 0.5) return "not very sure";
  return confidence < 0.75 ? "fairly sure" : "quite sure";
}

/** A score is not a chance, so it is no per cent. @param {number} confidence */
export const score = (confidence) => `${Math.round(confidence * 100)} of 100`;

/** How energetic a voice sounds, 0 to 1. @param {number} arousal */
export const energy = (arousal) =>
  ["very low", "low", "medium", "high", "very high"][Math.min(4, Math.max(0, Math.floor(arousal * 5)))];

/** Where a tone is going; empty where nobody knows. @param {string | null} direction @param {number | null} by */
export function shift(direction, by) {
  if (direction === "stable") return "steady";
  const way = of({ escalating: "rising", "de-escalating": "easing" }, direction ?? "");
  if (!way) return "";
  if (by === null || (by >= 0.25 && by < 0.6)) return way;
  return by < 0.25 ? `${way} a little` : `clearly ${way}`;
}

/** @param {string} name */
export const flag = (name) => of(FLAGS, name) ?? readable(name);

/** @param {string} label @param {string | null} [digits] how many keys, never which: they may be a secret */
export const queue = (label, digits) =>
  label === "dtmf_tone" && digits
    ? count(digits.length, "key") + " pressed"
    : (of(QUEUE, label) ?? capital(readable(label)));

/** @param {string | null | undefined} id @param {string} [label] */
export const speaker = (id, label) => id ?? (label ? (of(SPEAKERS, label) ?? capital(readable(label))) : "");

/** Why a stretch was not heard. @param {string} reason */
export const unheard = (reason) => of(GAPS, reason) ?? readable(reason);

/** @param {number} seconds @param {string} reason */
export const gap = (seconds, reason) => `${seconds.toFixed(1)} s not heard: ${unheard(reason)}`;

/** How far behind: to ten milliseconds, so that it is calm. @param {number | null | undefined} ms */
export function lag(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "";
  return ms < 995 ? `${Math.round(ms / 10) * 10} ms behind` : `${(ms / 1000).toFixed(1)} s behind`;
}

/** @typedef {"idle" | "starting" | "live" | "reconnecting" | "stopping" | "ended" | "expired"} Phase */

/** The state of the connection. @param {Phase} phase @param {number | null} [ms] @param {boolean} [watching] */
export function connection(phase, ms, watching) {
  const behind = lag(ms);
  const live = watching ? "Watching, read only" : "Live";
  return {
    idle: "Not connected",
    starting: "Connecting",
    live: behind ? `${live}, ${behind}` : live,
    reconnecting: "Reconnecting",
    stopping: "Finishing",
    ended: "Ended",
    expired: "Timed out",
  }[phase];
}

/** What the big panel says while nothing is heard: a word and a sentence. @param {Phase} phase @param {boolean} watching */
export function idle(phase, watching) {
  if (phase === "starting")
    return ["One moment", watching ? "Opening the session." : "Opening the microphone."];
  if (phase === "reconnecting") return ["Reconnecting", "What is said meanwhile is kept for five seconds."];
  if (phase === "stopping") return ["Finishing", "The last words are on their way."];
  if (phase === "ended") return ["Session over", "What was said stays on this page."];
  if (phase === "expired") return ["Timed out", "What was said until then stays on this page."];
  if (watching) return ["Not connected", "The session can't be read just now."];
  return ["Ready", "Press Start and speak. You will see how it sounds within two seconds."];
}

/** What went wrong, where no gateway is needed to say it. @param {{code?: string, status?: number}} error */
export function notice({ code, status }) {
  const [title, todo] = of(NOTICES, code ?? (status === undefined ? "unreachable" : "")) ?? [];
  return title ? { title, todo } : null;
}

const LOOPBACK = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;

/** Where the audio goes. @param {{hostname: string, host: string, protocol: string}} place @param {number} [keptS] */
export function privacy(place, keptS) {
  const way = LOOPBACK.test(place.hostname)
    ? `Audio goes to ${place.host} and stays on this machine.`
    : `Audio goes to ${place.host}${place.protocol === "https:" ? ", encrypted on the way" : " without encryption"}.`;
  const until = keptS
    ? `until ${duration(keptS)} after the session ends`
    : "for a while after the session ends";
  return `${way} It is never stored on a disk. Words and tones are kept in memory there ${until}.`;
}
