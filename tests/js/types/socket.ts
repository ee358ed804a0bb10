// The socket side of the SDK as an application in TypeScript uses it: every method, property, event and option.

import {
  ConnectionClosed,
  RelayError,
  RestApiClient,
  SentMessage,
  SocketManager,
  indexedDBStorage,
  memoryStorage,
} from "relay-sdk";
import { fileStorage } from "relay-sdk/node";

declare module "relay-sdk" {
  interface MessageTypes {
    location: { latitude: number; longitude: number };
  }
}

class OtherWebSocket extends WebSocket {}

async function main(): Promise<void> {
  const quit = new AbortController();
  const socket = new SocketManager("https://relay.example.org", async ({ reason }) => `a token, for ${reason}`, {
    clientId: "kitchen",
    storage: await fileStorage("/var/lib/app/relay.journal"),
    name: "alice",
    WebSocket: OtherWebSocket,
    fetch: globalThis.fetch,
    tabs: false,
    signal: quit.signal,
    backoff: { base: 1, cap: 60 },
    ackSeconds: 2,
    outboxLimit: 100,
    inFlight: 4,
    fillLimit: 50,
    background: "none",
    random: Math.random,
    clock: { now: Date.now, setTimeout: (callback, ms) => setTimeout(callback, ms), clearTimeout: (timer) => clearTimeout(timer) },
  });
  new SocketManager("", "token", { storage: "auto" });
  new SocketManager("", "token", { storage: memoryStorage() });
  new SocketManager("", "token", { storage: indexedDBStorage({ database: "mine" }) });

  const url: string = socket.baseUrl;
  const live: WebSocket | null = socket.socket;
  const known: [string, string | null, string | null, number | null, string | null] = [
    socket.clientId, socket.userId, socket.sessionId, socket.cursor, socket.epoch,
  ];
  const attempts: number = socket.reconnectAttempts;
  const most: number | undefined = socket.limits.frame_bytes;
  const leads: boolean = socket.isLeader && socket.isNotifier();
  const rest: RestApiClient = socket.rest;
  const handlers: number | undefined = socket.messageHandlers.get("chat_message")?.size;
  if (socket.lastError instanceof ConnectionClosed) console.log(socket.lastError.code, socket.lastError.reason);
  if (socket.connectionState === "closed") socket.authToken = "a fresh token";
  console.log(url, live, known, attempts, most, leads, rest, handlers);

  await socket.opened;
  const ready = await socket.connect({ signal: AbortSignal.timeout(5000) });
  console.log(ready.heartbeat_seconds);
  await socket.ready({ signal: quit.signal });
  await socket.reconnect();

  const stop: () => void = socket.registerHandler("chat_message", (envelope, { replay }) => {
    const content: string = envelope.payload.content;
    const sender: string | undefined = envelope.meta.sender_id;
    console.log(content, sender, replay);
  });
  socket.registerHandler("location", async ({ payload }) => console.log(payload.latitude.toFixed(2)));
  socket.registerHandler("*", ({ type }) => console.log(type));
  const stops = [
    socket.onMessage((envelope, { replay }) => console.log(envelope.type, replay)),
    socket.onConnectionStateChange((state, previous, { error, retryIn }) => console.log(state, previous, error?.message, retryIn)),
    socket.onError((error) => console.log(error.message)),
    socket.on("state", (state) => console.log(state)),
    socket.on("message", ({ meta }) => console.log(meta.message_id)),
    socket.on("error", (error) => console.log(error)),
    socket.on("sent", (message: SentMessage) => console.log(message.id, message.state)),
    socket.on("synced", ({ gaps, filled, replayed, limited }) => console.log(gaps[0]?.from_seq, filled.length, replayed, limited)),
    socket.on("reset", () => console.log("start from the conversations list")),
    socket.on("leader", (isLeader: boolean) => console.log(isLeader)),
  ];
  stops.forEach((end) => end());
  stop();

  const message = socket.sendMessage("chat_message", { content: "hi" }, "bob", { id: "m-1", keep: true, signal: quit.signal });
  const state: "queued" | "sent" | "delivered" | "read" | "failed" = message.state;
  const ended: () => void = message.onChange(({ ack, error, envelope }) => console.log(ack?.seq, error, envelope.meta.target_id));
  const taken: boolean = await message.cancel();
  try {
    const { message_id, seq, timestamp, duplicate } = await message;
    console.log(message_id, seq, timestamp, duplicate, state, taken);
  } catch (error) {
    if (error instanceof RelayError) console.log(error.code, error.retry, error.retryAfter, error.details, error.status);
  }
  await message.then((ack) => ack.message_id).catch(() => null);
  ended();
  socket.sendMessage("location", { latitude: 52.5, longitude: 13.4 }, "bob");
  socket.sendMessage("something_undeclared", { any: "thing" });
  // @ts-expect-error a chat_message needs its content
  socket.sendMessage("chat_message", { text: "hi" }, "bob");

  for (const { id, state } of socket.outbox.messages) if (state === "failed") socket.outbox.retry(id);
  const waiting: SentMessage | undefined = socket.outbox.get("m-1");
  if (waiting) socket.outbox.discard(waiting.id);
  await socket.outbox.flush({ signal: quit.signal });

  await socket.storage.apply([["put", "draft", { content: "…" }], ["delete", "old"]]);
  const draft: unknown = await socket.storage.get("draft");
  const all: [string, unknown][] = await socket.storage.getAll("");
  console.log(draft, all);

  await socket.disconnect();
  await socket.forget();
}

void main();
