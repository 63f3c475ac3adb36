/** The same processor for a context that runs at another rate than the frames are to have. */
import { PcmProcessor } from "./pcm-worklet.js";
import { Resampler } from "./resample.js";

const scope = /** @type {any} */ (globalThis); // AudioWorkletGlobalScope

class ResamplingProcessor extends PcmProcessor {
  /** @param {{processorOptions: {to: number, frame: number}}} options */
  constructor(options) {
    super(options, new Resampler(scope.sampleRate, options.processorOptions.to));
  }
}

scope.registerProcessor("pcm-resampling", ResamplingProcessor);
