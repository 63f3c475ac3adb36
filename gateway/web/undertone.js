// Undertone for web pages: connect, send audio, listen for how it is said. The contract is docs/protocol.md;
// undertone.d.ts has types and units, and says how to use it.

import { UndertoneError, invalid } from "./client/errors.js";
import { baseOf, post } from "./client/rest.js";
import { openSession } from "./client/session.js";

export { UndertoneError };

const AUDIO = { encoding: "pcm_s16le", sample_rate: 16_000, channels: 1 };
const MAX_BACKLOG_S = 60;

/** @returns {import("./undertone.js").Environment} */
const environmentOf = (given = {}) => ({
  WebSocket: globalThis.WebSocket,
  fetch: (input, init) => globalThis.fetch(input, init),
  setTimeout: (then, ms) => globalThis.setTimeout(then, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(/** @type {any} */ (timer)),
  now: () => Date.now(),
  random: () => Math.random(),
  location: globalThis.location,
  ...given,
});

/** @type {typeof import("./undertone.js").createSession} */
export const createSession = async ({ url, key, audio, settings, metadata, environment } = {}) => {
  const around = environmentOf(environment);
  const body = { ...AUDIO, ...audio, ...settings, ...metadata };
  return post(`${baseOf(url, around)}api/v1/sessions`, body, key, around);
};

/** Where a connection begins. @param {any} options @returns {Promise<import("./client/types.js").Line>} */
const lineOf = async (
  { url, key, ticket, sessionId, memento: old, epoch, after, environment: given },
  role = "",
) => {
  const environment = environmentOf(given);
  const base = baseOf(url, environment);
  const line = {
    base,
    key,
    environment,
    id: sessionId ?? old?.session_id,
    epoch: epoch ?? old?.epoch,
  };
  const texts = { sessionId: line.id, key, ticket, epoch: line.epoch };
  for (const [name, value] of Object.entries(texts)) {
    if (value !== undefined && (typeof value !== "string" || !value)) throw invalid(name, "must be text");
  }
  const seen = after ?? old?.after;
  if (seen !== undefined && !(Number.isSafeInteger(seen) && seen >= 0))
    throw invalid("after", "must be a seq");
  let credential = ticket ?? old?.token;
  if (key && line.id && !credential && role) {
    const tickets = `${base}api/v1/sessions/${encodeURIComponent(line.id)}/tickets`;
    credential = (await post(tickets, { role }, key, environment)).ticket;
  }
  return { ...line, after: seen, credential };
};

/** @type {typeof import("./undertone.js").connect} */
export const connect = async (options = {}) => {
  const { backlogSeconds: seconds = 5, audio, memento } = options;
  if (!(seconds > 0 && seconds <= MAX_BACKLOG_S))
    throw invalid("backlogSeconds", "must be above 0, at most 60");
  const line = await lineOf(options, "owner");
  if (!line.id) {
    const created = await createSession(options);
    line.id = created.id;
    line.credential = created.ticket;
  }
  return openSession(line, /** @type {any} */ ({ ...AUDIO, ...audio, ...memento?.audio }), seconds);
};

/** @type {typeof import("./undertone.js").observe} */
export const observe = async (options) => {
  const line = await lineOf(options);
  if (!line.id) throw invalid("sessionId", "is needed to observe");
  const { openObserver } = await import("./client/observer.js"); // a page that speaks need not load it
  return openObserver(line);
};
