/** Who is signed in on this computer, and the SDK's objects for them. */

import { safeStorage } from "electron";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MessagingAPI, RestApiClient, SocketManager, Store } from "relay-sdk";
import { fileStorage } from "relay-sdk/node";
import { WebSocket } from "ws";

export class Account {
  closed = false;
  /** @type {{ socket: SocketManager, messaging: MessagingAPI, store: Store } | null} */
  #live = null;
  #shown = "";
  /** Ends the subscription to the conversation that is shown. */
  #end = () => {};

  /**
   * @param {string} server
   * @param {string} folder the application's own
   * @param {(channel: string, value: unknown) => void} tell tells the window
   */
  constructor(server, folder, tell) {
    this.server = server;
    this.folder = folder;
    this.tell = tell;
  }

  /** Go on as whoever was signed in last. */
  async begin() {
    const kept = await readFile(this.#keptIn).catch(() => null);
    if (kept) await this.#start(JSON.parse(safeStorage.decryptString(kept)));
  }

  /** @param {string} userId @param {string} password */
  async signIn(userId, password) {
    const { token } = await new RestApiClient(this.server).login({ user_id: userId, password });
    const session = { userId, token };
    // The keychain of the operating system encrypts it; on a disk it is of no use to anybody else.
    await writeFile(this.#keptIn, safeStorage.encryptString(JSON.stringify(session)), { mode: 0o600 });
    await this.#start(session);
    return this.state();
  }

  async signOut() {
    const live = this.#stop();
    await rm(this.#keptIn, { force: true });
    if (!live) return;
    await live.socket.rest.logout().catch(() => {}); // without a network the token stays good until it expires
    await live.socket.forget();
  }

  /** What the window draws; all of it can be cloned on its way there. */
  state() {
    if (!this.#live) return { signedIn: false };
    const { socket, store } = this.#live;
    const shown = this.#shown && store.conversation(this.#shown);
    return {
      signedIn: true,
      userId: socket.userId,
      connection: socket.connectionState,
      conversations: store.conversations,
      shown,
    };
  }

  /** @param {string} id */
  async open(id) {
    if (!this.#live) return;
    const { store } = this.#live;
    this.#end();
    this.#shown = id;
    this.#end = store.subscribe(`conversation:${id}`, () => this.#changed());
    await store.loadOlder(id).catch(() => {}); // what is known is shown; `connection` says why there is no more
    this.#changed();
    store.markRead(id);
  }

  /**
   * Write a message: it goes to the disk, and to the server as soon as there is a network.
   *
   * @param {string} id
   * @param {string} content
   */
  send(id, content) {
    if (!this.#live) throw new Error("nobody is signed in");
    const { messaging, store } = this.#live;
    const sent =
      store.conversation(id).kind === "group"
        ? messaging.sendGroupMessage(id, content)
        : messaging.sendPrivateMessage(id, content);
    sent.catch(() => {}); // its state says so in the window
    return sent.id;
  }

  /** The computer woke up. */
  wake() {
    void this.#live?.socket.reconnect().catch(() => {});
  }

  async close() {
    this.closed = true;
    await this.#stop()?.socket.disconnect();
  }

  get #keptIn() {
    return join(this.folder, "session");
  }

  /** @param {{ userId: string, token: string }} session */
  async #start({ userId, token }) {
    const storage = await fileStorage(join(this.folder, "relay", `${userId}.journal`));
    const socket = new SocketManager(this.server, token, { name: userId, storage, WebSocket });
    const messaging = new MessagingAPI(socket);
    const store = new Store(messaging);
    this.#live = { socket, messaging, store };
    store.subscribe("conversations", () => this.#changed());
    store.subscribe("connection", () => this.#changed());
    void socket.connect().catch(() => {}); // `connection` tells; a network that is away is no error
  }

  #stop() {
    const live = this.#live;
    this.#live = null;
    this.#end();
    this.#shown = "";
    live?.store.close();
    live?.messaging.close();
    this.#changed();
    return live;
  }

  #changed() {
    this.tell("relay:changed", this.state());
  }
}
