// The outgoing half of a session against a model of the server: every sample once, or declared lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makeBacklog } from "../../../gateway/web/client/backlog.js";

/** Ten samples a second of two bytes, so that a backlog of 5 s holds 50. */
const AUDIO = /** @type {const} */ ({ encoding: "pcm_s16le", sample_rate: 10, channels: 1 });
const CAPACITY = 50;

/** Samples whose value is their index. */
function pcm(start = 0, count = 0) {
  return new Uint8Array(Int16Array.from({ length: count }, (_, n) => start + n).buffer);
}

/** @param {Uint8Array} bytes */
const samplesOf = (bytes) => new Int16Array(bytes.slice().buffer);

/** Takes what is said in order, as the gateway does; remembers what became of every sample. */
class Server {
  next = 0;
  gap = 0;
  limit = Infinity;
  /** @type {string[]} controls, with the place in the audio where they came */
  heard = [];
  /** @type {unknown[]} */
  pongs = [];

  /** @param {Uint8Array | { type: string, [field: string]: any }} message */
  take(message) {
    if (message instanceof Uint8Array) {
      for (const sample of samplesOf(message))
        assert.equal(sample, this.next++, "a sample is out of its place");
      assert.ok(this.next <= this.limit, "past the limit");
    } else if (message.type === "position") {
      assert.ok(message.sample > this.next, "a position that says nothing");
      this.gap += message.sample - this.next;
      this.next = message.sample;
    } else if (message.type === "ping") this.pongs.push(message.t);
    else this.heard.push(`${message.type} ${message.id ?? ""} at ${this.next}`);
  }
}

/** @typedef {{ kind: string, n: number }} Step */
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom(
      "send",
      "send",
      "write",
      "write",
      "deliver",
      "deliver",
      "cut",
      "flow",
      "flush",
      "answer",
    ),
    n: fc.integer({ min: 1, max: 30 }),
  }),
  { maxLength: 80 },
);

/** Plays `course` and then lets everything arrive. @param {Step[]} course @param {boolean} lossless */
function play(course, lossless) {
  const backlog = makeBacklog(AUDIO, 0, 5);
  backlog.ahead = 35;
  const server = new Server();
  /** @type {any[]} written, not yet arrived */
  let wire = [];
  /** @type {number[]} where each flush stood */
  const flushes = [];
  if (lossless) {
    backlog.delivery = "lossless";
    server.limit = 40;
  }
  const write = (most = 0) => {
    const message = backlog.take(lossless ? server.limit : null, most);
    if (message) wire.push(message);
    const underWay = wire
      .filter((one) => one instanceof Uint8Array)
      .reduce((all, { length }) => all + length / 2, 0);
    assert.ok(lossless || underWay <= backlog.ahead, "more is under way than the server takes at once");
    return message !== null;
  };
  const deliver = () => server.take(wire.shift());
  const answer = () => {
    for (const t of server.pongs.splice(0)) assert.ok(backlog.ponged(t));
    const told = new Set(server.heard.map((one) => Number(one.split(" ")[1])));
    for (const id of told) backlog.answered("flush", id)?.resolve(id);
  };
  const cut = () => {
    wire = [];
    server.pongs = [];
    backlog.rewind(server.next, false);
  };

  for (const { kind, n } of course) {
    const { nextSample, room } = backlog;
    if (kind === "send") {
      const taken = backlog.append(pcm(nextSample, n));
      assert.equal(taken, n <= room);
      assert.equal(backlog.nextSample, taken ? nextSample + n : nextSample);
    } else if (kind === "write") write(n);
    else if (kind === "deliver" && wire.length) deliver();
    else if (kind === "cut") cut();
    else if (kind === "flow") backlog.confirm(server.next);
    else if (kind === "flush") void backlog.say({ type: "flush", id: flushes.push(nextSample) });
    else if (kind === "answer") answer();
    if (lossless && kind === "flow") server.limit = server.next + 40;
  }
  cut();
  for (let rounds = 0; rounds < 1000 && (server.next < backlog.nextSample || backlog.unanswered); rounds++) {
    while (write(7));
    while (wire.length) deliver();
    server.limit = server.next + 40;
    answer();
  }
  return { backlog, server, flushes };
}

test("realtime: the server gets every sample once and in its place, or is told of the gap", () => {
  fc.assert(
    fc.property(steps, (course) => {
      const { backlog, server } = play(course, false);
      assert.equal(server.next, backlog.nextSample);
      assert.equal(server.gap, backlog.lostSamples);
    }),
    { numRuns: 1000 },
  );
});

test("lossless: nothing is lost, nothing past the limit, and it always goes on", () => {
  fc.assert(
    fc.property(steps, (course) => {
      const { backlog, server } = play(course, true);
      assert.equal(server.next, backlog.nextSample);
      assert.equal(server.gap, 0);
      assert.equal(backlog.lostSamples, 0);
      assert.ok(backlog.room > 0);
    }),
    { numRuns: 1000 },
  );
});

test("every flush is heard, in order and never before its place among the audio", () => {
  fc.assert(
    fc.property(steps, fc.boolean(), (course, lossless) => {
      const { backlog, server, flushes } = play(course, lossless);
      assert.equal(backlog.unanswered, 0);
      const firsts = flushes.map((_, n) => server.heard.find((one) => one.startsWith(`flush ${n + 1} `)));
      for (const [n, place] of flushes.entries()) {
        assert.ok(firsts[n], `flush ${n + 1} was never heard`);
        assert.ok(Number(firsts[n]?.split(" at ")[1]) >= place);
      }
    }),
    { numRuns: 500 },
  );
});

test("a control is at its exact place where no connection is lost", () => {
  const backlog = makeBacklog(AUDIO, 100, 5);
  backlog.append(pcm(100, 10));
  void backlog.say({ type: "flush", id: 1 });
  backlog.append(pcm(110, 10));
  const said = [0, 0, 0, 0].map(() => backlog.take(null, 100));
  assert.deepEqual(said, [pcm(100, 10), { type: "flush", id: 1 }, pcm(110, 10), null]);
});

test("memory is bounded: of a long absence the last seconds are kept, and the gap is declared", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  for (let n = 0; n < 1000; n += 10) backlog.append(pcm(n, 10));
  assert.equal(backlog.unsent, CAPACITY);
  assert.deepEqual(backlog.take(null, 9), { type: "position", sample: 950 });
  assert.deepEqual(backlog.take(null, 1000), pcm(950, 50));
  assert.equal(backlog.lostSamples, 950);
});

test("one piece larger than the backlog leaves its end", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  backlog.append(pcm(0, 7));
  backlog.append(pcm(7, 130));
  assert.deepEqual(backlog.take(null, 9), { type: "position", sample: 87 });
  assert.deepEqual(backlog.take(null, 1000), pcm(87, 50));
});

test("audio that was confirmed is still there for a server that fell back", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  backlog.append(pcm(0, 40));
  backlog.take(null, 100);
  backlog.confirm(40);
  backlog.rewind(10, true);
  assert.deepEqual(backlog.take(null, 100), pcm(10, 30));
});

test("a server that is ahead moves the count", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  backlog.append(pcm(0, 40));
  backlog.rewind(90, false);
  assert.equal(backlog.nextSample, 90);
  assert.equal(backlog.take(null, 100), null);
  backlog.append(pcm(90, 5));
  assert.deepEqual(backlog.take(null, 100), pcm(90, 5));
});

test("lossless holds from the moment it is asked for, and ends with the answer or the refusal", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  void backlog.say({ type: "configure", delivery: "lossless" });
  assert.equal(backlog.room, 50);
  assert.ok(backlog.append(pcm(0, 50)));
  assert.equal(backlog.append(pcm(50, 1)), false);
  assert.deepEqual(backlog.take(null, 100), { type: "configure", delivery: "lossless" });
  backlog.answered("configure");
  assert.equal(backlog.room, Infinity);
});

test("a pong of before the drain confirms, one of after it doesn't, and neither does one of another socket", () => {
  for (const [before, confirmed] of /** @type {const} */ ([
    [() => {}, true],
    [(/** @type {any} */ backlog) => backlog.drain(), false],
    [(/** @type {any} */ backlog) => backlog.rewind(0, false), false],
  ])) {
    const backlog = makeBacklog(AUDIO, 0, 5);
    backlog.delivery = "lossless";
    backlog.append(pcm(0, 50));
    backlog.take(50, 30);
    const ping = /** @type {any} */ (backlog.take(50, 30));
    assert.equal(ping.type, "ping");
    before(backlog);
    assert.ok(backlog.ponged(ping.t));
    assert.equal(backlog.room, confirmed ? 30 : 0);
  }
});

test("pings and acks wait for no audio; the newest ack counts, and only it outlives the socket", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  backlog.append(pcm(0, 5));
  backlog.sayNow({ type: "ack", seq: 1 });
  backlog.sayNow({ type: "ping", t: 1 });
  backlog.sayNow({ type: "ack", seq: 2 });
  backlog.rewind(0, false);
  assert.deepEqual(backlog.take(null, 100), { type: "ack", seq: 2 });
  assert.deepEqual(backlog.take(null, 100), pcm(0, 5));
  backlog.sayNow({ type: "ack", seq: 3 });
  backlog.rewind(5, true);
  assert.equal(backlog.take(null, 100), null);
});

test("what will not be answered is rejected, and nobody has to listen", async () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  const answer = backlog.say({ type: "flush", id: 1 });
  void backlog.say({ type: "end" });
  backlog.forget(new Error("over"));
  await assert.rejects(answer, /over/);
  assert.equal(backlog.unanswered, 0);
});

test("a server that lost its history declares what nobody has any more", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  for (let n = 0; n < 200; n += 10) {
    backlog.append(pcm(n, 10));
    while (backlog.take(null, 10));
  }
  backlog.rewind(20, true);
  assert.deepEqual(backlog.take(null, 10), { type: "position", sample: 150 });
  assert.equal(backlog.lostSamples, 130);
});

test("what a stalled network holds is no flood: beyond a bound nothing is written until the server answers", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  backlog.ahead = 35;
  backlog.append(pcm(0, 45));
  const written = [];
  for (let message; (message = backlog.take(null, 10));) written.push(message);
  const samples = written.filter((one) => one instanceof Uint8Array).flatMap((one) => [...samplesOf(one)]);
  assert.equal(samples.length, 35);
  const { t } = /** @type {any} */ (written.find((one) => "type" in one));
  assert.equal(backlog.take(null, 10), null);
  backlog.ponged(t);
  assert.equal(backlog.take(null, 10)?.length, 20);
});

test("a stall that is longer than what is kept is one gap, declared when audio can follow it", () => {
  const backlog = makeBacklog(AUDIO, 0, 5);
  backlog.ahead = 20;
  /** @type {any[]} */
  const written = [];
  const write = () => {
    for (let message; (message = backlog.take(null, 10));) written.push(message);
  };
  for (let n = 0; n < 200; n += 5) {
    backlog.append(pcm(n, 5));
    write();
  }
  const of = (/** @type {string} */ type) => written.filter((one) => one.type === type);
  assert.deepEqual(of("position"), []);
  for (let round = 0; round < 4; round++) {
    backlog.ponged(of("ping").at(-1).t);
    write();
  }
  assert.deepEqual(of("position"), [{ type: "position", sample: 150 }]);
  const server = new Server();
  written.forEach((message) => server.take(message));
  assert.deepEqual([server.next, server.gap, backlog.lostSamples], [200, 130, 130]);
});
