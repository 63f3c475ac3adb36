// The sound on its way to the session: one source at a time, and its first moments held until the session is there.

import { capture } from "../capture.js";

const EARLY_FRAMES = 50;

export class Listening {
  /** @type {any} */
  source = null;
  /** @type {ArrayBuffer[]} */
  #early = [];
  /** @type {{send(pcm: ArrayBuffer): void} | null} */
  #session = null;
  /** Aborted when another source, or none, takes its place. */
  #open = new AbortController();
  /** Whether anything was captured since the source was opened. */
  flowing = false;

  /** @param {{onLevel: (level: {rms: number}) => void, onEnd: (reason: string) => void}} told */
  constructor(told) {
    this.told = told;
  }

  /** Open a source in place of the one before, unless `close` comes first. @param {object} source @returns {Promise<void>} */
  async open(source) {
    await this.close();
    const { signal } = this.#open;
    try {
      const opened = await capture({
        source: /** @type {any} */ (source),
        sampleRate: 16_000,
        frameMs: 100,
        signal,
        onFrame: (/** @type {ArrayBuffer} */ pcm) => this.#take(pcm),
        onLevel: (/** @type {{rms: number}} */ level) => this.told.onLevel(level),
        onEnd: (/** @type {string} */ reason) => this.told.onEnd(reason),
      });
      if (!signal.aborted) this.source = opened;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** What was heard so far, and all that comes, goes to `session`. @param {{send(pcm: ArrayBuffer): void}} session */
  feed(session) {
    this.#session = session;
    for (const pcm of this.#early.splice(0)) session.send(pcm);
  }

  /** The session is gone. */
  async stop() {
    this.#session = null;
    await this.close();
  }

  /** @param {boolean} [keep] what was heard before there was a session */
  async close(keep) {
    this.#open.abort();
    this.#open = new AbortController();
    if (!keep) this.#early = [];
    this.flowing = false;
    const { source } = this;
    this.source = null;
    await source?.stop();
  }

  /** @param {ArrayBuffer} pcm */
  #take(pcm) {
    this.flowing = true;
    if (this.#session) return this.#session.send(pcm);
    this.#early.push(pcm);
    if (this.#early.length > EARLY_FRAMES) this.#early.shift();
  }
}
