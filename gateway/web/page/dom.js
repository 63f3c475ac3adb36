// The few things done to the document. Text goes in as text only: the page's policy asks for Trusted Types.

/** The element of that id, which index.html has. @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/** Written only where it changes: what stays the same costs no layout. @param {Element} node @param {string} text */
export const put = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

/** @param {HTMLElement} node @param {boolean} shown */
export const show = (node, shown) => {
  if (node.hidden === shown) node.hidden = !shown;
};

/**
 * @param {string} tag @param {Record<string, string>} [attributes] @param {(Node | string)[]} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** @param {string} text @param {() => void} onPress @param {string} [kind] */
export function button(text, onPress, kind = "") {
  const node = el("button", { type: "button", class: kind }, text);
  node.addEventListener("click", onPress);
  return node;
}

/** Where the two kinds of browser storage are refused, the page does without. @param {"local" | "session"} kind */
export function storage(kind) {
  const at = () => (kind === "local" ? localStorage : sessionStorage);
  return {
    /** @param {string} name @returns {any} */
    get(name) {
      try {
        return JSON.parse(at().getItem(`undertone.${name}`) ?? "null");
      } catch {
        return null;
      }
    },
    /** @param {string} name @param {unknown} value nothing: it is removed */
    set(name, value) {
      try {
        if (value === null || value === undefined) at().removeItem(`undertone.${name}`);
        else at().setItem(`undertone.${name}`, JSON.stringify(value));
      } catch {
        // Private windows may have no storage: then a reload begins anew.
      }
    },
  };
}
