/**
 * Channels of any rate in, mono 16-bit frames of exact length out. Rates are converted by a polyphase windowed sinc
 * (Crochiere and Rabiner, Multirate Digital Signal Processing, 1983) under a Kaiser window (1974).
 */
/** @import { Level } from "./capture/types.d.ts" */
const ATTENUATION = 80; // dB in the stop band
const BETA = 0.1102 * (ATTENUATION - 8.7);
const BLOCK = 128;
const FLOOR = -100; // dBFS; the smallest step of 16 bits is at -90.3

/** @type {Level} */
export const SILENCE = { rms: FLOOR, peak: FLOOR };

/** @type {(a: number, b: number) => number} */
const gcd = (a, b) => (b ? gcd(b, a % b) : a);

/** Modified Bessel function of order 0. @param {number} x */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-12 * sum; k++) sum += term *= (x / 2 / k) ** 2;
  return sum;
}

/**
 * Output k stands at the time of input k * from / to. Positions are whole numbers, so nothing drifts: n samples in
 * give max(0, ceil((n - delay) * to / from)) out.
 */
export class Resampler {
  /** @param {number} from Hz @param {number} to Hz */
  constructor(from, to) {
    const lower = Math.min(from, to);
    this.phases = to / gcd(from, to);
    this.step = from / gcd(from, to);
    // Pass to 7/8 of the lower Nyquist frequency, stop from 9/8. At equal rates the sinc is 1 and zeros.
    const taps = ((ATTENUATION - 7.95) * from * 8) / (2.285 * 2 * Math.PI * lower);
    this.delay = from === to ? 1 : Math.ceil(taps / 2);
    this.taps = 2 * this.delay;
    this.rows = new Float32Array(this.phases * this.taps);
    for (let phase = 0; phase < this.phases; phase++) this.#fill(phase, Math.PI * (lower / from));
    this.input = new Float32Array(this.taps + BLOCK);
    this.held = this.delay - 1; // silence before the first sample
    this.at = this.phase = 0;
    this.out = new Float32Array(Math.ceil((BLOCK * to) / from) + 1);
  }

  /** One row of coefficients, which passes DC as it is. @param {number} phase @param {number} omega */
  #fill(phase, omega) {
    const row = this.rows.subarray(phase * this.taps, (phase + 1) * this.taps);
    let sum = 0;
    for (let i = 0; i < this.taps; i++) {
      const t = i - this.delay + 1 - phase / this.phases;
      const window = bessel(BETA * Math.sqrt(Math.max(0, 1 - (t / this.delay) ** 2)));
      sum += row[i] = window * (t ? Math.sin(omega * t) / (omega * t) : 1);
    }
    for (let i = 0; i < this.taps; i++) row[i] /= sum;
  }

  /** Fills `out` from at most a block; returns how many. @param {Float32Array} samples @param {number} count */
  process(samples, count) {
    const { input, rows, taps, out } = this;
    for (let i = 0; i < count; i++) input[this.held++] = samples[i];
    let made = 0;
    while (this.at + taps <= this.held) {
      const row = this.phase * taps;
      let sum = 0;
      for (let i = 0; i < taps; i++) sum += input[this.at + i] * rows[row + i];
      out[made++] = sum;
      this.phase += this.step;
      this.at += Math.floor(this.phase / this.phases);
      this.phase %= this.phases;
    }
    const used = Math.min(this.at, this.held);
    input.copyWithin(0, used, this.held);
    this.held -= used;
    this.at -= used;
    return made;
  }
}

/** @param {number} amplitude */
const decibels = (amplitude) => Math.max(FLOOR, 20 * Math.log10(amplitude / 32768));

export class Framer {
  /**
   * @param {{from: number, to: number, frame: number}} rates Hz, Hz, samples
   * @param {(pcm: ArrayBuffer, level: Level) => void} emit
   */
  constructor({ from, to, frame }, emit) {
    this.resampler = new Resampler(from, to);
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
    const { mono } = this;
    for (let at = start; at < end; at += BLOCK) {
      const count = Math.min(BLOCK, end - at);
      mono.fill(0);
      for (let c = 0; c < channels.length; c++) {
        for (let i = 0; i < count; i++) mono[i] += channels[c][at + i] / channels.length;
      }
      this.#take(this.resampler.process(mono, count));
    }
  }

  /** The end: what the filter holds, and a last frame that may be shorter. */
  flush() {
    this.push([], 0, this.resampler.delay);
    if (this.filled) this.#release(this.pcm.slice(0, this.filled));
  }

  /** @param {number} count */
  #take(count) {
    for (let i = 0; i < count; i++) {
      const value = Math.max(-32768, Math.min(32767, Math.round(this.resampler.out[i] * 32768)));
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
