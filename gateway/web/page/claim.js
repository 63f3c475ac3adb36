// The name of a session, which one tab holds: a duplicate of a tab has what that remembers.

/** A page that is loaded anew waits so long for what it was before. */
const PATIENCE_MS = 1000;

export let release = () => {};

/** Whether the session is this tab's. Without locks, as where the page is not secure, it is. @param {string} id @returns {Promise<boolean>} */
export function claim(id) {
  release();
  const { locks } = navigator;
  if (!locks) return Promise.resolve(true);
  return new Promise((done) => {
    const patience = { signal: AbortSignal.timeout(PATIENCE_MS) };
    const hold = () =>
      new Promise((/** @type {(nothing?: any) => void} */ over) => {
        release = over;
        done(true);
      });
    locks.request(`undertone.${id}`, patience, hold).catch(() => done(false));
  });
}
