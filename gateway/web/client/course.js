// What a session and an observer share: states, the place in the event log, and coming back (docs/protocol.md).
// Decisions go by the clock, never by counted timers: on a hidden page or a phone asleep those stand still.

/** @import { ServerEvent, SessionWelcome, UndertoneError as Problem } from "../undertone.js" */
/** @import { Course, Input, MakeCourse, Standing } from "./types.js" */
import { backoffMs } from "./backoff.js";
import { UndertoneError, errorOf, malformed } from "./errors.js";
import { baseOf } from "./rest.js";
import { mayReturn, step } from "./states.js";

/** Of an attempt, of a connection that worked, and beyond the session's own patience: the server may have
 * noticed later than we did that the connection is gone. */
const [ATTEMPT_MS, LIVED_MS, MARGIN_MS] = [10_000, 10_000, 10_000];
/** The close that should follow `summary`. */
const CLOSE_MS = 3_000;
const LOST = 1006;

/** @param {unknown} value */
const isIndex = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

/** Gives `target` those properties of `source`, to read. @param {object} target @param {any} source */
export const mirror = (target, source, names = [""]) => {
  for (const name of names) Object.defineProperty(target, name, { get: () => source[name] });
};

/** @type {MakeCourse} */
export const makeCourse = (line, driver) => {
  const { id, base, epoch, after, credential, environment: env } = line;
  /** @type {Standing} */
  const it = {
    state: "idle",
    welcome: null,
    lagMs: null,
    missed: 0,
    resumes: 0,
    epoch,
    after,
    credential,
    summary: null,
    fatal: null,
    drain: null,
    opening: null,
    held: [],
    elsewhere: null,
    retryMs: 0,
  };
  /** @type {any} */
  const target = new EventTarget();
  /** @type {unknown} retry, attempt or silence: one at a time */
  let timer;
  let [failures, top, patienceMs, beatMs] = [0, 0, 0, 20_000];
  let [since, triedAt, heardAt, deadline] = [0, -Infinity, 0, Infinity];

  const tell = (type = "", detail = {}) => {
    const event = new CustomEvent(type, { detail });
    if (it.held) it.held.push(event);
    else target.dispatchEvent(event);
  };

  /** @param {ServerEvent} event */
  const publish = (event) => {
    if (!["state", "event"].includes(event.type)) tell(event.type, event);
    tell("event", event);
  };

  /** @param {Input} input */
  const move = (input, detail = {}) => {
    const previous = it.state;
    it.state = step(previous, input);
    if (input === "loss" || it.state !== previous) tell("state", { state: it.state, previous, ...detail });
  };

  const wait = (ms = 0, then = () => {}) => {
    env.clearTimeout(timer);
    timer = env.setTimeout(then, ms);
  };

  /** @param {"final" | "expiry"} input @param {Problem} [error] */
  const finish = (input, reason = "", closeCode = LOST, error) => {
    const code = closeCode === LOST ? "unreachable" : reason || "closed";
    const failure = error ?? new UndertoneError(code, "the connection came to its end", { closeCode });
    const { opening } = it;
    env.clearTimeout(timer);
    it.opening = null;
    driver.over?.(failure);
    move(input, { reason, closeCode, error });
    opening?.reject(failure);
  };

  const attempt = () => {
    const leftMs = it.opening ? ATTEMPT_MS : patienceMs - (env.now() - since);
    driver.hangUp();
    triedAt = env.now();
    it.drain = it.fatal = null;
    wait(Math.min(ATTEMPT_MS, Math.max(1_000, leftMs)), () => course.lost(LOST, "timeout"));
    try {
      driver.dial(it.elsewhere ?? base);
    } catch (error) {
      course.lost(LOST, String(error));
    }
  };

  const probe = (ms = 0) => {
    deadline = driver.probe ? env.now() + ms : heardAt + 2 * beatMs;
    driver.probe?.();
  };

  /** Silence is asked about after one heartbeat and believed after two. */
  const watch = () => {
    const now = env.now();
    if (now >= deadline) return course.lost(LOST, "silent");
    if (deadline === Infinity && now - heardAt >= beatMs) probe(beatMs);
    const next = Math.min(deadline, heardAt + beatMs);
    wait(Math.max(10, (next > now ? next : deadline) - now), watch);
  };

  /** @param {SessionWelcome} welcome */
  const welcomed = (welcome) => {
    const { epoch, next_seq, next_sample = 0, recovered, replay_from, limits, heartbeat_s = 20 } = welcome;
    if (
      welcome.session_id !== id ||
      !isIndex(next_seq) ||
      !isIndex(next_sample) ||
      typeof epoch !== "string"
    ) {
      throw malformed("a welcome to something else");
    }
    const renumbered = it.epoch !== undefined && it.epoch !== epoch;
    const seen = renumbered ? 0 : (it.after ?? 0);
    driver.adopt?.(welcome, renumbered);
    // What gets the number of an event that the server has forgotten is new to us.
    it.after = !recovered && seen >= next_seq ? (replay_from ?? next_seq) - 1 : seen;
    it.epoch = epoch;
    it.credential = welcome.resume_token ?? it.credential;
    if (it.welcome) it.resumes++;
    it.welcome = welcome;
    if (next_sample > top) failures = 0;
    top = Math.max(top, next_sample);
    patienceMs = (limits?.detached_s ?? 90) * 1_000 + MARGIN_MS;
    beatMs = Math.min(60, Math.max(0.1, heartbeat_s)) * 1_000;
    since = env.now();
    move("welcome", { recovered, renumbered });
    publish(welcome);
    course.alive();
    watch();
    if (!it.opening) return;
    it.opening.resolve(target);
    it.opening = null;
    env.setTimeout(() => {
      for (const event of it.held ?? []) target.dispatchEvent(event); // who awaited listens by now
      it.held = null;
    }, 0);
  };

  /** Milliseconds that the server asked for. @param {Problem} [problem] */
  const asked = (code = 0, problem) => {
    const { drain, retryMs } = it;
    try {
      const there = drain?.reconnect_url ? baseOf(drain.reconnect_url, env) : null;
      if (there?.startsWith(base.slice(0, 5).replace(/:$/, ""))) it.elsewhere = there; // no encryption is given up
    } catch {} // a malformed address leads nowhere
    if (drain && code === 1012) return drain.retry_after_ms;
    return (problem?.retryAfterMs ?? 0) * (1 + env.random() / 4) || retryMs;
  };

  /** @type {Course} */
  const course = {
    it,

    expose(add) {
      const own = {
        id,
        get memento() {
          return course.memento();
        },
        wake() {
          const now = env.now();
          if (it.state === "live") {
            probe(Math.min(5_000, beatMs));
            watch();
          } else if (it.state === "reconnecting" && now - triedAt > 1_000) attempt();
          else if (it.state === "idle" && it.welcome) {
            since = now;
            move("wake");
            attempt();
          }
        },
        leave() {
          const { opening } = it;
          const left = new UndertoneError("left", "the session was left");
          env.clearTimeout(timer);
          driver.hangUp();
          it.opening = null;
          driver.over?.(left);
          move("leave");
          opening?.reject(left);
        },
      };
      for (const each of [own, add]) Object.defineProperties(target, Object.getOwnPropertyDescriptors(each));
      mirror(target, it, ["state", "welcome", "lagMs", "missed", "resumes"]);
      return target;
    },

    memento: () => ({ session_id: id, epoch: it.epoch, after: it.after, token: it.credential }),

    start() {
      return new Promise((resolve, reject) => {
        it.opening = { resolve, reject };
        move("open");
        attempt();
      });
    },

    alive() {
      heardAt = env.now();
      if (!it.summary) deadline = Infinity;
    },

    hear(event) {
      const { type, seq } = event ?? {};
      const live = it.state === "live";
      if (typeof type !== "string") throw malformed("an event needs a type");
      if (live === (type === "welcome") && type !== "error") throw malformed(`${type} is out of place`);
      if (type === "welcome") return welcomed(event);
      if (seq !== undefined) {
        if (!isIndex(seq) || event.session_id !== id) throw malformed("an event of something else");
        const expected = (it.after ?? 0) + 1;
        if (seq < expected) return;
        it.missed += seq - expected;
        it.after = seq;
        failures = 0;
      }
      if (type === "drain") it.drain = event;
      if (type === "error" && event.fatal) it.fatal = event;
      if (type === "flow") it.lagMs = event.lag_ms;
      if (type === "summary") {
        it.summary = event;
        deadline = env.now() + CLOSE_MS;
        watch();
      }
      if (live && (driver.answer?.(event) ?? true)) publish(event);
    },

    broken(error) {
      if (!(error instanceof UndertoneError)) throw error;
      driver.hangUp(4008);
      finish("final", error.code, 4008, error);
    },

    lost(code, why = "", problem) {
      const now = env.now();
      const live = it.state === "live";
      const { fatal, opening, summary } = it;
      triedAt = -Infinity;
      const error = fatal ? errorOf(fatal, code) : problem;
      const reason = error?.code ?? (it.drain ? "drain" : why);
      driver.hangUp();
      if (opening) return finish("final", reason, code, error);
      if (summary && mayReturn(code)) return finish("final", reason, 1000);
      if (!mayReturn(code) && (live || !it.elsewhere || code >= 4000)) {
        const expired = code === 4004 && (!summary || reason === "session_expired");
        return finish(expired ? "expiry" : "final", reason, code, error);
      }
      if (live) {
        if (now - since >= LIVED_MS) failures = 0;
        since = now;
      } else if (now - since >= patienceMs) return finish("expiry", "session_expired", code, error);
      else it.elsewhere = null; // whoever was to take over is not there; the old address may lead to another
      const pause = Math.max(backoffMs(failures++, env.random()), asked(code, problem));
      const retryMs = Math.min(pause, patienceMs - (now - since));
      move("loss", { reason, closeCode: code, error, retryMs });
      wait(retryMs, attempt);
    },
  };
  return course;
};
