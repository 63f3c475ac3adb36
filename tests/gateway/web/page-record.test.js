// The record over HTTP: paged to its end, tasks followed to theirs, and every refusal an error that can be told.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UndertoneError } from "../../../gateway/web/client/errors.js";
import { createRecord } from "../../../gateway/web/page/record.js";

/** @param {unknown} body @param {number} [status] @param {Record<string, string>} [headers] */
const json = (body, status = 200, headers = {}) => new Response(JSON.stringify(body), { status, headers });

/** A gateway that gives these answers in turn. @param {(Response | Error)[]} answers @param {string} [secret] */
function world(answers, secret) {
  /** @type {{url: string, init: any}[]} */
  const calls = [];
  /** @type {number[]} */
  const pauses = [];
  const record = createRecord({
    origin: "https://a.test",
    key: () => secret,
    fetch: /** @type {any} */ (
      async (/** @type {string} */ url, /** @type {any} */ init) => {
        calls.push({ url, init });
        const next = answers[calls.length - 1];
        if (next instanceof Response) return next;
        throw next ?? new Error(`nobody expected ${url}`);
      }
    ),
    sleep: async (ms) => pauses.push(ms),
  });
  return {
    record,
    calls,
    pauses,
    urls: () => calls.map(({ url }) => url.replace("https://a.test/api/v1", "")),
  };
}

/** @param {string} state @param {object} [more] */
const task = (state, more = {}) => json({ id: "t1", state, progress: 0.5, error_message: null, ...more });

test("history is read page by page until there is no next one", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 6 }), async (steps) => {
      let at = 0;
      const ends = steps.map((step) => (at += step));
      const pages = [...ends, null].map((next_after, i) => json({ events: [{ seq: i }], next_after }));
      const { record, urls } = world(pages);
      const seen = [];
      for await (const events of record.history("s1")) seen.push(...events);
      assert.deepEqual(
        seen.map(({ seq }) => seq),
        pages.map((_, i) => i),
      );
      const asked = [0, ...ends].map((after) => `/sessions/s1/history?after=${after}&limit=500`);
      assert.deepEqual(urls(), asked);
    }),
  );
});

test("a page that fails ends the history with its problem; who stops reading asks no more", async () => {
  const broken = world([json({ events: [], next_after: 9 }), json({ code: "session_not_found" }, 404)]);
  const read = async () => {
    for await (const events of broken.record.history("s1")) assert.deepEqual(events, []);
  };
  await assert.rejects(read, { code: "session_not_found", status: 404 });
  const { record, calls } = world([json({ events: [], next_after: 9 })]);
  for await (const _ of record.history("s1")) break;
  assert.equal(calls.length, 1);
});

test("a task is followed through its states, ever more slowly, until it is ready", async () => {
  const states = ["queued", "queued", "running", "running", "running", "running"];
  const answers = [task("queued", { progress: 0 }), ...states.map((state) => task(state)), task("ready")];
  const { record, calls, pauses, urls } = world(answers);
  /** @type {number[]} */
  const progress = [];
  const made = await record.make("s1", "export", { format: "vtt" }, (part) => progress.push(part));
  assert.equal(made.state, "ready");
  assert.deepEqual(pauses, [100, 200, 400, 800, 800, 800, 800]);
  assert.deepEqual(progress, [0, ...states.map(() => 0.5), 1]);
  assert.deepEqual(urls(), ["/sessions/s1/tasks", ...Array(7).fill("/tasks/t1")]);
  const [{ init: asked }, { init: followed }] = calls;
  assert.deepEqual([asked.method, followed.method], ["POST", undefined]);
  assert.deepEqual(JSON.parse(asked.body), { type: "export", options: { format: "vtt" } });
  assert.equal(asked.headers["content-type"], "application/json");
  for (const { init } of calls) assert.equal(init.cache, "no-store");
});

test("a task that is ready at once is not waited for", async () => {
  const { record, pauses } = world([task("ready")]);
  await record.make("s1", "report", {}, () => {});
  assert.deepEqual(pauses, []);
});

test("a task that failed or was cancelled says why, and is not called done", async () => {
  const told = [
    [task("failed", { error_message: "the record is too long" }), "the record is too long"],
    [task("cancelled"), "it was cancelled"],
  ];
  for (const [last, message] of told) {
    const { record } = world([task("running"), /** @type {Response} */ (last)]);
    /** @type {number[]} */
    const progress = [];
    const made = record.make("s1", "report", {}, (part) => progress.push(part));
    await assert.rejects(made, { name: "UndertoneError", code: "task_failed", message });
    assert.deepEqual(progress, [0.5]);
  }
});

test("a task whose session is gone meanwhile ends in that problem", async () => {
  const { record } = world([task("queued"), json({ code: "task_not_found", detail: "no such task" }, 404)]);
  const made = record.make("s1", "report", {}, () => {});
  await assert.rejects(made, { code: "task_not_found", message: "no such task", status: 404 });
});

test("problems come as documents, as nothing at all, or as what they shouldn't be", async () => {
  const known = json({ code: "session_limit", detail: "enough" }, 429, { "retry-after": "3" });
  await assert.rejects(world([known]).record.ticket("s1"), (error) => {
    assert.ok(error instanceof UndertoneError);
    const { code, message, status, retryAfterMs } = /** @type {any} */ (error);
    assert.deepEqual(
      { code, message, status, retryAfterMs },
      { code: "session_limit", message: "enough", status: 429, retryAfterMs: 3000 },
    );
    return true;
  });
  for (const body of ["", "<html>", "null", "[]", '"no"', "7", "{}"]) {
    const answer = new Response(body, {
      status: 502,
      headers: { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" },
    });
    const wanted = { name: "UndertoneError", code: "refused", status: 502, retryAfterMs: undefined };
    await assert.rejects(world([answer]).record.ticket("s1"), wanted, body);
  }
});

test("no answer is a gateway that can't be reached, not a bare TypeError", async () => {
  const { record } = world([new TypeError("Failed to fetch")]);
  await assert.rejects(record.ticket("s1"), {
    name: "UndertoneError",
    code: "unreachable",
  });
});

test("a key is sent as a header and stands in no address or body; without one there is no header", async () => {
  const answers = () => [
    json({ ticket: "tick" }),
    task("ready"),
    json({ events: [], next_after: null }),
    new Response("x"),
  ];
  for (const secret of ["ut.secret", undefined]) {
    const { record, calls } = world(answers(), secret);
    assert.equal(await record.ticket("s1"), "tick");
    await record.make("s1", "report", {}, () => {});
    for await (const _ of record.history("s1"));
    await record.result("t1");
    assert.equal(calls.length, 4);
    assert.deepEqual(JSON.parse(calls[0].init.body), { role: "observer" });
    for (const { url, init } of calls) {
      assert.equal(init.headers.authorization, secret && `Bearer ${secret}`);
      assert.equal("authorization" in init.headers, secret !== undefined);
      assert.ok(!`${url}${init.body}`.includes("secret"));
    }
    assert.ok(!record.resultUrl("t1").includes("secret"));
  }
});

test("a result has its name, or one of ours", async () => {
  const named = new Response("WEBVTT", {
    headers: { "content-disposition": 'attachment; filename="a-1.vtt"' },
  });
  const { record, urls } = world([named, new Response("x"), json({ code: "task_not_ready" }, 409)]);
  const { blob, name } = await record.result("t1");
  assert.deepEqual([await blob.text(), name], ["WEBVTT", "a-1.vtt"]);
  assert.equal((await record.result("t1")).name, "undertone");
  await assert.rejects(record.result("t1"), { code: "task_not_ready" });
  assert.equal(urls()[0], "/tasks/t1/result");
  assert.equal(record.resultUrl("t1"), "https://a.test/api/v1/tasks/t1/result");
  assert.equal(record.resultUrl("t1", true), "https://a.test/api/v1/tasks/t1/result?disposition=inline");
});
