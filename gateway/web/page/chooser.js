// The settings dialog: a form whose changes count at once. Loaded when it is first opened.

import { $, el, put } from "./dom.js";
import { DEFAULTS, clamp } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

const seconds = (/** @type {number} */ ms) => `${ms / 1000} s`;

/** @param {HTMLFormElement} form @returns {Settings} what the form says */
export function readForm(form) {
  const data = new FormData(form);
  const ticked = Object.fromEntries(["processing", "elcor"].map((name) => [name, data.has(name)]));
  return clamp({ ...Object.fromEntries(data), ...ticked });
}

/** @param {HTMLFormElement} form @param {Settings} settings */
export function fillForm(form, settings) {
  for (const [name, value] of Object.entries(settings)) {
    const field = /** @type {any} */ (form.elements.namedItem(name));
    if (field.type === "checkbox") field.checked = value;
    else field.value = value ?? "";
  }
  showValues(form, settings);
}

/** The figures beside the sliders. @param {HTMLFormElement} form @param {Settings} settings */
export function showValues(form, settings) {
  /** @type {[string, string][]} */
  const told = [
    ["window_ms", seconds(settings.window_ms)],
    ["hop_ms", seconds(settings.hop_ms)],
    ["min_confidence", `${Math.round(settings.min_confidence * 100)} of 100`],
  ];
  for (const [name, text] of told) {
    const field = /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
    field.setAttribute("aria-valuetext", text);
    /** @type {HTMLElement} */ (form.querySelector(`[data-of=${name}]`)).textContent = text;
  }
  const hop = /** @type {HTMLInputElement} */ (form.elements.namedItem("hop_ms"));
  hop.max = String(settings.window_ms);
  hop.value = String(settings.hop_ms);
}

export class Chooser {
  #form = /** @type {HTMLFormElement} */ ($("settings-form"));

  /** @param {Settings} settings @param {(after: Settings) => void} onChange */
  constructor(settings, onChange) {
    this.settings = settings;
    this.onChange = onChange;
    const form = this.#form;
    this.#fill();
    form.addEventListener("input", () => showValues(form, readForm(form)));
    form.addEventListener("change", () => this.#set(readForm(form)));
    form.addEventListener("submit", (event) => event.preventDefault());
    $("settings-close").addEventListener("click", () => $("settings").close());
    $("settings-reset").addEventListener("click", () => {
      this.#set({ ...DEFAULTS });
      this.#fill();
    });
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#listDevices());
  }

  /** @param {string} [field] to begin with */
  open(field) {
    void this.#listDevices();
    $("settings").showModal();
    if (field) $(field).focus();
  }

  /** Their names are known once one was allowed. */
  async #listDevices() {
    const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    const inputs = all.filter(
      ({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default",
    );
    const options = inputs.map(({ deviceId, label }, at) =>
      el("option", { value: deviceId }, label || `Microphone ${at + 1}`),
    );
    $("device").replaceChildren(el("option", { value: "" }, "The usual one"), ...options);
    const { device } = this.settings;
    $("device").value = inputs.some(({ deviceId }) => deviceId === device) ? device : "";
  }

  #fill() {
    fillForm(this.#form, this.settings);
    this.#sourceFields();
  }

  /** @param {Settings} after */
  #set(after) {
    this.settings = after;
    const wrong = $("language").value.trim() !== "" && !after.language;
    $("language").setAttribute("aria-invalid", String(wrong));
    put(
      $("language-error"),
      wrong ? "That is no language tag. Leave it empty, or write one such as en-US." : "",
    );
    showValues(this.#form, after);
    this.#sourceFields();
    this.onChange(after);
  }

  #sourceFields() {
    for (const part of this.#form.querySelectorAll("[data-for]")) {
      /** @type {HTMLElement} */ (part).hidden = part.getAttribute("data-for") !== this.settings.source;
    }
  }
}
