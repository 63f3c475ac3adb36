// What goes wrong, in words. Loaded when something does. Pure.

import { NOTICES, duration, of, readable } from "./words.js";

/** @type {Record<string, [string, string]>} What happened, and what to do. */
const PROBLEMS = {
  ...NOTICES,
  permission_denied: [
    "The microphone is not allowed",
    "Allow it by the icon beside the address, or in the browser's site settings. Then try again.",
  ],
  no_device: ["No microphone found", "Connect one, or choose another source in Settings. Then try again."],
  device_busy: ["The microphone is in use", "Another app is holding it. Close that app, then try again."],
  insecure_context: [
    "This page can't use a microphone",
    "Browsers allow it only over https, or on this machine at http://127.0.0.1 or http://localhost.",
  ],
  unsupported: ["This browser can't do that", "Use a current Chrome, Edge, Firefox or Safari."],
  cancelled: ["Nothing was chosen", "Press Start to choose again."],
  bad_file: ["This file can't be played", "Choose another recording in Settings, such as a WAV or MP3 file."],
  no_audio_track: ["That tab shares no sound", "Share it again, with its sound switched on."],
  unauthorized: ["This gateway needs an access key", "Enter the key you were given."],
  link_used: [
    "This link no longer opens",
    "A read-only link can be opened once, soon after it was made. Ask for a new one.",
  ],
  replaced: [
    "Your session went on in another tab",
    "This tab has let go of it. Close this tab, or start a new session here.",
  ],
  session_not_found: ["That session is gone", "It ended some time ago and was removed. Start a new one."],
  session_closed: ["That session has ended", "What is left of it is below."],
  session_limit: ["Too many sessions are open", "Stop one of the others, then try again."],
  task_limit: ["No more files can be made just now", "Wait a little, then try again."],
  overloaded: ["The gateway is busy", "It takes nobody new just now."],
  draining: ["The gateway is going away", "Another should answer soon."],
  origin_not_allowed: [
    "This gateway doesn't serve this address",
    "Open the page at the gateway's own address, or add this one to its allowed origins.",
  ],
  idle_timeout: ["The session ended after a long quiet", "Start a new one when you like."],
};
PROBLEMS.session_expired = PROBLEMS.expired;
PROBLEMS.invalid_key_hash = PROBLEMS.unauthorized;

/**
 * What went wrong, and what to do.
 * @param {{code?: string, message?: string, status?: number, retryAfterMs?: number}} error
 */
export function problem(error) {
  const { code, status } = error;
  const byStatus = status === undefined ? NOTICES.unreachable : undefined;
  const [title, todo] = of(PROBLEMS, code ?? "") ??
    (status === 401 ? PROBLEMS.unauthorized : undefined) ??
    (status === 503 || status === 429 ? PROBLEMS.overloaded : undefined) ??
    (code ? [`The gateway says: ${error.message || readable(`${code}`)}`, "Try again."] : byStatus) ?? [
      "Something went wrong",
      "Try again.",
    ];
  const wait = error.retryAfterMs ? ` Try again in ${duration(Math.ceil(error.retryAfterMs / 1000))}.` : "";
  return { title, todo: todo + wait };
}
