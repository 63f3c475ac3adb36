// What a session has to say, and may have to say again: its recent audio and its unanswered controls.
//
// Audio is one stretch without holes, [base, nextSample), in a ring. Realtime, the oldest falls out, and a
// `position` declares what the server never got. Lossless, there is no room until the server has confirmed some.
// No more is under way than `ahead`: a network that stalls would keep it, and deliver it all at once, as a flood.
// `flow` confirms, but is silent while nothing moves, so a `ping` asks: its `pong` confirms all before it.

const PROBE = "undertone.backlog:";
/** @import { ControlMessage, MakeBacklog, Mark } from "./types.js" */
/** @type {Record<string, number>} */
const WIDTHS = { pcm_s16le: 2, pcm_f32le: 4, mulaw: 1, alaw: 1 };

/** Bytes of one instant. @param {import("../undertone.js").AudioFormat} audio */
export const widthOf = (audio) => WIDTHS[audio.encoding] * audio.channels;

/** @type {MakeBacklog} */
export const makeBacklog = (audio, nextSample, seconds) => {
  const width = widthOf(audio);
  const capacity = Math.ceil(seconds * audio.sample_rate);
  const ring = new Uint8Array(capacity * width);
  /** @type {Mark[]} */
  let marks = [];
  /** @type {ControlMessage[]} */
  let urgent = [];
  let base = nextSample;
  let confirmed = nextSample;
  let wire = nextSample;
  let probe = NaN;
  let draining = false;
  let lostSamples = 0;
  /** Positions said that the server may not have. */
  let skips = [[0, 0]];

  /** Samples that were written and may not be there yet. */
  const underWay = () => skips.reduce((samples, [from, to]) => samples + from - to, wire - confirmed);

  /** A copy of what lies between `wire` and `end`. */
  const audioTo = (end = 0) => {
    if (end <= wire) return null;
    const pcm = new Uint8Array((end - wire) * width);
    const start = (wire % capacity) * width;
    const head = ring.subarray(start, start + pcm.length);
    pcm.set(head);
    pcm.set(ring.subarray(0, pcm.length - head.length), head.length);
    wire = end;
    return pcm;
  };

  return {
    width,
    capacity,
    delivery: "realtime",
    ahead: Infinity,
    get lostSamples() {
      return lostSamples;
    },
    get nextSample() {
      return nextSample;
    },
    get wire() {
      return wire;
    },
    get lossless() {
      return this.delivery === "lossless" || marks.some((one) => one.message.delivery === "lossless");
    },
    get paced() {
      const asked = marks.some(({ sent, message }) => sent && message.delivery === "realtime");
      return asked || this.delivery === "realtime";
    },
    get room() {
      return this.lossless ? Math.max(0, capacity - (nextSample - confirmed)) : Infinity;
    },
    get unsent() {
      return nextSample - Math.max(wire, base);
    },
    get unanswered() {
      return marks.length;
    },

    append(pcm) {
      if (pcm.length / width > this.room) return false;
      nextSample += pcm.length / width;
      const kept = pcm.subarray(Math.max(0, pcm.length - ring.length));
      const at = ((nextSample - kept.length / width) % capacity) * width;
      const head = kept.subarray(0, ring.length - at);
      ring.set(head, at);
      ring.set(kept.subarray(head.length));
      base = Math.max(base, nextSample - capacity);
      return true;
    },

    say(message) {
      const answer = new Promise((resolve, reject) => {
        marks.push({ at: nextSample, message, sent: false, resolve, reject });
      });
      answer.catch(() => {}); // whoever doesn't wait for it needs no unhandled rejection either
      return answer;
    },

    sayNow(message) {
      if (message.type === "ack") urgent = urgent.filter((one) => one.type !== "ack");
      urgent.push(message);
    },

    take(limit, most) {
      if (Number.isNaN(probe) && underWay() > Math.min(capacity, this.lossless ? Infinity : this.ahead) / 2) {
        probe = wire;
        return { type: "ping", t: PROBE + wire };
      }
      const now = urgent.shift();
      if (now) return now;
      const mark = marks.find((one) => !one.sent);
      if (mark && mark.at <= wire) {
        mark.sent = true;
        return mark.message;
      }
      const until = mark?.at ?? nextSample;
      if (!most) return null;
      const bound = this.lossless ? (limit ?? Infinity) : wire + this.ahead - underWay();
      if (bound <= wire) return null; // also a gap: while nothing can follow, it grows
      if (wire >= base) return audioTo(Math.min(until, bound, wire + most));
      const sample = Math.min(base, until);
      skips.push([wire, sample]);
      lostSamples += sample - wire;
      wire = sample;
      return { type: "position", sample };
    },

    confirm(sample) {
      confirmed = Math.max(confirmed, Math.min(sample, wire));
      skips = skips.filter(([from]) => from >= confirmed);
    },

    drain() {
      draining = true;
    },

    ponged(t) {
      if (typeof t !== "string" || !t.startsWith(PROBE)) return false;
      if (!draining && t === PROBE + probe) {
        this.confirm(probe);
        probe = NaN;
      }
      return true;
    },

    answered(type, id) {
      const mark = marks.find(({ sent, message }) => sent && message.type === type && message.id === id);
      marks = marks.filter((one) => one !== mark);
      return mark;
    },

    forget(error) {
      for (const mark of marks.splice(0)) mark.reject(error);
    },

    rewind(sample, renumbered) {
      for (const mark of marks) mark.sent = false;
      urgent = urgent.filter((one) => one.type === "ack" && !renumbered);
      for (const [from, to] of skips) if (from >= sample) lostSamples -= to - from;
      skips = [];
      probe = NaN;
      draining = false;
      wire = confirmed = sample;
      if (sample > nextSample) base = nextSample = sample;
    },
  };
};
