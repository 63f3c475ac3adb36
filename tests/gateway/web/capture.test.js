/** Sources start, go on through changes, end with the right reason and leave nothing open. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { capture, CaptureError } from "../../../gateway/web/capture.js";

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** @param {string} name @param {string} [message] */
const refusal = (name, message) => Object.assign(new Error(message), { name });

class Track extends EventTarget {
  readyState = "live";
  enabled = true;
  muted = false;
  /** @param {string} kind @param {string} label @param {any} settings */
  constructor(kind, label, settings = {}) {
    super();
    this.kind = kind;
    this.label = label;
    this.settings = settings;
  }
  getSettings() {
    return this.settings;
  }
  stop() {
    this.readyState = "ended";
  }
  end() {
    this.readyState = "ended";
    this.dispatchEvent(new Event("ended"));
  }
  /** @param {boolean} muted */
  take(muted) {
    this.muted = muted;
    this.dispatchEvent(new Event(muted ? "mute" : "unmute"));
  }
}

/** @param {Track[]} tracks */
const streamOf = (...tracks) => ({
  getTracks: () => tracks,
  getAudioTracks: () => tracks.filter(({ kind }) => kind === "audio"),
  getVideoTracks: () => tracks.filter(({ kind }) => kind === "video"),
});

/** A window with devices. What was made stays listed, so that a test can see that nothing is left open. */
function world() {
  /** @type {Track[]} */
  const tracks = [];
  /** @type {any[]} */
  const contexts = [];
  /** @type {any[]} */
  const nodes = [];
  /** @type {any[]} */
  const timers = [];
  const at = {
    /** @type {any} */ permission: "granted",
    /** @type {any} */ module: () => Promise.resolve(),
    context: /** @type {any} */ (() => {}),
    connect: /** @type {any} */ (() => {}),
    state: "running",
    now: 0,
    /** @type {any} */ asked: null,
    /** @type {() => any} */
    ask: () => streamOf(track("Microphone", { deviceId: "a", groupId: "1" })),
    /** @type {any} */ decoded: null,
  };
  /** @param {string} label @param {any} [settings] @param {string} [kind] */
  function track(label, settings, kind = "audio") {
    tracks.push(new Track(kind, label, settings));
    return /** @type {Track} */ (tracks.at(-1));
  }
  class AudioContext extends EventTarget {
    state = at.state;
    destination = {};
    resumed = 0;
    audioWorklet = {
      /** @param {string} url */
      addModule: (url) => {
        const rate = this.sampleRate === 16000 ? "pcm-worklet" : "pcm-resampling-worklet";
        assert.ok(url.endsWith(`/gateway/web/${rate}.js`), url);
        return at.module();
      },
    };
    /** @param {{sampleRate?: number}} options */
    constructor({ sampleRate }) {
      super();
      at.context(sampleRate);
      this.sampleRate = sampleRate ?? 48000;
      contexts.push(this);
    }
    /** @param {any} stream */
    createMediaStreamSource(stream) {
      at.connect(this.sampleRate);
      return {
        stream,
        connect: (/** @type {any} */ node) => node.inputs.add(stream),
        disconnect: () => nodes.forEach((node) => node.inputs.delete(stream)),
      };
    }
    async resume() {
      if (this.state === "closed") throw refusal("InvalidStateError");
      this.resumed += 1;
      if (at.state === "running") this.turn("running");
      else throw refusal("NotAllowedError");
    }
    /** @param {string} state */
    turn(state) {
      if (this.state === state) return;
      this.state = state;
      this.dispatchEvent(new Event("statechange"));
    }
    async close() {
      await Promise.resolve();
      this.turn("closed");
    }
  }
  class AudioWorkletNode {
    inputs = new Set();
    /** @type {any} */ port = {
      sent: [],
      postMessage: (/** @type {any} */ message) => this.port.sent.push(message),
    };
    /** @param {any} context @param {string} name @param {any} options */
    constructor(context, name, options) {
      assert.equal(name, context.sampleRate === 16000 ? "pcm" : "pcm-resampling");
      Object.assign(this, { context, options });
      nodes.push(this);
    }
    connect() {}
  }
  class OfflineAudioContext {
    /** @param {number} _ @param {number} __ @param {number} rate */
    constructor(_, __, rate) {
      assert.equal(rate, 16000);
    }
    async decodeAudioData() {
      if (!at.decoded) throw refusal("EncodingError", "no sound");
      return at.decoded;
    }
  }
  const request = async (/** @type {any} */ asked) => {
    at.asked = asked;
    return at.ask();
  };
  const devices = Object.assign(new EventTarget(), {
    /** @type {any[]} */ list: [{ kind: "audioinput", deviceId: "a", groupId: "1" }],
    getUserMedia: request,
    /** @type {any} */ getDisplayMedia: request,
    async enumerateDevices() {
      return devices.list;
    },
  });
  const document = new EventTarget();
  /** @type {any} */
  const environment = {
    navigator: { mediaDevices: devices, permissions: { query: async () => ({ state: at.permission }) } },
    isSecureContext: true,
    document,
    AudioContext,
    AudioWorkletNode,
    OfflineAudioContext,
    performance: { now: () => at.now },
    setTimeout: (/** @type {any} */ act, /** @type {number} */ ms) => timers.push({ act, at: at.now + ms }),
    clearTimeout: (/** @type {number} */ id) => timers[id - 1] && (timers[id - 1].act = null),
  };
  const heard = {
    /** @type {ArrayBuffer[]} */ frames: [],
    /** @type {any[]} */ levels: [],
    /** @type {any[]} */ ends: [],
    /** @type {any[]} */ changes: [],
  };
  return {
    at,
    track,
    tracks,
    contexts,
    nodes,
    devices,
    document,
    environment,
    heard,
    /** @param {any} source @param {any} [more] */
    start: (source, more) =>
      capture({
        source,
        environment,
        onFrame: (pcm) => heard.frames.push(pcm),
        onLevel: (level) => heard.levels.push(level),
        onEnd: (reason) => heard.ends.push(reason),
        onChange: (change) => heard.changes.push(change),
        ...more,
      }),
    /** A frame from the worklet. @param {number} [value] */
    speak(value = 7) {
      nodes.at(-1).port.onmessage({
        data: { pcm: new Int16Array(1600).fill(value).buffer, level: { rms: -20, peak: -9 } },
      });
    },
    /** Lets the time go on; timers fire when they are due, or later where they are throttled. @param {number} ms @param {number} [every] */
    pass(ms, every = 1) {
      for (const end = at.now + ms; at.now < end;) {
        at.now += every;
        for (const timer of timers.filter(({ act, at: due }) => act && due <= at.now)) {
          const { act } = timer;
          timer.act = null;
          act();
        }
      }
    },
    timers,
    pending: () => timers.filter(({ act }) => act).length,
    closed() {
      assert.deepEqual(
        tracks.filter(({ readyState }) => readyState !== "ended").map(({ label }) => label),
        [],
      );
      assert.ok(contexts.every(({ state }) => state === "closed"));
      assert.ok(nodes.every(({ port }) => port.sent.includes("stop")));
    },
  };
}

/** @param {Promise<unknown>} promise @param {string} code */
const rejects = (promise, code) =>
  assert.rejects(
    promise,
    (error) => error instanceof CaptureError && error.name === "CaptureError" && error.code === code,
  );

const microphone = { kind: "microphone" };

test("a microphone: unprocessed, at 16 kHz, frame by frame", async () => {
  const { at, start, speak, heard, nodes, contexts, closed } = world();
  const source = await start({ ...microphone, deviceId: "a" });
  assert.deepEqual(at.asked, {
    audio: {
      deviceId: "a",
      autoGainControl: false,
      noiseSuppression: false,
      echoCancellation: false,
      voiceIsolation: false,
    },
  });
  assert.deepEqual(
    [source.label, source.sampleRate, source.processing, source.interrupted],
    ["Microphone", 16000, [], false],
  );
  assert.equal(contexts[0].sampleRate, 16000);
  assert.deepEqual(nodes[0].options, { processorOptions: { to: 16000, frame: 1600 } });
  speak();
  assert.equal(heard.frames[0].byteLength, 3200);
  assert.deepEqual(heard.levels, [{ rms: -20, peak: -9 }]);
  contexts[0].close = async () => {
    await settle();
    contexts[0].turn("closed");
  };
  await source.stop();
  closed();
  await source.stop();
  speak();
  assert.equal(heard.frames.length, 1);
  assert.deepEqual(heard.ends, []);
  closed();
});

test("processing is asked for where it is wanted, and what is on is read back from the track", async () => {
  const { at, start, track } = world();
  at.ask = () =>
    streamOf(track("M", { echoCancellation: true, noiseSuppression: false, autoGainControl: true }));
  const source = await start({ ...microphone, processing: true });
  assert.equal(at.asked.audio.autoGainControl, true);
  assert.deepEqual(source.processing, ["autoGainControl", "echoCancellation"]);
});

test("a context that refuses 16 kHz: one of the default rate", async () => {
  const { at, start, contexts } = world();
  at.context = (/** @type {number | undefined} */ rate) => {
    if (rate) throw refusal("NotSupportedError");
  };
  await start(microphone);
  assert.deepEqual(
    contexts.map(({ sampleRate }) => sampleRate),
    [48000],
  );
});

test("a stream that connects to no other rate, as in Firefox: one of the default rate, the first one closed", async () => {
  const { at, start, contexts, heard, speak, closed } = world();
  at.connect = (/** @type {number} */ rate) => {
    if (rate === 16000) throw refusal("NotSupportedError");
  };
  const source = await start(microphone);
  assert.deepEqual(
    contexts.map(({ sampleRate, state }) => [sampleRate, state]),
    [
      [16000, "closed"],
      [48000, "running"],
    ],
  );
  speak();
  assert.equal(heard.frames.length, 1);
  assert.deepEqual(heard.changes, []);
  await source.stop();
  closed();
});

test("muted: silence also for what was under way, and the track is off", async () => {
  const { start, speak, heard, tracks } = world();
  const source = await start(microphone);
  source.mute(true);
  speak();
  assert.ok(new Int16Array(heard.frames[0]).every((value) => value === 0));
  assert.deepEqual(heard.levels, [{ rms: -100, peak: -100 }]);
  assert.equal(tracks[0].enabled, false);
  source.mute(false);
  speak();
  assert.equal(new Int16Array(heard.frames[1])[0], 7);
  assert.equal(tracks[0].enabled, true);
});

for (const [name, message, code] of [
  ["NotAllowedError", "Permission denied", "permission_denied"],
  ["NotAllowedError", "Permission dismissed", "cancelled"],
  ["SecurityError", "", "permission_denied"],
  ["NotFoundError", "", "no_device"],
  ["OverconstrainedError", "", "no_device"],
  ["NotReadableError", "", "device_busy"],
  ["AbortError", "", "device_busy"],
  ["TypeError", "", "unsupported"],
]) {
  test(`${name} ${message} of a microphone is ${code}, and nothing stays open`, async () => {
    const { at, start, closed } = world();
    at.ask = () => {
      throw refusal(name, message);
    };
    await rejects(start(microphone), code);
    closed();
  });
}

test("a page that is not secure says so; a browser without the means does too", async () => {
  const { environment, start } = world();
  environment.navigator = {};
  await rejects(start(microphone), "unsupported");
  environment.isSecureContext = false;
  await rejects(start(microphone), "insecure_context");
  const { environment: old, start: begin, closed } = world();
  delete old.AudioContext;
  await rejects(begin(microphone), "unsupported");
  closed();
});

test("a worklet that does not load leaves nothing open, also the stream that comes later", async () => {
  const { at, start, track, closed } = world();
  /** @type {any} */
  let give;
  at.ask = () => new Promise((resolve) => (give = resolve));
  at.module = () => Promise.reject(refusal("AbortError"));
  await rejects(start(microphone), "unsupported");
  give(streamOf(track("late")));
  await settle();
  closed();
});

test("aborted at any point of the start: cancelled at once, and nothing stays open", async () => {
  for (let steps = 0; steps < 12; steps += 1) {
    const { at, start, track, heard, closed } = world();
    const ending = new AbortController();
    at.connect = (/** @type {number} */ rate) => {
      if (rate === 16000) throw refusal("NotSupportedError");
    };
    at.ask = () => streamOf(track("M"));
    const starting = start(microphone, { signal: ending.signal });
    const outcome = starting.catch((error) => error.code);
    for (let i = 0; i < steps; i += 1) await Promise.resolve();
    ending.abort();
    const result = await outcome;
    assert.ok(result === "cancelled" || typeof result.stop === "function", `${steps}: ${result}`);
    await settle();
    closed();
    assert.deepEqual(heard.ends, []);
  }
});

test("aborted while the prompt is open: cancelled now, and the late stream is stopped", async () => {
  const { at, start, track, closed } = world();
  /** @type {any} */
  let give;
  at.ask = () => new Promise((resolve) => (give = resolve));
  const ending = new AbortController();
  const starting = start(microphone, { signal: ending.signal });
  await settle();
  ending.abort();
  await rejects(starting, "cancelled");
  give(streamOf(track("late")));
  await settle();
  closed();
  const before = world();
  await rejects(before.start(microphone, { signal: ending.signal }), "cancelled");
  await settle();
  before.closed();
});

test("the signal stops a running source as well", async () => {
  const { start, heard, closed } = world();
  const ending = new AbortController();
  await start(microphone, { signal: ending.signal });
  ending.abort();
  await settle();
  closed();
  assert.deepEqual(heard.ends, []);
});

test("the device is unplugged: another takes over in the same frames, muted if it was", async () => {
  const { at, start, track, tracks, nodes, heard, closed } = world();
  const source = await start({ ...microphone, deviceId: "a" });
  source.mute(true);
  at.ask = () => streamOf(track("Built-in", { deviceId: "b" }));
  tracks[0].end();
  await settle();
  assert.deepEqual(heard.changes, [{ label: "Built-in", processing: [], interrupted: false }]);
  assert.equal(source.label, "Built-in");
  assert.equal(tracks[1].enabled, false);
  assert.equal(nodes.length, 1);
  assert.equal(nodes[0].inputs.size, 1);
  tracks[1].end();
  await settle();
  assert.equal(heard.changes.length, 2);
  assert.equal(nodes[0].inputs.size, 1);
  await source.stop();
  closed();
});

test("the list of devices changes: only a source that is missing from it moves", async () => {
  const { at, start, track, tracks, devices, heard } = world();
  await start(microphone);
  const change = () => devices.dispatchEvent(new Event("devicechange"));
  devices.list = [{ kind: "audiooutput", deviceId: "x" }, ...devices.list];
  change();
  await settle();
  assert.deepEqual(heard.changes, []);
  at.ask = () => streamOf(track("Headset", { deviceId: "a", groupId: "2" }));
  devices.list = [
    { kind: "audioinput", deviceId: "a", groupId: "2" }, // "default" means another one now
    { kind: "audiooutput", deviceId: "a", groupId: "1" },
  ];
  change();
  change();
  await settle();
  assert.deepEqual(
    heard.changes.map(({ label }) => label),
    ["Headset"],
  );
  assert.equal(tracks[0].readyState, "ended");
  assert.equal(tracks.length, 2);
});

test("no other device: device_lost; one that is lost at once too", async () => {
  const { at, start, tracks, heard, closed } = world();
  await start(microphone);
  at.ask = () => {
    throw refusal("NotFoundError");
  };
  tracks[0].end();
  await settle();
  assert.deepEqual(heard.ends, ["device_lost"]);
  closed();

  const again = world();
  await again.start(microphone);
  again.at.ask = () => {
    const next = again.track("dead");
    next.readyState = "ended";
    return streamOf(next);
  };
  again.tracks[0].end();
  await settle();
  assert.deepEqual(again.heard.ends, ["device_lost"]);
  again.closed();
});

for (const [before, after, ask, reason] of [
  ["granted", "denied", "", "permission_lost"],
  ["granted", "prompt", "", "permission_lost"],
  ["prompt", "denied", "", "permission_lost"],
  ["prompt", "prompt", "NotAllowedError", "permission_lost"],
  [undefined, undefined, "NotAllowedError", "permission_lost"],
  ["prompt", "prompt", "NotFoundError", "device_lost"],
  ["prompt", "prompt", "", undefined],
]) {
  test(`permission ${before}, then ${after}${ask && ", asked again " + ask}: ${reason ?? "goes on"}`, async () => {
    const { at, start, track, tracks, heard, closed } = world();
    at.permission = before;
    await start(microphone);
    at.permission = after;
    at.ask = () => {
      if (ask) throw refusal(ask);
      return streamOf(track("next"));
    };
    tracks[0].end();
    await settle();
    assert.deepEqual(heard.ends, reason ? [reason] : []);
    if (reason) closed();
  });
}

test("a browser that does not tell of permissions still starts and moves on", async () => {
  const { environment, start, tracks, heard } = world();
  environment.navigator.permissions.query = () => Promise.reject(new TypeError("microphone"));
  await start(microphone);
  tracks[0].end();
  await settle();
  assert.equal(heard.changes.length, 1);
});

test("stopped while another device is asked for: nothing stays open", async () => {
  const { at, start, track, tracks, heard, closed } = world();
  const source = await start(microphone);
  /** @type {any} */
  let give;
  at.ask = () => new Promise((resolve) => (give = resolve));
  tracks[0].end();
  await settle();
  await source.stop();
  give(streamOf(track("late")));
  await settle();
  closed();
  assert.deepEqual([heard.ends, heard.changes], [[], []]);
});

test("the system takes the microphone and gives it back", async () => {
  const { start, tracks, heard } = world();
  const source = await start(microphone);
  tracks[0].take(true);
  tracks[0].take(true);
  assert.equal(source.interrupted, true);
  tracks[0].take(false);
  assert.deepEqual(
    heard.changes.map(({ interrupted }) => interrupted),
    [true, false],
  );
});

test("a device that takes over from one the system took is heard, until the system takes it too", async () => {
  const { start, tracks, heard } = world();
  await start(microphone);
  tracks[0].take(true);
  tracks[0].end();
  await settle();
  tracks[1].take(true);
  assert.deepEqual(
    heard.changes.map(({ interrupted }) => interrupted),
    [true, false, true],
  );
});

test("an interrupted context is resumed: at once, on return, and at the next gesture", async () => {
  const { at, start, contexts, document, heard } = world();
  await start(microphone);
  at.state = "interrupted";
  contexts[0].turn("interrupted");
  await settle();
  assert.equal(contexts[0].resumed, 1);
  document.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.equal(contexts[0].resumed, 2);
  at.state = "running";
  document.dispatchEvent(new Event("pointerdown"));
  await settle();
  assert.equal(contexts[0].state, "running");
  assert.deepEqual(
    heard.changes.map(({ interrupted }) => interrupted),
    [true, false],
  );
});

test("a tab: the picture is dropped at once, the sound ends with the sharing", async () => {
  const { at, start, track, heard, closed } = world();
  const [sound, picture] = [track("Tab audio"), track("picture", {}, "video")];
  at.ask = () => streamOf(sound, picture);
  await start({ kind: "tab" });
  assert.equal(at.asked.video, true);
  assert.equal(at.asked.audio.echoCancellation, false);
  assert.equal(picture.readyState, "ended");
  assert.equal(sound.readyState, "live");
  sound.end();
  assert.deepEqual(heard.ends, ["ended"]);
  await settle();
  closed();
});

test("a tab without sound, a picker that was closed, a system that refuses, a browser that cannot", async () => {
  const tab = { kind: "tab" };
  const { at, start, track, devices, closed } = world();
  at.ask = () => streamOf(track("picture", {}, "video"));
  await rejects(start(tab), "no_audio_track");
  for (const [message, code] of [
    ["Permission denied by user", "cancelled"],
    ["Permission denied by system", "permission_denied"],
  ]) {
    at.ask = () => {
      throw refusal("NotAllowedError", message);
    };
    await rejects(start(tab), code);
  }
  devices.getDisplayMedia = undefined;
  await rejects(start(tab), "unsupported");
  closed();
});

/** @param {number} length @param {number} [sampleRate] */
const decoded = (length, sampleRate = 16000) => ({
  length,
  sampleRate,
  numberOfChannels: 2,
  getChannelData: (/** @type {number} */ c) =>
    Float32Array.from({ length }, (_, i) => (c ? 0 : ((i % 1000) - 500) / 16384)),
});
/** @param {number} seconds */
const silence = (seconds) => ({
  length: seconds * 16000,
  sampleRate: 16000,
  numberOfChannels: 1,
  getChannelData: () => new Float32Array(seconds * 16000),
});
const file = { kind: "file", file: Object.assign(new Blob(["x"]), { name: "talk.wav" }) };

test("a file: mono, in real time, a shorter last frame, then the end", async () => {
  const { at, start, pass, heard, pending } = world();
  at.decoded = decoded(16000 + 200);
  const source = await start(file);
  assert.deepEqual([source.label, source.processing, source.interrupted], ["talk.wav", [], false]);
  pass(99);
  assert.equal(heard.frames.length, 0);
  pass(501);
  assert.equal(heard.frames.length, 6);
  pass(600);
  assert.deepEqual(
    heard.frames.map(({ byteLength }) => byteLength),
    [...Array(10).fill(3200), 400],
  );
  assert.deepEqual(heard.ends, ["ended"]);
  assert.equal(pending(), 0);
  const samples = heard.frames.flatMap((pcm) => [...new Int16Array(pcm)]);
  assert.ok(samples.every((value, i) => value === (i % 1000) - 500));
});

test("a file that was decoded at another rate is converted, to the sample", async () => {
  const { at, start, pass, heard } = world();
  at.decoded = decoded(44100 * 2 + 1, 44100);
  await start(file);
  pass(2200);
  assert.equal(heard.frames.reduce((sum, { byteLength }) => sum + byteLength, 0) / 2, 32001);
  assert.deepEqual(heard.ends, ["ended"]);
});

test("a file does not drift, also where timers are late", async () => {
  const { at, start, pass, heard } = world();
  at.decoded = silence(120);
  await start(file);
  pass(60_000, 17);
  assert.ok(Math.abs(heard.frames.length - 600) <= 1, `${heard.frames.length}`);
  pass(30_000, 1000); // a background tab
  assert.ok(Math.abs(heard.frames.length - 900) <= 10, `${heard.frames.length}`);
});

test("after a standstill a file catches up at twice real time, with a second at once at most", async () => {
  const { at, start, pass, heard, timers } = world();
  at.decoded = silence(300);
  await start(file);
  pass(10_000);
  assert.equal(heard.frames.length, 100);
  pass(20_000, 20_000);
  assert.equal(heard.frames.length, 110);
  pass(10_000);
  assert.ok(heard.frames.length <= 310 && heard.frames.length > 290, `${heard.frames.length}`);
  pass(20_000);
  assert.equal(heard.frames.length, 600);
  assert.ok(timers.length < 1000, `${timers.length} timers`);
  pass(20_000, 20_000);
  for (let i = 0; i < 8; i += 1) {
    /** @type {number} */
    const before = heard.frames.length;
    pass(250, 250);
    assert.equal(heard.frames.length - before, 5);
  }
});

test("however late the timers are, no stretch of time gets more than twice itself and a second", async () => {
  const delays = fc.array(fc.integer({ min: 1, max: 2500 }), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(delays, async (steps) => {
      const { at, start, pass, heard } = world();
      at.decoded = silence(100);
      await start(file);
      const seen = [{ ms: 0, sent: 0 }];
      for (const step of steps) {
        pass(step, step);
        seen.push({ ms: at.now, sent: heard.frames.length * 100 });
        assert.ok(heard.frames.length * 100 <= at.now);
      }
      for (const [i, from] of seen.entries()) {
        for (const to of seen.slice(i)) assert.ok(to.sent - from.sent <= 2 * (to.ms - from.ms) + 1000);
      }
    }),
    { numRuns: 25 },
  );
});

test("a file is stopped, muted and refused like the others", async () => {
  const { at, start, pass, heard, pending } = world();
  await rejects(start(file), "bad_file");
  at.decoded = decoded(16000 * 2);
  const source = await start(file);
  pass(100);
  source.mute(true);
  pass(100);
  assert.ok(new Int16Array(heard.frames[1]).every((value) => value === 0));
  await source.stop();
  assert.equal(pending(), 0);
  pass(3000);
  assert.equal(heard.frames.length, 2);
  assert.deepEqual(heard.ends, []);
  const ending = new AbortController();
  const starting = start(file, { signal: ending.signal });
  ending.abort();
  await rejects(starting, "cancelled");
  await settle();
  assert.equal(pending(), 0);
});

test("a file stopped from within a frame hands over nothing more", async () => {
  const { at, start, pass, heard } = world();
  at.decoded = decoded(16000 * 3);
  const ending = new AbortController();
  let count = 0;
  await start(file, { signal: ending.signal, onFrame: () => ++count === 3 && ending.abort() });
  pass(900, 900);
  pass(3000);
  assert.equal(count, 3);
  assert.deepEqual(heard.ends, []);
});
