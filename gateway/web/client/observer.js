// A session read by somebody else: server-sent events over fetch, which, unlike EventSource, carries a credential.

import { makeCourse } from "./course.js";
import { malformed } from "./errors.js";
import { problemOf, unreachable } from "./rest.js";
import { makeParser } from "./sse.js";

/** What an HTTP status means as a close code. The rest of 4xx won't go away, and what isn't 4xx may. */
const CODES = {
  401: 4001,
  403: 4001,
  404: 4004,
  410: 4004,
  408: 1006,
  425: 1006,
  429: 1006,
};

/** @type {import("./types.js").MakeObserver} */
export const openObserver = (line) => {
  const { environment: env } = line;
  /** @type {AbortController | null} */
  let call = null;

  const follow = async (base = "", mine = new AbortController()) => {
    const headers = new Headers({ accept: "text/event-stream" });
    const credential = it.credential ?? line.key;
    if (credential) headers.set("authorization", `Bearer ${credential}`);
    if (it.epoch !== undefined) headers.set("last-event-id", `${it.epoch}:${it.after ?? 0}`);
    const url = `${base}api/v1/sessions/${encodeURIComponent(line.id)}/events`;
    const response = await env.fetch(url, {
      headers,
      signal: mine.signal,
      cache: "no-store",
    });
    const { status, body } = response;
    if (status === 204) return course.lost(1000, "ended"); // nothing is left to tell
    if (status !== 200 || !body) {
      const code = CODES[/** @type {keyof typeof CODES} */ (status)] ?? (status < 500 ? 4008 : 1006);
      const problem = await problemOf(response);
      return mine === call && course.lost(code, "", problem);
    }
    const decoder = new TextDecoder();
    const parse = makeParser((ms) => (it.retryMs = ms));
    const reader = body.getReader();
    while (mine === call) {
      const { done, value } = await reader.read();
      if (mine !== call) return;
      if (done) return course.lost(it.summary ? 1000 : 1006, "the stream ended");
      course.alive();
      try {
        for (const { data } of parse(decoder.decode(value, { stream: true }))) {
          if (mine === call) course.hear(JSON.parse(data));
        }
      } catch (error) {
        course.broken(error instanceof SyntaxError ? malformed("an event that is not JSON") : error);
      }
    }
  };

  const course = makeCourse(line, {
    dial(base) {
      const mine = new AbortController();
      call = mine;
      follow(base, mine).catch((error) => mine === call && course.lost(1006, "", unreachable(error)));
    },
    hangUp() {
      call?.abort();
      call = null;
    },
  });
  const { it } = course;
  course.expose({});
  return course.start();
};
