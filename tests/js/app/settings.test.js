/** What the settings work out: names of devices, ends of a status, the drawing of a QR code. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { nameOf } from "../../../relay/web/app/settings/devices.js";
import { pathOf } from "../../../relay/web/app/settings/qr-code.js";
import { endOf } from "../../../relay/web/app/settings/status.js";

const device = (/** @type {string} */ agent, client_id = "c_0123456789abcdef") => ({
  agent, client_id, created_at: 1, seen_at: 1, connected: true,
});

test("a device is called by its browser and its system", () => {
  const windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)";
  assert.equal(nameOf(device(`${windows} Chrome/140.0.0.0 Safari/537.36`)), "Chrome on Windows");
  assert.equal(nameOf(device(`${windows} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`)), "Edge on Windows");
  assert.equal(nameOf(device("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")), "Firefox on Linux");
  const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
  assert.equal(nameOf(device(`${phone} Version/18.5 Mobile/15E148 Safari/604.1`)), "Safari on iOS");
  const android = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36";
  assert.equal(nameOf(device(android)), "Chrome on Android");
});

test("a program is called by the name that it gave itself, and not by a made-up one", () => {
  assert.equal(nameOf(device("", "backup-robot")), "backup-robot");
  assert.equal(nameOf(device("python-httpx/0.28")), "A program");
  assert.equal(nameOf(device("", "0f8fad5b-d9cb-469f-a165-70867728950e")), "A program");
});

test("a status ends when one said", () => {
  const now = new Date();
  const seconds = now.getTime() / 1000;
  assert.equal(endOf("never", null, ""), undefined);
  assert.equal(endOf("kept", 5, ""), 5);
  assert.ok(Math.abs(/** @type {number} */ (endOf("half", null, "")) - seconds - 1800) < 5);
  const today = new Date(/** @type {number} */ (endOf("today", null, "")) * 1000);
  assert.deepEqual([today.getHours(), today.getMinutes()], [0, 0]);
  assert.ok(today > now && today.getTime() - now.getTime() <= 25 * 3_600_000);
  const week = new Date(/** @type {number} */ (endOf("week", null, "")) * 1000);
  assert.deepEqual([week.getDay(), week.getHours()], [1, 0], "the week ends with the Sunday");
  assert.ok(week > now && week.getTime() - now.getTime() <= 7 * 25 * 3_600_000);
  assert.equal(endOf("custom", null, ""), 0, "no time is a time that has gone");
  assert.equal(endOf("custom", null, "2030-01-02T03:04"), new Date(2030, 0, 2, 3, 4).getTime() / 1000);
});

test("a QR code is drawn run by run, inside its margin", () => {
  assert.equal(pathOf(["110", "001"]), "M4 4h2v1h-2zM6 5h1v1h-1z");
});
