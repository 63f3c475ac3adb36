// The bar at the top: where the connection stands, the one big button, the level of the sound, and notices.

import { $, button, el, put, show } from "./dom.js";
import * as words from "./words.js";

/** @typedef {import("./words.js").Phase} Phase */

const SILENT_DB = -75;
const SILENT_MS = 4000;

/** The button's words. @type {Record<Phase, string>} */
const BUTTONS = {
  idle: "Start",
  starting: "Cancel",
  live: "Stop",
  reconnecting: "Stop",
  stopping: "Stopping", // again: without waiting for the gateway
  ended: "Start again",
  expired: "Start again",
};

/** @type {Partial<Record<Phase, string>>} */
const TITLES = {
  live: "Live",
  reconnecting: "Reconnecting",
  ended: "Ended",
  expired: "Timed out",
};

export class Bar {
  #silentSince = 0;

  /** @param {(text: string) => void} tell what is told to a screen reader at once */
  constructor(tell) {
    this.tell = tell;
  }

  /** @param {Phase} phase @param {number | null} [lagMs] @param {boolean} [watching] */
  render(phase, lagMs, watching) {
    put($("main-button"), BUTTONS[phase]);
    document.body.dataset.phase = phase;
    $("state").dataset.phase = phase;
    put($("state-text"), words.connection(phase, lagMs, watching));
    const running = phase === "live" || phase === "reconnecting";
    show($("share"), running && !watching);
    show($("meter"), running && !watching);
    if (!running) this.#silentSince = 0; // the next session's first moments may be silent
  }

  /** @param {Phase} phase */
  title(phase) {
    document.title = TITLES[phase] ? `${TITLES[phase]} · Undertone` : "Undertone";
  }

  /** @param {number} rms dBFS @param {number} now milliseconds */
  level(rms, now) {
    const part = Math.min(1, Math.max(0, (rms + 60) / 54));
    $("level").style.transform = `scaleX(${part.toFixed(3)})`;
    if (rms > SILENT_DB) this.#silentSince = 0;
    else this.#silentSince ||= now;
    const silent = this.#silentSince > 0 && now - this.#silentSince > SILENT_MS;
    put($("level-text"), silent ? "No sound is coming in. Is it muted?" : "");
  }

  /**
   * Say something calmly; it stays until the next thing or until it is put away.
   * @param {{title: string, todo?: string}} told
   * @param {{label: string, press: () => void}[]} [actions] @param {Node[]} [more]
   */
  notice({ title, todo = "" }, actions = [], more = []) {
    this.hush();
    const away = button("Dismiss", () => this.hush());
    const acts = actions.map(({ label, press }) =>
      button(
        label,
        () => {
          this.hush();
          press();
        },
        "strong",
      ),
    );
    const text = el("div", {}, el("h2", {}, title), ...(todo ? [el("p", {}, todo)] : []), ...more);
    $("notice").replaceChildren(text, el("div", { class: "row" }, ...acts, away));
    show($("notice"), true);
    this.tell(`${title}. ${todo}`);
  }

  hush() {
    if ($("notice").contains(document.activeElement)) this.home();
    show($("notice"), false);
    $("notice").replaceChildren();
  }

  /** Where focus goes from what goes away; who only watches has no button. */
  home() {
    $(document.body.className ? "main" : "main-button").focus();
  }
}
