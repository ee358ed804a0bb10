/** Errors of the server and of the network, told in people's words. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { fieldProblem, problem } from "../../../relay/web/app/problems.js";
import en from "../../../relay/web/app/words/en.js";
import fr from "../../../relay/web/app/words/fr.js";
import { ConnectionClosed, RelayError } from "../../../relay/web/sdk/errors.js";

const refusal = (/** @type {string} */ code, /** @type {string} */ message, /** @type {any} */ details = undefined, more = {}) =>
  new RelayError(code, message, { details, ...more });

test("a refusal with a reason is told in the page's own words, with its figures", () => {
  assert.equal(problem(refusal("forbidden", "wrong user id or password", { reason: "wrong_login" })), "The name or the password is wrong.");
  const short = refusal("invalid_payload", "a password has …", { reason: "password_length", field: "password", min: 8, max: 1024 });
  assert.equal(problem(short), "A password has 8 to 1024 characters.");
  assert.equal(problem(refusal("too_large", "…", { reason: "file_too_large", max_bytes: 100_000_000 })), "A file has 100 MB at most.");
  assert.match(problem(refusal("too_large", "…", { reason: "message_too_long", max: 20_000 })), /^A message has 20,000 characters at most/);
});

test("what a plugin wrote for people stays, and what was written for programs does not", () => {
  assert.equal(problem(refusal("forbidden", "no cats on Mondays")), "No cats on Mondays.");
  assert.equal(problem(refusal("conflict", "you have answered already!", { reason: "of_a_plugin" })), "You have answered already!");
  const decoded = refusal("invalid_payload", "invalid body: Expected `str` of length >= 1 - at `name`", { field: "name" });
  assert.equal(problem(decoded), "Write a name of 128 characters at most, in one line.");
  assert.equal(problem(refusal("invalid_payload", "invalid body: Expected `int`", { field: "x" })), "The server could not use what was entered.");
  assert.equal(problem(refusal("invalid_payload", "chat_message: Expected `str` - at `$.content`")), "The server could not use what was entered.");
  assert.equal(problem(refusal("not_found", "there is no group 'x', or you may not see it")), "This is not there, or you may not see it.");
  assert.match(problem(refusal("offline", "GET /api/me: Failed to fetch")), /^The server cannot be reached/);
  assert.match(problem(refusal("rate_limited", "too many logins", undefined, { retryAfter: 29.4 })), /in 30 seconds\.$/);
  assert.match(problem(new TypeError("x is undefined")), /went wrong: x is undefined/);
});

test("an error that names a field is told next to it, and nowhere else", () => {
  const taken = refusal("conflict", "the name 'bob' is taken", { reason: "name_taken", field: "user_id" });
  assert.equal(fieldProblem(taken, "user_id"), "This name is taken. Choose another one.");
  assert.equal(fieldProblem(taken, "password"), "");
  assert.equal(fieldProblem(refusal("invalid_payload", "invalid body: …", { field: "members[0].user_id" }), "members") !== "", true);
  assert.equal(fieldProblem(new Error("no"), "user_id"), "");
});

test("a connection that ended for good says why, and a call that was cancelled says nothing", () => {
  assert.equal(problem(new ConnectionClosed(4502, "account disabled")), "Your account was disabled. Ask an administrator.");
  assert.equal(problem(new ConnectionClosed(4599, "for tests")), "For tests.");
  assert.equal(problem(new DOMException("stopped", "AbortError")), "");
});

test("the page knows every reason of the documentation, in every language", async () => {
  const docs = await readFile(new URL("../../../docs/reference/errors.md", import.meta.url), "utf8");
  const [, table] = docs.split("## Reasons");
  const told = table.split("\n## ")[0].split("\n").flatMap((line) => [...(line.match(/^\| (`\w+`(, )?)+/)?.[0].matchAll(/\w+/g) ?? [])]);
  const reasons = told.map(([word]) => word).sort();
  assert.ok(reasons.length > 15);
  for (const words of [en, fr]) assert.deepEqual(reasons.filter((reason) => !(reason in words.errors.reasons)), []);
});
