// What went wrong, and the way on: a notice, or the form that asks for a key.

import * as words from "./words.js";

/** @typedef {{label: string, press: () => void}} Action */

/**
 * @param {{bar: import("./bar.js").Bar, kept: ReturnType<typeof import("./dom.js").storage>, start: () => void,
 *   standing: () => {phase: import("./words.js").Phase, entered: number}}} page
 */
export function createTrouble({ bar, kept, start, standing }) {
  /** What a returning network, or a key, should set off. @type {(() => void) | null} */
  let again = null;

  /** Whether what went wrong by now still matters when its words are there. */
  function current() {
    const since = standing().entered;
    return () => standing().entered === since || standing().phase !== "starting";
  }

  /**
   * Say what went wrong. Words for what needs a gateway are loaded then, and where they can't be, it is missing.
   * @param {any} error @param {Action[]} actions
   */
  async function warn(error, actions) {
    const matters = current();
    const told =
      words.notice(error) ??
      (await import("./problems.js").then(
        ({ problem }) => problem(error),
        () => words.notice({}),
      ));
    if (told && matters()) bar.notice(told, actions);
  }

  /** @param {any} error @param {() => void} [retry] @param {string} [label] */
  function trouble(error, retry, label = "Try again") {
    const { code, message, status, retryAfterMs } = error ?? {};
    const actions = retry ? [{ label, press: retry }] : [];
    again = retry ?? null;
    if (!retry || !(status === 401 || code === "unauthorized" || code === "invalid_key_hash"))
      return void warn({ code, message, status, retryAfterMs }, actions);
    const matters = current();
    import("./access.js").then(
      ({ askForKey }) => matters() && askForKey(bar, kept, () => (again ?? start)()),
      () => warn({}, actions),
    );
  }

  return {
    warn,
    trouble,
    get again() {
      return again;
    },
    /** Something else was begun. */
    forget() {
      again = null;
    },
  };
}
