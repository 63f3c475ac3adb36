// The settings dialog: a form whose changes count at once and are remembered in this browser.

import { $, el, put, storage } from "./dom.js";
import { DEFAULTS, clamp, fillForm, readForm, showValues } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

const kept = storage("local");

export class Chooser {
  /** @param {{onChange: (before: Settings, after: Settings) => void, onTheme: () => void}} told */
  constructor(told) {
    this.told = told;
    this.settings = clamp(kept.get("settings"));
    this.form = /** @type {HTMLFormElement} */ ($("settings-form"));
    this.dialog = /** @type {HTMLDialogElement} */ ($("settings"));
    this.#fill();
    this.form.addEventListener("input", () => showValues(this.form, readForm(this.form)));
    this.form.addEventListener("change", () => this.#set(readForm(this.form)));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    $("settings-open").addEventListener("click", () => this.open());
    $("settings-close").addEventListener("click", () => this.dialog.close());
    $("settings-reset").addEventListener("click", () => {
      this.#set({ ...DEFAULTS });
      this.#fill();
    });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#theme());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
    this.dark = dark;
    this.#theme();
  }

  /** @param {string} [field] to begin with */
  open(field) {
    void this.listDevices();
    this.dialog.showModal();
    if (field) $(field)?.focus();
  }

  /** What capture is to open; null where a file is still to be chosen. */
  source() {
    const { source, device, processing } = this.settings;
    if (source === "tab") return { kind: "tab" };
    if (source === "file") {
      const file = /** @type {HTMLInputElement} */ ($("file")).files?.[0];
      return file ? { kind: "file", file } : null;
    }
    return {
      kind: "microphone",
      processing,
      ...(device && { deviceId: device }),
    };
  }

  /** Their names are known once one was allowed. */
  async listDevices() {
    const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
    const named = all.filter(
      (one) => one.kind === "audioinput" && one.deviceId && one.deviceId !== "default",
    );
    const options = named.map((one, at) =>
      el("option", { value: one.deviceId }, one.label || `Microphone ${at + 1}`),
    );
    const list = /** @type {HTMLSelectElement} */ ($("device"));
    list.replaceChildren(el("option", { value: "" }, "The usual one"), ...options);
    list.value = named.some((one) => one.deviceId === this.settings.device) ? this.settings.device : "";
  }

  #fill() {
    fillForm(this.form, this.settings);
    this.#sourceFields();
  }

  /** @param {Settings} after */
  #set(after) {
    const before = this.settings;
    this.settings = after;
    kept.set("settings", after);
    const typed = this.form.elements.namedItem("language");
    const wrong = typed instanceof HTMLInputElement && typed.value.trim() !== "" && !after.language;
    if (typed instanceof HTMLInputElement) typed.setAttribute("aria-invalid", String(wrong));
    put(
      $("language-error"),
      wrong ? "That is no language tag. Leave it empty, or write one such as en-US." : "",
    );
    showValues(this.form, after);
    this.#sourceFields();
    this.#theme();
    this.told.onChange(before, after);
  }

  #sourceFields() {
    for (const part of this.form.querySelectorAll("[data-for]")) {
      /** @type {HTMLElement} */ (part).hidden = part.getAttribute("data-for") !== this.settings.source;
    }
  }

  #theme() {
    const { theme } = this.settings;
    const root = document.documentElement;
    const next = theme === "auto" ? (this.dark.matches ? "dark" : "light") : theme;
    if (root.dataset.theme === next) return;
    root.dataset.theme = next;
    this.told.onTheme();
  }
}
