// The live page: one session from Start to its closing account, or one watched read-only.

import { connect, observe } from "../undertone.js";
import { watchVisibility } from "../visibility.js";
import { wakeLock } from "../wake-lock.js";
import { createAnnouncer } from "./announcer.js";
import { Bar } from "./bar.js";
import { $, put, show, storage } from "./dom.js";
import { Listening } from "./listening.js";
import { Model } from "./model.js";
import { NowPanel, describe } from "./now.js";
import { takeWatch } from "./observer.js";
import { changes, clamp, forSession } from "./settings.js";
import { createTimeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import * as words from "./words.js";

/** @typedef {import("./words.js").Phase} Phase */

const kept = storage("session");
const choices = storage("local");
const now = () => performance.now();
const sleep = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

const model = new Model();
const panel = new NowPanel();
const transcript = new Transcript(model);
const timeline = createTimeline({
  canvas: $("timeline"),
  detail: $("tl-detail"),
});
const lock = wakeLock({ navigator, document });
const announcer = createAnnouncer({
  say: (text) => put($("announcer"), text),
  now,
  setTimeout: (call, ms) => setTimeout(call, ms),
  clearTimeout: (timer) => clearTimeout(timer),
});
const bar = new Bar(announcer.tell);
const listening = new Listening({
  onLevel: ({ rms }) => bar.level(rms, now()),
  onEnd: sourceEnded,
});
/** What few need at once is loaded when somebody does. */
const record = once(async () => {
  const { createRecord } = await import("./record.js");
  return createRecord({ origin: location.origin, key, fetch: (input, init) => fetch(input, init), sleep });
});
const after = once(async () => {
  const { After } = await import("./after.js");
  return new After({ record: await record(), keyed: () => key() !== undefined, problem: trouble });
});
const chooser = once(async () => {
  const { Chooser } = await import("./chooser.js");
  return new Chooser(settings, choose);
});

/** @type {Phase} */
let phase = "idle";
/** When it was entered: a second click of a double one is none. */
let entered = -Infinity;
const SETTLED_MS = 800;
/** The session or the watched one. @type {any} */
let session = null;
let watching = takeWatch({ location, history, stored: kept });
let settings = clamp(choices.get("settings"));
let hopMs = 1000;
/** Samples: how far a watched session is known to be. */
let heardTo = 0;
/** Why nothing is listened to, though the session lives. @type {string | null} */
let deaf = null;
let complained = -Infinity;
const REMIND_MS = 10_000;
/** What a returning network, or a key, should set off. @type {(() => void) | null} */
let again = null;
/** @type {Set<string>} */
const dirty = new Set();

function key() {
  return kept.get("key") ?? undefined;
}

/** @template T @param {() => Promise<T>} load @returns {() => Promise<T>} */
function once(load) {
  /** @type {Promise<T> | undefined} */
  let loaded;
  return () =>
    (loaded ??= load().catch((error) => {
      loaded = undefined;
      throw error.code ? error : { code: "unreachable", message: String(error) };
    }));
}

const CALM_MS = 900;
const running = () => phase === "live" || phase === "reconnecting";

// Rendering: events only mark what changed; one frame draws all of it.

/** @param {string[]} parts */
function mark(...parts) {
  if (parts.length && dirty.size === 0) requestAnimationFrame(draw);
  for (const part of parts) dirty.add(part);
}

function draw() {
  const parts = new Set(dirty);
  dirty.clear();
  if (parts.has("lines")) transcript.render();
  if (parts.has("interim")) transcript.renderInterim();
  if (parts.has("now")) drawNow();
  if (parts.has("bar")) bar.render(phase, behindMs(), watching !== null);
}

/** What has not left this machine is behind, too. */
function behindMs() {
  return Math.max(session?.lagMs ?? 0, (session?.buffered ?? 0) * 1000);
}

/** The tone that is shown, and since when: with small hops the next one waits, so that nothing flickers. */
let [shown, shownAt] = [model.tone, -Infinity];

function drawNow() {
  if (model.tone !== shown) {
    if (hopMs < CALM_MS && now() - shownAt < CALM_MS && phase === "live") return;
    [shown, shownAt] = [model.tone, now()];
  }
  panel.render(describe(model, now(), phase === "live", hopMs), words.idle(phase, watching !== null));
}

let ticks = 0;
setInterval(() => {
  if (document.hidden || !running()) return;
  timeline.live(Math.max(session?.nextSample ?? 0, heardTo));
  if (++ticks % 5 === 0) mark("now", "bar");
  const unseen = $("notice").hidden && !document.querySelector("dialog[open]");
  if (deaf && unseen && now() - complained > REMIND_MS) complain(); // the way back isn't lost with a notice
}, 100);

/** @param {Phase} next */
function enter(next) {
  if (next === phase) return;
  const before = phase;
  [phase, entered] = [next, now()];
  mark("bar", "now");
  if (next === "live" && before === "reconnecting") announcer.tell("Connected again.");
  else if (next !== "starting") announcer.tell(`${words.connection(next, null, watching !== null)}.`);
  if (next === "live") lock.take();
  else if (next === "ended" || next === "expired" || next === "idle") lock.release();
}

/** @param {import("./model.js").Event} event */
function take(event) {
  if (event.type === "welcome") return welcome(event);
  if (event.type === "configured") hopMs = event.hop_ms;
  const seq = model.lastSeq;
  const parts = model.add(event, now());
  if (model.lastSeq === seq) return;
  heardTo = Math.max(heardTo, event.end_sample ?? 0);
  timeline.add(/** @type {any} */ (event));
  if (event.type === "tone" && model.toneAt !== null) announcer.tone(/** @type {any} */ (event));
  mark(...parts);
}

/** @type {string | null} */
let epoch = null;

/** @param {any} told */
function welcome(told) {
  if (epoch !== null && told.epoch !== epoch) clear();
  epoch = told.epoch;
  hopMs = told.hop_ms ?? hopMs;
  model.welcome(told);
  timeline.rate = model.rate;
  if (watching && told.resume_token) kept.set("observe", { ...watching, ticket: told.resume_token });
  put($("privacy"), words.privacy(location, told.limits?.closed_s));
}

function clear() {
  model.clear();
  heardTo = 0;
  epoch = null;
  timeline.clear();
  transcript.clear();
  announcer.reset();
  put($("no-lines"), "Words appear here as they are said.");
  mark("now", "lines", "interim");
}

// A session of one's own.

async function start() {
  if (phase === "starting" || phase === "live" || phase === "stopping") return;
  const source = sourceOf();
  if (!source) return choosing("file");
  again = deaf = null;
  bar.hush();
  show($("after"), false);
  show($("access"), false);
  clear();
  enter("starting");
  try {
    await listening.open(source);
    await join({ settings: forSession(settings), metadata: { device_type: "browser" } });
    if (!listening.source) await stop(); // a recording that was over before that
  } catch (error) {
    await listening.stop();
    enter("idle");
    trouble(error, start);
  }
}

/** @param {object} wanted */
async function join(wanted) {
  session = await connect(/** @type {any} */ ({ url: location.origin, key: key(), ...wanted }));
  follow(session);
  listening.feed(session);
  remember();
  enter("live");
}

/** Hear what a session says: events that came with its opening are dispatched after this. @param {any} told */
function follow(told) {
  if (told.welcome) welcome(told.welcome);
  told.addEventListener("event", (/** @type {CustomEvent} */ { detail }) => take(detail));
  told.addEventListener("state", (/** @type {CustomEvent} */ { detail }) => stateChanged(told, detail));
}

/** @param {any} told @param {{state: string, closeCode?: number, error?: any, reason?: string}} change */
function stateChanged(told, { state, closeCode, error, reason }) {
  if (told !== session) return;
  if (state === "live" || state === "reconnecting") return phase === "stopping" ? undefined : enter(state);
  if (state === "expired") {
    finish("expired");
    bar.notice(
      words.problem({ code: "expired" }),
      watching ? [] : [{ label: "Start a new one", press: start }],
    );
  } else if (state === "ended") {
    finish("ended", closeCode === 4005);
    const code = closeCode === 4005 ? "replaced" : (error?.code ?? (closeCode === 1000 ? undefined : reason));
    if (code && !model.summary)
      trouble({ ...error, code, message: error?.message }, watching ? undefined : start, "Start a new one");
  }
}

async function stop() {
  bar.hush();
  enter("stopping");
  after().catch(() => {}); // there when it is wanted; if not, it is asked for again
  const ending = session;
  await listening.close();
  try {
    await ending.end();
  } catch (error) {
    if (phase === "stopping") trouble(error);
  }
  if (phase === "stopping") finish("ended");
}

/** The session is over, or went on without this page. @param {"ended" | "expired"} how @param {boolean} [elsewhere] */
function finish(how, elsewhere) {
  kept.set("memento", null);
  kept.set("observe", null);
  void listening.stop();
  enter(how);
  put($("no-lines"), "No words were heard.");
  if (elsewhere) return;
  const [{ id }, { summary }, files] = [session, model, !watching?.ticket];
  after().then((panel) => session.id === id && panel.open(id, summary, files), trouble);
}

/** @param {string} reason */
async function sourceEnded(reason) {
  if (phase === "starting" && reason === "ended") return listening.close(true);
  if (!running()) return;
  if (reason === "ended") return stop();
  await listening.close();
  deaf = reason;
  complain();
}

function complain() {
  complained = now();
  bar.notice(words.problem({ code: deaf ?? "not_listening" }), [
    { label: "Continue", press: () => relisten() },
    { label: "Stop", press: stop },
  ]);
}

/** Open the source again, or another, for the session that is there. */
async function relisten() {
  const source = sourceOf();
  if (!source) {
    await listening.close(); // whoever chose a recording didn't choose the microphone
    deaf = "not_listening";
    return choosing("file");
  }
  bar.hush();
  try {
    await listening.open(source);
    deaf = null;
  } catch (error) {
    trouble(error, relisten, "Continue");
  }
}

/** A reload goes on with its session: what it said, then what it says, then the microphone. @param {any} memento */
async function resume(memento) {
  enter("starting");
  const told = await recall(memento.session_id);
  try {
    await join({ memento: { ...memento, after: told ? model.lastSeq : 0 } });
  } catch (error) {
    const { code, status } = /** @type {any} */ (error);
    const gone = status === 404 || ["session_not_found", "session_expired", "session_closed"].includes(code);
    if (!gone) {
      enter("idle");
      return trouble(error, () => resume(memento));
    }
    session = { id: memento.session_id };
    finish(code === "session_closed" ? "ended" : "expired");
    bar.notice(words.problem({ code: "expired" }), [{ label: "Start a new one", press: start }]);
    return;
  }
  const wait = () =>
    bar.notice(words.problem({ code: "silent_start" }), [{ label: "Continue", press: relisten }]);
  if (settings.source !== "microphone") return wait();
  await relisten();
  await sleep(3000);
  if (listening.source && !listening.flowing && phase === "live") wait();
}

/** Fill the page with a session's record. @param {string} id @returns {Promise<boolean>} whether there is one */
async function recall(id) {
  try {
    for await (const events of (await record()).history(id)) {
      model.replayTo = Infinity;
      events.forEach(take);
    }
    return model.lastSeq > 0;
  } catch {
    return false;
  }
}

// A session of somebody else's, read-only.

async function watch() {
  if (!watching) return;
  document.body.classList.add("watching");
  enter("starting");
  if (!watching.ticket) await recall(watching.sessionId);
  try {
    const { sessionId, ticket } = watching;
    session = await observe(
      /** @type {any} */ ({
        url: location.origin,
        sessionId,
        ticket,
        after: model.lastSeq,
      }),
    );
    follow(session);
    if (session.state !== "live" && model.summary) finish("ended");
    else enter("live");
  } catch (error) {
    enter("idle");
    const { code, status } = /** @type {any} */ (error);
    trouble(
      watching.ticket && (status === 401 || code === "unauthorized") ? { code: "link_used" } : error,
      watch,
    );
  }
}

async function share() {
  try {
    const ticket = key() ? await (await record()).ticket(session.id) : undefined;
    const { shareLink } = await import("./share.js");
    await shareLink(bar, { sessionId: session.id, ticket });
  } catch (error) {
    trouble(error);
  }
}

// What goes wrong, and what changes.

/** @param {any} error @param {() => void} [retry] @param {string} [label] */
function trouble(error, retry, label = "Try again") {
  const known = {
    code: error?.code,
    message: error?.message,
    status: error?.status,
  };
  const told = words.problem({ ...known, retryAfterMs: error?.retryAfterMs });
  again = retry ?? null;
  if (retry && (known.status === 401 || known.code === "unauthorized" || known.code === "invalid_key_hash")) {
    const hint = key() ? "The gateway did not accept that key." : "This gateway needs a key.";
    put($("key-hint"), `${hint} It is kept in this tab only, until you close it.`);
    announcer.tell(hint);
    kept.set("key", null);
    show($("access"), true);
    $("key").focus();
    return;
  }
  bar.notice(told, retry ? [{ label, press: retry }] : []);
}

/** What capture is to open; null where a file is still to be chosen. */
function sourceOf() {
  const { source, device, processing } = settings;
  if (source === "microphone") return { kind: source, processing, ...(device && { deviceId: device }) };
  const [file] = $("file").files;
  return source === "tab" ? { kind: source } : file ? { kind: source, file } : null;
}

/** @param {string} [field] to begin with */
function choosing(field) {
  chooser().then((dialog) => dialog.open(field), trouble);
}

/** Other settings count at once. @param {import("./settings.js").Settings} next */
function choose(next) {
  const before = settings;
  settings = next;
  choices.set("settings", next);
  theme();
  if (watching || !running()) return;
  /** @param {import("./settings.js").Settings} of */
  const source = (of) => [of.source, of.device, of.processing].join();
  if (source(before) !== source(next)) void relisten();
  const wanted = changes(before, next);
  if (Object.keys(wanted).length) session.configure(wanted).catch(trouble);
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const auto = dark.matches ? "dark" : "light";
  document.documentElement.dataset.theme = settings.theme === "auto" ? auto : settings.theme;
  timeline.redraw();
}

function remember() {
  if (!watching && running()) kept.set("memento", session.memento);
}

$("main-button").addEventListener("click", () => {
  if (now() - entered < SETTLED_MS && phase !== "idle") return;
  if (phase === "stopping") {
    session.leave(); // the gateway doesn't answer
    return finish("ended");
  }
  void (running() ? stop() : start());
});
$("file").addEventListener("change", () => {
  if (running() && settings.source === "file") void relisten();
});
addEventListener("hashchange", () => location.hash.includes("observe=") && location.reload());
$("share").addEventListener("click", share);
$("settings-open").addEventListener("click", () => choosing());
for (const look of [dark, matchMedia("(forced-colors: active)"), matchMedia("(prefers-contrast: more)")]) {
  look.addEventListener("change", theme);
}
$("access").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  kept.set("key", $("key").value.replace(/[^!-~]/g, "") || null); // what is pasted may bring what can't be seen
  $("key").value = "";
  show($("access"), false);
  const next = again ?? start;
  next();
});
$("zoom-in").addEventListener("click", () => timeline.zoom(1.5));
$("zoom-out").addEventListener("click", () => timeline.zoom(1 / 1.5));
$("follow").addEventListener("click", () => timeline.follow(true));
timeline.addEventListener("view", (/** @type {any} */ event) =>
  $("follow").setAttribute("aria-pressed", String(event.detail.following)),
);
setInterval(remember, 2000);
/** A wall clock: the other one may stand still while the machine sleeps. */
const around = { document, window, now: () => Date.now() };
watchVisibility(
  {
    hidden: remember,
    shown() {
      session?.wake?.();
      mark("now", "bar");
    },
    online() {
      if (phase === "idle") again?.();
      else session?.wake?.();
    },
  },
  around,
);
theme();
put($("privacy"), words.privacy(location));
mark("now", "lines", "interim", "bar");
const memento = kept.get("memento");
if (watching) void watch();
else if (memento?.session_id) void resume(memento);
