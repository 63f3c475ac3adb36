// Which stretch of time is seen, in seconds, and the clock of its live edge.

const LEAST = 2;
const MOST = 4 * 3600;
/** Share of the width kept free beyond the live edge. */
const AHEAD = 0.04;

/** @import {Edge, View} from "./timeline-types.js" */

export function createView() {
  const last = () => Math.max(0, view.edge - view.seconds * (1 - AHEAD));
  const clamp = () => {
    view.start = view.following ? last() : Math.min(Math.max(view.start, 0), last());
  };
  /** @type {View} */
  const view = {
    start: 0,
    seconds: 60,
    following: true,
    edge: 0,
    moveTo(edge) {
      view.edge = edge;
      clamp();
    },
    zoom(factor, anchor = 0.5) {
      const at = view.start + anchor * view.seconds;
      view.seconds = Math.min(Math.max(view.seconds / factor, LEAST), MOST) || view.seconds;
      view.start = at - anchor * view.seconds;
      clamp();
    },
    pan(seconds) {
      const before = view.start;
      view.start += seconds;
      view.following = view.start >= last();
      clamp();
      return view.start !== before;
    },
    follow(on) {
      view.following = on;
      clamp();
    },
  };
  return view;
}

/** Goes on in real time from one report to the next, and closes in on each smoothly. @returns {Edge} */
export function createEdge() {
  let [shown, told, at, before] = [0, 0, -Infinity, 0];
  return {
    tell(seconds, now) {
      [told, at] = [seconds, now];
    },
    advance(now, smooth) {
      const target = told + (smooth ? Math.min(now - at, 300) / 1000 : 0);
      const far = !smooth || Math.abs(target - shown) > 1;
      shown = far ? target : shown + (target - shown) * Math.min(1, (now - before) / 125);
      before = now;
      return shown;
    },
    moving: (now) => now - at < 1000,
  };
}
