// What the page knows, made out of the session's events. Pure: events and the time they came go in, the names of
// the parts that changed come out. Each durable event counts once, by its `seq`.

/**
 * @typedef {Record<string, any> & {type: string}} Event
 * @typedef {{label: string, confidence: number, speaker_id: string | null, affect: string | null,
 *   subtext: string | null, shift_direction: string | null, shift_magnitude: number | null,
 *   arousal: number | null, prosody_flags: readonly string[], start_sample: number, end_sample: number}} Heard
 * @typedef {{kind: "said" | "gap" | "service", seq: number, start: number, text: string,
 *   speaker: string | null, tone: Heard | null, reason?: string, seconds?: number, language?: string | null}} Line
 * @typedef {{start: number, text: string, speaker: string | null, language: string | null}} Interim
 * @typedef {{kind: string, label: string, digits?: string | null, at: number}} Badge
 * @typedef {"now" | "lines" | "interim" | "summary" | "task"} Part
 */

/** Lines kept; the gateway's own record has all of them. */
export const MOST_LINES = 20_000;
const TONES = 512;

const TEXTS = "label text reason detail affect subtext shift_direction speaker_id language digits";
const NUMBERS =
  "start_sample end_sample next_sample classified_samples gap_samples duration_s timestamp hop_ms confidence arousal shift_magnitude";
/** What an event of a type can't do without. @type {Record<string, string>} */
const NEEDS = {
  tone: "label confidence prosody_flags start_sample end_sample",
  transcript: "text start_sample end_sample",
  gap: "reason start_sample end_sample",
  speaker: "label",
  service: "detail timestamp",
  summary: "next_sample classified_samples gap_samples duration_s speakers events",
};
/** @param {unknown} value */
const isText = (value) => typeof value === "string";

/** Whether what is shown of an event is what it should be: a strange server may say anything. @param {Event} event */
export function usable(event) {
  /** @param {string} names @param {(value: any) => boolean} fits @returns {boolean} */
  const all = (names, fits) => names.split(" ").every((name) => fits(event[name] ?? null));
  const { prosody_flags: flags = [], speakers = [] } = event;
  return (
    all(TEXTS, (value) => value === null || isText(value)) &&
    all(NUMBERS, (value) => value === null || Number.isFinite(value)) &&
    (!Object.hasOwn(NEEDS, event.type) || all(NEEDS[event.type], (value) => value !== null)) &&
    [flags, speakers].every((list) => Array.isArray(list) && list.every(isText))
  );
}

export class Model {
  lastSeq = 0;
  /** Events up to this one are told again, not news. */
  replayTo = 0;
  /** @type {Heard | null} */
  tone = null;
  /** When the last tone was heard; null where it was only replayed. @type {number | null} */
  toneAt = null;
  /** @type {{id: string | null, label: string, at: number} | null} */
  speaker = null;
  /** By kind: queue, environ, scene, accent. @type {Map<string, Badge>} */
  badges = new Map();
  /** @type {Line[]} */
  lines = [];
  /** Lines that were let go of at the front. */
  dropped = 0;
  /** By start sample: talkers may overlap. @type {Map<number, Interim>} */
  interims = new Map();
  /** @type {any} */
  summary = null;
  /** Newest last. @type {Heard[]} */
  tones = [];

  constructor(rate = 16_000) {
    this.rate = rate;
  }

  /** Forget everything: another session, or the server lost its history. */
  clear() {
    Object.assign(this, new Model(this.rate));
  }

  /** @param {{epoch?: string, replay_to?: number | null, audio?: {sample_rate: number}}} welcome */
  welcome(welcome) {
    this.rate = Number(welcome.audio?.sample_rate) || this.rate;
    this.replayTo = welcome.replay_to ?? 0;
  }

  /**
   * Take one event in.
   * @param {Event} event @param {number} at milliseconds @returns {Part[]} what changed
   */
  add(event, at) {
    if (typeof event.seq !== "number" || event.seq <= this.lastSeq) return [];
    this.lastSeq = event.seq;
    const fresh = event.seq > this.replayTo;
    switch (event.type) {
      case "tone":
        return this.#tone(/** @type {Event & Heard} */ (event), fresh ? at : null);
      case "speaker":
        if (fresh) this.speaker = { id: event.speaker_id, label: event.label, at };
        return fresh ? ["now"] : [];
      case "queue":
      case "environ":
      case "scene":
      case "accent":
        return this.#badge(event, fresh, at);
      case "transcript":
        return this.#words(event);
      case "gap":
        return this.#gap(event);
      case "service":
        if (event.status === "ready" || event.status === "loading") return [];
        return this.#line(event, { kind: "service", text: event.detail });
      case "summary":
        this.summary = event;
        this.interims.clear();
        return ["summary", "interim", "now"];
      case "task":
        return ["task"];
      default:
        return [];
    }
  }

  /** The words that are not final yet, in their order. */
  get interim() {
    return [...this.interims.values()].sort((a, b) => a.start - b.start);
  }

  /** @param {Heard} tone @param {number | null} at @returns {Part[]} */
  #tone(tone, at) {
    this.tone = tone;
    this.toneAt = at;
    this.tones.push(tone);
    if (this.tones.length > TONES) this.tones.shift();
    return ["now"];
  }

  /** @param {Event} event @param {boolean} fresh @param {number} at @returns {Part[]} */
  #badge(event, fresh, at) {
    if (!fresh || typeof event.label !== "string") return [];
    this.badges.set(event.type, {
      kind: event.type,
      label: event.label,
      digits: event.digits,
      at,
    });
    return ["now"];
  }

  /** @param {Event} event @returns {Part[]} */
  #words(event) {
    const text = String(event.text).trim();
    if (!event.is_final) {
      const { start_sample: start, speaker_id: speaker, language } = event;
      if (text) this.interims.set(start, { start, text, speaker, language });
      else this.interims.delete(start);
      return ["interim"];
    }
    for (const start of this.interims.keys()) if (start < event.end_sample) this.interims.delete(start);
    if (!text) return ["interim"];
    const tone = this.#toneOf(event.start_sample, event.end_sample);
    /** @type {Partial<Line>} */
    const line = {
      kind: "said",
      text,
      speaker: event.speaker_id,
      tone,
      language: event.language,
    };
    return [...this.#line(event, line), "interim"];
  }

  /** Gaps of one reason that touch are one. @param {Event} event @returns {Part[]} */
  #gap(event) {
    const seconds = (event.end_sample - event.start_sample) / this.rate;
    const last = this.lines.at(-1);
    const touches = last?.kind === "gap" && last.reason === event.reason;
    if (
      last &&
      touches &&
      Math.abs(last.start + (last.seconds ?? 0) - event.start_sample / this.rate) < 1e-6
    ) {
      last.seconds = (last.seconds ?? 0) + seconds;
      return ["lines"];
    }
    return this.#line(event, {
      kind: "gap",
      text: "",
      reason: event.reason,
      seconds,
    });
  }

  /** @param {Event} event @param {Partial<Line>} line @returns {Part[]} */
  #line(event, line) {
    const start = event.start_sample === undefined ? event.timestamp : event.start_sample / this.rate;
    const whole = { seq: event.seq, start, speaker: null, tone: null, ...line };
    this.lines.push(/** @type {Line} */ (whole));
    if (this.lines.length > MOST_LINES) {
      this.lines.shift();
      this.dropped += 1;
    }
    return ["lines"];
  }

  /** How a stretch mostly sounded: the label with the most of it, weighed by confidence. @param {number} from @param {number} to */
  #toneOf(from, to) {
    /** @type {Map<string, number>} */
    const weights = new Map();
    /** @type {Heard | null} */
    let best = null;
    for (const tone of this.tones) {
      const shared = Math.min(to, tone.end_sample) - Math.max(from, tone.start_sample);
      if (shared <= 0) continue;
      const weight = (weights.get(tone.label) ?? 0) + shared * tone.confidence;
      weights.set(tone.label, weight);
      if (!best || tone.label === best.label || weight > (weights.get(best.label) ?? 0)) best = tone;
    }
    return best;
  }
}
