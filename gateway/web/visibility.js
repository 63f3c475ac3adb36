/**
 * When the page goes out of sight and comes back: another tab, a locked screen, the back/forward cache, or frozen
 * (Page Lifecycle). One call per period, however many events tell of it.
 */

/**
 * @param {{hidden?: () => void, shown?: (hiddenMs: number) => void, online?: () => void}} handlers
 * @param {{document: Document, window: EventTarget, now?: () => number}} [environment] `now` is a wall clock:
 *   performance.now() may stand still while the machine sleeps
 * @returns {() => void} stops watching
 */
export function watchVisibility(handlers, { document, window, now = Date.now } = globalThis) {
  /** @type {number | null} */
  let since = null;
  const hide = () => {
    if (since !== null) return;
    since = now();
    handlers.hidden?.();
  };
  const update = () => {
    if (document.visibilityState === "hidden") return hide();
    if (since === null) return;
    const hiddenMs = Math.max(0, now() - since);
    since = null;
    handlers.shown?.(hiddenMs);
  };
  const stop = new AbortController();
  const { signal } = stop;
  document.addEventListener("visibilitychange", update, { signal });
  document.addEventListener("freeze", hide, { signal });
  document.addEventListener("resume", update, { signal });
  window.addEventListener("pagehide", hide, { signal });
  window.addEventListener("pageshow", update, { signal });
  window.addEventListener("online", () => handlers.online?.(), { signal });
  update();
  return () => stop.abort();
}
