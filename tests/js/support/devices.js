/** Devices of real users on a real server, each with the whole SDK. */

import { WebSocket } from "ws";

import { MessagingAPI, SocketManager, Store, memoryStorage } from "../../../relay/web/sdk/index.js";

/** Settings without rate limits, so that tests can send at full speed. */
export const UNLIMITED = {
  limits: {
    messages_per_second: 0, messages_burst: 0, hellos_per_minute: 0, logins_per_minute: 0,
    connections_per_user: 0, connections_per_address: 0, strangers_per_address: 0, typing_per_second: 0,
  },
  presence: { grace_seconds: 0.2 },
};

export class Device {
  /**
   * @param {string} url
   * @param {string} token
   * @param {{ socket?: object, store?: object }} [options]
   */
  constructor(url, token, { socket = {}, store = {} } = {}) {
    /** @type {Error[]} */
    this.faults = [];
    const options = { WebSocket, storage: memoryStorage(), backoff: { base: 0.05, cap: 0.5 }, ackSeconds: 0.1, ...socket };
    this.socket = new SocketManager(url, token, options);
    this.socket.onError((error) => this.faults.push(error));
    this.messaging = new MessagingAPI(this.socket);
    this.store = new Store(this.messaging, store);
  }

  async connect() {
    await this.socket.connect();
    await this.store.ready;
    return this;
  }

  async close() {
    this.store.close();
    this.messaging.close();
    await this.socket.disconnect();
  }
}

/**
 * Wait until a condition is true, and return its value.
 *
 * @template Value
 * @param {() => Value | Promise<Value>} condition
 * @param {string} what
 * @param {number} [seconds]
 * @returns {Promise<NonNullable<Value>>}
 */
export async function until(condition, what, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
