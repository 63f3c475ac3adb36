// How fast realtime audio may leave without being taken for a flood.

/** The part of what the server allows that is used: the network bunches what was sent evenly. */
const SHARE = 0.75;
/** Of its burst less than half: a network that stalled delivers what it held, and as much may follow at once. */
const BURST = 0.45;

/** @type {import("./types.js").MakePace} */
export const makePace = (rate, factor = Infinity, burst = Infinity) => {
  const perMs = (SHARE * factor * rate) / 1000;
  const most = BURST * burst * rate;
  let tokens = most;
  let at = 0;
  return {
    burst: Math.floor(most),
    wait(now) {
      if (tokens < most) tokens = Math.min(most, tokens + Math.max(0, now - at) * perMs);
      at = now;
      return tokens > 0 ? 0 : Math.max(1, -tokens / perMs);
    },
    spend(samples) {
      tokens -= samples;
    },
  };
};
