// What a person chose: read from storage without trusting it, kept within the protocol's bounds, bound to the form.

/**
 * @typedef {{source: "microphone" | "tab" | "file", device: string, processing: boolean, window_ms: number,
 *   hop_ms: number, language: string, num_speakers: number | null, elcor: boolean, min_confidence: number,
 *   theme: "auto" | "light" | "dark"}} Settings
 */

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  source: "microphone",
  device: "",
  processing: false,
  window_ms: 1000,
  hop_ms: 1000,
  language: "",
  num_speakers: null,
  elcor: false,
  min_confidence: 0.1,
  theme: "auto",
});

/** @param {unknown} value @param {number} least @param {number} most @param {number} otherwise */
function within(value, least, most, otherwise) {
  const told = typeof value === "number" || (typeof value === "string" && value.trim() !== "");
  const number = told ? Number(value) : NaN;
  return Number.isFinite(number) ? Math.min(most, Math.max(least, number)) : otherwise;
}

/** @template {string} T @param {unknown} value @param {readonly T[]} known @param {T} otherwise @returns {T} */
const oneOf = (value, known, otherwise) => known.find((one) => one === value) ?? otherwise;

/** A BCP 47 tag in its usual spelling; empty where it is none. @param {unknown} value */
export function languageTag(value) {
  if (typeof value !== "string") return "";
  try {
    const [tag = ""] = Intl.getCanonicalLocales(value.trim());
    return tag.length > 35 ? "" : tag; // the gateway takes no longer one
  } catch {
    return "";
  }
}

/** Settings out of anything: what is missing or wrong is as by default. @param {unknown} given @returns {Settings} */
export function clamp(given) {
  const raw = /** @type {Record<string, unknown>} */ (given ?? {});
  const window_ms = Math.round(within(raw.window_ms, 200, 5000, DEFAULTS.window_ms));
  const speakers = Math.round(within(raw.num_speakers, 0, 8, 0));
  return {
    source: oneOf(raw.source, ["microphone", "tab", "file"], DEFAULTS.source),
    device: typeof raw.device === "string" ? raw.device : "",
    processing: raw.processing === true,
    window_ms,
    hop_ms: Math.round(within(raw.hop_ms, 100, window_ms, Math.min(DEFAULTS.hop_ms, window_ms))),
    language: languageTag(raw.language),
    num_speakers: speakers || null,
    elcor: raw.elcor === true,
    min_confidence: within(raw.min_confidence, 0, 1, DEFAULTS.min_confidence),
    theme: oneOf(raw.theme, ["auto", "light", "dark"], DEFAULTS.theme),
  };
}

/** The part that the gateway is told; it finds out what is left out. @param {Settings} s */
export const forSession = ({ window_ms, hop_ms, elcor, language, num_speakers, min_confidence }) => ({
  window_ms,
  hop_ms,
  elcor,
  min_confidence,
  ...(language && { language }),
  ...(num_speakers && { num_speakers }),
});
