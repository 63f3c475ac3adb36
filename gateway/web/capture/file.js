/** A recording as a source: decoded in one go, handed over at the pace of speech. */
/** @import { Level, Opened, Setup } from "./types.d.ts" */
import { Framer } from "../framer.js";
import { Resampler } from "../resample.js";
import { CaptureError } from "./errors.js";

const BLOCK = 128;
const BURST_MS = 1000; // timers of a background tab fire once a second

/** @param {Setup} setup @returns {Promise<Opened>} */
export async function openFile({ source, sampleRate, frame, env, outlet, signal }) {
  /** @type {AudioBuffer} */
  let buffer;
  try {
    // Decoding converts to the rate of the context, off the main thread.
    const context = new env.OfflineAudioContext(1, 1, sampleRate);
    buffer = await context.decodeAudioData(await source.file.arrayBuffer());
  } catch (error) {
    throw new CaptureError("bad_file", error);
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  let made = 0;
  /** @type {(pcm: ArrayBuffer, level: Level) => void} */
  const emit = (pcm, level) => {
    made += 1;
    outlet.frame(pcm, level);
  };
  const same = buffer.sampleRate === sampleRate;
  const framer = new Framer(frame, emit, same ? null : new Resampler(buffer.sampleRate, sampleRate));
  const now = () => env.performance.now();
  const frameMs = (1000 * frame) / sampleRate;
  const start = now();
  let last = start;
  let at = 0;
  let timer = 0;

  function next() {
    for (const before = made; made === before && at < buffer.length; at += BLOCK) {
      framer.push(channels, at, Math.min(at + BLOCK, buffer.length));
    }
    if (at < buffer.length) return;
    framer.flush();
    outlet.end("ended");
  }

  /** Frames are due when a microphone would have finished them; who is late may go at twice real time. */
  function tick() {
    const due = Math.floor((now() - start) / frameMs) - made;
    const allowed = Math.floor(Math.min(BURST_MS, 2 * (now() - last)) / frameMs);
    if (due > 0 && allowed) last = now();
    for (let left = Math.min(due, allowed); left > 0; left--) next();
    const then = Math.max(start + (made + 1) * frameMs, last + frameMs / 2);
    if (!signal.aborted) timer = +env.setTimeout(tick, then - now());
  }

  tick();
  signal.addEventListener("abort", () => env.clearTimeout(timer));
  return {
    label: source.file.name ?? "",
    processing: [],
    interrupted: false,
    enable() {},
  };
}
