// An observer over fetches that are answered by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UndertoneError, observe } from "../../../gateway/web/undertone.js";
import { FakeBrowser, ORIGIN, SUMMARY, log, settle, tone } from "./client-fakes.js";

const HELLO = {
  type: "welcome",
  session_id: "s1",
  epoch: "e1",
  next_seq: 1,
  recovered: false,
  replay_from: 1,
  replay_to: 0,
};
const utf8 = new TextEncoder();

/** @param {any} event */
const written = (event) =>
  `${event.seq === undefined ? "" : `id: e1:${event.seq}\n`}event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

/** The server's end of one stream. */
class Stream {
  /** @type {any} */ controller;
  response = new Response(
    new ReadableStream({
      start: (controller) => {
        this.controller = controller;
      },
    }),
    { headers: { "content-type": "text/event-stream" } },
  );

  /** @param {string} text */
  async write(text) {
    this.controller.enqueue(utf8.encode(text));
    await settle();
  }

  /** @param {object} event */
  say(event) {
    return this.write(written(event));
  }

  async end() {
    this.controller.close();
    await settle();
  }
}

/** Answers the request of the moment with a stream. @param {FakeBrowser} browser @param {object} [hello] */
async function serve(browser, hello) {
  while (!browser.calls.length) await settle(); // the module is loaded first
  const stream = new Stream();
  browser.call.answer(stream.response);
  await settle();
  await stream.say({ ...HELLO, ...hello });
  return stream;
}

/** @param {object} [options] @param {object} [hello] */
async function live(options, hello) {
  const browser = new FakeBrowser();
  const opening = observe({ sessionId: "s1", environment: browser.environment, ...options });
  await settle();
  const stream = await serve(browser, hello);
  const observer = await opening;
  const seen = log(observer);
  browser.pass(0);
  return { browser, stream, observer, ...seen };
}

test("the stream is read with its credential, and events are told as a session tells them", async () => {
  const { browser, stream, observer, events, states } = await live({ ticket: "t1" });
  assert.equal(browser.call.url, `${ORIGIN}/api/v1/sessions/s1/events`);
  assert.equal(browser.call.init.headers.get("authorization"), "Bearer t1");
  assert.equal(browser.call.init.headers.get("last-event-id"), null);
  let label = "";
  observer.addEventListener("tone", ({ detail }) => ({ label } = detail));
  await stream.say(tone(1));
  assert.equal(label, "Calm");
  assert.deepEqual(events, [HELLO, tone(1)]);
  assert.deepEqual(states, ["connecting", "live"]);
});

test("a stream that breaks off is taken up after the last event, with the token of its welcome", async () => {
  const { browser, stream, observer, seqs, states } = await live({ ticket: "t1" }, { resume_token: "t2" });
  await stream.say(tone(1));
  await stream.say(tone(2));
  await stream.end();
  assert.equal(observer.state, "reconnecting");
  browser.pass(10_000);
  await settle();
  assert.equal(browser.call.init.headers.get("authorization"), "Bearer t2");
  assert.equal(browser.call.init.headers.get("last-event-id"), "e1:2");
  const next = await serve(browser, { recovered: true, next_seq: 4 });
  for (const seq of [2, 3, 5]) await next.say(tone(seq));
  assert.deepEqual(seqs(), [1, 2, 3, 5]);
  assert.equal(observer.missed, 1);
  assert.equal(observer.resumes, 1);
  assert.deepEqual(states, ["connecting", "live", "reconnecting", "live"]);
});

test("the cuts of the network change nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), async (sizes) => {
      const { stream, seqs } = await live();
      const bytes = utf8.encode(
        [1, 2, 3].map((seq) => written(tone(seq, { text: "\u00e9\u{1f600}" }))).join(": -\n\n"),
      );
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const size = sizes[n % sizes.length];
        stream.controller.enqueue(bytes.subarray(at, at + size));
        at += size;
      }
      await settle();
      await settle();
      while (seqs().length < 3) await settle();
      assert.deepEqual(seqs(), [1, 2, 3]);
    }),
    { numRuns: 25 },
  );
});

test("after summary the end of the stream is the end", async () => {
  const { browser, stream, observer } = await live();
  await stream.say(SUMMARY);
  await stream.end();
  assert.equal(observer.state, "ended");
  browser.pass(600_000);
  assert.equal(browser.calls.length, 1);
});

test("nothing left to tell is the end, too", async () => {
  const { browser, stream, observer } = await live();
  /** @type {any} */
  let detail;
  observer.addEventListener("state", (event) => ({ detail } = event));
  await stream.end();
  browser.pass(10_000);
  browser.call.answer(new Response(null, { status: 204 }));
  await settle();
  assert.deepEqual([detail.state, detail.closeCode, detail.error], ["ended", 1000, undefined]);
});

test("answers of HTTP: what will pass is tried again when asked to, what won't is the end", async () => {
  for (const [status, state] of /** @type {const} */ ([
    [503, "reconnecting"],
    [429, "reconnecting"],
    [500, "reconnecting"],
    [401, "ended"],
    [403, "ended"],
    [422, "ended"],
    [404, "expired"],
    [410, "expired"],
  ])) {
    const { browser, stream, observer } = await live();
    await stream.end();
    browser.pass(10_000);
    const problem = { code: "some_code", detail: "no" };
    browser.call.answer(Response.json(problem, { status, headers: { "retry-after": "30" } }));
    await settle();
    await settle();
    assert.equal(observer.state, state, String(status));
    browser.pass(29_999);
    assert.equal(browser.calls.length, 2);
    browser.pass(8_000);
    assert.equal(browser.calls.length, state === "reconnecting" ? 3 : 2);
  }
});

test("the first refusal is the answer", async () => {
  const browser = new FakeBrowser();
  const opening = observe({ sessionId: "s1", environment: browser.environment });
  while (!browser.calls.length) await settle();
  browser.call.answer(Response.json({ code: "session_not_found", detail: "none" }, { status: 404 }));
  await assert.rejects(opening, (error) => error instanceof UndertoneError && error.status === 404);
});

test("retry of the stream is the least pause, and drain says its own", async () => {
  const one = await live();
  await one.stream.write("retry: 4000\n\n");
  await one.stream.end();
  one.browser.pass(3_999);
  assert.equal(one.browser.calls.length, 1);
  one.browser.pass(1);
  assert.equal(one.browser.calls.length, 2);
});

test("a stream that falls silent is given up, comments keep it", async () => {
  const { browser, stream, observer } = await live();
  for (let n = 0; n < 10; n++) {
    browser.pass(15_000);
    await stream.write(": still here\n\n");
  }
  observer.wake();
  browser.pass(39_000);
  assert.equal(observer.state, "live");
  browser.pass(1_000);
  assert.equal(observer.state, "reconnecting");
  assert.ok(browser.calls[0].init.signal.aborted);
});

test("after a sleep wake finds a silent stream out at once", async () => {
  const { browser, observer } = await live();
  browser.sleep(60_000);
  observer.wake();
  assert.equal(observer.state, "reconnecting");
});

test("a server that breaks the protocol is left", async () => {
  for (const text of ["data: {\n\n", "data: 7\n\n", written(HELLO), written(tone(-1)), "x".repeat(1.2e6)]) {
    const { browser, stream, observer } = await live();
    await stream.write(text);
    assert.equal(observer.state, "ended", text.slice(0, 20));
    browser.pass(600_000);
    assert.equal(browser.calls.length, 1);
  }
});

test("leave and wake", async () => {
  const { browser, stream, observer } = await live({ ticket: "t1" });
  await stream.say(tone(3));
  observer.leave();
  assert.equal(observer.state, "idle");
  browser.pass(100_000);
  assert.equal(browser.calls.length, 1);
  observer.wake();
  assert.equal(browser.call.init.headers.get("last-event-id"), "e1:3");
});

test("a memento, or after and epoch, begin after what was seen", async () => {
  for (const options of [
    { after: 4, epoch: "e1" },
    { sessionId: undefined, memento: { session_id: "s1", epoch: "e1", after: 4 } },
  ]) {
    const { browser, stream, seqs } = await live(options, { recovered: true, next_seq: 9 });
    assert.equal(browser.call.init.headers.get("last-event-id"), "e1:4");
    await stream.say(tone(4));
    await stream.say(tone(5));
    assert.deepEqual(seqs(), [5]);
  }
});

test("a session is needed", () =>
  assert.rejects(observe(/** @type {any} */ ({ url: ORIGIN })), { param: "sessionId" }));
