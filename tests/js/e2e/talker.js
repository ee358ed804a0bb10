/**
 * A program that sends numbered messages to bob, as fast as its outbox takes them, until it is killed. It prints the
 * number of each message that its outbox has stored: `node talker.js URL TOKEN JOURNAL FIRST LAST`.
 */

import { WebSocket } from "ws";

import { SocketManager } from "../../../relay/web/sdk/index.js";
import { fileStorage } from "../../../relay/web/sdk/node.js";

const [url, token, journal, first, last] = process.argv.slice(2);
const storage = await fileStorage(journal);
const kept = { ...storage, get: (key) => storage.get(key), getAll: (prefix) => storage.getAll(prefix), close: () => storage.close(), apply };
const socket = new SocketManager(url, token, { WebSocket, storage: kept, backoff: { base: 0.05, cap: 0.2 } });

/** Print the numbers of the messages that are on the disk. */
async function apply(batch) {
  await storage.apply(batch);
  for (const [kind, key, value] of batch) {
    if (kind === "put" && key.includes("outbox/")) process.stdout.write(`${value.envelope.payload.content}\n`);
  }
}

await socket.opened;
socket.connect().catch((error) => {
  console.error(error);
  process.exit(1);
});
for (let number = Number(first); number <= Number(last); number += 1) {
  socket.sendMessage("chat_message", { content: String(number) }, "bob", { id: `n-${number}` });
  await new Promise((resolve) => setTimeout(resolve, 2));
}
await socket.outbox.flush();
await socket.disconnect();
await storage.close();
