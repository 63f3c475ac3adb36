// The timeline: minutes of history on a canvas, for pointer, touch, wheel and keyboard. It sets its own height.
// To a screen reader it is a slider whose value is the selected event, told by `aria-valuetext`.

import { describe } from "./timeline-detail.js";
import { createPainter } from "./timeline-draw.js";
import { createModel } from "./timeline-model.js";
import { createEdge, createView } from "./timeline-view.js";
import { clock } from "./words.js";

/** @import {Environment, Mark, Methods, Row, Timeline} from "./timeline-types.js" */

const HELP =
  "Left and right: events. Up and down: lanes. Home and End: first and last. " +
  "Page Up and Down: earlier and later. Plus and minus: zoom. F: follow. Escape: clear.";
/** CSS pixels that a finger may miss by, or shake before it drags. */
const REACH = 6;

/** @param {{canvas: HTMLCanvasElement, detail: HTMLElement, environment?: Partial<Environment>}} parts
 * @returns {Timeline} */
export function createTimeline({ canvas, detail, environment }) {
  /** @type {Environment} */
  const env = {
    requestAnimationFrame: (f) => requestAnimationFrame(f),
    now: () => performance.now(),
    matchMedia: (query) => matchMedia(query),
    ResizeObserver: globalThis.ResizeObserver,
    ...environment,
  };
  const page = canvas.ownerDocument;
  const painter = createPainter(canvas);
  const view = createView();
  const still = env.matchMedia("(prefers-reduced-motion: reduce)");
  const stop = new AbortController();
  let model = createModel();
  let edge = createEdge();
  /** @type {Row[]} */
  let rows = [];
  /** @type {Mark} */
  let selected = null;
  /** @type {Mark} */
  let hovered = null;
  /** Where each finger is. @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  let pending = false;
  let stale = true;
  let dirty = true;
  let dragged = false;
  let [width, height, dpr, drawn, stepped] = [0, 0, 0, NaN, -Infinity];

  /** Draw with the next frame. */
  function ask() {
    dirty = true;
    wake();
  }

  function wake() {
    if (pending || stop.signal.aborted || page.hidden) return;
    pending = true;
    env.requestAnimationFrame(frame);
  }

  const room = () => width - painter.gutter;

  function frame() {
    pending = false;
    if (stop.signal.aborted) return;
    const now = env.now();
    measure();
    const smooth = !still.matches;
    if (smooth || dirty) view.moveTo(Math.max(edge.advance(now, smooth), model.end / model.rate));
    const scale = (room() / view.seconds) * dpr;
    const moved = Math.round((view.following ? view.start : view.edge) * scale);
    if (dirty || moved !== drawn)
      painter.draw({
        model,
        view,
        rows,
        width,
        height,
        dpr,
        hovered,
        selected,
      });
    [dirty, drawn] = [false, moved];
    if (smooth && edge.moving(now)) wake();
  }

  /** The canvas's size follows its box and its lanes. */
  function measure() {
    const ratio = environment?.devicePixelRatio ?? page.defaultView?.devicePixelRatio ?? 1;
    if (ratio !== dpr) painter.theme((dpr = ratio));
    else if (!stale) return; // to ask for the width would lay the page out, with every frame
    rows = model.rows(painter.em);
    const { y, height: last } = rows[rows.length - 1];
    stale = false;
    dirty = true;
    // On a phone a minute leaves no room for words.
    if (!width && canvas.clientWidth < 480) view.zoom(3);
    width = canvas.clientWidth;
    height = y + last + 4;
    const [wide, high] = [Math.round(width * dpr), Math.round(height * dpr)];
    if (canvas.width === wide && canvas.height === high) return;
    [canvas.width, canvas.height] = [wide, high];
    canvas.style.height = `${height}px`;
  }

  /** @param {string} type @param {object} told */
  const tell = (type, told) => timeline.dispatchEvent(new CustomEvent(type, { detail: told }));

  function seen() {
    const { following, seconds, start } = view;
    tell("view", { following, seconds, start });
    ask();
  }

  /** What the pointer or else the keyboard points at, in words. */
  function write() {
    const event = (hovered ?? selected)?.event;
    const { dropped, rate } = model;
    const words = () => rows.flatMap(({ kind, list }) => (kind === "words" ? list.items : []));
    const text = event
      ? describe(event, rate, event.type === "tone" ? words() : [])
      : dropped
        ? `Nothing is held here before ${clock(model.stop(dropped) / rate)}.`
        : "";
    if (detail.textContent !== text) detail.textContent = text;
    ask();
  }

  /** @param {Mark} mark */
  function select(mark) {
    if (mark?.event === selected?.event && mark?.lane === selected?.lane) return;
    selected = mark;
    hovered = null;
    write();
    const at = mark ? model.start(mark.event) / model.rate : 0;
    canvas.setAttribute("aria-valuenow", String(Math.round(at)));
    canvas.setAttribute("aria-valuetext", mark ? detail.textContent : "Nothing selected");
    tell("select", { event: mark && mark.event });
  }

  /** Where on the width, from 0 to 1. @param {number} x */
  const share = (x) => (x - canvas.getBoundingClientRect().left - painter.gutter) / room();

  /** @param {PointerEvent} pointer @returns {Mark} */
  function hit({ clientX, clientY }) {
    const { rate, near } = model;
    const sample = (view.start + share(clientX) * view.seconds) * rate;
    const reach = (REACH / room()) * view.seconds * rate;
    const at = clientY - canvas.getBoundingClientRect().top;
    for (const { lane, list, y, height } of rows) {
      const inside = at >= y - 2 && at < y + height + 2;
      const event = inside && near(list, sample, reach);
      if (event) return { event, lane };
    }
    return null;
  }

  /** @param {Mark} mark */
  function hover(mark) {
    if (mark?.event === hovered?.event) return;
    hovered = mark;
    write();
  }

  /** @param {number} factor @param {number} [anchor] */
  function zoom(factor, anchor) {
    view.zoom(factor, anchor);
    seen();
  }

  /** @param {number} part of the width */
  function pan(part) {
    const moved = view.pan(part * view.seconds);
    if (moved) seen();
    return moved;
  }

  /** @param {string} key */
  function go(key) {
    measure();
    const full = rows.filter(({ list }) => list.items.length);
    const old = selected?.lane ?? "tone";
    const by = key === "ArrowUp" ? -1 : +(key === "ArrowDown");
    const at = full.findIndex(({ lane }) => lane === old) + by;
    const row = full[Math.min(Math.max(at, 0), full.length - 1)];
    if (!row) return;
    const { list, lane } = row;
    const { rate, start, stop, near, step } = model;
    const last = (view.start + view.seconds) * rate;
    let event = selected?.event;
    if (key === "Home") event = list.items[0];
    else if (key === "End") event = list.items[list.items.length - 1];
    else if (event && lane === old) event = by ? event : step(list, event, key === "ArrowLeft" ? -1 : 1);
    else event = near(list, event ? start(event) : last) ?? list.items[0];
    view.reveal(start(event) / rate, stop(event) / rate);
    select({ event, lane });
    seen();
  }

  /** @type {Record<string, () => unknown>} */
  const keys = {
    "+": () => zoom(1.5),
    "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    f: () => timeline.follow(true),
    Escape: () => select(null),
    PageUp: () => pan(-0.8),
    PageDown: () => pan(0.8),
  };
  for (const key of "ArrowLeft ArrowRight ArrowUp ArrowDown Home End".split(" ")) keys[key] = () => go(key);

  /** @type {Record<string, (event: any) => void>} */
  const heard = {
    keydown(event) {
      const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    },
    wheel(event) {
      const delta = (event.deltaX || event.deltaY) * (event.deltaMode ? 20 : 1);
      if (event.ctrlKey) zoom(Math.exp(-delta / 200), share(event.clientX));
      else if (!pan(delta / width)) return; // at the end the page scrolls
      event.preventDefault();
    },
    pointerdown(event) {
      if (event.button) return;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      dragged = fingers.size > 1;
      canvas.setPointerCapture(event.pointerId);
    },
    pointermove(event) {
      const finger = fingers.get(event.pointerId);
      if (!finger) return hover(hit(event));
      if (!dragged && Math.abs(event.clientX - finger.x) < REACH) return;
      dragged = true;
      const other = [...fingers.values()].find((f) => f !== finger);
      const by = (finger.x - event.clientX) / room();
      if (other) {
        const was = Math.max(Math.abs(finger.x - other.x), 20);
        const is = Math.max(Math.abs(event.clientX - other.x), 20);
        zoom(is / was, share((event.clientX + other.x) / 2));
      }
      pan(other ? by / 2 : by);
      finger.x = event.clientX;
    },
    pointerup(event) {
      if (fingers.delete(event.pointerId) && !dragged) select(hit(event));
    },
    pointercancel: (event) => fingers.delete(event.pointerId),
    pointerleave: () => hover(null),
    dblclick: () => timeline.follow(true),
  };

  /** @type {Methods} */
  const methods = {
    get rate() {
      return model.rate;
    },
    set rate(rate) {
      if (!(rate > 0)) return;
      model.rate = rate;
      ask();
    },
    add(event) {
      if (!model.add(event)) return;
      stale = true;
      if (model.dropped && !detail.textContent) write();
      ask();
    },
    live(sample) {
      const now = env.now();
      edge.tell(sample / model.rate, now);
      if (!still.matches) return wake();
      if (now - stepped < 1000) return;
      stepped = now;
      ask();
    },
    clear() {
      const { rate } = model;
      [model, edge, hovered, stale] = [createModel(), createEdge(), null, true];
      model.rate = rate;
      view.follow(true);
      select(null);
      write();
    },
    redraw() {
      dpr = 0;
      ask();
    },
    follow(on) {
      view.follow(on);
      seen();
    },
    zoom: (factor) => zoom(factor),
    pan,
    dispose() {
      stop.abort();
      watch.disconnect();
    },
  };
  /** @type {Timeline} */
  const timeline = Object.defineProperties(
    /** @type {any} */ (new EventTarget()),
    Object.getOwnPropertyDescriptors(methods),
  );

  for (const type in heard)
    canvas.addEventListener(type, heard[type], {
      signal: stop.signal,
      passive: false,
    });
  page.addEventListener("visibilitychange", ask, { signal: stop.signal });
  const watch = new env.ResizeObserver(() => {
    stale = true;
    ask();
  });
  watch.observe(canvas);
  const attributes = {
    role: "slider",
    tabindex: 0,
    "aria-label": "Timeline",
    "aria-description": HELP,
    "aria-valuenow": 0,
  };
  for (const [name, value] of Object.entries(attributes)) canvas.setAttribute(name, String(value));
  canvas.setAttribute("aria-valuetext", "Nothing selected");
  canvas.style.touchAction = "pan-y";
  ask();
  return timeline;
}
