// What pointer, touch, wheel and keyboard do to the timeline, and what they point at in words.

import { describe } from "./timeline-detail.js";
import { near, reveal, step } from "./timeline-find.js";

/** @import {Hand, Mark, Tools} from "./timeline-types.js" */

/** CSS pixels that a finger may miss by, or shake before it drags. */
const REACH = 6;

/** @param {Tools} tools @returns {Hand} */
export function createHand({
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
}) {
  /** Where each finger is. @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  let dragged = false;

  /** What the pointer or else the keyboard points at. */
  function words() {
    const event = (shown.hovered ?? shown.selected)?.event;
    if (!event) return "";
    const utterances = () => shown.rows.flatMap(({ kind, list }) => (kind === "words" ? list.items : []));
    return describe(event, shown.model.rate, event.type === "tone" ? utterances() : []);
  }

  /** @param {Mark} mark */
  function select(mark) {
    const { model, selected } = shown;
    if (mark?.event === selected?.event && mark?.lane === selected?.lane) return;
    shown.selected = mark;
    shown.hovered = null;
    write();
    const at = mark ? model.start(mark.event) / model.rate : 0;
    canvas.setAttribute("aria-valuenow", String(Math.round(at)));
    canvas.setAttribute("aria-valuetext", mark ? words() : "Nothing selected");
    timeline.dispatchEvent(new CustomEvent("select", { detail: { event: mark && mark.event } }));
  }

  /** Where on the width, from 0 to 1. @param {number} x */
  const share = (x) => (x - canvas.getBoundingClientRect().left - painter.gutter) / room();

  /** @param {PointerEvent} pointer @returns {Mark} */
  function hit({ clientX, clientY }) {
    const { model } = shown;
    const sample = (view.start + share(clientX) * view.seconds) * model.rate;
    const reach = (REACH / room()) * view.seconds * model.rate;
    const at = clientY - canvas.getBoundingClientRect().top;
    for (const { lane, list, y, height } of shown.rows) {
      const inside = at >= y - 2 && at < y + height + 2;
      const event = inside && near(model, list, sample, reach);
      if (event) return { event, lane };
    }
    return null;
  }

  /** @param {Mark} mark */
  function hover(mark) {
    if (mark?.event === shown.hovered?.event) return;
    shown.hovered = mark;
    write();
  }

  /** @param {string} key */
  function go(key) {
    measure();
    const { model, rows, selected } = shown;
    const full = rows.filter(({ list }) => list.items.length);
    const old = selected?.lane ?? "tone";
    const by = key === "ArrowUp" ? -1 : +(key === "ArrowDown");
    const at = full.findIndex(({ lane }) => lane === old) + by;
    const row = full[Math.min(Math.max(at, 0), full.length - 1)];
    if (!row) return;
    const { list, lane } = row;
    const { rate, start, stop } = model;
    const last = (view.start + view.seconds) * rate;
    let event = selected?.event;
    if (key === "Home") event = list.items[0];
    else if (key === "End") event = list.items[list.items.length - 1];
    else if (event && lane === old)
      event = by ? event : step(model, list, event, key === "ArrowLeft" ? -1 : 1);
    else event = near(model, list, event ? start(event) : last) ?? list.items[0];
    reveal(view, start(event) / rate, stop(event) / rate);
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
      else if (!pan(delta / canvas.clientWidth)) return; // at the end the page scrolls
      event.preventDefault();
    },
    pointerdown(event) {
      if (event.button) return;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      dragged = fingers.size > 1;
      try {
        canvas.setPointerCapture(event.pointerId);
      } catch {} // it was lifted before this was loaded
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

  return { heard, select, words };
}
