// Where the gateway is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { baseOf } from "../../../gateway/web/client/rest.js";
import { FakeBrowser, ORIGIN } from "./client-fakes.js";

const { environment } = new FakeBrowser();

test("addresses become the base that everything else is relative to", () => {
  const cases = {
    "https://a.test": "https://a.test/",
    "wss://a.test/ws/voice": "https://a.test/",
    "ws://a.test:8522/ws/voice?x=1": "http://a.test:8522/",
    "http://a.test/under/tone": "http://a.test/under/tone/",
    "https://user:secret@a.test/#x": "https://a.test/",
  };
  for (const [url, base] of Object.entries(cases)) assert.equal(baseOf(url, environment), base);
  assert.equal(baseOf(undefined, environment), `${ORIGIN}/`);
});

test("what is no such address is refused", () => {
  for (const url of ["", "a.test", "ftp://a.test", "javascript:alert(1)", "data:,x"]) {
    assert.throws(() => baseOf(url, environment), { code: "invalid_field", param: "url" });
  }
  assert.throws(() => baseOf(undefined, { ...environment, location: undefined }), { param: "url" });
});
