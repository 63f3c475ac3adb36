// The session's record over HTTP: its history, and tasks that make files of it (docs/tasks.md). Pure but for the
// fetch and the pause that it is given.

import { UndertoneError } from "../client/errors.js";
import { problemOf, unreachable } from "../client/rest.js";

/** @typedef {{id: string, state: string, progress: number, error_message: string | null}} Task */

const PAUSES_MS = [100, 200, 400, 800];
const OVER = ["ready", "failed", "cancelled"];

/**
 * @param {{origin: string, key?: () => string | undefined, fetch: typeof globalThis.fetch,
 *   sleep: (ms: number) => Promise<unknown>}} environment
 */
export function createRecord({ origin, key, fetch, sleep }) {
  /** @param {string} path @param {unknown} [body] @returns {Promise<Response>} */
  async function call(path, body) {
    /** @type {Record<string, string>} */
    const headers = {};
    const secret = key?.();
    if (secret) headers.authorization = `Bearer ${secret}`;
    if (body) headers["content-type"] = "application/json";
    const request = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
    const url = `${origin}/api/v1${path}`;
    const answer = await fetch(url, { ...request, cache: "no-store" }).catch((cause) => {
      throw unreachable(cause);
    });
    if (!answer.ok) throw await problemOf(answer);
    return answer;
  }

  return {
    /** Final events, page by page. @param {string} id @returns {AsyncGenerator<import("./model.js").Event[]>} */
    async *history(id) {
      /** @type {number | null} */
      let after = 0;
      while (after !== null) {
        const page = await (await call(`/sessions/${id}/history?after=${after}&limit=500`)).json();
        yield page.events;
        after = page.next_after;
      }
    },

    /** A ticket to read along with. @param {string} id @returns {Promise<string>} */
    async ticket(id) {
      return (await (await call(`/sessions/${id}/tickets`, { role: "observer" })).json()).ticket;
    },

    /**
     * Have something made, and wait for it.
     * @param {string} id @param {string} type @param {object} options
     * @param {(progress: number) => void} onProgress 0 to 1
     * @returns {Promise<Task>} ready
     */
    async make(id, type, options, onProgress) {
      /** @type {Task} */
      let task = await (await call(`/sessions/${id}/tasks`, { type, options })).json();
      for (let turn = 0; !OVER.includes(task.state); turn++) {
        onProgress(task.progress);
        await sleep(PAUSES_MS[Math.min(turn, PAUSES_MS.length - 1)]);
        task = await (await call(`/tasks/${task.id}`)).json();
      }
      if (task.state !== "ready") {
        throw new UndertoneError("task_failed", task.error_message ?? `it was ${task.state}`);
      }
      onProgress(1);
      return task;
    },

    /** @param {string} id of the task @param {boolean} [inline] to be read in the browser */
    resultUrl: (id, inline) => `${origin}/api/v1/tasks/${id}/result${inline ? "?disposition=inline" : ""}`,

    /** The file and its name. @param {string} id of the task */
    async result(id) {
      const answer = await call(`/tasks/${id}/result`);
      const named = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
      return { blob: await answer.blob(), name: named?.[1] ?? "undertone" };
    },
  };
}
