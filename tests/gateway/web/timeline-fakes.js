// A canvas that writes down what is drawn, and a page whose frames and clock the test turns.

/** @typedef {{name: string, args: any[], style: any}} Call */

/** @param {Call[]} calls */
export function fakeContext(calls) {
  /** @type {any} */
  const state = { fillStyle: "", strokeStyle: "", globalAlpha: 1, dash: [] };
  return new Proxy(state, {
    get(target, name) {
      if (name in target) return target[name];
      if (name === "measureText") return (/** @type {string} */ text) => ({ width: text.length * 7 });
      if (name === "createPattern") return () => ({ pattern: true, setTransform() {} });
      return (/** @type {any[]} */ ...args) => {
        if (name === "setLineDash") target.dash = args[0];
        calls.push({ name: String(name), args, style: { ...target } });
      };
    },
  });
}

class FakeElement extends EventTarget {
  /** @type {Record<string, string>} */
  attributes = {};
  /** @type {any} */
  style = { setProperty() {} };
  textContent = "";
  width = 0;
  height = 0;
  clientWidth = 848;
  /** @type {Call[]} */
  calls = [];
  context = fakeContext(this.calls);

  constructor(/** @type {any} */ page) {
    super();
    this.ownerDocument = page;
  }
  getContext() {
    return this.context;
  }
  getBoundingClientRect() {
    return { left: 0, top: 0 };
  }
  setPointerCapture() {}
  setAttribute(/** @type {string} */ name, /** @type {string} */ value) {
    this.attributes[name] = value;
  }
}

/** A page with one canvas; `frame(ms)` lets time pass and runs what was asked for. */
export function fakePage({ reduced = false } = {}) {
  /** @type {any} */ (globalThis).Path2D = class {
    constructor(/** @type {string} */ path) {
      this.path = path;
    }
  };
  const page = /** @type {any} */ (new EventTarget());
  /** @type {((now: number) => void)[]} */
  let asked = [];
  const it = { page, now: 0, asks: 0, frames: 0 };
  page.hidden = false;
  page.createElement = () => new FakeElement(page);
  const canvas = new FakeElement(page);
  // As a browser resolves `var(--tl-bg)`: here to the name.
  page.defaultView = {
    devicePixelRatio: 1,
    getComputedStyle: () => ({
      fontSize: "16px",
      fontFamily: "sans",
      get color() {
        return /--tl-([\w-]+)/.exec(canvas.style.color)?.[1];
      },
    }),
  };
  const environment = {
    performance: { now: () => it.now },
    requestAnimationFrame(/** @type {(now: number) => void} */ callback) {
      it.asks++;
      asked.push(callback);
    },
    matchMedia: () => ({ matches: reduced }),
    ResizeObserver: class {
      observe() {}
      disconnect() {}
    },
  };
  return Object.assign(it, {
    canvas: /** @type {any} */ (canvas),
    detail: /** @type {any} */ (new FakeElement(page)),
    environment,
    waiting: () => asked.length,
    frame(ms = 16) {
      it.now += ms;
      canvas.calls.length = 0;
      const now = asked;
      asked = [];
      for (const callback of now) callback(it.now);
      it.frames += now.length;
      return /** @type {Call[]} */ (canvas.calls);
    },
    fire(/** @type {string} */ type, /** @type {object} */ fields = {}) {
      const event = Object.assign(new Event(type, { cancelable: true }), { button: 0, pointerId: 1 }, fields);
      canvas.dispatchEvent(event);
      return event;
    },
  });
}

const RATE = 16000;
let seq = 0;

/** An event of `seconds` from `at`. @param {string} type @param {number} at @param {object} fields */
export const said = (type, at, fields = {}, seconds = 1) => ({
  type,
  seq: ++seq,
  start_sample: at * RATE,
  end_sample: (at + seconds) * RATE,
  timestamp: at + seconds,
  ...fields,
});

/** @param {number} at @param {object} fields */
export const tone = (at, fields = {}) =>
  said("tone", at, {
    label: "Calm",
    affect: "calm",
    confidence: 0.5,
    speaker_id: null,
    arousal: 0.4,
    ...fields,
  });
