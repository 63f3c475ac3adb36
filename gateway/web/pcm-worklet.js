/** The AudioWorklet processor: quanta in, frames out, on the audio thread. */
/** @import { Resampler } from "./resample.js" */
import { Framer } from "./framer.js";

const scope = /** @type {any} */ (globalThis); // AudioWorkletGlobalScope

export class PcmProcessor extends scope.AudioWorkletProcessor {
  live = true;

  /** @param {{processorOptions: {frame: number}}} options @param {Resampler} [resampler] */
  constructor({ processorOptions }, resampler) {
    super();
    const emit = (/** @type {ArrayBuffer} */ pcm, /** @type {object} */ level) =>
      this.port.postMessage({ pcm, level }, [pcm]);
    this.framer = new Framer(processorOptions.frame, emit, resampler);
    this.port.onmessage = () => (this.live = false);
  }

  /** @param {Float32Array[][]} inputs without a channel between two devices @param {Float32Array[][]} outputs */
  process(inputs, outputs) {
    if (this.live) this.framer.push(inputs[0], 0, outputs[0][0].length);
    return this.live;
  }
}

scope.registerProcessor("pcm", PcmProcessor);
