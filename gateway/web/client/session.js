// One session and the side that speaks, over as many WebSockets as it takes.

/** @import { AudioFormat } from "../undertone.js" */
/** @import { ControlMessage, MakeSession } from "./types.js" */
import { makeBacklog, widthOf } from "./backlog.js";
import { makeCourse } from "./course.js";
import { UndertoneError, errorOf, invalid, malformed } from "./errors.js";
import { decode } from "./msgpack.js";
import { makePace } from "./pace.js";

const MAX_BYTES = 65_536;
const MAX_BYTES_PER_S = 1e6;
const MAX_UNANSWERED = 64;
const ALIVE = "undertone.alive";
const SETTINGS = "hop_ms window_ms elcor language num_speakers min_confidence features delivery".split(" ");
const REFUSALS = ["invalid_field", "malformed_message", "message_too_large"];

/** @param {AudioFormat} audio */
const formatOf = ({ encoding, sample_rate, channels }) => [encoding, sample_rate, channels].join();

/** @type {MakeSession} */
export const openSession = (line, audio, seconds) => {
  const { environment: env } = line;
  let backlog = makeBacklog(audio, 0, seconds);
  let pace = makePace(1);
  /** @type {WebSocket | null} */
  let socket = null;
  /** @type {number | null} */
  let limit = null;
  let most = 0;
  let flushes = 0;
  /** @type {unknown} */
  let pumping;
  /** @type {Promise<any> | null} */
  let ending = null;
  /** @type {Error | null} */
  let gone = null;
  /** @type {{ samples: number, resolve: (nothing?: any) => void, reject: (error: Error) => void }[]} */
  let waiting = [];

  /** Writes what may be written. A slow network fills our own queue, which is bounded, not the socket's. */
  const pump = () => {
    env.clearTimeout(pumping);
    while (it.state === "live" && socket?.readyState === 1) {
      const full = socket.bufferedAmount > audio.sample_rate * backlog.width;
      const { paced } = backlog;
      const wait = full ? 50 : paced ? pace.wait(env.now()) : 0;
      const message = backlog.take(limit, wait ? 0 : most);
      if (message instanceof Uint8Array) {
        if (paced) pace.spend(message.length / backlog.width);
        socket.send(message);
      } else if (message) socket.send(JSON.stringify(message));
      else {
        if (wait && backlog.unsent) pumping = env.setTimeout(pump, Math.max(20, wait));
        break;
      }
    }
    for (const one of waiting) if (one.samples <= backlog.room) one.resolve();
    waiting = waiting.filter((one) => one.samples > backlog.room);
  };

  /** @param {ControlMessage} message */
  const say = (message) => {
    if (gone) return Promise.reject(gone);
    if (ending) return Promise.reject(new UndertoneError("session_closed", "the session was asked to end"));
    if (message.type !== "end" && backlog.unanswered >= MAX_UNANSWERED) {
      return Promise.reject(new UndertoneError("busy", "too many requests are without an answer"));
    }
    const answer = backlog.say(message);
    pump();
    return answer;
  };

  /** @param {ControlMessage} message */
  const sayNow = (message) => {
    backlog.sayNow(message);
    pump();
  };

  const course = makeCourse(line, {
    dial(base) {
      const query = new URLSearchParams({ session_id: line.id });
      if (it.epoch !== undefined) {
        query.set("epoch", it.epoch);
        query.set("after", String(it.after ?? 0));
      }
      const offered = ["undertone.v1.msgpack"];
      if (it.credential) offered.push(`undertone.ticket.${it.credential}`);
      const opened = new env.WebSocket(`${base.replace("http", "ws")}ws/voice?${query}`, offered);
      socket = opened;
      opened.binaryType = "arraybuffer";
      opened.onerror = () => {}; // the close that follows says as much
      opened.onclose = ({ code, reason }) => {
        if (opened === socket) course.lost(code, reason);
      };
      opened.onmessage = ({ data }) => {
        if (opened !== socket) return;
        course.alive();
        try {
          if (!(data instanceof ArrayBuffer) || data.byteLength > MAX_BYTES) throw malformed("not an event");
          course.hear(decode(new Uint8Array(data)));
        } catch (error) {
          course.broken(error);
        }
        pump();
      };
    },

    hangUp(code = 1000) {
      const before = socket;
      socket = null;
      before?.close(code);
    },

    probe() {
      sayNow({ type: "ping", t: ALIVE });
    },

    adopt(welcome, renumbered) {
      const { protocol, limits, delivery, next_sample } = welcome;
      const width = welcome.audio && widthOf(welcome.audio);
      const perSecond = width * welcome.audio?.sample_rate;
      if (protocol !== "undertone.v1" || !(perSecond > 0 && perSecond < MAX_BYTES_PER_S)) {
        throw malformed("a welcome to another protocol");
      }
      const same = formatOf(welcome.audio) === formatOf(audio);
      if (it.welcome && !same) throw malformed("a welcome to other audio");
      audio = welcome.audio;
      if (!same) backlog = makeBacklog(audio, 0, seconds);
      backlog.delivery = delivery;
      backlog.rewind(next_sample, renumbered);
      limit = welcome.limit;
      pace = makePace(audio.sample_rate, limits?.realtime_factor, limits?.burst_s);
      backlog.ahead = pace.burst;
      most = Math.floor(Math.min((limits?.max_message_bytes ?? MAX_BYTES) / width, audio.sample_rate / 4));
    },

    answer(event) {
      const { type, id, t, delivery } = event;
      if (type === "flow") {
        backlog.confirm(event.received);
        limit = event.limit;
      } else if (type === "configured") {
        backlog.delivery = delivery;
        if (delivery === "realtime") limit = null;
        backlog.answered("configure")?.resolve(event);
      } else if (type === "flushed") backlog.answered("flush", id)?.resolve(event);
      else if (type === "summary") backlog.answered("end")?.resolve(event);
      else if (type === "drain") backlog.drain();
      else if (type === "pong") return t !== ALIVE && !backlog.ponged(t);
      else if (type === "error" && !event.fatal && REFUSALS.includes(event.code)) {
        backlog.answered("configure")?.reject(errorOf(event));
      }
      return true;
    },

    over(error) {
      if (error.code === "left") ending = null;
      else gone = error;
      backlog.forget(error);
      for (const one of waiting.splice(0)) one.reject(error);
    },
  });
  const { it } = course;

  course.expose({
    get audio() {
      return audio;
    },
    get nextSample() {
      return backlog.nextSample;
    },
    get lostSamples() {
      return backlog.lostSamples;
    },
    get room() {
      return backlog.room;
    },
    get buffered() {
      return (backlog.unsent + (socket?.bufferedAmount ?? 0) / backlog.width) / audio.sample_rate;
    },
    get memento() {
      return { ...course.memento(), next_sample: backlog.nextSample, audio };
    },

    /** @param {ArrayBuffer | ArrayBufferView} pcm */
    send(pcm) {
      const view = ArrayBuffer.isView(pcm) ? pcm : pcm instanceof ArrayBuffer && new Uint8Array(pcm);
      if (!view) throw new TypeError("audio must be an ArrayBuffer or a view of one");
      if (view.byteLength % backlog.width) {
        throw new UndertoneError(
          "incomplete_sample",
          `audio must be whole samples of ${backlog.width} bytes`,
        );
      }
      if (gone || ending) return false;
      const taken = backlog.append(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
      if (taken) pump();
      return taken;
    },

    ready(samples = 1) {
      if (!(samples <= backlog.capacity))
        return Promise.reject(invalid("samples", "must fit into the backlog"));
      if (gone) return Promise.reject(gone);
      const promise = new Promise((resolve, reject) => waiting.push({ samples, resolve, reject }));
      pump();
      return promise;
    },

    configure(settings = {}) {
      const wrong = Object.keys(settings).find((name) => !SETTINGS.includes(name));
      return wrong
        ? Promise.reject(invalid(wrong, "is no setting"))
        : say({ ...settings, type: "configure" });
    },

    flush: () => say({ type: "flush", id: ++flushes }),

    ack(seq = -1) {
      if (!Number.isSafeInteger(seq) || seq < 0) throw invalid("seq", "must be a sequence number");
      sayNow({ type: "ack", seq });
    },

    ping(t = null) {
      if (it.state === "live") sayNow({ type: "ping", t });
    },

    end() {
      if (it.summary) return Promise.resolve(it.summary);
      ending ??= say({ type: "end" });
      return ending;
    },
  });
  return course.start();
};
