/** What the list of messages is made of, without a document: heights, lines, calendar days. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { hashOf, hashOfThread, readHash } from "../../../relay/web/app/address.js";
import { Heights } from "../../../relay/web/app/conversation/heights.js";

const line = (key, guess = 50) => ({ key: String(key), height: 0, guess });

test("places follow from measured heights, and from estimates for the rest", () => {
  const heights = new Heights();
  const lines = [...Array(1000).keys()].map((key) => line(key));
  heights.arrange(lines);
  assert.equal(heights.total, 50_000);
  assert.equal(heights.measure(10, 80.5), true);
  assert.equal(heights.measure(10, 80.5), false);
  assert.deepEqual([heights.top(10), heights.top(11), heights.total], [500, 580.5, 50_030.5]);
  assert.deepEqual([-5, 0, 499, 500, 580.4, 580.5, 1e9].map((pixels) => heights.at(pixels)), [0, 0, 9, 10, 10, 11, 999]);
});

test("a line that is drawn anew, or moves, begins with the height that it had", () => {
  const heights = new Heights();
  heights.arrange([line("a"), line("b")]);
  heights.measure(1, 120);
  heights.arrange([line("new"), line("a"), line("b")]);
  assert.deepEqual([heights.top(2), heights.total], [100, 220]);
  heights.forget();
  assert.equal(heights.measure(2, 60), true);
  assert.equal(heights.total, 160);
  heights.arrange([]);
  assert.deepEqual([heights.total, heights.at(10)], [0, 0]);
});

test("an address names a conversation, one of its messages, a thread or one of its replies", () => {
  assert.deepEqual(readHash(hashOf("bob")), { id: "bob", seq: null, thread: null, reply: null });
  assert.deepEqual(readHash(hashOf("günter@x.org", 12)), { id: "günter@x.org", seq: 12, thread: null, reply: null });
  assert.deepEqual(readHash(hashOfThread("bob", 7)), { id: "bob", seq: null, thread: 7, reply: null });
  assert.deepEqual(readHash(hashOfThread("bob", 7, 12)), { id: "bob", seq: null, thread: 7, reply: 12 });
  for (const hash of ["", "#", "#/", "#/%E0%A4%A", "#invite=x", "#/bob/x", "#/bob/1/2", "#/bob/thread", "#/bob/thread/7/x"]) assert.equal(readHash(hash).id, "", hash);
});

const DAYS = `
  const { day, dayOf, dayStart } = await import("./relay/web/app/format.js");
  const at = (...parts) => new Date(...parts).getTime() / 1000;
  const told = [];
  for (const [now, then] of JSON.parse(process.argv[1])) {
    Date.now = () => new Date(now).getTime();
    told.push(day(new Date(then).getTime() / 1000));
  }
  const starts = [at(2026, 2, 29), at(2026, 9, 25), at(2026, 11, 31), at(2027, 0, 1)];
  const same = starts.every((seconds) => dayStart(dayOf(seconds)) === seconds && dayOf(seconds - 1) === dayOf(seconds) - 1);
  console.log(JSON.stringify([told, same]));
`;

test("calendar days are right where clocks change, and at the turn of the year", () => {
  const asked = [
    ["2026-03-29T12:00", "2026-03-28T23:59"], // the night has 23 hours
    ["2026-03-30T00:30", "2026-03-29T00:10"],
    ["2026-10-26T00:10", "2026-10-25T00:05"], // the day has 25
    ["2026-10-26T00:10", "2026-10-24T23:59"],
    ["2027-01-01T00:01", "2026-12-31T23:59"],
    ["2027-01-03T12:00", "2026-12-25T12:00"],
    ["2026-11-29T12:00", "2026-11-29T23:00"],
    ["2026-11-29T12:00", "2026-12-05T10:00"], // a clock that is ahead
  ];
  const wanted = ["Yesterday", "Yesterday", "Yesterday", "Saturday", "Yesterday", "December 25, 2026", "Today", "December 5, 2026"];
  for (const zone of ["Europe/Paris", "UTC"]) {
    const folder = new URL("../../..", import.meta.url);
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", DAYS, JSON.stringify(asked)], { cwd: folder, env: { ...process.env, TZ: zone, LANG: "en_US" } });
    assert.deepEqual(JSON.parse(String(output)), [wanted, true], zone);
  }
});
