/** What a tab makes of messages that are lost, come twice or come from an older leader; and who holds the lock. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Leadership } from "../../../relay/web/sdk/tabs/leadership.js";
import { Tabs } from "../../../relay/web/sdk/tabs/tabs.js";
import { FakeClock, settle } from "../fakes/clock.js";

let clock;
/** What the tab has posted. */
let posted;
/** What its callbacks were told. */
let told;
/** Its lock requests for the lead, the newest last. */
let requests;
let channel;
/** @type {Tabs} */
let tabs;

class FakeChannel {
  constructor() {
    channel = this;
  }
  postMessage(data) {
    posted.push(data);
  }
  close() {}
}

const locks = {
  request: (name, options, hold) => {
    if (!name.endsWith("leader")) return new Promise(() => {});
    return new Promise((_, reject) => requests.push({ options, hold, steal: () => reject(new Error("stolen")) }));
  },
};

beforeEach(() => {
  [clock, posted, told, requests] = [new FakeClock(), [], [], []];
  const tell = (what) => (...facts) => void told.push([what, ...facts]);
  tabs = new Tabs({ name: "test", clock, locks, BroadcastChannel: FakeChannel }, {
    leads: tell("leads"), resigned: tell("resigned"), welcomed: tell("welcomed"), news: tell("news"), missed: tell("missed"),
    answered: tell("answered"), request: tell("request"), counted: () => {}, snapshot: () => ({}),
  });
});

const hear = (message) => channel.onmessage({ data: { from: "other", ...message } });
const welcome = (term, number) => hear({ kind: "welcome", to: tabs.id, term, number, count: tabs.count, snapshot: "snapshot" });
const news = (term, number) => hear({ kind: "news", term, number, news: number });

/** Return what was told since the last time. */
const heard = () => told.splice(0);

function follow() {
  tabs.join(true);
  welcome("term", 3);
  assert.deepEqual(heard(), [["welcomed", "snapshot"]]);
}

test("news count from the welcome on, each once", () => {
  follow();
  for (const number of [3, 4, 4, 5]) news("term", number);
  assert.deepEqual(heard(), [["news", 4], ["news", 5]]);
});

test("a tab that missed one of the news says so, and goes on", () => {
  follow();
  for (const number of [5, 6]) news("term", number);
  assert.deepEqual(heard(), [["missed"], ["news", 5], ["news", 6]]);
});

test("a tab that learns by an answer that it missed news says so", () => {
  follow();
  welcome("term", 3);
  welcome("term", 4);
  assert.deepEqual(heard(), [["answered", "snapshot"], ["missed"]]);
});

test("news of an older leader are not taken for those of the present one", () => {
  follow();
  news("older", 4);
  assert.deepEqual(heard(), []);
});

test("each term of a leader has a name of its own, and counts its news anew", async () => {
  tabs.join(true);
  const terms = [];
  for (let times = 0; times < 2; times += 1) {
    requests[times].hold();
    tabs.share({});
    terms.push(posted.at(-1));
    tabs.share({});
    requests[times].steal();
    await settle();
  }
  assert.deepEqual(heard().map(([what]) => what), ["leads", "resigned", "leads", "resigned"]);
  assert.equal(terms[0].number, terms[1].number);
  assert.notEqual(terms[0].term, terms[1].term);
});

test("who serves requests is told of one that was lost, by each tab's own numbers", () => {
  tabs.join(true);
  const ask = (from, number) => hear({ kind: "request", from, number, request: number });
  for (const [from, number] of [["one", 7], ["one", 8], ["two", 1], ["one", 10], ["one", 11]]) ask(from, number);
  assert.deepEqual(heard().map(([, number, missed]) => [number, missed]), [[7, false], [8, false], [1, false], [10, true], [11, false]]);
});

test("a visible tab takes the lead from one that does not answer, and a hidden tab never does", async () => {
  follow();
  tabs.show(false);
  await clock.advance(60);
  assert.equal(requests.length, 1);
  tabs.show(true);
  await clock.advance(60);
  assert.deepEqual(requests.map(({ options }) => options.steal), [undefined, true]);
});

test("a lock that comes after its tab has left is freed at once", () => {
  let gained = 0;
  const leadership = new Leadership(locks, "a leader", () => (gained += 1), () => {});
  leadership.seek();
  leadership.resign();
  assert.equal(requests[0].hold(), undefined);
  assert.deepEqual([gained, leadership.held], [0, false]);
});
