// What on the timeline is near, and next, and how to bring it into sight.

import { search } from "./timeline-model.js";

/** @import {Event, List, Model, View} from "./timeline-types.js" */

/** What lies nearest to `sample`, at most `reach` away.
 * @param {Model} model @param {List} list @param {number} sample @returns {Event | null} */
export function near({ first, start, stop }, list, sample, reach = Infinity) {
  let best = null;
  for (let i = first(list, sample - reach), e; (e = list.items[i]) && start(e) <= sample + reach; i++) {
    const away = Math.max(start(e) - sample, sample - stop(e), 0);
    if (away <= reach) [best, reach] = [e, away];
  }
  return best;
}

/** The event `by` places on; of one stretch told twice only one. The same event where there is no other.
 * @param {Model} model @param {List} list @param {Event} e @param {number} by @returns {Event} */
export function step({ order, start, stop }, { items }, e, by) {
  const at = search(items, (other) => order(other, e) < 0) + by;
  const next = items[at];
  const again = next && next.type !== e.type && start(next) === start(e) && stop(next) === stop(e);
  return items[again ? at + by : at] ?? e;
}

/** Move no more than shows a stretch of seconds, or its beginning.
 * @param {View} view @param {number} from @param {number} to */
export function reveal(view, from, to) {
  const room = view.seconds / 10;
  const ahead = Math.min(to + room - view.start - view.seconds, from - room - view.start);
  if (from < view.start) view.pan(from - room - view.start);
  else if (ahead > 0) view.pan(ahead);
}
