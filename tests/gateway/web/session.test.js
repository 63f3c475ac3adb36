// A session over sockets and a clock that are moved by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UndertoneError, connect, createSession } from "../../../gateway/web/undertone.js";
import { AUDIO, FakeBrowser, ORIGIN, SUMMARY, log, settle, tone, welcome } from "./client-fakes.js";

const SECOND = 16_000;
const pcm = (samples = 1600) => new Int16Array(samples);

/** A live session. @param {object} [options] @param {object} [hello] */
async function live(options, hello) {
  const browser = new FakeBrowser();
  const opening = connect({ sessionId: "s1", environment: browser.environment, ...options });
  await settle();
  browser.socket.say(welcome(hello));
  const session = await opening;
  const seen = log(session);
  browser.pass(0); // what came before the caller could listen
  return { browser, session, ...seen };
}

/** The connection is lost and made anew. @param {FakeBrowser} browser @param {object} [hello] */
function resume(browser, hello) {
  browser.socket.drop();
  browser.pass(10_000);
  browser.socket.say(welcome(hello));
}

/** @param {Promise<unknown>} promise @param {object} expected */
const rejects = (promise, expected) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof UndertoneError);
    for (const [name, value] of Object.entries(expected))
      assert.equal(/** @type {any} */ (error)[name], value, name);
    return true;
  });

const codes = (/** @type {string} */ code, fatal = true) => ({
  type: "error",
  code,
  message: "no",
  param: null,
  fatal,
});

// To connect -------------------------------------------------------------------------------------------

test("a session is created over REST and attached to with its ticket", async () => {
  const browser = new FakeBrowser();
  const settings = { hop_ms: 500 };
  const opening = connect({
    key: "p.s",
    settings,
    metadata: { user_id: "u" },
    environment: browser.environment,
  });
  await settle();
  const { url, init } = browser.call;
  assert.equal(url, `${ORIGIN}/api/v1/sessions`);
  assert.equal(init.headers.authorization, "Bearer p.s");
  assert.deepEqual(JSON.parse(init.body), { ...AUDIO, hop_ms: 500, user_id: "u" });
  browser.call.answer(Response.json({ id: "s1", ticket: "t0" }, { status: 201 }));
  await settle();
  assert.equal(browser.socket.url.href, "ws://gateway.test/ws/voice?session_id=s1");
  assert.deepEqual(browser.socket.protocols, ["undertone.v1.msgpack", "undertone.ticket.t0"]);
  assert.equal(browser.socket.binaryType, "arraybuffer");
  browser.socket.say(welcome());
  const session = await opening;
  assert.equal(session.state, "live");
  assert.equal(session.welcome.epoch, "e1");
});

test("a key makes a ticket for a session that is there", async () => {
  const browser = new FakeBrowser();
  const opening = connect({ key: "p.s", sessionId: "s1", environment: browser.environment });
  await settle();
  assert.equal(browser.call.url, `${ORIGIN}/api/v1/sessions/s1/tickets`);
  browser.call.answer(Response.json({ ticket: "t7" }, { status: 201 }));
  await settle();
  assert.ok(browser.socket.protocols.includes("undertone.ticket.t7"));
  browser.socket.say(welcome());
  await opening;
});

test("what comes right after welcome reaches who listens after await", async () => {
  const browser = new FakeBrowser();
  const opening = connect({ sessionId: "s1", environment: browser.environment });
  await settle();
  browser.socket.say(welcome());
  browser.socket.say(tone(1));
  const { seqs, events } = log(await opening);
  browser.pass(0);
  assert.deepEqual(seqs(), [1]);
  assert.equal(events[0].type, "welcome");
});

test("a problem document becomes an error with all it says", async () => {
  const browser = new FakeBrowser();
  const opening = createSession({ environment: browser.environment });
  await settle();
  const problem = { code: "session_limit", detail: "too many", param: "user_id" };
  browser.call.answer(Response.json(problem, { status: 429, headers: { "retry-after": "7" } }));
  const expected = {
    code: "session_limit",
    message: "too many",
    status: 429,
    param: "user_id",
    retryAfterMs: 7000,
  };
  await rejects(opening, expected);
});

test("an answer that is no problem document is told by its status, and a dead network as unreachable", async () => {
  const browser = new FakeBrowser();
  const opening = createSession({ environment: browser.environment });
  browser.call.answer(new Response("<html>", { status: 502 }));
  await rejects(opening, { code: "refused", status: 502 });
  const again = createSession({ environment: browser.environment });
  browser.call.answer(new TypeError("Failed to fetch"));
  await rejects(again, { code: "unreachable" });
});

test("the first attempt is the only one: refused, silent, or without a network", async () => {
  const attempts = /** @type {[(browser: FakeBrowser) => void, object][]} */ ([
    [({ socket }) => socket.drop(1006), { code: "unreachable", closeCode: 1006 }],
    [(browser) => browser.pass(10_000), { code: "unreachable", closeCode: 1006 }],
    [
      ({ socket }) => (socket.say(codes("unauthorized")), socket.drop(4001)),
      { code: "unauthorized", closeCode: 4001 },
    ],
    [({ socket }) => socket.raw(new Uint8Array([0xc1])), { code: "malformed_message" }],
    [({ socket }) => socket.say(tone(1)), { code: "malformed_message" }],
    [({ socket }) => socket.say(welcome({ protocol: "undertone.v9" })), { code: "malformed_message" }],
    [({ socket }) => socket.say(welcome({ session_id: "other" })), { code: "malformed_message" }],
    [({ socket }) => socket.say(welcome({ audio: null })), { code: "malformed_message" }],
    [({ socket }) => socket.say(welcome({ next_sample: -1 })), { code: "malformed_message" }],
  ]);
  for (const [happen, expected] of attempts) {
    const browser = new FakeBrowser();
    const opening = connect({ sessionId: "s1", environment: browser.environment });
    await settle();
    happen(browser);
    await rejects(opening, expected);
    browser.pass(60_000);
    assert.equal(browser.sockets.length, 1);
    assert.notEqual(browser.socket.closedWith, undefined);
  }
});

test("wrong arguments are refused before anything is opened", async () => {
  const browser = new FakeBrowser();
  const wrong = [
    [{ backlogSeconds: 0 }, "backlogSeconds"],
    [{ backlogSeconds: Infinity }, "backlogSeconds"],
    [{ url: "ftp://x" }, "url"],
    [{ url: "nonsense" }, "url"],
    [{ sessionId: 7 }, "sessionId"],
    [{ ticket: "" }, "ticket"],
    [{ memento: { session_id: "s1", after: -1 } }, "after"],
  ];
  for (const [options, param] of wrong) {
    const opening = connect(/** @type {any} */ ({ environment: browser.environment, ...Object(options) }));
    await rejects(opening, { code: "invalid_field", param });
  }
  assert.equal(browser.sockets.length + browser.calls.length, 0);
});

// To send ----------------------------------------------------------------------------------------------

test("audio goes out as it comes, copied", async () => {
  const { browser, session } = await live();
  const piece = pcm();
  piece[0] = 5;
  assert.ok(session.send(piece));
  piece.fill(9);
  session.send(piece.buffer);
  session.send(new DataView(piece.buffer, 0, 200));
  assert.deepEqual(
    browser.socket.sent.map((one) => one.length),
    [3200, 3200, 200],
  );
  assert.equal(browser.socket.sent[0][0], 5);
  assert.equal(session.nextSample, 3300);
  assert.equal(session.buffered, 0);
});

test("what is no audio is refused at once", async () => {
  const { session } = await live();
  assert.throws(() => session.send(new Uint8Array(3)), { code: "incomplete_sample" });
  for (const wrong of ["abc", null, [1, 2], undefined]) {
    assert.throws(() => session.send(/** @type {any} */ (wrong)), TypeError);
  }
  assert.throws(() => session.ack(-1), { param: "seq" });
  await rejects(session.configure(/** @type {any} */ ({ tempo: 1 })), {
    code: "invalid_field",
    param: "tempo",
  });
});

test("nothing is written to a socket that is a second behind, and the queue is bounded", async () => {
  const { browser, session } = await live();
  browser.socket.bufferedAmount = 2 * SECOND + 2;
  for (let n = 0; n < 80; n++) session.send(pcm());
  assert.equal(browser.socket.samples, 0);
  assert.ok(Math.abs(session.buffered - 6) < 0.01); // five in the queue, one in the socket
  browser.socket.bufferedAmount = 0;
  browser.pass(3_000);
  assert.equal(browser.socket.samples, 2.25 * SECOND); // what a stalled network may keep
  for (const received of [5.25, 7.5]) {
    browser.socket.say({ type: "flow", received: received * SECOND, limit: null });
    browser.pass(1_000);
  }
  assert.equal(browser.socket.samples, 5 * SECOND);
  assert.deepEqual(browser.socket.controls("position"), [{ type: "position", sample: 3 * SECOND }]);
  assert.equal(session.lostSamples, 3 * SECOND);
});

test("settings, answered and refused", async () => {
  const { browser, session } = await live();
  const one = session.configure({ hop_ms: 500 });
  const two = session.configure({ hop_ms: 1 });
  assert.deepEqual(browser.socket.sent, [
    { hop_ms: 500, type: "configure" },
    { hop_ms: 1, type: "configure" },
  ]);
  browser.socket.say({ type: "configured", hop_ms: 500, delivery: "realtime" });
  browser.socket.say({ ...codes("invalid_field", false), param: "hop_ms" });
  assert.equal((await one).hop_ms, 500);
  await rejects(two, { code: "invalid_field", param: "hop_ms" });
});

test("flush is answered by its own id", async () => {
  const { browser, session } = await live();
  const answers = [session.flush(), session.flush()];
  const [first, second] = browser.socket.controls("flush");
  browser.socket.say({ type: "flushed", id: second.id });
  browser.socket.say({ type: "flushed", id: first.id });
  assert.deepEqual(
    (await Promise.all(answers)).map((one) => one.id),
    [first.id, second.id],
  );
});

test("requests without an answer are bounded", async () => {
  const { session } = await live();
  for (let n = 0; n < 64; n++) void session.flush();
  await rejects(session.flush(), { code: "busy" });
});

test("end: no audio after it, summary, close, ended", async () => {
  const { browser, session, states } = await live();
  const ending = session.end();
  assert.equal(session.end(), ending);
  assert.equal(session.send(pcm()), false);
  await rejects(session.flush(), { code: "session_closed" });
  browser.socket.say(SUMMARY);
  assert.equal((await ending).type, "summary");
  browser.socket.drop(1000);
  assert.deepEqual(states.at(-1), "ended");
  assert.equal((await session.end()).seq, 9);
  browser.pass(600_000);
  assert.equal(browser.sockets.length, 1);
});

test("a close that gets lost after summary ends the session all the same", async () => {
  const { browser, session } = await live();
  browser.socket.say(SUMMARY);
  browser.pass(3_000);
  assert.equal(session.state, "ended");
});

test("lossless: never past the limit, never more than there is room", async () => {
  const { browser, session } = await live({}, { delivery: "lossless", limit: 2 * SECOND });
  assert.equal(session.room, 5 * SECOND);
  assert.ok(session.send(pcm(4 * SECOND)));
  assert.equal(session.send(pcm(2 * SECOND)), false);
  assert.equal(browser.socket.samples, 2 * SECOND);
  let ready = false;
  const waiting = session.ready(2 * SECOND).then(() => (ready = true));
  browser.socket.say({ type: "flow", received: SECOND, limit: 4 * SECOND, lag_ms: 900 });
  await waiting;
  assert.ok(ready);
  assert.equal(session.lagMs, 900);
  assert.equal(browser.socket.samples, 4 * SECOND);
  assert.ok(session.send(pcm(2 * SECOND)));
  const [probe] = browser.socket.controls("ping");
  browser.socket.say({ type: "pong", t: probe.t });
  assert.equal(session.room, 44_000); // asked at 60,000, the first message past half a backlog
  await rejects(session.ready(6 * SECOND), { code: "invalid_field" });
});

test("a pong that the client's own ping brought is not told, another is", async () => {
  const { browser, session, events } = await live();
  session.ping(7);
  browser.pass(20_000);
  assert.equal(browser.socket.controls("ping").length, 2);
  for (const { t } of browser.socket.controls("ping")) browser.socket.say({ type: "pong", t });
  assert.deepEqual(
    events.filter((one) => one.type === "pong"),
    [{ type: "pong", t: 7 }],
  );
});

test("what was sent lossless is no debt: realtime goes on at once", async () => {
  const { browser, session } = await live();
  const say = (/** @type {string} */ delivery, limit = 1000 * SECOND) => {
    browser.socket.say({ type: "configured", delivery });
    browser.socket.say({ type: "flow", received: session.nextSample, limit });
  };
  session.send(pcm());
  session.configure({ delivery: "lossless" });
  say("lossless");
  for (let n = 0; n < 30; n++) {
    assert.ok(session.send(pcm(4 * SECOND)));
    browser.socket.say({ type: "flow", received: session.nextSample, limit: 1000 * SECOND });
  }
  session.configure({ delivery: "realtime" });
  say("realtime");
  browser.pass(1_000); // a clock that hasn't moved fills no bucket
  session.send(pcm(2 * SECOND));
  assert.equal(browser.socket.samples, session.nextSample);
});

test("what follows a change of delivery keeps to the stricter one until it is answered", async () => {
  for (const to of /** @type {const} */ (["realtime", "lossless"])) {
    const from = to === "realtime" ? "lossless" : "realtime";
    const { browser, session } = await live({}, { delivery: from, limit: 100 * SECOND });
    session.configure({ delivery: to });
    session.send(pcm(5 * SECOND));
    assert.equal(browser.socket.samples, 2.25 * SECOND);
    browser.socket.say({ type: "configured", delivery: to });
    browser.pass(1_000);
    browser.socket.say({ type: "flow", received: 2.25 * SECOND, limit: null });
    browser.pass(1_000);
    assert.ok(browser.socket.samples >= 4.5 * SECOND);
  }
});

test("a session that becomes realtime has no limit any more", async () => {
  const { browser, session } = await live({}, { delivery: "lossless", limit: SECOND });
  session.send(pcm(2 * SECOND));
  assert.equal(browser.socket.samples, SECOND);
  browser.socket.say({ type: "configured", delivery: "realtime" });
  assert.equal(browser.socket.samples, 2 * SECOND);
  assert.equal(session.room, Infinity);
});

// To come back -----------------------------------------------------------------------------------------

test("a lost connection is resumed where it was: address, token, audio, controls in their place", async () => {
  const { browser, session, states } = await live();
  session.send(pcm());
  browser.socket.say(tone(1));
  const flushed = session.flush();
  session.send(pcm());
  browser.socket.drop();
  assert.equal(session.state, "reconnecting");
  session.send(pcm());
  browser.pass(124);
  assert.equal(browser.sockets.length, 1);
  browser.pass(1);
  assert.equal(browser.socket.url.search, "?session_id=s1&epoch=e1&after=1");
  assert.ok(browser.socket.protocols.includes("undertone.ticket.token1"));
  browser.socket.say(welcome({ next_sample: 800, next_seq: 2, resume_token: "token2" }));
  assert.deepEqual(
    browser.socket.sent.map((one) => one.type ?? one.length / 2),
    [800, "flush", 3200],
  );
  browser.socket.say({ type: "flushed", id: 1 });
  await flushed;
  assert.equal(session.resumes, 1);
  assert.equal(session.memento.token, "token2");
  assert.deepEqual(states, ["connecting", "live", "reconnecting", "live"]);
});

test("a full backlog is spread, so that it is no flood", async () => {
  const { browser, session } = await live();
  browser.socket.drop();
  session.send(pcm(5 * SECOND));
  browser.pass(125);
  browser.socket.say(welcome());
  for (const most of [2.25, 4.5, 5]) {
    browser.pass(1_000);
    assert.equal(browser.socket.samples, most * SECOND);
    browser.socket.say({ type: "flow", received: most * SECOND, limit: null });
  }
});

test("whatever is repeated or missing: each event once, in order, and holes are counted", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant("cut")), { maxLength: 30 }),
      async (course) => {
        const { browser, session, seqs } = await live();
        for (const one of course) {
          if (one === "cut") resume(browser);
          else browser.socket.say(tone(Number(one)));
        }
        const told = seqs();
        assert.deepEqual(
          told,
          [...new Set(told)].sort((a, b) => a - b),
        );
        assert.equal(told.length + session.missed, told.at(-1) ?? 0);
      },
    ),
    { numRuns: 50 },
  );
});

test("another epoch is told, and its numbers begin anew", async () => {
  const { browser, session, seqs } = await live();
  /** @type {any[]} */
  const details = [];
  session.addEventListener("state", ({ detail }) => details.push(detail));
  for (const seq of [1, 2, 3]) browser.socket.say(tone(seq));
  resume(browser, { epoch: "e2", recovered: false });
  browser.socket.say(tone(1));
  assert.deepEqual(seqs(), [1, 2, 3, 1]);
  assert.equal(details.at(-1).renumbered, true);
  assert.equal(session.memento.epoch, "e2");
});

test("a server that forgot events gives their numbers again", async () => {
  const { browser, seqs } = await live();
  for (const seq of [1, 2, 3]) browser.socket.say(tone(seq));
  resume(browser, { recovered: false, next_seq: 2 });
  browser.socket.say(tone(2));
  assert.deepEqual(seqs(), [1, 2, 3, 2]);
});

test("pauses grow while nothing moves, and begin anew once something did", async () => {
  const { browser, session } = await live();
  /** @type {number[]} */
  const pauses = [];
  session.addEventListener(
    "state",
    ({ detail }) => detail.state === "reconnecting" && pauses.push(Number(detail.retryMs)),
  );
  const lose = () => {
    browser.socket.drop();
    browser.pass(5_000);
  };
  for (let n = 0; n < 4; n++) lose();
  browser.socket.say(welcome());
  lose();
  browser.socket.say(welcome({ next_sample: 5 }));
  lose();
  browser.socket.say(welcome({ next_sample: 5 }));
  browser.socket.say(tone(1));
  lose();
  assert.deepEqual(pauses, [125, 250, 500, 1000, 2000, 125, 125]);
});

test("patience ends when the session must have expired, and not before", async () => {
  const { browser, session, states } = await live();
  const flushed = session.flush();
  const waiting = session.ready();
  await waiting;
  browser.socket.drop();
  let awayMs = 0;
  while (session.state === "reconnecting") {
    browser.pass(1_000);
    awayMs += 1_000;
    if (browser.socket.closedWith === undefined) browser.socket.drop();
  }
  assert.ok(awayMs >= 100_000 && awayMs <= 112_000, String(awayMs));
  assert.equal(states.at(-1), "expired");
  await rejects(flushed, { code: "unreachable" });
  await rejects(session.end(), { code: "unreachable" });
  assert.equal(session.send(pcm()), false);
  const { length } = browser.sockets;
  browser.pass(600_000);
  assert.equal(browser.sockets.length, length);
});

test("after a sleep one attempt is made, however long it was, and wake makes it at once", async () => {
  const { browser, session } = await live();
  browser.socket.drop();
  browser.sleep(3_600_000);
  session.wake();
  assert.equal(browser.sockets.length, 2);
  session.wake(); // it is on its way
  assert.equal(browser.sockets.length, 2);
  browser.socket.say(welcome());
  assert.equal(session.state, "live");
});

test("an attempt that hangs from before the sleep is given up", async () => {
  const { browser, session } = await live();
  browser.socket.drop();
  browser.pass(125);
  browser.sleep(5_000);
  session.wake();
  assert.equal(browser.sockets.length, 3);
  assert.notEqual(browser.sockets[1].closedWith, undefined);
  browser.sockets[1].onclose({ code: 1006, reason: "" }); // of no concern any more
  browser.socket.say(welcome());
  assert.equal(session.state, "live");
});

test("wake doesn't wait for a pause, however short ago the last attempt failed", async () => {
  const { browser, session } = await live();
  browser.socket.drop();
  browser.pass(125);
  browser.socket.drop();
  session.wake();
  assert.equal(browser.sockets.length, 3);
});

test("what an old socket still says is not heard", async () => {
  const { browser, session, seqs } = await live();
  session.wake();
  browser.pass(5_125);
  browser.socket.say(welcome());
  browser.sockets[0].say(tone(1));
  browser.sockets[0].drop(4005);
  assert.deepEqual(seqs(), []);
  assert.equal(session.state, "live");
});

test("wake asks a connection that seems to be there, and believes its silence soon", async () => {
  const { browser, session } = await live();
  session.wake();
  assert.equal(browser.socket.controls("ping").length, 1);
  browser.socket.say({ type: "pong", t: "undertone.alive" });
  browser.pass(10_000);
  assert.equal(session.state, "live");
  session.wake();
  browser.pass(5_000);
  assert.equal(session.state, "reconnecting");
});

test("silence is asked about after a heartbeat, and two are believed", async () => {
  const { browser, session } = await live();
  browser.pass(19_999);
  assert.equal(browser.socket.sent.length, 0);
  browser.pass(1);
  assert.equal(browser.socket.controls("ping").length, 1);
  browser.pass(19_999);
  assert.equal(session.state, "live");
  browser.pass(1);
  assert.equal(session.state, "reconnecting");
  assert.equal(browser.sockets[0].closedWith, 1000);
});

test("a sign of life in time keeps the connection", async () => {
  const { browser, session } = await live();
  for (let n = 0; n < 20; n++) {
    browser.pass(15_000);
    browser.socket.say({ type: "flow", received: 0, limit: null, lag_ms: 0 });
  }
  assert.equal(session.state, "live");
  assert.equal(browser.sockets.length, 1);
});

test("drain: waits as long as it was asked to, goes where it was sent, and back where nobody is there", async () => {
  const { browser, session } = await live({ url: "https://a.test" });
  browser.socket.say({ type: "drain", retry_after_ms: 2_500, reconnect_url: "wss://b.test/ws/voice" });
  browser.socket.drop(1012);
  browser.pass(2_499);
  assert.equal(browser.sockets.length, 1);
  browser.pass(1);
  assert.equal(browser.socket.url.origin + browser.socket.url.pathname, "wss://b.test/ws/voice");
  browser.socket.drop(1002);
  browser.pass(1_000);
  assert.equal(browser.socket.url.host, "a.test");
  browser.socket.say(welcome());
  assert.equal(session.state, "live");
});

test("a gateway's refusal is final wherever the drain led", async () => {
  const { browser, session } = await live();
  browser.socket.say({ type: "drain", retry_after_ms: 0, reconnect_url: "ws://b.test/ws/voice" });
  browser.socket.drop(1012);
  browser.pass(1_000);
  browser.socket.say(codes("session_not_found"));
  browser.socket.drop(4004);
  assert.equal(session.state, "expired");
});

test("drain gives up no encryption and follows no nonsense", async () => {
  for (const reconnect_url of ["ws://b.test/ws/voice", "nonsense", "javascript:alert(1)"]) {
    const { browser } = await live({ url: "https://a.test" });
    browser.socket.say({ type: "drain", retry_after_ms: 0, reconnect_url });
    browser.socket.drop(1012);
    browser.pass(1_000);
    assert.equal(browser.socket.url.host, "a.test");
  }
});

// How it ends ------------------------------------------------------------------------------------------

test("close codes: final ones end it with their error, others are resumed", async () => {
  for (const [code, closeCode, state] of /** @type {const} */ ([
    ["replaced", 4005, "ended"],
    ["unauthorized", 4001, "ended"],
    ["flood", 4009, "ended"],
    ["overrun", 4010, "ended"],
    ["session_expired", 4004, "expired"],
    ["session_not_found", 4004, "expired"],
    ["session_closed", 4004, "expired"],
    ["overloaded", 4100, "reconnecting"],
    ["internal", 1011, "reconnecting"],
    ["something_new", 4150, "reconnecting"],
    ["something_new", 4050, "ended"],
  ])) {
    const { browser, session } = await live();
    /** @type {any} */
    let detail;
    session.addEventListener("state", (event) => ({ detail } = event));
    const ending = session.end();
    browser.socket.say(codes(code));
    browser.socket.drop(closeCode);
    assert.equal(session.state, state, code);
    assert.equal(detail.reason, code);
    assert.equal(detail.closeCode, closeCode);
    assert.equal(detail.error.code, code);
    if (state !== "reconnecting") await rejects(ending, { code, closeCode });
  }
});

test("a session that ended while away tells its last events; one that expired stays expired", async () => {
  for (const [closeCode, code, state] of /** @type {const} */ ([
    [1000, null, "ended"],
    [4004, "session_expired", "expired"],
    [4004, "session_closed", "ended"],
  ])) {
    const { browser, session, seqs } = await live();
    const ending = session.end();
    browser.socket.drop();
    browser.pass(125);
    browser.socket.say(welcome({ resume_token: null }));
    browser.socket.say(tone(8));
    browser.socket.say(SUMMARY);
    if (code) browser.socket.say(codes(code));
    browser.socket.drop(closeCode);
    assert.deepEqual(seqs(), [8, 9]);
    assert.equal(session.state, state);
    assert.equal((await ending).seq, 9);
  }
});

test("a server that breaks the protocol is left", async () => {
  const breaches = /** @type {((socket: import("./client-fakes.js").FakeSocket) => void)[]} */ ([
    (socket) => socket.raw(new Uint8Array([1, 2, 3])),
    (socket) => socket.raw(new Uint8Array(70_000)),
    (socket) => socket.onmessage({ data: "{}" }),
    (socket) => socket.say(welcome()),
    (socket) => socket.say({ seq: 1 }),
    (socket) => socket.say([1]),
    (socket) => socket.say(tone(1, { session_id: "other" })),
    (socket) => socket.say(tone(1.5)),
  ]);
  for (const breach of breaches) {
    const { browser, session } = await live();
    breach(browser.socket);
    assert.equal(session.state, "ended");
    assert.equal(browser.socket.closedWith, 4008);
    browser.pass(600_000);
    assert.equal(browser.sockets.length, 1);
  }
});

test("garbage from the server raises nothing, whatever it is", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
      const { browser, session } = await live();
      browser.socket.raw(bytes);
      assert.ok(["ended", "live"].includes(session.state));
    }),
  );
});

test("events and keys that nobody knows yet pass through", async () => {
  const { browser, session, events } = await live();
  let heard = 0;
  session.addEventListener("mood", () => heard++);
  browser.socket.say({ type: "mood", seq: 1, session_id: "s1", weather: "mild" });
  browser.socket.say({ type: "state", seq: 2, session_id: "s1" });
  assert.equal(heard, 1);
  assert.equal(events.at(-2).weather, "mild");
  assert.equal(events.at(-1).type, "state");
});

test("leave lets go without coming back; wake takes it up, with the audio of meanwhile", async () => {
  const { browser, session, states } = await live();
  const flushed = session.flush();
  session.leave();
  await rejects(flushed, { code: "left" });
  browser.pass(50_000);
  assert.equal(browser.sockets.length, 1);
  assert.equal(browser.socket.closedWith, 1000);
  session.send(pcm());
  session.wake();
  browser.socket.say(welcome());
  assert.equal(browser.socket.samples, 1600);
  assert.deepEqual(states, ["connecting", "live", "idle", "reconnecting", "live"]);
});

test("a memento goes on with the session after the page was loaded again", async () => {
  const before = await live();
  before.session.send(pcm(3200));
  before.browser.socket.say(tone(4));
  const memento = JSON.parse(JSON.stringify(before.session.memento));
  assert.deepEqual(memento, {
    session_id: "s1",
    epoch: "e1",
    after: 4,
    token: "token1",
    next_sample: 3200,
    audio: AUDIO,
  });
  const { browser, session, seqs } = await live(
    { memento, sessionId: undefined },
    { next_sample: 3000, next_seq: 5 },
  );
  assert.equal(browser.socket.url.search, "?session_id=s1&epoch=e1&after=4");
  assert.ok(browser.socket.protocols.includes("undertone.ticket.token1"));
  browser.socket.say(tone(4));
  browser.socket.say(tone(5));
  session.send(pcm(160));
  assert.deepEqual(seqs(), [5]);
  assert.equal(session.nextSample, 3160);
  assert.equal(browser.socket.samples, 160);
  assert.deepEqual([session.missed, session.lostSamples, session.resumes], [0, 0, 0]);
});

test("the session's own audio format wins", async () => {
  const { session } = await live({}, { audio: { encoding: "mulaw", sample_rate: 8000, channels: 1 } });
  assert.equal(session.audio.encoding, "mulaw");
  assert.ok(session.send(new Uint8Array(3)));
  assert.equal(session.nextSample, 3);
});
