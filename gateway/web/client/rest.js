// What this client asks over HTTP; problems are RFC 9457 documents.

import { UndertoneError, invalid } from "./errors.js";

/** The gateway's address, ending in "/". @type {import("./types.js").BaseOf} */
export const baseOf = (url, environment) => {
  try {
    const base = new URL(String(url ?? environment.location?.origin).replace(/^ws/, "http"));
    if (!/^https?:$/.test(base.protocol)) throw base;
    return base.origin + base.pathname.replace(/(\/ws\/voice)?\/?$/, "/");
  } catch {
    throw invalid("url", "must be the http or https address of a gateway");
  }
};

/** @type {import("./types.js").ProblemOf} */
export const problemOf = async (response) => {
  const { status } = response;
  const { code, detail, param } = (await response.json().catch(() => null)) ?? {};
  const after = response.headers.get("retry-after") ?? "";
  const retryAfterMs = /^\d{1,6}$/.test(after) ? Number(after) * 1000 : undefined;
  const message = detail ?? `the gateway answered with HTTP ${status}`;
  return new UndertoneError(code ?? "refused", message, {
    status,
    param,
    retryAfterMs,
  });
};

/** @param {unknown} cause */
export const unreachable = (cause) =>
  new UndertoneError("unreachable", `the gateway can't be reached (${cause})`);

/** @type {import("./types.js").Post} */
export const post = async (url, body, key, environment) => {
  const headers = {
    "content-type": "application/json",
    ...(key && { authorization: `Bearer ${key}` }),
  };
  const signal = AbortSignal.timeout(10_000);
  const request = {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal,
  };
  const response = await environment.fetch(url, request).catch((error) => {
    throw unreachable(error);
  });
  if (!response.ok) throw await problemOf(response);
  return response.json();
};
