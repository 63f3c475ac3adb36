// The one error that this client throws.

export class UndertoneError extends Error {
  /** @param {string} code @param {string} message @param {object} [details] */
  constructor(code, message, details) {
    super(message);
    this.name = "UndertoneError";
    this.code = code;
    Object.assign(this, details);
  }
}

export const invalid = (param = "", message = "") =>
  new UndertoneError("invalid_field", `${param} ${message}`, { param });

export const malformed = (message = "") => new UndertoneError("malformed_message", message);

/** @param {import("../undertone.js").ErrorEvent} event @param {number} [closeCode] */
export const errorOf = ({ code, message, param }, closeCode) =>
  new UndertoneError(code, message, { param, closeCode });
