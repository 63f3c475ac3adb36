// Asks for the key of a gateway that wants one. Loaded when it does.

import { $, el, show } from "./dom.js";

/**
 * @param {import("./bar.js").Bar} bar @param {ReturnType<typeof import("./dom.js").storage>} kept where the key is
 * @param {() => void} then
 */
export function askForKey(bar, kept, then) {
  const hint = kept.get("key") ? "The gateway did not accept that key." : "This gateway needs a key.";
  bar.tell(hint);
  kept.set("key", null);
  const form = /** @type {HTMLFormElement} */ ($("access"));
  const field = /** @type {HTMLInputElement} */ (
    el("input", {
      id: "key",
      type: "password",
      autocomplete: "off",
      "aria-describedby": "key-hint",
      required: "",
    })
  );
  form.replaceChildren(
    el("label", { for: "key" }, "Access key"),
    el("p", { id: "key-hint", class: "hint" }, `${hint} It is kept in this tab only, until you close it.`),
    el("div", { class: "row" }, field, el("button", { class: "strong" }, "Continue")),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    kept.set("key", field.value.replace(/[^!-~]/g, "") || null); // what is pasted may bring what can't be seen
    show(form, false);
    form.replaceChildren();
    bar.home();
    then();
  };
  show(form, true);
  field.focus();
}
