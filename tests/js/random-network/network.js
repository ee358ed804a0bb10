/** A bad network: a TCP proxy that delays, splits, cuts, resets and holds the traffic, as the seed decides. */

import net from "node:net";

/** @typedef {import("node:net").Socket} Socket */
/** @typedef {ReturnType<typeof import("../support/random.js").randomOf>} Random */

const LONGEST_DELAY_MS = 60;
const LONGEST_HOLD_MS = 1_800;
/** Bytes that are still sent in pieces; a file need not be. */
const SPLIT_BYTES = 4_096;
/** Faults per second. */
const PER_SECOND = 4;

export class Network {
  /** @type {Map<string, number>} */
  counts = new Map();
  /** @type {Set<Line>} */
  #lines = new Set();
  #server = net.createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
  #whole = false;

  /**
   * @param {number} upstream the server's port
   * @param {Random} random
   */
  constructor(upstream, random) {
    this.upstream = upstream;
    this.random = random;
  }

  /** @returns {Promise<string>} its address */
  async open() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", () => resolve(undefined)));
    const { port } = /** @type {net.AddressInfo} */ (this.#server.address());
    return `http://127.0.0.1:${port}`;
  }

  /**
   * Cause faults for a while, at intervals that the seed decides.
   *
   * @param {number} seconds
   */
  async harm(seconds) {
    const end = Date.now() + seconds * 1000;
    while (Date.now() < end) {
      await pause((this.random.number() * 2000) / PER_SECOND);
      const lines = [...this.#lines];
      const fault = this.random.weighted([
        [5, "cut"],
        [4, "reset"],
        [4, "hold"],
        [1, "cut all"],
      ]);
      const hit = fault === "cut all" ? lines : lines.length > 0 ? [this.random.pick(lines)] : [];
      for (const line of hit) this.#harm(line, fault);
    }
  }

  /** Let everything through from now on, held data as well. */
  heal() {
    this.#whole = true;
    for (const line of this.#lines) line.release();
  }

  async close() {
    for (const line of this.#lines) line.end();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** @param {string} what */
  count(what) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** @param {Line} line @param {string} fault */
  #harm(line, fault) {
    this.count(fault);
    if (fault === "reset") line.reset();
    else if (fault === "hold") line.hold(this.random.number() * LONGEST_HOLD_MS);
    else line.end();
  }

  /** @param {Socket} socket */
  #accept(socket) {
    this.count("connections");
    if (!this.#whole && this.random.chance(0.08)) {
      this.count("refused");
      socket.destroy();
      return;
    }
    const line = new Line(socket, net.connect(this.upstream, "127.0.0.1"), this.#whole ? null : this);
    this.#lines.add(line);
    line.onEnd = () => this.#lines.delete(line);
  }
}

/** One connection through the network: bytes pass from one end to the other, in order. */
class Line {
  onEnd = () => {};
  #held = Promise.resolve();
  #release = () => {};

  /**
   * @param {Socket} near
   * @param {Socket} far
   * @param {Network | null} network the one that causes faults, or null
   */
  constructor(near, far, network) {
    this.near = near;
    this.far = far;
    this.network = network;
    for (const [source, sink] of [
      [near, far],
      [far, near],
    ]) {
      source.on("error", () => this.end()); // what a reset is
      source.on("close", () => this.end());
      void this.#pump(source, sink);
    }
  }

  /** @param {number} milliseconds in which nothing passes, without a close */
  hold(milliseconds) {
    this.#held = new Promise((resolve) => (this.#release = resolve));
    setTimeout(this.#release, milliseconds).unref();
  }

  release() {
    this.network = null;
    this.#release();
  }

  end() {
    this.near.destroy();
    this.far.destroy();
    this.#release();
    this.onEnd();
  }

  reset() {
    this.near.resetAndDestroy();
    this.end();
  }

  /** @param {Socket} source @param {Socket} sink */
  async #pump(source, sink) {
    try {
      for await (const data of source) {
        for (const piece of this.#pieces(data)) {
          if (this.network) await pause(this.network.random.number() ** 4 * LONGEST_DELAY_MS);
          await this.#held;
          if (!sink.destroyed && !sink.write(piece))
            await new Promise((resolve) => sink.once("drain", resolve).once("close", resolve));
        }
      }
    } catch {
      // cut, which is what this is for
    }
    this.end();
  }

  /** @param {Buffer} data */
  #pieces(data) {
    const { network } = this;
    if (!network || data.length > SPLIT_BYTES || !network.random.chance(0.3)) return [data];
    network.count("split");
    const at = Math.floor(network.random.number() * data.length);
    return [data.subarray(0, at), data.subarray(at)].filter((piece) => piece.length > 0);
  }
}

/** @param {number} milliseconds */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
