/**
 * Clients of the SDK that live through restarts: `node crowd.js URL PAUSE PEOPLE`, with PEOPLE a JSON list of `user`,
 * `token` and `peer`. Each sends to its peer every PAUSE seconds, until `stop` comes on standard input, and reads until
 * that ends. What happens goes to standard output, a JSON object a line, as `tests/e2e/restarting.py` notes it.
 */

import { WebSocket } from "ws";

import { SocketManager, memoryStorage } from "../../../relay/web/sdk/index.js";

const [url, pause, list] = process.argv.slice(2);
const people = JSON.parse(list);
const note = (event, said) => process.stdout.write(`${JSON.stringify({ event, ...said })}\n`);
let sending = true;

const sockets = people.map(({ user, token, peer }, at) => {
  const socket = new SocketManager(url, token, { WebSocket, storage: memoryStorage(), clientId: `${user}-device` });
  socket.on("synced", () => note("live", { user, at: Date.now() / 1000 }));
  socket.onConnectionStateChange((state, _, { error }) => {
    if (state === "reconnecting" && /ECONNREFUSED/.test(String(error))) note("refused", { user });
  });
  socket.registerHandler("chat_message", ({ payload, meta }) => {
    if (meta.sender_id !== user) note("received", { user, id: payload.content, message_id: meta.message_id });
  });
  void socket.connect();
  let number = 0;
  const send = async () => {
    if (!sending) return;
    setTimeout(send, pause * 1000);
    const id = `${user}-${(number += 1)}`;
    note("sent", { user, id });
    const { message_id } = await socket.sendMessage("chat_message", { content: id }, peer, { id });
    note("acked", { id, message_id });
  };
  setTimeout(send, (pause * 1000 * at) / people.length);
  return socket;
});

process.stdin.on("data", () => (sending = false));
process.stdin.on("end", async () => {
  await Promise.all(sockets.map((socket) => socket.disconnect()));
  process.exit(0);
});
