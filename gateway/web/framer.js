/** Channels in, mono 16-bit frames of exact length out. */
/** @import { Level } from "./capture/types.d.ts" */
/** @import { Resampler } from "./resample.js" */
/** Samples taken at a time: a quantum of Web Audio. */
export const BLOCK = 128;
const FLOOR = -100; // dBFS; the smallest step of 16 bits is at -90.3

/** @type {Level} */
export const SILENCE = { rms: FLOOR, peak: FLOOR };

/** @param {number} amplitude */
const decibels = (amplitude) => Math.max(FLOOR, 20 * Math.log10(amplitude / 32768));

export class Framer {
  /**
   * @param {number} frame samples
   * @param {(pcm: ArrayBuffer, level: Level) => void} emit
   * @param {Resampler | null} [resampler] where the channels have another rate than the frames
   */
  constructor(frame, emit, resampler = null) {
    this.resampler = resampler;
    this.mono = new Float32Array(BLOCK);
    this.pcm = new Int16Array(frame);
    this.emit = emit;
    this.filled = this.squares = this.peak = 0;
  }

  /**
   * Takes the mean of samples [start, end) of the channels; silence where there is none.
   * @param {Float32Array[]} channels @param {number} start @param {number} end
   */
  push(channels, start, end) {
    const { mono, resampler } = this;
    for (let at = start; at < end; at += BLOCK) {
      const count = Math.min(BLOCK, end - at);
      mono.fill(0);
      for (let c = 0; c < channels.length; c++) {
        for (let i = 0; i < count; i++) mono[i] += channels[c][at + i] / channels.length;
      }
      if (resampler) this.#take(resampler.out, resampler.process(mono, count));
      else this.#take(mono, count);
    }
  }

  /** The end: what the filter holds, and a last frame that may be shorter. */
  flush() {
    this.push([], 0, this.resampler?.delay ?? 0);
    if (this.filled) this.#release(this.pcm.slice(0, this.filled));
  }

  /** @param {Float32Array} samples @param {number} count */
  #take(samples, count) {
    for (let i = 0; i < count; i++) {
      const value = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32768)));
      this.pcm[this.filled++] = value;
      this.squares += value * value;
      this.peak = Math.max(this.peak, Math.abs(value));
      if (this.filled === this.pcm.length) this.#release(this.pcm);
    }
  }

  /** @param {Int16Array<ArrayBuffer>} pcm */
  #release(pcm) {
    const level = {
      rms: decibels(Math.sqrt(this.squares / pcm.length)),
      peak: decibels(this.peak),
    };
    this.filled = this.squares = this.peak = 0;
    this.pcm = new Int16Array(this.pcm.length); // the other one is given away
    this.emit(pcm.buffer, level);
  }
}
