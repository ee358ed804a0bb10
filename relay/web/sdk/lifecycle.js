/**
 * The life of a SocketManager's connection: its start and end, and whose connection is used. This page's own one, or in
 * a browser that of the tab which leads. Without other tabs this page leads. Only the leader has a reconnector.
 */

import { Core } from "./core.js";
import { lazyImport } from "./lazy-import.js";
import { isVisible, watchPage } from "./page-events.js";
import { Reconnector } from "./reconnector.js";

/** The time a connection has to show that it lives after the page was told of a lost network: browsers may be wrong. */
const OFFLINE_CHECK_SECONDS = 1;

/** @import { CoreHost } from "./core.js" */
/** @import { Settings } from "./options.js" */
/** @import { ReceiverHost } from "./receiver.js" */
/** @import { ConnectionStatus, Reason } from "./reconnector.js" */
/** @import { SharedConnection } from "./tabs/shared-connection.js" */

/**
 * @typedef {object} LifecycleHost
 * @property {(reason: Reason) => unknown} token the token, or a promise of one
 * @property {() => boolean} renewable whether a refused token may be asked for again
 * @property {(leads: boolean) => void} onLeader
 */

/** @typedef {LifecycleHost & CoreHost & ReceiverHost} Host what the SocketManager gives, and is told */

export class Lifecycle {
  #running = false;
  /** Whether this page has the connection. */
  leads = false;
  /** @type {Reconnector | null} */
  #reconnector = null;
  /** @type {SharedConnection | null} */
  #shared = null;
  #settings;
  #host;
  /** @type {Promise<typeof import("./tabs/shared-connection.js")> | null} begun early, while the page still loads */
  #import;
  #unwatch = () => {};
  /** The number of the last start or stop: a start that waited notices that it is out of date. */
  #turn = 0;
  #parted = false;
  #visible = true;
  /** Whether the last hello had a cursor. */
  #resumes = false;

  /**
   * @param {Host} host
   * @param {Settings} settings
   */
  constructor(host, settings) {
    this.#settings = settings;
    this.#host = host;
    this.core = new Core(this, host, settings);
    this.#import = settings.tabs && lazyImport(() => import("./tabs/shared-connection.js"), settings, host.onFault);
  }

  get running() {
    return this.#running;
  }

  /** What keeps this page connected, or null in the tabs that use another's connection. */
  get reconnector() {
    return this.#reconnector;
  }

  /** This page's part in what the tabs share, or null where they cannot. */
  get shared() {
    return this.#shared;
  }

  /** Whether no other tab has a say in what is sent. @returns {boolean} */
  get alone() {
    return this.leads || !this.#shared?.tabs.joined;
  }

  get #state() {
    return this.core.status.state;
  }

  // ---- start and end

  async start() {
    if (this.#running) return this.#state === "closed" ? this.reconnect() : undefined;
    this.#running = true;
    const turn = ++this.#turn;
    this.core.setStatus({ state: "connecting", attempts: 0 });
    try {
      await this.core.opened;
      const module = await this.#import;
      const { tabs, clock } = this.#settings;
      if (module && tabs && !this.#shared && (await module.canShare(tabs, clock))) {
        this.#shared ??= new module.SharedConnection(this, this.core, this.#settings, this.#host.onFault);
      }
    } catch (error) {
      if (turn === this.#turn) this.fail(/** @type {Error} */ (error));
      return;
    }
    if (turn !== this.#turn) return;
    this.#unwatch = watchPage(this.#settings.page, {
      online: () => this.nudge(),
      offline: () => this.#reconnector?.connection?.check(OFFLINE_CHECK_SECONDS),
      visible: (visible) => this.#showPage(visible),
      leaving: () => this.#part("the page goes"),
      restored: () => this.#join(),
    });
    this.#join();
  }

  async stop() {
    if (!this.#running) return;
    const reconnector = this.#reconnector;
    const last = !(this.#shared && this.#shared.tabs.count.tabs > 1);
    if (last) {
      this.core.receiver.acknowledge(true);
      this.#reconnector = null;
    }
    this.#end("another tab goes on", { state: "disconnected", attempts: 0 });
    if (last) await reconnector?.leave();
    await this.core.persistence.flush();
  }

  /** Stop, and delete everything that is stored. */
  async forget() {
    await this.stop();
    await this.core.forget();
  }

  /** Connect anew, at once. */
  reconnect() {
    if (this.#reconnector) return this.#reconnector.dial();
    if (this.#state !== "closed") return this.ask({ again: true });
    this.core.setStatus({ state: "connecting", attempts: 0 });
    this.#shared?.tabs.seize();
  }

  /** Check whether the connection lives, or end the wait for the next try. */
  nudge() {
    if (this.#reconnector) this.#reconnector.nudge();
    else this.ask({ nudge: true });
  }

  /**
   * Stop for an error that no reconnecting mends.
   *
   * @param {Error} error
   */
  fail(error) {
    if (this.#reconnector) this.#reconnector.fail(error);
    else this.#end("", { state: "closed", attempts: 0, error });
  }

  /** @param {string} why @param {ConnectionStatus} status */
  #end(why, status) {
    this.#running = false;
    this.#turn += 1;
    this.#unwatch();
    this.#part(why);
    this.core.setStatus(status);
  }

  #join() {
    this.#parted = false;
    this.#visible = isVisible(this.#settings.page);
    if (this.#shared) this.#shared.tabs.join(this.#visible);
    else void this.lead();
  }

  /** @param {string} why */
  #part(why) {
    if (this.#parted) return;
    this.#parted = true;
    this.#reconnector?.yield(why);
    this.#shared?.tabs.leave();
    this.resign();
  }

  // ---- messages out

  /** Send a `connection_event`, if this page has the connection. @param {object} payload */
  tell(payload) {
    this.#reconnector?.send({ type: "connection_event", payload, meta: {} });
  }

  /** Tell the other tabs, if this page has the connection. @param {object} news */
  share(news) {
    this.#shared?.share(news);
  }

  /** Ask the other tabs. @param {object} request */
  ask(request) {
    this.#shared?.tabs.ask(request);
  }

  // ---- the lead

  /** Take the lead: connect. */
  async lead() {
    this.leads = true;
    const reconnector = (this.#reconnector = this.#makeReconnector());
    this.#host.onLeader(true);
    if (this.#shared) await this.core.refresh().catch(this.#host.onFault);
    if (this.#reconnector === reconnector && this.#state !== "closed") reconnector.dial();
  }

  /** Give the lead up: another tab connects. */
  resign() {
    if (!this.leads) return;
    this.leads = false;
    const reconnector = this.#reconnector;
    this.#reconnector = null;
    reconnector?.yield("another tab goes on");
    this.#host.onLeader(false);
  }

  #makeReconnector() {
    const { core } = this;
    const { token, renewable, rest } = this.#host;
    /** @type {Reconnector} */
    const reconnector = new Reconnector({
      ...this.#settings, token, renewable,
      diagnose: async () => (await import("./diagnosis.js")).diagnose(rest),
      hello: (token) => ({ token, ...this.#hello() }),
      cursor: () => core.receiver.cursor,
      onFrame: (frame) => {
        this.share({ frame, asked: this.#resumes });
        core.take(frame, this.#resumes);
      },
      onLost: (code, reason) => core.lost(code, reason),
      onStatus: (status) => {
        this.share({ standing: status });
        if (this.#reconnector === reconnector) core.setStatus(status);
      },
    });
    return reconnector;
  }

  #hello() {
    const hello = this.core.hello();
    const cursor = this.#shared ? this.#shared.cursor(hello.cursor) : hello.cursor;
    this.#resumes = cursor !== undefined;
    return { ...hello, cursor };
  }

  /** A hello was answered, of this page or of the tab that leads; the replay begins at `cursor`. @param {number} cursor */
  onReady(cursor) {
    const reconnector = this.#reconnector;
    this.#shared?.replays(cursor);
    if (!reconnector) return;
    this.core.begin((envelope) => reconnector.send(envelope));
    if (!this.#visible) this.#tellVisible();
  }

  // ---- visibility

  /** This page became visible or hidden. @param {boolean} visible */
  #showPage(visible) {
    if (this.#shared) this.#shared.tabs.show(visible);
    else this.show(visible);
    if (visible) this.nudge();
  }

  /** The device became visible, in this tab or another, or hidden in all. @param {boolean} visible */
  show(visible) {
    if (visible === this.#visible) return;
    this.#visible = visible;
    this.#tellVisible();
  }

  #tellVisible() {
    if (this.#settings.background === "inactive") this.tell({ event: this.#visible ? "active" : "inactive" });
  }
}
