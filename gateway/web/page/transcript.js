// The words, line by line. The document holds a bounded stretch of them; it scrolls along only while its end is
// in view.

import { $, el, put, show } from "./dom.js";
import * as words from "./words.js";

/** @typedef {import("./model.js").Model} Model @typedef {import("./model.js").Line} Line */

const SHOWN = 500;
const NEAR_PX = 48;

/** @param {Line} line */
const textOf = (line) => (line.kind === "gap" ? words.gap(line.seconds ?? 0, line.reason ?? "") : line.text);

export class Transcript {
  /** The lines in the document: from this index of all, up to that one. */
  #from = 0;
  #to = 0;
  #room = SHOWN;
  #following = true;

  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.box = /** @type {HTMLElement} */ ($("lines-box"));
    this.list = /** @type {HTMLElement} */ ($("lines"));
    this.box.addEventListener("scroll", () => this.#scrolled(), {
      passive: true,
    });
    $("latest").addEventListener("click", () => {
      this.#follow();
      this.box.focus();
    });
    $("earlier").addEventListener("click", () => this.#earlier());
  }

  clear() {
    this.list.replaceChildren();
    this.#from = this.#to = 0;
    this.#room = SHOWN;
    this.#follow();
    this.renderInterim();
  }

  /** Show what came since. */
  render() {
    const { lines, dropped } = this.model;
    const end = dropped + lines.length;
    const last = lines[this.#to - 1 - dropped];
    const shown = this.list.lastElementChild?.querySelector(".text");
    if (last && shown) put(shown, textOf(last)); // a gap may have grown
    const from = Math.max(this.#to, end - this.#room);
    if (from > this.#to) {
      this.list.replaceChildren();
      this.#from = from;
    }
    this.list.append(...lines.slice(from - dropped).map((line) => this.#item(line)));
    this.#to = end;
    while (this.list.childElementCount > this.#room) {
      this.list.firstElementChild?.remove();
      this.#from += 1;
    }
    this.#settle();
  }

  renderInterim() {
    const { interim } = this.model;
    const node = $("interim");
    show(node, interim.length > 0);
    put($("interim-text"), interim.map((one) => one.text).join(" / "));
    put($("interim-who"), interim.at(-1)?.speaker ?? "");
    this.#settle();
  }

  /** @param {Line} line */
  #item(line) {
    const time = el("time", {}, words.clock(line.start));
    const text = el("span", { class: "text", dir: "auto" }, textOf(line));
    if (line.kind !== "said") return el("li", { class: `line ${line.kind}` }, time, text);
    if (line.language) text.lang = line.language;
    const meta = el("span", { class: "meta" });
    if (line.speaker) meta.append(el("b", {}, line.speaker));
    if (line.tone) {
      const label = words.readable(line.tone.affect ?? line.tone.label);
      const sure = line.tone.confidence < 0.3 ? `perhaps ${label}` : label;
      meta.append(el("span", { class: "tone", "data-tone": words.readable(line.tone.label) }, sure));
    }
    return el("li", { class: "line" }, time, meta, text);
  }

  #earlier() {
    const { lines, dropped } = this.model;
    const from = Math.max(dropped, this.#from - SHOWN);
    const height = this.box.scrollHeight;
    this.#following = false;
    this.#room += this.#from - from;
    this.list.prepend(...lines.slice(from - dropped, this.#from - dropped).map((line) => this.#item(line)));
    this.#from = from;
    this.box.scrollTop += this.box.scrollHeight - height;
    this.#settle();
    this.box.focus();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (this.#following) this.#room = SHOWN;
    show($("latest"), !this.#following);
  }

  #follow() {
    this.#following = true;
    this.#settle();
  }

  #settle() {
    show($("no-lines"), this.model.lines.length === 0 && this.model.interims.size === 0);
    show($("earlier"), this.#from > this.model.dropped);
    show($("latest"), !this.#following);
    if (this.#following) this.box.scrollTop = this.box.scrollHeight;
  }
}
