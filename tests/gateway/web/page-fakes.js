// What a session says, made short (one second of audio at 16 kHz for each event unless told otherwise), and as
// much of a document as the page's modules need to be watched without a browser.

const RATE = 16_000;

/** All that the page can be in. @type {readonly import("../../../gateway/web/page/words.js").Phase[]} */
export const PHASES = ["idle", "starting", "live", "reconnecting", "stopping", "ended", "expired"];

/** @type {import("../../../gateway/web/page/model.js").Heard} */
const PLAIN = {
  label: "Calm",
  confidence: 0.8,
  speaker_id: null,
  affect: null,
  subtext: null,
  shift_direction: null,
  shift_magnitude: null,
  arousal: null,
  prosody_flags: [],
  start_sample: 0,
  end_sample: RATE,
};

/** @param {Partial<import("../../../gateway/web/page/model.js").Heard>} fields */
export const heard = (fields = {}) => ({ ...PLAIN, ...fields });

/**
 * A durable event about the audio from second `at` on.
 * @param {string} type @param {number} seq @param {number} at @param {Record<string, unknown>} [fields]
 * @param {number} [seconds] @returns {import("../../../gateway/web/page/model.js").Event}
 */
export const event = (type, seq, at, fields = {}, seconds = 1) => ({
  type,
  seq,
  timestamp: at + seconds,
  start_sample: Math.round(at * RATE),
  end_sample: Math.round((at + seconds) * RATE),
  ...fields,
});

/** @param {number} seq @param {number} at @param {object} [fields] @param {number} [seconds] */
export const tone = (seq, at, fields = {}, seconds = 1) => ({
  ...heard(),
  ...event("tone", seq, at, {}, seconds),
  ...fields,
});

/** @param {number} seq @param {number} at @param {string} text @param {object} [fields] @param {number} [seconds] */
export const words = (seq, at, text, fields = {}, seconds = 1) =>
  event(
    "transcript",
    seq,
    at,
    { text, is_final: true, speaker_id: null, language: null, ...fields },
    seconds,
  );

export class FakeElement extends EventTarget {
  /** @type {any[]} */
  children = [];
  /** @type {FakeElement | null} */
  parent = null;
  /** @type {Record<string, string>} */
  attributes = {};
  /** @type {Record<string, string>} */
  dataset = {};
  /** @type {Record<string, any>} */
  style = { setProperty() {} };
  classList = { toggle() {}, remove() {} };
  hidden = false;
  #text = "";
  scrollTop = 0;
  clientHeight = 100;

  get scrollHeight() {
    return 20 * (page.get("lines")?.children.length ?? 0);
  }
  get textContent() {
    return this.#text + this.children.map((one) => one.textContent ?? one).join("");
  }
  set textContent(text) {
    this.children = [];
    this.#text = text;
  }
  get childElementCount() {
    return this.children.length;
  }
  get firstElementChild() {
    return this.children[0] ?? null;
  }
  get lastElementChild() {
    return this.children.at(-1) ?? null;
  }
  setAttribute(/** @type {string} */ name, /** @type {string} */ value) {
    this.attributes[name] = value;
  }
  removeAttribute(/** @type {string} */ name) {
    delete this.attributes[name];
  }
  append(/** @type {any[]} */ ...nodes) {
    for (const node of nodes) if (node instanceof FakeElement) node.parent = this;
    this.children.push(...nodes);
  }
  prepend(/** @type {any[]} */ ...nodes) {
    const { children } = this;
    this.children = [];
    this.append(...nodes);
    this.children.push(...children);
  }
  replaceChildren(/** @type {any[]} */ ...nodes) {
    this.textContent = "";
    this.append(...nodes);
  }
  remove() {
    this.parent?.children.splice(this.parent.children.indexOf(this), 1);
  }
  focus() {
    /** @type {any} */ (document).activeElement = this;
  }
  /** @param {any} node @returns {boolean} */
  contains(node) {
    return node === this || this.children.some((one) => one === node || one.contains?.(node));
  }
  /** By class only. @param {string} selector @returns {FakeElement | null} */
  querySelector(selector) {
    return this.children.find((one) => one.attributes?.class === selector.slice(1)) ?? null;
  }
}

/** The elements by their ids, which all exist. @type {Map<string, FakeElement>} */
export const page = new Map();
Object.defineProperty(globalThis, "document", {
  value: {
    title: "",
    getElementById(/** @type {string} */ id) {
      if (!page.has(id)) page.set(id, new FakeElement());
      return page.get(id);
    },
    createElement: () => new FakeElement(),
    body: new FakeElement(),
  },
});
