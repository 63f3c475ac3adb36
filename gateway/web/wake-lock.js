/** Keeps the screen on while live (Screen Wake Lock API); silent where unsupported or refused. */

/** @param {Pick<typeof globalThis, "navigator" | "document">} environment */
export function wakeLock({ navigator, document } = globalThis) {
  let wanted = false;
  /** @type {WakeLockSentinel | null} */
  let sentinel = null;
  let pending = Promise.resolve();

  async function acquire() {
    if (!wanted || (sentinel && !sentinel.released) || document.visibilityState !== "visible") return;
    const lock = await navigator.wakeLock.request("screen");
    if (wanted) sentinel = lock;
    else await lock.release();
  }

  /** One request at a time, also after one that failed as the page was hidden. */
  const queue = () => (pending = pending.then(acquire).catch(() => {}));

  return {
    get held() {
      return sentinel !== null && !sentinel.released;
    },
    /** Resolves when it is held, or will not be for now. */
    take() {
      wanted = true;
      document.addEventListener("visibilitychange", queue);
      return queue();
    },
    release() {
      wanted = false;
      document.removeEventListener("visibilitychange", queue);
      sentinel?.release().catch(() => {});
      sentinel = null;
    },
  };
}
