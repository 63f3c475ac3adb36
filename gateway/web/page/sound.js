// What is listened to, and what is said while a session lives and nothing is.

import { $ } from "./dom.js";

/**
 * @typedef {{bar: import("./bar.js").Bar, listening: import("./listening.js").Listening,
 *   readonly phase: import("./words.js").Phase, readonly running: boolean,
 *   readonly settings: import("./settings.js").Settings, choosing: (field: string) => void,
 *   stop: () => Promise<void>, warn: ReturnType<typeof import("./trouble.js").createTrouble>["warn"]}} Page
 */

const REMIND_MS = 10_000;
const now = () => performance.now();

export class Sound {
  /** Why nothing is listened to, though the session lives. @type {string | null} */
  deaf = null;
  #complained = -Infinity;

  /** @param {Page} page */
  constructor(page) {
    this.page = page;
  }

  /** What capture is to open; null where a file is still to be chosen. */
  get source() {
    const { source, device, processing } = this.page.settings;
    if (source === "microphone") return { kind: source, processing, ...(device && { deviceId: device }) };
    const [file] = $("file")?.files ?? []; // there once the settings were opened
    return source === "tab" ? { kind: source } : file ? { kind: source, file } : null;
  }

  /** Open the source again, or another, for the session that is there. */
  async relisten() {
    const { bar, listening, choosing } = this.page;
    const { source } = this;
    if (!source) {
      await listening.close(); // whoever chose a recording didn't choose the microphone
      this.deaf = "not_listening";
      return choosing("file");
    }
    bar.hush();
    this.deaf = null;
    try {
      await listening.open(source);
    } catch (error) {
      this.deaf = /** @type {any} */ (error).code;
      this.#complain();
    }
  }

  /** The source ended by itself. @param {string} reason */
  async ended(reason) {
    const { listening, phase, running, stop } = this.page;
    if (phase === "starting" && reason === "ended") return listening.close(true);
    if (!running) return;
    if (reason === "ended") return stop();
    await listening.close();
    this.deaf = reason;
    this.#complain();
  }

  /** The way back isn't lost with a notice. */
  remind() {
    const unseen = $("notice").hidden && !document.querySelector("dialog[open]");
    if (this.deaf && unseen && now() - this.#complained > REMIND_MS) this.#complain();
  }

  #complain() {
    this.#complained = now();
    void this.page.warn({ code: this.deaf ?? "not_listening" }, [
      { label: "Continue", press: () => this.relisten() },
      { label: "Stop", press: this.page.stop },
    ]);
  }
}
