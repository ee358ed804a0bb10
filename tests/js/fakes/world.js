/** A client under test with its surroundings: a clock, a network, a minimal server and a storage. */

import { SocketManager } from "../../../relay/web/sdk/index.js";
import "../../../relay/web/sdk/rest-transport.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import { memoryStorage } from "../../../relay/web/sdk/storage/memory.js";
import { FakeClock, settle } from "./clock.js";
import { FakeRelay } from "./relay.js";
import { FakeNetwork } from "./sockets.js";

export class World {
  clock = new FakeClock();
  network = new FakeNetwork();
  storage = memoryStorage();

  constructor({ relay = true } = {}) {
    if (relay) this.relay = new FakeRelay(this.network);
  }

  /** Return a client of this world; `log` has its events, in order. */
  client(options = {}, token = "token") {
    const { clock, network, storage } = this;
    const defaults = { clock, storage, WebSocket: network.WebSocket, random: () => 0.5, fetch: this.relay?.fetch ?? refused };
    const socket = new SocketManager("https://relay.test", token, { ...defaults, ...options });
    socket.log = [];
    socket.contents = [];
    socket.errors = [];
    socket.onConnectionStateChange((state) => socket.log.push(state));
    socket.onError((error) => socket.errors.push(error));
    socket.onMessage(({ payload }) => payload.content && socket.contents.push(payload.content));
    return socket;
  }

  /** Return a client that is connected. */
  async connected(options, token) {
    const socket = this.client(options, token);
    socket.connect().catch(() => {});
    await settle();
    return socket;
  }
}

async function refused() {
  throw new TypeError("there is no REST in this test");
}
