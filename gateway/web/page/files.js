// Files to keep of a session: an export in some format, and a report. Loaded when the first is asked for.

import { $, el, put } from "./dom.js";

/** @typedef {ReturnType<typeof import("./record.js").createRecord>} SessionRecord */

/** @param {number} part of it, 0 to 1 */
const progress = (part) => put($("made"), `Making it, ${Math.round(part * 100)} per cent done.`);

/** Into the downloads. @param {SessionRecord} record @param {string} task */
async function save(record, task) {
  const { blob, name } = await record.result(task);
  const url = URL.createObjectURL(blob);
  const link = /** @type {HTMLAnchorElement} */ (el("a", { href: url, download: name }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const makers = {
  /** @param {SessionRecord} record @param {string} session */
  async export(record, session) {
    const format = /** @type {HTMLSelectElement} */ ($("format")).value;
    const task = await record.make(session, "export", { format }, progress);
    await save(record, task.id);
    put($("made"), "Saved. The file is in your downloads.");
  },

  /** @param {SessionRecord} record @param {string} session @param {boolean} keyed whether this gateway asks for a key */
  async report(record, session, keyed) {
    const task = await record.make(session, "report", {}, progress);
    if (keyed) {
      await save(record, task.id); // a link can't carry the key
      put($("made"), "Saved. Open the file from your downloads.");
      return;
    }
    const read = el(
      "a",
      {
        href: record.resultUrl(task.id, true),
        class: "button strong",
        target: "_blank",
        rel: "noopener",
      },
      "Open report",
    );
    const keep = el("a", { href: record.resultUrl(task.id), class: "button", download: "" }, "Save report");
    $("report-link").replaceChildren(read, keep);
    put($("made"), "The report is ready.");
    read.focus();
  },
};
