/** Frames are exact, the filter is as flat and as steep as it says, and nothing drifts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Framer } from "../../../gateway/web/framer.js";
import { Resampler } from "../../../gateway/web/resample.js";

const RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 44056];

/** @param {number} from @param {number} to @param {Float32Array} samples */
function resample(from, to, samples) {
  const resampler = new Resampler(from, to);
  /** @type {number[]} */
  const out = [];
  for (let at = 0; at < samples.length; at += 128) {
    const block = samples.subarray(at, at + 128);
    out.push(...resampler.out.subarray(0, resampler.process(block, block.length)));
  }
  return out;
}

/** @param {number} from @param {number} to @param {number} frame @param {Float32Array[]} channels @param {number[]} [cuts] */
function frames(from, to, frame, channels, cuts = []) {
  /** @type {Int16Array[]} */
  const made = [];
  /** @type {{rms: number, peak: number}[]} */
  const levels = [];
  /** @type {(pcm: ArrayBuffer, level: {rms: number, peak: number}) => void} */
  const emit = (pcm, level) => {
    made.push(new Int16Array(pcm));
    levels.push(level);
  };
  const framer = new Framer(frame, emit, from === to ? null : new Resampler(from, to));
  const { length } = channels[0];
  const ends = [...cuts.map((cut) => cut % (length + 1)), length].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    framer.push(channels, start, end);
    start = end;
  }
  const whole = made.length;
  framer.flush();
  return { made, levels, whole };
}

/** @param {number} rate @param {number} hertz @param {number} count */
const sine = (rate, hertz, count) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate));

/** Amplitude of one frequency, and the RMS of all else. @param {number[]} samples @param {number} rate @param {number} hertz */
function fit(samples, rate, hertz) {
  let re = 0;
  let im = 0;
  let weight = 0;
  const window = samples.map((_, i) => Math.sin((Math.PI * (i + 0.5)) / samples.length) ** 4);
  samples.forEach((x, i) => {
    re += 2 * window[i] * x * Math.cos((2 * Math.PI * hertz * i) / rate);
    im += 2 * window[i] * x * Math.sin((2 * Math.PI * hertz * i) / rate);
    weight += window[i];
  });
  const [a, b] = [re / weight, im / weight];
  const rest = samples.map((x, i) => {
    const angle = (2 * Math.PI * hertz * i) / rate;
    return x - a * Math.cos(angle) - b * Math.sin(angle);
  });
  return { amplitude: Math.hypot(a, b), rest: rms(rest) };
}

/** @param {number[]} samples */
const rms = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);

/** @param {number} ratio */
const dB = (ratio) => 20 * Math.log10(ratio);

for (const rate of [24000, 44056, 44100, 48000, 96000]) {
  test(`from ${rate} Hz, speech to 7 kHz passes within 0.5 dB`, () => {
    for (const hertz of [60, 440, 1000, 3000, 5000, 6500, 7000]) {
      const out = resample(rate, 16000, sine(rate, hertz, rate / 4)).slice(200);
      const { amplitude, rest } = fit(out, 16000, hertz);
      assert.ok(Math.abs(dB(amplitude)) < 0.5, `${hertz} Hz: ${dB(amplitude)} dB`);
      assert.ok(dB(rest) < -60, `${hertz} Hz leaves ${dB(rest)} dB of other things`);
    }
  });

  test(`from ${rate} Hz, what lies above 9 kHz comes back at most at -60 dB`, () => {
    for (const hertz of [9000, 9500, 10000, 11500, 15000, 16000, 21000, 40000]) {
      if (hertz > rate / 2) continue;
      const out = resample(rate, 16000, sine(rate, hertz, rate / 4)).slice(200);
      const gain = dB(rms(out) * Math.SQRT2);
      assert.ok(gain < -60, `${hertz} Hz: ${gain} dB`);
    }
  });
}

test("from 8 kHz up, the tone stays and its image is gone", () => {
  for (const hertz of [200, 1000, 3000, 3500]) {
    const out = resample(8000, 16000, sine(8000, hertz, 4000)).slice(200);
    const { amplitude, rest } = fit(out, 16000, hertz);
    assert.ok(Math.abs(dB(amplitude)) < 0.5, `${hertz} Hz: ${dB(amplitude)} dB`);
    assert.ok(dB(rest) < -60, `${hertz} Hz leaves ${dB(rest)} dB of other things`);
  }
});

test("an impulse comes out at its own time, and alike on both sides", () => {
  const input = new Float32Array(1200);
  input[300] = 1;
  const out = resample(48000, 16000, input);
  assert.equal(out.indexOf(Math.max(...out)), 100);
  for (let k = 1; k < 40; k += 1) assert.ok(Math.abs(out[100 + k] - out[100 - k]) < 1e-6);
});

test("at one rate, samples pass as they are", () => {
  const samples = [0.5, -0.25, 1, -1, 0.1];
  const { made } = frames(16000, 16000, 4, [Float32Array.from(samples)]);
  assert.deepEqual(
    made.map((pcm) => [...pcm]),
    [[16384, -8192, 32767, -32768], [3277]],
  );
});

test("a constant stays what it is", () => {
  const { made } = frames(44100, 16000, 1600, [new Float32Array(44100).fill(0.5)]);
  assert.ok(made[4].every((value) => value === 16384));
});

test("any chunking of any rate gives the same frames", () => {
  const cases = fc.record({
    from: fc.constantFrom(...RATES),
    frame: fc.integer({ min: 1, max: 700 }),
    length: fc.integer({ min: 1, max: 3000 }),
    cuts: fc.array(fc.nat(3000), { maxLength: 12 }),
    channels: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(cases, ({ from, frame, length, cuts, channels }) => {
      const sound = Array.from({ length: channels }, (_, c) =>
        Float32Array.from({ length }, (_, i) => Math.sin(i * (0.1 + c) + i * i * 1e-3)),
      );
      const once = frames(from, 16000, frame, sound);
      const apart = frames(from, 16000, frame, sound, cuts);
      assert.deepEqual(apart.made, once.made);
      assert.equal(apart.whole, once.whole);
    }),
    { numRuns: 60 },
  );
});

test("the counts are exact: whole frames on the way, every sample at the end", () => {
  const cases = fc.record({
    from: fc.oneof(
      fc.constantFrom(...RATES),
      fc.integer({ min: 80, max: 960 }).map((x) => x * 100),
    ),
    to: fc.constantFrom(8000, 16000, 24000),
    frame: fc.integer({ min: 1, max: 2000 }),
    length: fc.integer({ min: 1, max: 9000 }),
  });
  fc.assert(
    fc.property(cases, ({ from, to, frame, length }) => {
      const delay = from === to ? 0 : new Resampler(from, to).delay;
      const { made, whole } = frames(from, to, frame, [new Float32Array(length)]);
      const waiting = Math.max(0, Math.ceil(((length - delay) * to) / from));
      assert.equal(whole, Math.floor(waiting / frame));
      const total = Math.ceil((length * to) / from);
      assert.equal(
        made.reduce((sum, pcm) => sum + pcm.length, 0),
        total,
      );
      assert.ok(made.slice(0, -1).every((pcm) => pcm.length === frame));
    }),
    { numRuns: 40 },
  );
});

test("nothing drifts in an hour: each period of the ratio ends in the state that it began in", () => {
  for (const from of RATES) {
    const resampler = new Resampler(from, 16000);
    const zeros = new Float32Array(128);
    const period = resampler.step;
    /** @param {number} count */
    const feed = (count) => {
      let made = 0;
      for (let left = count; left > 0; left -= 128) made += resampler.process(zeros, Math.min(128, left));
      return made;
    };
    feed(resampler.delay + 7 * period);
    const state = [resampler.phase, resampler.held, resampler.at];
    assert.equal(feed(period), resampler.phases, `${from} Hz`);
    assert.deepEqual([resampler.phase, resampler.held, resampler.at], state);
    assert.equal(((3600 * from) / period) * resampler.phases, 3600 * 16000);
  }
});

test("channels are averaged, and no channel is silence", () => {
  const made = /** @type {number[][]} */ ([]);
  const framer = new Framer(3, (pcm) => made.push([...new Int16Array(pcm)]));
  framer.push([Float32Array.of(0.5, 1, 0), Float32Array.of(0.25, -1, 0)], 0, 3);
  framer.push([], 0, 3);
  framer.flush();
  assert.deepEqual(made, [
    [12288, 0, 0],
    [0, 0, 0],
  ]);
});

test("conversion to 16 bits rounds to nearest and clips", () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (sample) => {
      const { made } = frames(16000, 16000, 1, [Float32Array.of(sample)]);
      const [value] = made[0];
      if (sample >= 1) assert.equal(value, 32767);
      else if (sample < -1) assert.equal(value, -32768);
      else assert.ok(Math.abs(value - sample * 32768) <= (value === 32767 ? 1 : 0.5));
    }),
  );
  assert.equal(frames(16000, 16000, 1, [Float32Array.of(NaN)]).made[0][0], 0);
});

test("the level is that of the frame, in dB of full scale", () => {
  const { levels } = frames(16000, 16000, 1600, [
    Float32Array.of(
      ...sine(16000, 1000, 1600),
      ...new Float32Array(1600),
      ...new Float32Array(1600).fill(-1),
    ),
  ]);
  assert.ok(Math.abs(levels[0].rms + 3.01) < 0.01);
  assert.ok(Math.abs(levels[0].peak) < 0.01);
  assert.deepEqual(levels.slice(1), [
    { rms: -100, peak: -100 },
    { rms: 0, peak: 0 },
  ]);
});
