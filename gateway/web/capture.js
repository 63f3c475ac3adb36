/**
 * Sound from a microphone, a tab or a file as mono 16-bit frames. What browsers do to a microphone by default (gain
 * control, noise suppression, echo cancellation) is off: it takes away what tone is read from.
 */
/** @import { Capture, Options, Setup } from "./capture/types.d.ts" */
import { CaptureError } from "./capture/errors.js";
import { openStream } from "./capture/stream.js";
import { SILENCE } from "./framer.js";

export { CaptureError };

/** @param {Options} options @returns {Promise<Capture>} @throws {CaptureError} */
export async function capture({ source, sampleRate = 16000, frameMs = 100, ...options }) {
  const ending = new AbortController();
  const { signal } = ending;
  const end = () => ending.abort();
  let muted = false;
  /** @type {Setup["outlet"]} */
  const outlet = {
    frame(pcm, level) {
      if (signal.aborted) return;
      if (muted) new Uint8Array(pcm).fill(0); // also what was under way
      options.onFrame(pcm);
      options.onLevel?.(muted ? SILENCE : level);
    },
    end(reason) {
      if (signal.aborted) return;
      end();
      options.onEnd?.(reason);
    },
    change({ label, processing, interrupted }) {
      if (!signal.aborted) options.onChange?.({ label, processing, interrupted });
    },
  };
  const cancelled = new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(new CaptureError("cancelled"))),
  );
  cancelled.catch(() => {});
  options.signal?.addEventListener("abort", end, { signal });
  if (options.signal?.aborted) end();
  try {
    const env = options.environment ?? globalThis;
    const setup = {
      source,
      sampleRate,
      frame: (sampleRate * frameMs) / 1000,
      env,
      outlet,
      signal,
    };
    const opened =
      source.kind === "file"
        ? import("./capture/file.js").then(({ openFile }) => openFile(setup))
        : openStream(setup);
    await Promise.race([cancelled, opened]);
    const live = await opened;
    return Object.assign(live, {
      sampleRate,
      /** @param {boolean} on */
      mute(on) {
        muted = on;
        live.enable(!on);
      },
      async stop() {
        end();
        await live.closed;
      },
    });
  } catch (error) {
    end();
    throw CaptureError.of(error);
  }
}
