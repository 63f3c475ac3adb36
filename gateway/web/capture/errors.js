/** Why a capture could not start. */
/** @import { CaptureErrorCode } from "./types.d.ts" */

/** @type {Record<string, CaptureErrorCode>} by the name of the DOMException */
const CODES = {
  NotAllowedError: "permission_denied",
  SecurityError: "permission_denied",
  NotFoundError: "no_device",
  OverconstrainedError: "no_device",
  NotReadableError: "device_busy",
  AbortError: "device_busy",
};

export class CaptureError extends Error {
  name = "CaptureError";

  /** @param {CaptureErrorCode} code @param {unknown} [cause] */
  constructor(code, cause) {
    super(code, { cause });
    this.code = code;
  }

  /** @param {any} error */
  static of(error) {
    return error instanceof CaptureError
      ? error
      : new CaptureError(CODES[error?.name] ?? "unsupported", error);
  }
}
