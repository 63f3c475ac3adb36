/** The lock is held while it is wanted, whatever the order of events. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { wakeLock } from "../../../gateway/web/wake-lock.js";

class Sentinel extends EventTarget {
  released = false;
  async release() {
    this.released = true;
    this.dispatchEvent(new Event("release"));
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

function world() {
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  /** @type {{resolve(lock: Sentinel): void, reject(error: Error): void}[]} */
  const requests = [];
  /** @type {any} */
  const navigator = {
    wakeLock: {
      /** @param {string} type */
      request(type) {
        assert.equal(type, "screen");
        return new Promise((resolve, reject) => requests.push({ resolve, reject }));
      },
    },
  };
  const lock = wakeLock({ navigator, document: /** @type {any} */ (document) });
  return {
    lock,
    requests,
    navigator,
    /** @param {string} state */
    show(state) {
      document.visibilityState = state;
      document.dispatchEvent(new Event("visibilitychange"));
    },
    async grant() {
      await settle();
      const sentinel = new Sentinel();
      requests.at(-1)?.resolve(sentinel);
      await settle();
      return sentinel;
    },
  };
}

test("taken and released", async () => {
  const { lock, grant } = world();
  assert.equal(lock.held, false);
  const taken = lock.take();
  const sentinel = await grant();
  await taken;
  assert.equal(lock.held, true);
  lock.release();
  lock.release();
  assert.equal(sentinel.released, true);
  assert.equal(lock.held, false);
});

test("taken again when the page is shown again, and only then", async () => {
  const { lock, requests, show, grant } = world();
  lock.take();
  const sentinel = await grant();
  await sentinel.release(); // the browser does so when the page is hidden
  show("hidden");
  await settle();
  assert.equal(lock.held, false);
  assert.equal(requests.length, 1);
  show("visible");
  await grant();
  assert.equal(requests.length, 2);
  assert.equal(lock.held, true);
});

test("not taken again after it was released", async () => {
  const { lock, requests, show, grant } = world();
  lock.take();
  await grant();
  lock.release();
  show("hidden");
  show("visible");
  await settle();
  assert.equal(requests.length, 1);
});

test("released while the request is under way: let go as soon as it comes", async () => {
  const { lock, grant } = world();
  lock.take();
  await settle();
  lock.release();
  const sentinel = await grant();
  assert.equal(sentinel.released, true);
  assert.equal(lock.held, false);
});

test("taken, released and taken while one request is under way: one lock, held", async () => {
  const { lock, requests, grant } = world();
  lock.take();
  await settle();
  lock.release();
  const taken = lock.take();
  const sentinel = await grant();
  await taken;
  assert.equal(requests.length, 1);
  assert.equal(sentinel.released, false);
  assert.equal(lock.held, true);
});

test("a request that failed because the page was hidden is made again", async () => {
  const { lock, requests, show, grant } = world();
  const taken = lock.take();
  await settle();
  show("hidden");
  show("visible");
  requests[0].reject(new Error("NotAllowedError"));
  await taken;
  await grant();
  assert.equal(lock.held, true);
});

test("silent where it is refused or unsupported, or the page hidden", async () => {
  const { lock, requests, navigator, show } = world();
  const refused = lock.take();
  await settle();
  requests[0].reject(new Error("low battery"));
  await refused;
  assert.equal(lock.held, false);
  delete navigator.wakeLock;
  await lock.take();
  assert.equal(lock.held, false);
  show("hidden");
  await lock.take();
  lock.release();
});
