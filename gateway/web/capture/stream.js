/** A microphone or the sound of a tab, through an AudioWorklet, for as long as it lasts. */
/** @import { Graph, Opened, Setup } from "./types.d.ts" */
import { CaptureError } from "./errors.js";

const PROCESSING = ["autoGainControl", "noiseSuppression", "echoCancellation", "voiceIsolation"];
/** By the name of the processor. @type {Record<string, string>} */
const WORKLETS = {
  pcm: new URL("../pcm-worklet.js", import.meta.url).href,
  "pcm-resampling": new URL("../pcm-resampling-worklet.js", import.meta.url).href,
};

/** @param {MediaStream} [stream] */
const stopTracks = (stream) => stream?.getTracks().forEach((track) => track.stop());

/** @param {Setup} setup @returns {Promise<Opened>} */
export async function openStream({ source, sampleRate, frame, env, outlet, signal }) {
  const { mediaDevices: devices, permissions } = env.navigator;
  const tab = source.kind === "tab";
  const graph = /** @type {Graph} */ ({
    enabled: true,
    interrupted: false,
    moving: true,
  });

  /** @type {Opened} */
  const live = {
    get label() {
      return graph.track.label;
    },
    get processing() {
      const settings = /** @type {any} */ (graph.track.getSettings());
      return PROCESSING.filter((name) => settings[name]);
    },
    get interrupted() {
      return graph.track.muted || graph.context.state !== "running";
    },
    enable(on) {
      graph.track.enabled = graph.enabled = on;
    },
  };

  function check() {
    if (signal.aborted) throw new CaptureError("cancelled");
  }

  function request() {
    const { deviceId, processing = false } = source;
    const audio = {
      deviceId,
      ...Object.fromEntries(PROCESSING.map((name) => [name, processing])),
    };
    const shared = { audio, video: true, systemAudio: "include" }; // Chrome shares no sound alone
    return tab ? devices.getDisplayMedia(shared) : devices.getUserMedia({ audio });
  }

  async function ask() {
    const stream = await request().catch((error) => {
      // Closing the prompt or the picker is no refusal; only the message tells.
      const closed = tab ? !/system|policy/i.test(error.message) : /dismiss/i.test(error.message);
      throw error.name === "NotAllowedError" && closed ? new CaptureError("cancelled", error) : error;
    });
    stopTracks(graph.stream);
    graph.stream = stream;
    if (signal.aborted) stopTracks(stream);
    check();
    if (!stream.getAudioTracks().length) throw new CaptureError("no_audio_track");
  }

  /** @param {number} [rate] */
  async function makeContext(rate) {
    check();
    const latencyHint = "balanced";
    try {
      graph.context = new env.AudioContext({ sampleRate: rate, latencyHint });
    } catch {
      graph.context = new env.AudioContext({ latencyHint });
    }
    graph.context.addEventListener("statechange", report, { signal });
    report();
    graph.processor = graph.context.sampleRate === sampleRate ? "pcm" : "pcm-resampling";
    await graph.context.audioWorklet.addModule(WORKLETS[graph.processor]).catch((error) => {
      throw new CaptureError("unsupported", error);
    });
  }

  async function closeContext() {
    graph.node?.port.postMessage("stop");
    await graph.context?.close().catch(() => {});
  }

  function plug() {
    const { context, input, stream } = graph;
    graph.input = context.createMediaStreamSource(stream);
    if (graph.node?.context !== context) {
      const processorOptions = { to: sampleRate, frame };
      graph.node = new env.AudioWorkletNode(context, graph.processor, { processorOptions });
      graph.node.port.onmessage = ({ data }) => outlet.frame(data.pcm, data.level);
      graph.node.connect(context.destination); // silent; Safari runs nothing unconnected
    }
    graph.input.connect(graph.node);
    input?.disconnect();
  }

  async function adopt() {
    const [track] = graph.stream.getAudioTracks();
    graph.track = track;
    track.enabled = graph.enabled;
    for (const video of graph.stream.getVideoTracks()) video.stop(); // the sound goes on alone
    track.addEventListener("ended", lost, { signal });
    track.addEventListener("mute", report, { signal });
    track.addEventListener("unmute", report, { signal });
    try {
      plug();
    } catch (error) {
      // Firefox connects no stream to a context of another rate: the worklet then converts.
      if (/** @type {Error} */ (error).name !== "NotSupportedError") throw error;
      await closeContext();
      await makeContext();
      check();
      plug();
    }
    if (track.readyState === "ended") throw new CaptureError("no_device");
  }

  function report() {
    const { context } = graph;
    if (context.state !== "running") context.resume().catch(() => {});
    if (graph.moving || live.interrupted === graph.interrupted) return;
    graph.interrupted = live.interrupted;
    outlet.change(live);
  }

  async function permission() {
    const name = /** @type {PermissionName} */ ("microphone");
    return (await permissions?.query({ name }).catch(() => undefined))?.state;
  }

  async function checkDevice() {
    const inputs = (await devices.enumerateDevices()).filter(({ kind }) => kind === "audioinput");
    const { deviceId, groupId } = graph.track.getSettings();
    // "default" stays listed when it comes to mean another device, but its group changes.
    if (!inputs.some((one) => one.deviceId === deviceId && (!groupId || one.groupId === groupId))) lost();
  }

  /** Over to the default device, unless the user took the permission back. */
  async function lost() {
    if (tab) return outlet.end("ended");
    if (graph.moving || signal.aborted) return;
    graph.moving = true;
    try {
      const state = await permission();
      // A grant for once may never have read as granted, so only a change tells.
      if (state !== graph.permission && state !== "granted") return outlet.end("permission_lost");
      await ask();
      await adopt();
      graph.interrupted = live.interrupted;
      outlet.change(live);
    } catch (error) {
      outlet.end(CaptureError.of(error).code === "permission_denied" ? "permission_lost" : "device_lost");
    }
    graph.moving = false;
  }

  if (!devices && !env.isSecureContext) throw new CaptureError("insecure_context");
  signal.addEventListener("abort", () => {
    stopTracks(graph.stream);
    live.closed = closeContext();
  });
  // The context is made before anything is awaited: iOS runs it only from within the user's gesture.
  await Promise.all([ask(), makeContext(sampleRate)]);
  await adopt();
  graph.moving = false;
  graph.permission = await permission();
  for (const type of ["visibilitychange", "pointerdown", "keydown"]) {
    env.document.addEventListener(type, report, { signal });
  }
  if (!tab) devices.addEventListener("devicechange", checkDevice, { signal });
  return live;
}
