// A browser without one: a clock that is moved by hand, sockets and fetches that are answered by hand.

import { encode } from "@msgpack/msgpack";

/** @typedef {import("../../../gateway/web/undertone.js").Environment} Environment */

export const ORIGIN = "http://gateway.test";
export const AUDIO = /** @type {const} */ ({ encoding: "pcm_s16le", sample_rate: 16000, channels: 1 });

/** Lets everything happen that waits for nothing but its turn. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  /** @type {any[]} */ sent = [];
  /** @type {number | undefined} the code with which the client closed it */ closedWith;
  /** @type {any} */ onmessage;
  /** @type {any} */ onclose;
  /** @type {any} */ onerror;

  /** @param {string} url @param {string[]} protocols */
  constructor(url, protocols) {
    this.url = new URL(url);
    this.protocols = protocols;
  }

  /** @param {Uint8Array | string} data */
  send(data) {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data.slice());
  }

  /** @param {number} code */
  close(code) {
    this.closedWith ??= code;
    this.readyState = 3;
  }

  /** The server says something. @param {object} event */
  say(event) {
    this.raw(encode(event));
  }

  /** @param {Uint8Array} bytes */
  raw(bytes) {
    this.readyState = 1;
    this.onmessage({ data: bytes.slice().buffer });
  }

  /** The server closes, or the network does. */
  drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }

  /** @param {string} type */
  controls(type) {
    return this.sent.filter((one) => one.type === type);
  }

  /** Samples that were sent. */
  get samples() {
    return this.sent.reduce((sum, one) => sum + (one instanceof Uint8Array ? one.length / 2 : 0), 0);
  }
}

export class FakeBrowser {
  time = 1_000_000;
  random = 0.5;
  /** @type {FakeSocket[]} */ sockets = [];
  /** @type {{ url: string, init: any, answer: (response: Response | Error) => void }[]} */ calls = [];
  /** @type {{ at: number, then: () => void }[]} */ timers = [];

  /** @type {any} */
  get environment() {
    const browser = this;
    return {
      location: { origin: ORIGIN },
      now: () => this.time,
      random: () => this.random,
      setTimeout: (/** @type {() => void} */ then, ms = 0) => {
        const timer = { at: this.time + ms, then };
        this.timers.push(timer);
        return timer;
      },
      clearTimeout: (/** @type {any} */ timer) => {
        this.timers = this.timers.filter((one) => one !== timer);
      },
      fetch: (/** @type {string} */ url, /** @type {any} */ init) =>
        new Promise((resolve, reject) => {
          const answer = (/** @type {any} */ one) => (one instanceof Error ? reject(one) : resolve(one));
          init.signal?.addEventListener("abort", () => reject(new Error("aborted")));
          this.calls.push({ url, init, answer });
        }),
      WebSocket: class extends FakeSocket {
        /** @param {string} url @param {string[]} protocols */
        constructor(url, protocols) {
          super(url, protocols);
          browser.sockets.push(this);
        }
      },
    };
  }

  /** The socket of the moment. */
  get socket() {
    return /** @type {FakeSocket} */ (this.sockets.at(-1));
  }

  get call() {
    return /** @type {FakeBrowser["calls"][number]} */ (this.calls.at(-1));
  }

  /** Time goes by, and timers run when they are due. @param {number} ms */
  pass(ms) {
    const until = this.time + ms;
    for (;;) {
      const [next] = this.timers.filter((one) => one.at <= until).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.time = Math.max(this.time, next.at);
      next.then();
    }
    this.time = until;
  }

  /** Time goes by while no timer runs: the device sleeps. @param {number} ms */
  sleep(ms) {
    this.time += ms;
  }
}

/** @param {object} [fields] */
export const welcome = (fields) => ({
  type: "welcome",
  protocol: "undertone.v1",
  session_id: "s1",
  epoch: "e1",
  next_seq: 1,
  next_sample: 0,
  recovered: true,
  replay_from: null,
  replay_to: null,
  resume_token: "token1",
  audio: AUDIO,
  window_ms: 1000,
  hop_ms: 1000,
  delivery: "realtime",
  limit: null,
  limits: { max_message_bytes: 65536, realtime_factor: 4, burst_s: 5, detached_s: 90 },
  heartbeat_s: 20,
  ...fields,
});

/** @param {number} seq @param {object} [fields] */
export const tone = (seq, fields) => ({ type: "tone", seq, session_id: "s1", label: "Calm", ...fields });

export const SUMMARY = { type: "summary", seq: 9, session_id: "s1", next_sample: 0 };

/** What happens to a session, in words. @param {EventTarget} target */
export function log(target) {
  /** @type {string[]} */
  const states = [];
  /** @type {any[]} */
  const events = [];
  target.addEventListener("state", (/** @type {any} */ { detail }) => states.push(detail.state));
  target.addEventListener("event", (/** @type {any} */ { detail }) => events.push(detail));
  return { states, events, seqs: () => events.map((one) => one.seq).filter((seq) => seq !== undefined) };
}
