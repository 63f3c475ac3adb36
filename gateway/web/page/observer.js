// Read-only links: `#observe=<session id>&ticket=<ticket>`. The fragment is never sent to a server, and is taken
// out of the address at once; what a reload needs stays in this tab.

/** @typedef {{sessionId: string, ticket?: string}} Watch */

const NAME = /^[\w-]{1,512}$/;

/** @param {string} fragment as in `location.hash` @returns {Watch | null} */
export function parseFragment(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const sessionId = given.get("observe");
  const ticket = given.get("ticket");
  if (!sessionId || !NAME.test(sessionId)) return null;
  return ticket && NAME.test(ticket) ? { sessionId, ticket } : { sessionId };
}

/**
 * Who is to be watched, if anybody: told by the address, or by what this tab remembers.
 * @param {{location: Location, history: History, stored: {get(name: string): any, set(name: string, value: unknown): void}}} environment
 * @returns {Watch | null}
 */
export function takeWatch({ location, history, stored }) {
  const watch = parseFragment(location.hash);
  if (location.hash.includes("observe=")) history.replaceState(null, "", location.pathname + location.search);
  if (!watch) return stored.get("observe");
  stored.set("observe", watch);
  return watch;
}
