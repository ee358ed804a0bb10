/**
 * A random conversation: several users on several devices write, edit, delete, react, read, leave and come back. They are
 * cut off, replays are limited, and the server is killed. At the end every store shows what a fresh one loads.
 *
 * `TALK_SEEDS=1,2,3` runs other seeds; a failure names its seed.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { RestApiClient } from "../../../relay/web/sdk/index.js";
import { Device, UNLIMITED, until } from "../support/devices.js";
import { randomOf } from "../support/random.js";
import { Server } from "../support/server.js";

const USERS = ["ann", "ben", "cat", "dan"];
const GROUPS = ["team", "family"];
const STEPS = 250;
const SEEDS = (process.env.TALK_SEEDS ?? "1,2").split(",").map(Number);

class Talk {
  /**
   * @param {Server} server
   * @param {Record<string, string>} tokens
   * @param {number} seed
   */
  constructor(server, tokens, seed) {
    this.server = server;
    this.tokens = tokens;
    this.random = randomOf(seed);
    /** When the last expiring message expires, Unix seconds. */
    this.expired = 0;
    this.devices = USERS.flatMap((user, at) => (at < 2 ? [user, user] : [user]).map((name) => this.device(name)));
  }

  /** @param {string} user */
  device(user, keep = 30) {
    const device = new Device(this.server.url, this.tokens[user] ?? "", { store: { keep } });
    return Object.assign(device, { user });
  }

  any() {
    return this.random.pick(this.devices);
  }

  /** @param {Device & { user: string }} device @param {boolean} mine */
  message(device, mine) {
    const found = device.store.conversations.flatMap(({ target }) =>
      device.store.conversation(target).messages.filter(
        ({ seq, type, senderId, deletedAt }) =>
          seq !== null && deletedAt === null && /_message$/.test(type) && (!mine || senderId === device.user),
      ),
    );
    return found.length ? this.random.pick(found.slice(-40)) : null;
  }

  say() {
    const device = this.any();
    for (let times = this.random.pick([1, 1, 2, 15]); times > 0; times -= 1) {
      const target = this.random.pick([...GROUPS, ...GROUPS, ...USERS]);
      const options = this.random.chance(0.2) ? { mentions: [this.random.pick(USERS)] } : {};
      const words = `words ${this.random.number()}`;
      if (GROUPS.includes(target)) device.messaging.sendGroupMessage(target, words, [], options);
      else device.messaging.sendPrivateMessage(target, words);
    }
  }

  edit() {
    const device = this.any();
    const found = this.message(device, true);
    if (found?.messageId) device.messaging.editMessage(found.conversation, found.messageId, `better ${this.random.number()}`);
  }

  delete() {
    const device = this.any();
    const found = this.message(device, true);
    if (found?.messageId) device.messaging.deleteMessage(found.conversation, found.messageId);
  }

  react() {
    const device = this.any();
    const found = this.message(device, false);
    if (!found?.messageId) return;
    const act = this.random.chance(0.7) ? "react" : "unreact";
    device.messaging[act](found.conversation, found.messageId, this.random.pick(["👍", "🎂"]));
  }

  read() {
    const device = this.any();
    const [conversation] = device.store.conversations.length ? [this.random.pick(device.store.conversations)] : [];
    if (!conversation) return;
    if (this.random.chance(0.4)) device.store.markRead(conversation.target, { private: this.random.chance(0.3) });
    else if (conversation.lastSeq > 0) {
      device.messaging.markConversationRead(conversation.target, 1 + Math.floor(this.random.number() * conversation.lastSeq));
    }
  }

  async load() {
    const device = this.any();
    const [conversation] = device.store.conversations.length ? [this.random.pick(device.store.conversations)] : [];
    if (!conversation) return;
    const whole = device.store.conversation(conversation.target);
    const gap = whole.gaps[0];
    await (gap && this.random.chance(0.5)
      ? device.store.loadGap(conversation.target, gap, 10)
      : device.store.loadOlder(conversation.target, 10)
    ).catch(() => {}); // of a group that one was just removed from
  }

  async member() {
    const [group, user] = [this.random.pick(GROUPS), this.random.pick(USERS.slice(1))];
    const { restApi } = this.devices[0]?.messaging ?? assert.fail();
    await (this.random.chance(0.5) ? restApi.putMember(group, user) : restApi.removeMember(group, user)).catch(() => {});
  }

  async rename() {
    await this.devices[0]?.messaging.renameGroup(this.random.pick(GROUPS), `Name ${this.random.number()}`);
  }

  /** An admin notifies a user, a group or everybody, perhaps replacing an earlier notification. */
  async notify() {
    const payload = {
      title: `news ${this.random.number()}`,
      ...(this.random.chance(0.5) ? { collapse_key: this.random.pick(["a", "b"]) } : {}),
      ...(this.random.chance(0.2) ? { expires_at: (this.expired = Date.now() / 1000 + 1) } : {}),
    };
    const target_id = this.random.pick([...USERS, ...GROUPS, "*"]);
    const root = new RestApiClient(this.server.url, this.tokens.root);
    await root.sendMessage({ type: "notification", payload, meta: { target_id, id: payload.title } });
  }

  readNotifications() {
    this.any().store.markNotificationsRead();
  }

  async leave() {
    await this.any().socket.disconnect();
  }

  come() {
    void this.any().socket.connect().catch(() => {});
  }

  cut() {
    /** @type {any} */ (this.any().socket.socket)?.terminate();
  }

  async restart() {
    if (this.random.chance(0.7)) return;
    await this.server.kill();
    await this.server.start();
  }

  async run() {
    const { restApi } = this.devices[0]?.messaging ?? assert.fail();
    for (const [at, group] of GROUPS.entries()) {
      await restApi.createGroup({ name: group, group_id: group, members: ["ben", "cat"], history: at ? "start" : "join" });
    }
    await Promise.all(this.devices.map((device) => device.connect()));
    /** @type {[number, () => unknown][]} */
    const moves = [
      [30, this.say], [10, this.edit], [5, this.delete], [10, this.react], [12, this.read], [10, this.load], [5, this.member],
      [1, this.rename], [6, this.notify], [2, this.readNotifications], [5, this.leave], [14, this.come], [6, this.cut], [1, this.restart],
    ];
    for (let step = 0; step < STEPS; step += 1) {
      await this.random.weighted(moves).call(this);
      if (this.random.chance(0.3)) await new Promise((resolve) => setTimeout(resolve, this.random.pick([0, 1, 20])));
    }
    await this.settle();
  }

  /** Reconnect all devices, and wait until everything has arrived. */
  async settle() {
    await Promise.all(this.devices.map((device) => device.socket.connect()));
    for (const device of this.devices) {
      await until(() => device.messaging.outgoing.every(({ state }) => state === "failed"), `${device.user}'s answers`, 30);
      for (const { id } of device.messaging.outgoing) await device.messaging.discardMessage(id);
    }
    await until(() => Date.now() / 1000 > this.expired, "the end of what was told to expire");
    await Promise.all(this.devices.map((device) => this.compare(device)));
  }

  /** @param {Device & { user: string }} device */
  async compare(device) {
    const fresh = this.device(device.user, 100_000);
    try {
      await fresh.connect();
      const right = lines((await device.messaging.getConversations()).map((row) => ({
        ...row, unreadMentions: row.unread_mentions, readSeq: row.read_seq, lastSeq: row.last_seq, target: row.target_id,
      })));
      for (const [whose, store] of /** @type {const} */ ([["a fresh", fresh.store], ["the", device.store]])) {
        await until(() => same(lines(store.conversations), right), `${device.user}'s list`, 20).catch(() =>
          assert.deepEqual(lines(store.conversations), right, `${device.user}'s list in ${whose} store`),
        );
      }
      assert.deepEqual(await told(device.store), await told(fresh.store), `${device.user}'s notifications`);
      for (const { target } of fresh.store.conversations) {
        await all(fresh.store, target);
        await all(device.store, target);
        // Who is in a group, and with it what all have read, is fetched after the messages.
        await until(() => same(shown(device.store, target), shown(fresh.store, target)), `${device.user} of ${target}`, 20).catch(() =>
          assert.deepEqual(shown(device.store, target), shown(fresh.store, target), `${device.user} of ${target}`),
        );
      }
    } finally {
      await fresh.close();
    }
  }
}

/** @param {unknown} one @param {unknown} other */
function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** @param {readonly any[]} rows of the server's, or of a store's */
function lines(rows) {
  const drawn = rows.map(({ target, kind, name, role, unread, unreadMentions, readSeq, lastSeq }) => [
    target, kind, name, role, unread, unreadMentions, readSeq, lastSeq,
  ]);
  return drawn.sort((one, other) => (String(one[0]) < String(other[0]) ? -1 : 1));
}

/** @param {import("../../../relay/web/sdk/store/index.js").Store} store */
async function told(store) {
  while (store.notifications.hasOlder) await store.loadOlderNotifications(200);
  const { messages, unread } = store.notifications;
  return { unread, drawn: messages.map(({ key, payload, deletedAt }) => ({ key, payload, deleted: deletedAt !== null })) };
}

/** @param {import("../../../relay/web/sdk/store/index.js").Store} store @param {string} target */
async function all(store, target) {
  store.subscribe(`conversation:${target}`, () => {}); // somebody looks at it, so that nothing is let go
  await store.loadOlder(target, 200);
  while (store.conversation(target).hasOlder) await store.loadOlder(target, 200);
  for (let gap; (gap = store.conversation(target).gaps[0]); ) await store.loadGap(target, gap, 200);
}

/** @param {import("../../../relay/web/sdk/store/index.js").Store} store @param {string} target */
function shown(store, target) {
  const { messages, receipts, unread } = store.conversation(target);
  const drawn = messages.map(({ key, seq, type, payload, editedAt, deletedAt, reactions, state }) => ({
    // The time of a tombstone does not matter.
    key, seq, type, payload, editedAt, deleted: deletedAt !== null, state,
    reactions: [...reactions].sort((one, other) => (one.emoji < other.emoji ? -1 : 1)),
  }));
  return { drawn, receipts: Object.entries(receipts).sort(), unread };
}

for (const seed of SEEDS) {
  test(`after a random conversation every store shows what a fresh one loads (seed ${seed})`, { timeout: 300_000 }, async () => {
    const server = await new Server({ ...UNLIMITED, replay: { limit: 25 } }).start();
    await server.run("user", "add", "root", "--admin");
    const talk = new Talk(server, await server.users("root", ...USERS), seed);
    try {
      await talk.run();
    } finally {
      await Promise.all(talk.devices.map((device) => device.close()));
      await server.close();
    }
  });
}
