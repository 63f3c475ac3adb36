// The timeline: minutes of history on a canvas, for pointer, touch, wheel and keyboard (timeline-hand.js, loaded when
// one of them first comes near). It sets its own height.
// To a screen reader it is a slider whose value is the selected event, told by `aria-valuetext`.

import { createPainter } from "./timeline-draw.js";
import { createModel } from "./timeline-model.js";
import { createEdge, createView } from "./timeline-view.js";
import { clock } from "./words.js";

/** @import {Environment, Hand, Methods, Shown, Timeline} from "./timeline-types.js" */

const HELP =
  "Left and right: events. Up and down: lanes. Home and End: first and last. " +
  "Page Up and Down: earlier and later. Plus and minus: zoom. F: follow. Escape: clear.";
const TOUCHES =
  "pointerenter pointerdown pointermove pointerup pointercancel pointerleave dblclick wheel focus keydown";

/** @param {{canvas: HTMLCanvasElement, detail: HTMLElement, environment?: Environment}} parts
 * @returns {Timeline} */
export function createTimeline({ canvas, detail, environment: env = globalThis }) {
  const page = canvas.ownerDocument;
  const painter = createPainter(canvas);
  const view = createView();
  const still = env.matchMedia("(prefers-reduced-motion: reduce)");
  const stop = new AbortController();
  /** @type {Shown} */
  const shown = { model: createModel(), rows: [], hovered: null, selected: null };
  let edge = createEdge();
  /** @type {Hand | null} */
  let hand = null;
  /** What came before it. @type {Event[]} */
  const early = [];
  let pending = false;
  let stale = true;
  let dirty = true;
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
    const now = env.performance.now();
    measure();
    const smooth = !still.matches;
    const { end, rate } = shown.model;
    if (smooth || dirty) view.moveTo(Math.max(edge.advance(now, smooth), end / rate));
    const scale = (room() / view.seconds) * dpr;
    const moved = Math.round((view.following ? view.start : view.edge) * scale);
    if (dirty || moved !== drawn) painter.draw({ ...shown, view, width, height, dpr });
    [dirty, drawn] = [false, moved];
    if (smooth && edge.moving(now)) wake();
  }

  /** The canvas's size follows its box and its lanes. */
  function measure() {
    const ratio = page.defaultView?.devicePixelRatio ?? 1;
    if (ratio !== dpr) painter.theme((dpr = ratio));
    else if (!stale) return; // to ask for the width would lay the page out, with every frame
    shown.rows = shown.model.rows(painter.em);
    const { y, height: last } = shown.rows[shown.rows.length - 1];
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

  /** What is pointed at, in words, or else how far back it goes. */
  function write() {
    const { dropped, rate, stop } = shown.model;
    const far = dropped ? `Nothing is held here before ${clock(stop(dropped) / rate)}.` : "";
    const text = hand?.words() || far;
    if (detail.textContent !== text) detail.textContent = text;
    ask();
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

  /** @param {Event} event */
  function touched(event) {
    if (hand) hand.heard[event.type]?.(event);
    else if (early.push(event) === 1) void reach();
  }

  /** What came before the hand was there is done then; where it can't be had, the next touch asks again. */
  async function reach() {
    const loaded = await import("./timeline-hand.js").catch(() => null);
    if (loaded && !stop.signal.aborted)
      hand = loaded.createHand({
        canvas,
        view,
        shown,
        painter,
        room,
        measure,
        write,
        zoom,
        seen,
        pan,
        timeline,
      });
    for (const event of early.splice(0)) if (hand) touched(event);
  }

  /** @type {Methods} */
  const methods = {
    get rate() {
      return shown.model.rate;
    },
    set rate(rate) {
      if (!(rate > 0)) return;
      shown.model.rate = rate;
      ask();
    },
    add(event) {
      if (!shown.model.add(event)) return;
      stale = true;
      if (shown.model.dropped && !detail.textContent) write();
      ask();
    },
    live(sample) {
      const now = env.performance.now();
      edge.tell(sample / shown.model.rate, now);
      if (!still.matches) return wake();
      if (now - stepped < 1000) return;
      stepped = now;
      ask();
    },
    clear() {
      const { rate } = shown.model;
      [shown.model, edge, stale] = [createModel(), createEdge(), true];
      shown.model.rate = rate;
      shown.hovered = null;
      view.follow(true);
      hand?.select(null);
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

  for (const type of TOUCHES.split(" "))
    canvas.addEventListener(type, touched, { signal: stop.signal, passive: false });
  page.addEventListener("visibilitychange", ask, { signal: stop.signal });
  const watch = new env.ResizeObserver(() => {
    stale = true;
    ask();
  });
  watch.observe(canvas);
  const attributes = {
    role: "slider",
    "aria-description": HELP,
    "aria-valuenow": "0",
    "aria-valuetext": "Nothing selected",
  };
  for (const [name, value] of Object.entries(attributes)) canvas.setAttribute(name, value);
  ask();
  return timeline;
}
