/** Six devices of three people talk through a bad network; at the end each shows what the server has. */

import assert from "node:assert/strict";

import { memoryStorage } from "../../../relay/web/sdk/index.js";
import { Device, UNLIMITED, until } from "../support/devices.js";
import { randomOf } from "../support/random.js";
import { Server } from "../support/server.js";
import { Network, pause } from "./network.js";

/** @typedef {ReturnType<typeof randomOf>} Random */
/** @typedef {Device & { user: string, name: string, storage: import("../../../relay/web/sdk/index.js").Storage }} Talker */

const USERS = ["ann", "ben", "cat"];
const GROUP = "team";
const PAUSE_MS = 300;
const MOST_MESSAGES = 6_000;
const PATIENCE_SECONDS = 60;
/** A silent network is noticed within 2 s, as heartbeats come every second. */
const SETTINGS = { ...UNLIMITED, heartbeat: { interval_seconds: 1 } };

/**
 * @param {number} seed
 * @param {number} seconds
 * @returns {Promise<Record<string, number>>} the number of each event
 */
export async function talkInABadNetwork(seed, seconds) {
  const server = await new Server(SETTINGS).start();
  const network = new Network(Number(new URL(server.url).port), randomOf(seed));
  try {
    const tokens = await server.users(...USERS);
    await server.run("group", "create", GROUP, "--name", "The team", "--owner", "ann", "--member", "ben", "--member", "cat");
    const url = await network.open();
    const devices = USERS.flatMap((user) =>
      [1, 2].map((number) => talker(url, tokens[user], user, `${user}-${number}`)),
    );
    try {
      return await run(server, network, devices, tokens, seed, seconds);
    } finally {
      await Promise.all(devices.map((device) => device.close()));
    }
  } finally {
    await network.close();
    await server.close();
  }
}

/**
 * @param {Server} server
 * @param {Network} network
 * @param {Talker[]} devices
 * @param {Record<string, string>} tokens
 * @param {number} seed
 * @param {number} seconds
 */
async function run(server, network, devices, tokens, seed, seconds) {
  /** The ids that each device sent, in order, by device and target. @type {Map<string, string[]>} */
  const said = new Map();
  for (const device of devices) void device.socket.connect();
  const talking = devices.map((device, at) => talk(device, said, randomOf(seed * 1000 + at), seconds));
  await network.harm(seconds);
  network.heal();
  await Promise.all(talking);
  for (const device of devices) await settled(device);
  let messages = 0;
  for (const user of USERS)
    messages += await compare(
      server.url,
      tokens[user],
      devices.filter((device) => device.user === user),
      said,
    );
  const kept = devices.filter(({ name }) => name.endsWith("-1"));
  for (const count of await Promise.all(kept.map((device) => compareKept(server.url, tokens, device)))) messages += count;
  const sent = [...said.values()].flat().length;
  const reconnects = devices.reduce((sum, device) => sum + device.reconnects, 0);
  return { sent, seen: messages, reconnects, ...Object.fromEntries(network.counts) };
}

/**
 * @param {string} url
 * @param {string | undefined} token
 * @param {string} user
 * @param {string} name
 */
function talker(url, token, user, name) {
  const storage = memoryStorage();
  const options = { socket: { clientId: name, storage }, store: { persist: name.endsWith("-1") } };
  const device = Object.assign(new Device(url, token ?? "", options), { user, name, storage, reconnects: 0 });
  device.socket.on("state", (state) => (device.reconnects += state === "reconnecting" ? 1 : 0));
  return device;
}

/**
 * Say something now and then, and change, answer and read what was said.
 *
 * @param {Talker} device
 * @param {Map<string, string[]>} said
 * @param {Random} random
 * @param {number} seconds
 */
async function talk(device, said, random, seconds) {
  const { messaging, store, user, name } = device;
  const end = Date.now() + seconds * 1000;
  for (let count = 0; Date.now() < end && count < MOST_MESSAGES / 6; count += 1) {
    await pause(random.number() * 2 * PAUSE_MS);
    const target = random.pick([GROUP, ...USERS.filter((other) => other !== user)]);
    const content = `${name} says ${count} to ${target}`;
    const changeable = store.conversation(target).messages.filter((one) => one.mine && one.messageId && isTalk(one));
    const own = changeable.at(-1);
    const act = random.weighted([
      [12, "say"],
      [2, "edit"],
      [1, "delete"],
      [2, "react"],
      [2, "read"],
    ]);
    if (act === "say") {
      const sent =
        target === GROUP ? messaging.sendGroupMessage(target, content) : messaging.sendPrivateMessage(target, content);
      said.set(`${name} ${target}`, [...(said.get(`${name} ${target}`) ?? []), sent.id]);
    } else if (act === "read") store.markRead(target);
    else if (own?.messageId) {
      if (act === "edit") messaging.editMessage(target, own.messageId, `${content}, better`);
      else if (act === "delete") messaging.deleteMessage(target, own.messageId);
      else messaging.react(target, own.messageId, "👍");
    }
  }
}

/** @param {{ type: string, deletedAt: number | null }} message */
function isTalk({ type, deletedAt }) {
  return deletedAt === null && type.endsWith("_message");
}

/**
 * Wait until a device has said everything. What is refused is about a message that was deleted meanwhile.
 *
 * @param {Talker} device
 */
async function settled(device) {
  const { messaging, name, socket } = device;
  await until(() => socket.connectionState === "connected", `${name} is connected`, PATIENCE_SECONDS);
  await until(
    () => messaging.outgoing.every(({ state }) => state === "failed"),
    `${name} has said everything`,
    PATIENCE_SECONDS,
  );
  for (const { envelope, error } of messaging.outgoing) {
    assert.match(envelope.type, /^(reaction|message_edit|message_delete)$/, String(error));
    assert.equal(/** @type {any} */ (error).code, "not_found");
  }
  assert.deepEqual(device.faults, []);
}

/**
 * Compare what a user's devices show with what a new one loads straight from the server, and with what was said.
 *
 * @param {string} url
 * @param {string | undefined} token
 * @param {Talker[]} devices
 * @param {Map<string, string[]>} said
 */
async function compare(url, token, devices, said) {
  const fresh = await new Device(url, token ?? "").connect();
  let messages = 0;
  try {
    for (const { target } of fresh.store.conversations) {
      const stored = await whole(fresh, target);
      messages += stored.length;
      for (const device of devices) {
        await until(
          async () => same(await whole(device, target), stored),
          `${device.name} shows ${target} as it is`,
          10,
        ).catch(async () => assert.deepEqual(await whole(device, target), stored, `${device.name}: ${target}`));
        const ids = said.get(`${device.name} ${target}`) ?? [];
        const own = new Set(ids);
        assert.deepEqual(
          stored.map(({ id }) => id).filter((id) => own.has(id ?? "")),
          ids,
          `${device.name} to ${target}: once each, in order`,
        );
      }
    }
  } finally {
    await fresh.close();
  }
  return messages;
}

/**
 * Compare what a device that comes back shows of its last visit, once it has resumed, with what a new one loads.
 *
 * @param {string} url
 * @param {Record<string, string>} tokens
 * @param {Talker} device
 */
async function compareKept(url, tokens, { name, user, store, socket, storage }) {
  await pause(3_000); // what changed last is written within that time
  store.close();
  await socket.disconnect();
  const back = new Device(url, tokens[user] ?? "", { socket: { clientId: name, storage }, store: { persist: true } });
  const fresh = await new Device(url, tokens[user] ?? "").connect();
  let messages = 0;
  try {
    await back.socket.opened;
    await until(() => back.store.conversations.length > 0, `${name} shows the list of its last visit`, PATIENCE_SECONDS);
    await back.connect();
    for (const { target } of fresh.store.conversations) {
      await back.store.loadOlder(target);
      await fresh.store.loadOlder(target);
      const [kept, stored] = [back, fresh].map((one) => shown(one, target));
      assert.deepEqual(kept.slice(-stored.length), stored, `${name} after a pause: ${target}`);
      messages += stored.length;
    }
  } finally {
    await back.close();
    await fresh.close();
  }
  return messages;
}

/**
 * Return all of a conversation as a device shows it.
 *
 * @param {Device} device
 * @param {string} target
 */
async function whole({ store }, target) {
  do await store.loadOlder(target, 200);
  while (store.conversation(target).hasOlder);
  for (const gap of store.conversation(target).gaps) await store.loadGap(target, gap, 200);
  return shown({ store }, target);
}

/** @param {{ store: import("../../../relay/web/sdk/index.js").Store }} device @param {string} target */
function shown({ store }, target) {
  return store
    .conversation(target)
    .messages.map(({ id, seq, payload, editedAt, deletedAt, reactions }) => ({
      id,
      seq,
      payload,
      editedAt,
      deletedAt,
      reactions,
    }));
}

/** @param {unknown} one @param {unknown} other */
function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
