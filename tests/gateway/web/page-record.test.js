// The record over HTTP: pages of history, and tasks followed to their end, whatever that is.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createRecord } from "../../../gateway/web/page/record.js";

/** @typedef {{method: string, path: string, headers: Record<string, string>, body: any}} Call */

/** @param {(call: Call) => Response | Promise<Response>} answer @param {string} [key] */
function stage(answer, key) {
  /** @type {Call[]} */
  const calls = [];
  /** @type {number[]} */
  const pauses = [];
  const record = createRecord({
    origin: "http://gateway",
    key: () => key,
    fetch: async (input, init) => {
      const { pathname, search } = new URL(String(input));
      const body = init?.body ? JSON.parse(String(init.body)) : undefined;
      const headers = /** @type {Record<string, string>} */ (init?.headers ?? {});
      const call = { method: init?.method ?? "GET", path: pathname + search, headers, body };
      calls.push(call);
      return answer(call);
    },
    sleep: async (ms) => void pauses.push(ms),
  });
  return { record, calls, pauses };
}

/** @param {object} body @param {number} [status] @param {Record<string, string>} [headers] */
const json = (body, status = 200, headers = {}) => new Response(JSON.stringify(body), { status, headers });

test("history is read to its last page", async () => {
  const { record, calls } = stage(({ path }) =>
    path.includes("after=0&")
      ? json({ events: [{ seq: 3 }], next_after: 3 })
      : json({ events: [{ seq: 9 }], next_after: null }),
  );
  const seen = [];
  for await (const events of record.history("abc")) seen.push(...events.map(({ seq }) => seq));
  assert.deepEqual(seen, [3, 9]);
  assert.equal(calls.length, 2);
  assert.match(calls[1].path, /\/sessions\/abc\/history\?after=3&/);
});

test("a task is followed until it is ready, ever more patiently", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), { maxLength: 12 }),
      async (course) => {
        const steps = [...course];
        const { record, calls, pauses } = stage(({ method }) => {
          const progress = method === "POST" ? 0 : steps.shift();
          const state = method === "POST" ? "queued" : progress === undefined ? "ready" : "running";
          return json({ id: "t1", state, progress: progress ?? 1, error_message: null });
        });
        /** @type {number[]} */
        const told = [];
        const task = await record.make("abc", "export", { format: "vtt" }, (part) => told.push(part));
        assert.equal(task.state, "ready");
        assert.deepEqual(told, [0, ...course, 1]);
        assert.deepEqual(calls[0].body, { type: "export", options: { format: "vtt" } });
        assert.equal(calls.length, course.length + 2);
        assert.deepEqual(
          pauses,
          [...pauses].sort((a, b) => a - b),
        );
        assert.ok(Math.max(...pauses) <= 800);
      },
    ),
  );
});

test("one that fails says why", async () => {
  const { record } = stage(() =>
    json({ id: "t1", state: "failed", progress: 0.3, error_message: "no room" }),
  );
  await assert.rejects(
    record.make("abc", "report", {}, () => {}),
    { code: "task_failed", message: "no room" },
  );
});

test("problems keep their code, and when to come back", async () => {
  const { record } = stage(() => json({ code: "task_limit", detail: "enough" }, 429, { "retry-after": "7" }));
  await assert.rejects(
    record.make("abc", "report", {}, () => {}),
    {
      code: "task_limit",
      message: "enough",
      status: 429,
      retryAfterMs: 7000,
    },
  );
});

test("an answer that is no problem document, and none at all", async () => {
  const page = stage(() => new Response("<h1>Bad gateway</h1>", { status: 502 }));
  await assert.rejects(page.record.ticket("abc"), { code: undefined, status: 502 });
  const none = stage(() => Promise.reject(new TypeError("offline")));
  await assert.rejects(none.record.ticket("abc"), { code: "unreachable", status: undefined });
});

test("the key goes in a header, and never into an address", async () => {
  const keyed = stage(() => json({ ticket: "abc" }), "acme.secret");
  assert.equal(await keyed.record.ticket("s"), "abc");
  assert.deepEqual(keyed.calls[0].body, { role: "observer" });
  assert.equal(keyed.calls[0].headers.authorization, "Bearer acme.secret");
  assert.doesNotMatch(keyed.calls[0].path + keyed.record.resultUrl("t1"), /secret/);
  const open = stage(() => json({ ticket: "abc" }));
  await open.record.ticket("s");
  assert.ok(!("authorization" in open.calls[0].headers));
});

test("a result comes with its name; a report is read in place", async () => {
  const headers = { "content-disposition": 'attachment; filename="undertone-abc.vtt"' };
  const { record } = stage(() => new Response("WEBVTT", { headers }));
  const { blob, name } = await record.result("t1");
  assert.equal(name, "undertone-abc.vtt");
  assert.equal(await blob.text(), "WEBVTT");
  assert.equal(record.resultUrl("t1", true), "http://gateway/api/v1/tasks/t1/result?disposition=inline");
});
