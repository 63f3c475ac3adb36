/** The processor: quanta in, frames out to the port, the clock goes on without an input. */
import assert from "node:assert/strict";
import { test } from "node:test";

/** @type {{message: any, transfer: ArrayBuffer[]}[]} */
let posted = [];
/** @type {Record<string, any>} */
const processors = {};
const scope = /** @type {any} */ (globalThis);
scope.sampleRate = 48000;
scope.AudioWorkletProcessor = class {
  port = {
    onmessage: null,
    /** @param {any} message @param {ArrayBuffer[]} transfer */
    postMessage: (message, transfer) =>
      posted.push({ message: structuredClone(message, { transfer }), transfer }),
  };
};
/** @param {string} name @param {any} type */
scope.registerProcessor = (name, type) => {
  processors[name] = type;
};
await import("../../../gateway/web/pcm-resampling-worklet.js"); // and with it the other one

function processor(name = "pcm-resampling") {
  posted = [];
  return new processors[name]({ processorOptions: { to: 16000, frame: 1600 } });
}

/** @param {any} unit @param {number} quanta @param {Float32Array[]} input */
function run(unit, quanta, input) {
  for (let i = 0; i < quanta; i += 1) assert.equal(unit.process([input], [[new Float32Array(128)]]), true);
}

test("frames of exactly 1600 samples are handed over with their level, not copied", () => {
  run(processor(), 376, [new Float32Array(128).fill(0.5), new Float32Array(128).fill(0.5)]);
  assert.equal(posted.length, 10); // 376 quanta are 1.0027 s; the filter holds 1.25 ms
  assert.ok(posted.every(({ message }) => message.pcm.byteLength === 3200));
  assert.ok(posted.every(({ transfer }) => transfer.length === 1 && transfer[0].byteLength === 0));
  assert.ok(Math.abs(posted[5].message.level.rms + 6.02) < 0.01);
});

test("at the rate of the frames nothing is converted and nothing held", () => {
  run(processor("pcm"), 125, [new Float32Array(128).fill(0.5)]);
  assert.equal(posted.length, 10);
  assert.deepEqual([...new Set(new Int16Array(posted[0].message.pcm))], [16384]);
  assert.ok(posted.every(({ message }) => message.pcm.byteLength === 3200));
});

test("between two devices there is silence, and the clock goes on", () => {
  run(processor(), 380, []);
  assert.equal(posted.length, 10);
  assert.equal(posted[9].message.level.rms, -100);
});

test("a message ends it, so that the browser may let go of the node", () => {
  const unit = processor();
  unit.port.onmessage({ data: "stop" });
  assert.equal(unit.process([[new Float32Array(128)]], [[new Float32Array(128)]]), false);
  assert.equal(posted.length, 0);
});
