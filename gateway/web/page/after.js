// What is left of a session: the closing account, and files to keep.

import { $, el, put, show } from "./dom.js";
import { capital, count, duration } from "./words.js";

/** @typedef {ReturnType<typeof import("./record.js").createRecord>} Files */

/**
 * The closing account of a session.
 * @param {{next_sample: number, classified_samples: number, gap_samples: number, pending_samples?: number,
 *   duration_s: number, speakers: readonly string[], events: Record<string, number>, record_truncated?: boolean}} told
 */
export function account(told) {
  const { next_sample: all, classified_samples: heard, gap_samples: missed } = told;
  const events = Object.values(told.events).reduce((sum, n) => sum + n, 0);
  const lines = [
    `${capital(duration(told.duration_s))} of audio, ${count(told.speakers.length, "voice")}, ${count(events, "event")}.`,
  ];
  const rest = all - heard - missed - (told.pending_samples ?? 0);
  const n = (/** @type {number} */ samples) => samples.toLocaleString("en");
  if (rest !== 0) lines.push(`The account does not balance: ${n(Math.abs(rest))} samples differ.`);
  else if (missed === 0) lines.push(`All ${n(all)} samples were listened to.`);
  else
    lines.push(
      `Of ${n(all)} samples, ${n(heard)} were listened to and ${n(missed)} declared as not heard. None is missing.`,
    );
  if (told.record_truncated) lines.push("The record reached its limit and lacks what came later.");
  return lines;
}

export class After {
  /** @type {string | null} */
  #session = null;
  #busy = false;

  /** @param {{record: Files, keyed: () => boolean, problem: (error: any) => void}} page */
  constructor(page) {
    this.page = page;
    $("export").addEventListener("click", () => this.#export());
    $("report").addEventListener("click", () => this.#report());
  }

  /** @param {string} session its id @param {any} summary null where the session had none @param {boolean} files */
  open(session, summary, files) {
    this.#session = session;
    put($("made"), "");
    $("report-link").replaceChildren();
    const lines = summary
      ? account(summary)
      : ["There is no closing account: the session goes on elsewhere, or ended while this page was away."];
    $("account").replaceChildren(...lines.map((line) => el("p", {}, line)));
    show($("files"), files);
    show($("after"), true);
  }

  #export() {
    const format = /** @type {HTMLSelectElement} */ ($("format")).value;
    return this.#make("export", { format }, async (task) => {
      await this.#save(task.id);
      put($("made"), "Saved. The file is in your downloads.");
    });
  }

  #report() {
    return this.#make("report", {}, async (task) => {
      if (this.page.keyed()) {
        await this.#save(task.id); // a link can't carry the key
        put($("made"), "Saved. Open the file from your downloads.");
        return;
      }
      const { record } = this.page;
      const rest = { target: "_blank", rel: "noopener" };
      const read = el(
        "a",
        {
          href: record.resultUrl(task.id, true),
          class: "button strong",
          ...rest,
        },
        "Open report",
      );
      const keep = el("a", { href: record.resultUrl(task.id), class: "button", download: "" }, "Save report");
      $("report-link").replaceChildren(read, keep);
      put($("made"), "The report is ready.");
      read.focus();
    });
  }

  /**
   * @param {string} type @param {object} options
   * @param {(task: import("./record.js").Task) => Promise<void>} then
   */
  async #make(type, options, then) {
    if (!this.#session || this.#busy) return;
    this.#busy = true;
    const told = (/** @type {number} */ part) =>
      put($("made"), `Making it, ${Math.round(part * 100)} per cent done.`);
    try {
      await then(await this.page.record.make(this.#session, type, options, told));
    } catch (error) {
      put($("made"), "");
      this.page.problem(error);
    } finally {
      this.#busy = false;
    }
  }

  /** @param {string} task */
  async #save(task) {
    const { blob, name } = await this.page.record.result(task);
    const url = URL.createObjectURL(blob);
    const link = /** @type {HTMLAnchorElement} */ (el("a", { href: url, download: name }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
}
