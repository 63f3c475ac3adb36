// The life of a session as its reader sees it, in one table; an observer's too.
//
// A session outlives its connections. The first attempt leads to `welcome` or ends it; from then on a connection
// that is lost is an input like any other: `reconnecting` tries until a welcome, a final answer, or until the
// session must have expired. `leave` lets go of the connection only, so `wake` can take it up again.

/** @type {import("./types.js").Transitions} */
export const TRANSITIONS = {
  idle: { open: "connecting", wake: "reconnecting", leave: "idle" },
  connecting: { welcome: "live", final: "ended", leave: "idle" },
  live: {
    loss: "reconnecting",
    final: "ended",
    expiry: "expired",
    leave: "idle",
  },
  reconnecting: {
    welcome: "live",
    loss: "reconnecting",
    final: "ended",
    expiry: "expired",
    leave: "idle",
  },
  ended: { leave: "ended" },
  expired: { leave: "expired" },
};

/** @param {import("../undertone.js").State} state @param {import("./types.js").Input} input */
export function step(state, input) {
  const next = TRANSITIONS[state][input];
  if (!next) throw new Error(`${input} can't happen while ${state}`);
  return next;
}

/** Whether a connection that was closed so may be resumed. */
export const mayReturn = (code = 0) =>
  [1001, 1006, 1011, 1012].includes(code) || (code >= 4100 && code < 4200);
