/** The AudioWorklet processor: quanta in, frames out, on the audio thread. */
import { Framer } from "./resample.js";

const scope = /** @type {any} */ (globalThis); // AudioWorkletGlobalScope

class PcmProcessor extends scope.AudioWorkletProcessor {
  live = true;

  /** @param {{processorOptions: {to: number, frame: number}}} options */
  constructor({ processorOptions }) {
    super();
    this.framer = new Framer({ from: scope.sampleRate, ...processorOptions }, (pcm, level) =>
      this.port.postMessage({ pcm, level }, [pcm]),
    );
    this.port.onmessage = () => (this.live = false);
  }

  /** @param {Float32Array[][]} inputs without a channel between two devices @param {Float32Array[][]} outputs */
  process(inputs, outputs) {
    if (this.live) this.framer.push(inputs[0], 0, outputs[0][0].length);
    return this.live;
  }
}

scope.registerProcessor("pcm", PcmProcessor);
