// The settings dialog: a form whose changes count at once. Loaded when it is first opened, as are its markup and style.

import { $, el, put } from "./dom.js";
import { DEFAULTS, clamp, forSession } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

/** @param {EventTarget} it @returns {Promise<unknown>} */
const loaded = (it) =>
  new Promise((done, failed) => {
    it.addEventListener("load", done);
    it.addEventListener("error", failed);
  });

/** Put into the dialog what stands in it. */
export async function furnish() {
  const style = el("link", { rel: "stylesheet", href: "/web/page/settings.css" });
  const markup = new XMLHttpRequest(); // parses HTML also where Trusted Types are asked for
  markup.open("GET", "/web/page/settings.html");
  markup.responseType = "document";
  markup.send();
  document.head.append(style);
  await Promise.all([loaded(style), loaded(markup)]);
  if (markup.status !== 200) throw new Error(`HTTP ${markup.status}`);
  $("settings").replaceChildren(...markup.response.body.children);
}

/** What a running session is to be told: only what differs. @param {Settings} before @param {Settings} after */
export function changes(before, after) {
  /** @param {Settings} s @returns {Record<string, unknown>} to find out again has words of its own */
  const whole = (s) => ({ language: "auto", num_speakers: 0, ...forSession(s) });
  const was = whole(before);
  return Object.fromEntries(Object.entries(whole(after)).filter(([name, value]) => value !== was[name]));
}

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
  /** @type {MediaDeviceInfo[]} */
  #inputs = [];

  /** @param {Settings} settings @param {(after: Settings, wanted: object) => void} onChange */
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
    this.#inputs = all.filter(
      ({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default",
    );
    this.#offer();
  }

  /** The one that was chosen is among them, known or not: the form is read as a whole. */
  #offer() {
    const { device } = this.settings;
    const options = this.#inputs.map(({ deviceId, label }, at) =>
      el("option", { value: deviceId }, label || `Microphone ${at + 1}`),
    );
    if (device && !this.#inputs.some(({ deviceId }) => deviceId === device))
      options.push(el("option", { value: device }, "The one chosen before"));
    $("device").replaceChildren(el("option", { value: "" }, "The usual one"), ...options);
    $("device").value = device;
  }

  #fill() {
    this.#offer();
    fillForm(this.#form, this.settings);
    this.#sourceFields();
  }

  /** @param {Settings} after */
  #set(after) {
    const wanted = changes(this.settings, after);
    this.settings = after;
    const wrong = $("language").value.trim() !== "" && !after.language;
    $("language").setAttribute("aria-invalid", String(wrong));
    put(
      $("language-error"),
      wrong ? "That is no language tag. Leave it empty, or write one such as en-US." : "",
    );
    showValues(this.#form, after);
    this.#sourceFields();
    this.onChange(after, wanted);
  }

  #sourceFields() {
    for (const part of this.#form.querySelectorAll("[data-for]")) {
      /** @type {HTMLElement} */ (part).hidden = part.getAttribute("data-for") !== this.settings.source;
    }
  }
}
