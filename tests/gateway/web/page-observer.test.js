// Read-only links: what one says is taken out of the address, and nothing else gets in by it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFragment, takeWatch } from "../../../gateway/web/page/observer.js";
import { linkFor } from "../../../gateway/web/page/share.js";

const name = fc.stringMatching(/^[\w-]{1,40}$/);
const watches = fc.record(
  { sessionId: name, ticket: name },
  { requiredKeys: ["sessionId"], noNullPrototype: true },
);

/** A tab at an address. @param {string} address @param {Map<string, any>} [held] */
function tab(address, held = new Map()) {
  let url = new URL(address);
  const environment = {
    location: /** @type {any} */ ({
      get hash() {
        return url.hash;
      },
      get pathname() {
        return url.pathname;
      },
      get search() {
        return url.search;
      },
    }),
    history: /** @type {any} */ ({
      /** @param {unknown} _state @param {string} _title @param {string} to */
      replaceState: (_state, _title, to) => (url = new URL(to, url)),
    }),
    stored: {
      get: (/** @type {string} */ key) => held.get(key) ?? null,
      set: (/** @type {string} */ key, /** @type {unknown} */ value) => void held.set(key, value),
    },
  };
  return { held, take: () => takeWatch(environment), address: () => url.href };
}

test("a link opens what it was made for, leaves the address clean, and a reload knows it still", () => {
  fc.assert(
    fc.property(watches, (watch) => {
      const link = linkFor("https://a.test", watch);
      const opened = tab(link);
      assert.deepEqual(opened.take(), watch);
      assert.equal(opened.address(), "https://a.test/");
      assert.deepEqual(tab(opened.address(), opened.held).take(), watch);
    }),
  );
});

test("path and query stay, the fragment is never part of what a server is asked", () => {
  const opened = tab("https://a.test/live?x=1#observe=abc&ticket=t");
  assert.equal(new URL(linkFor("https://a.test", { sessionId: "abc", ticket: "t" })).search, "");
  assert.deepEqual(opened.take(), { sessionId: "abc", ticket: "t" });
  assert.equal(opened.address(), "https://a.test/live?x=1");
});

test("a later link takes the place of what was watched before", () => {
  const held = new Map([["observe", { sessionId: "old", ticket: "old" }]]);
  assert.deepEqual(tab("https://a.test/#observe=new", held).take(), { sessionId: "new" });
  assert.deepEqual(held.get("observe"), { sessionId: "new" });
});

test("without a link nobody is watched, and the address stays as it is", () => {
  for (const address of ["https://a.test/", "https://a.test/#settings", "https://a.test/#ticket=abc"]) {
    const opened = tab(address);
    assert.equal(opened.take(), null);
    assert.equal(opened.address(), address);
    assert.equal(opened.held.size, 0);
  }
});

test("out of any fragment come ids and tickets that are safe in an address, or nothing", () => {
  const part = fc.oneof(
    name,
    fc.string(),
    fc.constantFrom("../../etc", "a/b", "a b", "%2e%2e", "a\n", "", "<b>"),
  );
  const fragment = fc.oneof(
    fc.string(),
    fc.tuple(part, part).map(([id, ticket]) => `#observe=${id}&ticket=${ticket}`),
  );
  fc.assert(
    fc.property(fragment, (given) => {
      const watch = parseFragment(given);
      if (!watch) return;
      assert.match(watch.sessionId, /^[A-Za-z0-9_-]{1,512}$/);
      if ("ticket" in watch) assert.match(watch.ticket ?? "", /^[A-Za-z0-9_-]{1,512}$/);
    }),
  );
});

test("what is no id is no session, and what is no ticket is no ticket", () => {
  for (const id of ["", "../x", "a/b", "a%20b", "a%0A", "<script>", "a".repeat(513)])
    assert.equal(parseFragment(`#observe=${id}&ticket=t`), null, id);
  assert.deepEqual(parseFragment("#observe=abc&ticket=t%0D%0Ax"), { sessionId: "abc" });
  assert.deepEqual(parseFragment("#ticket=t&observe=abc&more=1"), { sessionId: "abc", ticket: "t" });
});
