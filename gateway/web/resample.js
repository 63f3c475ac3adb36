/**
 * From any rate to any other by a polyphase windowed sinc (Crochiere and Rabiner, Multirate Digital Signal Processing,
 * 1983) under a Kaiser window (1974).
 */
import { BLOCK } from "./framer.js";

const ATTENUATION = 80; // dB in the stop band
const BETA = 0.1102 * (ATTENUATION - 8.7);

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
