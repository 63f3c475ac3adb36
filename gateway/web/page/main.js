// The live page: one session from Start to its closing account, or one watched read-only.

import { connect } from "../undertone.js";
import { watchVisibility } from "../visibility.js";
import { wakeLock } from "../wake-lock.js";
import { createAnnouncer } from "./announcer.js";
import { Bar } from "./bar.js";
import { claim, release } from "./claim.js";
import { $, put, show, storage } from "./dom.js";
import { Listening } from "./listening.js";
import { Model, usable } from "./model.js";
import { once } from "./once.js";
import { Screen } from "./screen.js";
import { clamp, forSession } from "./settings.js";
import { Sound } from "./sound.js";
import { createTimeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import { createTrouble } from "./trouble.js";
import * as words from "./words.js";

/** @typedef {import("./words.js").Phase} Phase */

const kept = storage("session");
const choices = storage("local");
const now = () => performance.now();
const sleep = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

const model = new Model();
const transcript = new Transcript(model);
const timeline = createTimeline({ canvas: $("timeline"), detail: $("tl-detail") });
const lock = wakeLock({ navigator, document });
const announcer = createAnnouncer({
  say: (text) => put($("announcer"), text),
  now,
  setTimeout: (call, ms) => setTimeout(call, ms),
  clearTimeout: (timer) => clearTimeout(timer),
});
const bar = new Bar(announcer.tell);
const screen = new Screen({ model, transcript, bar }, () => ({
  phase,
  hopMs,
  watching: watching !== null,
  // What has not left this machine is behind, too.
  behindMs: Math.max(session?.lagMs ?? 0, (session?.buffered ?? 0) * 1000),
}));
const listening = new Listening({
  onLevel: ({ rms }) => bar.level(rms, now()),
  onEnd: (reason) => sound.ended(reason),
});
const troubles = createTrouble({ bar, kept, start, standing: () => ({ phase, entered }) });
const { trouble, warn } = troubles;
/** Whatever is begun goes by when something else is, or when it is cancelled. */
let turn = 0;
const begin = () => {
  const mine = ++turn;
  troubles.forget();
  return () => mine === turn;
};
/** What few need at once is loaded when somebody does. */
const record = once(async () => {
  const { createRecord } = await import("./record.js");
  return createRecord({ origin: location.origin, key, fetch: (input, init) => fetch(input, init), sleep });
});
const after = once(async () => {
  const { After } = await import("./after.js");
  return new After({ record, keyed: () => key() !== undefined, problem: trouble });
});
const chooser = once(async () => {
  const { Chooser, furnish } = await import("./chooser.js");
  await furnish();
  $("file").addEventListener("change", () => {
    if (running() && settings.source === "file") void relisten();
  });
  return new Chooser(settings, choose);
});

/** @type {Phase} */
let phase = "idle";
/** When it was entered: a second click of a double one is none. */
let entered = -Infinity;
const SETTLED_MS = 800;
/** The session or the watched one. @type {any} */
let session = null;
let watching =
  location.hash.includes("observe=") || kept.get("observe")
    ? (await import("./observer.js")).takeWatch({ location, history, stored: kept })
    : null;
let settings = clamp(choices.get("settings"));
let hopMs = 1000;
/** Samples: how far a watched session is known to be. */
let heardTo = 0;

function key() {
  return kept.get("key") ?? undefined;
}

const running = () => phase === "live" || phase === "reconnecting";

/** What other parts ask of the page. */
const page = {
  bar,
  listening,
  model,
  record,
  cancel,
  choosing,
  enter,
  finish,
  follow,
  join,
  key,
  relisten,
  start,
  stop,
  take,
  trouble,
  warn,
  get phase() {
    return phase;
  },
  get running() {
    return running();
  },
  get settings() {
    return settings;
  },
  get session() {
    return session;
  },
  set session(told) {
    session = told;
  },
};
/** @typedef {typeof page} Page */
const sound = new Sound(page);

/** @returns {Promise<void>} */
function relisten() {
  return sound.relisten();
}

let ticks = 0;
setInterval(() => {
  if (document.hidden || !running()) return;
  timeline.live(Math.max(session?.nextSample ?? 0, heardTo));
  if (++ticks % 5 === 0) screen.mark("now", "bar");
  sound.remind();
}, 100);

/** @param {Phase} next */
function enter(next) {
  if (next === phase) return;
  const before = phase;
  [phase, entered] = [next, now()];
  bar.title(next); // a hidden page is not drawn
  screen.mark("bar", "now");
  if (next === "live" && before === "reconnecting") announcer.tell("Connected again.");
  else if (next !== "starting") announcer.tell(`${words.connection(next, null, watching !== null)}.`);
  if (next === "live") lock.take();
  else if (next === "ended" || next === "expired" || next === "idle") lock.release();
}

/** @param {import("./model.js").Event} event */
function take(event) {
  if (event.type === "welcome") return welcome(event);
  if (!usable(event)) return;
  if (event.type === "configured") hopMs = event.hop_ms ?? hopMs;
  const seq = model.lastSeq;
  const parts = model.add(event, now());
  if (model.lastSeq === seq) return;
  heardTo = Math.max(heardTo, event.end_sample ?? 0);
  timeline.add(/** @type {any} */ (event));
  if (event.type === "tone" && model.toneAt !== null) announcer.tone(/** @type {any} */ (event));
  screen.mark(...parts);
}

/** @type {string | null} */
let epoch = null;

/** @param {any} told */
function welcome(told) {
  if (epoch !== null && told.epoch !== epoch) clear();
  epoch = told.epoch;
  hopMs = Number(told.hop_ms) || hopMs;
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
  screen.mark("now", "lines", "interim");
}

// A session of one's own.

async function start() {
  if (phase === "starting" || phase === "live" || phase === "stopping") return;
  const { source } = sound;
  if (!source) return choosing("file");
  const mine = begin();
  sound.deaf = null;
  bar.hush();
  show($("after"), false);
  show($("access"), false);
  clear();
  enter("starting");
  try {
    await listening.open(source);
    if (!mine()) return;
    await join({ settings: forSession(settings), metadata: { device_type: "browser" } }, mine);
    if (mine() && !listening.source) await stop(); // a recording that was over before that
  } catch (error) {
    if (!mine()) return;
    await listening.stop();
    enter("idle");
    trouble(error, start);
  }
}

/** Take back what was begun. */
function cancel() {
  begin();
  forget();
  void listening.stop();
  enter("idle");
}

/** @param {{memento?: object, settings?: object, metadata?: object}} wanted @param {() => boolean} mine */
async function join(wanted, mine) {
  const opened = await connect(/** @type {any} */ ({ url: location.origin, key: key(), ...wanted }));
  if (!mine()) return void opened.end().catch(() => {}); // nobody waits for it any more
  session = opened;
  if (!wanted.memento) void claim(session.id);
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
    void warn({ code: "expired" }, watching ? [] : [{ label: "Start a new one", press: start }]);
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

/** A reload begins anew. */
function forget() {
  release();
  kept.set("memento", null);
  kept.set("observe", null);
}

/** The session is over, or went on without this page. @param {"ended" | "expired"} how @param {boolean} [elsewhere] */
function finish(how, elsewhere) {
  forget();
  void listening.stop();
  enter(how);
  put($("no-lines"), "No words were heard.");
  if (elsewhere) return;
  const [{ id }, { summary }, files] = [session, model, !watching?.ticket];
  after().then((panel) => session.id === id && panel.open(id, summary, files), trouble);
}

// One that was there before, or is somebody else's: few load what that takes.

/** @param {(part: typeof import("./return.js"), mine: () => boolean) => Promise<void>} go */
async function comeBack(go) {
  const mine = begin();
  enter("starting");
  try {
    await go(await import("./return.js"), mine);
  } catch (error) {
    if (!mine()) return;
    enter("idle");
    trouble(error, () => comeBack(go));
  }
}

// What changes.

/** @param {string} [field] to begin with */
function choosing(field) {
  chooser().then((dialog) => dialog.open(field), trouble);
}

/** Other settings count at once. @param {import("./settings.js").Settings} next @param {object} wanted of the session */
function choose(next, wanted) {
  const before = settings;
  settings = next;
  choices.set("settings", next);
  theme();
  if (watching || !running()) return;
  /** @param {import("./settings.js").Settings} of */
  const source = (of) => [of.source, of.device, of.processing].join();
  if (source(before) !== source(next)) void relisten();
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
  if (now() - entered < SETTLED_MS && !troubles.again) return;
  if (phase === "starting") return cancel();
  if (phase === "stopping") {
    session.leave(); // the gateway doesn't answer
    return finish("ended");
  }
  void (running() ? stop() : start());
});
addEventListener("hashchange", () => location.hash.includes("observe=") && location.reload());
$("share").addEventListener("click", () =>
  import("./share.js").then(({ share }) => share(page)).catch(trouble),
);
$("settings-open").addEventListener("click", () => choosing());
for (const near of ["pointerenter", "focus"])
  $("settings-open").addEventListener(near, () => chooser().catch(() => {})); // so that it opens at once
for (const look of [dark, matchMedia("(forced-colors: active)"), matchMedia("(prefers-contrast: more)")]) {
  look.addEventListener("change", theme);
}
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
      screen.mark("now", "bar");
    },
    online() {
      if (phase === "idle") troubles.again?.();
      else session?.wake?.();
    },
  },
  around,
);
theme();
put($("privacy"), words.privacy(location));
screen.mark("now", "lines", "interim", "bar");
const memento = kept.get("memento");
document.body.classList.toggle("watching", !!watching);
if (watching) void comeBack((part, mine) => part.watch(page, watching, mine));
else if (memento?.session_id) void comeBack((part, mine) => part.resume(page, memento, mine));
