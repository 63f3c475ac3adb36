// A page that comes back to its session, or watches somebody else's.

import { observe } from "../undertone.js";
import { claim } from "./claim.js";

/** @typedef {import("./main.js").Page} Page */

const GONE = ["session_not_found", "session_expired", "session_closed"];
const LISTEN_MS = 3000;
const sleep = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

/**
 * What it said, then what it says, then the microphone. One that was cancelled meanwhile is joined to be ended.
 * @param {Page} page @param {any} memento @param {() => boolean} mine
 */
export async function resume(page, memento, mine) {
  const { listening, model } = page;
  const id = memento.session_id;
  const anew = [{ label: "Start a new one", press: page.start }];
  if (!(await claim(id))) {
    if (!mine()) return;
    page.cancel();
    return page.trouble({ code: "replaced" }, page.start, anew[0].label);
  }
  const told = await recall(page, id, mine);
  try {
    await page.join({ memento: { ...memento, after: told ? model.lastSeq : 0 } }, mine);
    if (!mine()) return;
  } catch (error) {
    const { code, status } = /** @type {any} */ (error);
    if (!mine() || !(status === 404 || GONE.includes(code))) throw error;
    page.session = { id };
    page.finish(code === "session_closed" ? "ended" : "expired");
    return page.warn({ code: "expired" }, anew);
  }
  const wait = () => page.warn({ code: "silent_start" }, [{ label: "Continue", press: page.relisten }]);
  if (page.settings.source !== "microphone") return wait();
  await page.relisten();
  await sleep(LISTEN_MS);
  if (listening.source && !listening.flowing && page.phase === "live") wait();
}

/** Read-only. @param {Page} page @param {import("./observer.js").Watch} watching @param {() => boolean} mine */
export async function watch(page, { sessionId, ticket }, mine) {
  const { model } = page;
  if (!ticket) await recall(page, sessionId, mine);
  const after = model.lastSeq;
  try {
    page.session = await observe(/** @type {any} */ ({ url: location.origin, sessionId, ticket, after }));
  } catch (error) {
    const { code, status } = /** @type {any} */ (error);
    throw ticket && (status === 401 || code === "unauthorized") ? { code: "link_used" } : error;
  }
  page.follow(page.session);
  if (page.session.state !== "live" && model.summary) page.finish("ended");
  else page.enter("live");
}

/** Fill the page with a session's record. @param {Page} page @param {string} id @param {() => boolean} mine @returns {Promise<boolean>} whether there is one */
async function recall({ model, record, take }, id, mine) {
  try {
    for await (const events of (await record()).history(id)) {
      if (!mine()) return false;
      model.replayTo = Infinity;
      events.forEach(take);
    }
    return model.lastSeq > 0;
  } catch {
    return false;
  }
}
