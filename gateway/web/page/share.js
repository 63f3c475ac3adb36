// Gives a read-only link away.

import { el } from "./dom.js";

/** @param {string} origin @param {import("./observer.js").Watch} watch */
export const linkFor = (origin, { sessionId, ticket }) =>
  `${origin}/#observe=${sessionId}${ticket ? `&ticket=${ticket}` : ""}`;

/** @param {import("./main.js").Page} page */
export async function share({ bar, key, record, session }) {
  const ticket = key() ? await (await record()).ticket(session.id) : undefined;
  const value = linkFor(location.origin, { sessionId: session.id, ticket });
  const named = { type: "text", readonly: "", value, "aria-label": "Read-only link" };
  const field = /** @type {HTMLInputElement} */ (el("input", named));
  const copied = await navigator.clipboard?.writeText(value).then(
    () => true,
    () => false,
  );
  const todo = ticket
    ? "It can be opened once, within 30 seconds."
    : "Whoever has it can read along, and no more.";
  bar.notice({ title: copied ? "Read-only link copied" : "Read-only link", todo }, [], [field]);
  field.select();
}
