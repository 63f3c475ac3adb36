// Read-only links: made, read, and taken out of the address at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFragment, takeWatch } from "../../../gateway/web/page/observer.js";
import { linkFor } from "../../../gateway/web/page/share.js";

const name = fc.stringMatching(/^[\w-]{1,40}$/);

test("a link is read as it was made", () => {
  fc.assert(
    fc.property(name, fc.option(name, { nil: undefined }), (sessionId, ticket) => {
      const watch = ticket ? { sessionId, ticket } : { sessionId };
      assert.deepEqual(parseFragment(new URL(linkFor("http://gateway", watch)).hash), watch);
    }),
  );
});

test("any other fragment is none, and nothing odd gets through", () => {
  for (const other of ["", "#", "#now", "#observe=", "#ticket=abc", "#observe=../../x", "#observe=a%2Fb"]) {
    assert.equal(parseFragment(other), null, other);
  }
  assert.deepEqual(parseFragment("#observe=abc&ticket=a%20b"), { sessionId: "abc" });
  fc.assert(
    fc.property(fc.string(), (text) => {
      const watch = parseFragment(text);
      assert.ok(watch === null || /^[\w-]+$/.test(watch.sessionId));
    }),
  );
});

/** @param {string} hash @param {any} [remembered] @returns {any} */
function browser(hash, remembered = null) {
  const told = { replaced: "", remembered };
  return {
    told,
    location: { hash, pathname: "/", search: "?a=1" },
    history: {
      replaceState: (/** @type {any} */ _, /** @type {any} */ __, /** @type {string} */ url) =>
        (told.replaced = url),
    },
    stored: {
      get: () => told.remembered,
      set: (/** @type {string} */ _, /** @type {any} */ value) => (told.remembered = value),
    },
  };
}

test("the address is cleaned at once, and the tab remembers", () => {
  const env = browser("#observe=abc&ticket=t1");
  assert.deepEqual(takeWatch(env), { sessionId: "abc", ticket: "t1" });
  assert.equal(env.told.replaced, "/?a=1");
  assert.deepEqual(takeWatch(browser("", env.told.remembered)), { sessionId: "abc", ticket: "t1" });
});

test("a page that was opened as itself watches nobody, and its address is left alone", () => {
  const env = browser("#main");
  assert.equal(takeWatch(env), null);
  assert.equal(env.told.replaced, "");
});
