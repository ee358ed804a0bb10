import assert from "node:assert/strict";
import { test } from "node:test";

import { isFinal, retryAfter } from "../../../relay/web/sdk/close-codes.js";

test("45xx and codes for frames that the peer does not understand are final", () => {
  for (const code of [4500, 4501, 4502, 4503, 4504, 4505, 4510, 4599, 1002, 1003, 1007, 1008, 1010]) assert.ok(isFinal(code), code);
});

test("after every other code the client comes back", () => {
  for (const code of [1000, 1001, 1005, 1006, 1009, 1011, 1012, 1013, 1015, 3000, 4000, 4400, 4401, 4402, 4403, 4404, 4405, 4499, 4600]) {
    assert.ok(!isFinal(code), code);
  }
});

test("the reason of 44xx tells how long to wait, at most five minutes", () => {
  assert.equal(retryAfter(4404, "server is draining; retry_after=7"), 7);
  assert.equal(retryAfter(4404, "retry_after: 2.5"), 2.5);
  assert.equal(retryAfter(4405, "overloaded, 30"), 30);
  assert.equal(retryAfter(4404, "7 of 9 parts stopped\nretry_after=2"), 2);
  assert.equal(retryAfter(4404, "retry_after=99999"), 300);
});

test("a reason without a number, or of another code, gives no wait", () => {
  assert.equal(retryAfter(4404, "server is draining"), undefined);
  assert.equal(retryAfter(1006, "retry_after=7"), undefined);
  assert.equal(retryAfter(4501, "retry_after=7"), undefined);
});
