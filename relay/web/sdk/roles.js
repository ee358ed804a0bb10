/**
 * Whose connection is used: this page's own, or that of another tab, whichever leads. Without other tabs this page
 * leads. Only then is there a link.
 */

import { Link } from "./link.js";
import { loaded } from "./loading.js";
import { isVisible, watchPage } from "./page-events.js";

/** How long a connection has to show that it lives, once the page was told that the network is gone; it may be wrong. */
const DOUBT_SECONDS = 1;

/** @import { Engine, Manager, Standing } from "./engine.js" */
/** @import { Settings } from "./options.js" */
/** @import { Member } from "./tabs/member.js" */

export class Roles {
  running = false;
  leads = false;
  /** @type {Link | null} */
  link = null;
  /** @type {Member | null} what it has to do with other tabs; none where they cannot share */
  member = null;
  #engine;
  #settings;
  #manager;
  /** @type {Promise<typeof import("./tabs/member.js")> | null} asked for early, while the page still loads */
  #loading;
  #unwatch = () => {};
  #begun = 0; // what an earlier start began is over
  #away = false;
  #seen = true;

  /**
   * @param {Engine} engine
   * @param {Settings} settings
   * @param {Manager} manager
   */
  constructor(engine, settings, manager) {
    this.#engine = engine;
    this.#settings = settings;
    this.#manager = manager;
    this.#loading = settings.tabs && loaded(() => import("./tabs/member.js"), settings, manager.onFault);
  }

  // ---- beginning and end

  async start() {
    if (this.running) return this.#state === "closed" ? this.again() : undefined;
    this.running = true;
    const begun = ++this.#begun;
    this.#engine.stand({ state: "connecting", attempts: 0 });
    try {
      await this.#engine.opened;
      const tabs = await this.#loading;
      const { tabs: means, clock } = this.#settings;
      if (tabs && means && !this.member && (await tabs.canShare(means, clock))) {
        this.member ??= new tabs.Member(this.#engine, this.#settings, this.#manager);
      }
    } catch (error) {
      if (begun === this.#begun) this.expel(/** @type {Error} */ (error));
      return;
    }
    if (begun !== this.#begun) return;
    this.#unwatch = watchPage(this.#settings.page, {
      online: () => this.nudge(),
      offline: () => this.link?.connection?.check(DOUBT_SECONDS),
      visible: (visible) => this.#turn(visible),
      leaving: () => this.#part("the page goes"),
      restored: () => this.#enter(),
    });
    this.#enter();
  }

  async stop() {
    if (!this.running) return;
    const { link } = this;
    const last = !(this.member && this.member.tabs.count.tabs > 1);
    if (last) {
      this.#engine.receiving.acknowledge(true);
      this.link = null;
    }
    this.#end("another tab goes on", { state: "disconnected", attempts: 0 });
    if (last) await link?.leave();
    await this.#engine.keeper.flush();
  }

  /** Connect anew, at once. */
  again() {
    if (this.link) return this.link.dial();
    if (this.#state !== "closed") return this.ask({ again: true });
    this.#engine.stand({ state: "connecting", attempts: 0 });
    this.member?.tabs.seize();
  }

  /** Look whether the connection lives, or do not wait any longer for the next try. */
  nudge() {
    if (this.link) this.link.nudge();
    else this.ask({ nudge: true });
  }

  /**
   * Stop for a fault that no reconnecting mends.
   *
   * @param {Error} error
   */
  expel(error) {
    if (this.link) this.link.fail(error);
    else this.#end("", { state: "closed", attempts: 0, error });
  }

  /**
   * @param {string} why
   * @param {Standing} standing
   */
  #end(why, standing) {
    this.running = false;
    this.#begun += 1;
    this.#unwatch();
    this.#part(why);
    this.#engine.stand(standing);
  }

  /** Whether no other tab has a say in what is sent. @returns {boolean} */
  get alone() {
    return this.leads || !this.member?.tabs.joined;
  }

  get #state() {
    return this.#engine.standing.state;
  }

  #enter() {
    this.#away = false;
    this.#seen = isVisible(this.#settings.page);
    if (this.member) this.member.tabs.join(this.#seen);
    else void this.lead();
  }

  /** @param {string} why */
  #part(why) {
    if (this.#away) return;
    this.#away = true;
    this.link?.yield(why);
    this.member?.tabs.leave();
    this.resign();
  }

  // ---- leading

  /** @param {object} payload */
  tell(payload) {
    this.link?.send({ type: "connection_event", payload, meta: {} });
  }

  /** As the one with the connection, tell the other tabs. @param {object} news */
  share(news) {
    this.member?.share(news);
  }

  /** Ask the other tabs. @param {object} request */
  ask(request) {
    this.member?.tabs.ask(request);
  }

  /** The server has answered a hello; the replay begins at `cursor`. @param {number} cursor */
  begin(cursor) {
    const { inbox } = this.#engine.receiving;
    const { link } = this;
    inbox.suspended = false;
    if (!link) return inbox.reached !== null && cursor > inbox.reached ? this.member?.missed() : undefined;
    this.member?.begun();
    void this.#engine.keeper.put("device", this.#engine.device);
    this.#engine.queue.begin((envelope) => link.send(envelope), this.#engine.ready?.limits ?? {});
    if (!this.#seen && this.#settings.background === "inactive") this.tell({ event: "inactive" });
  }

  /** Take the connection over. */
  async lead() {
    this.leads = true;
    const link = (this.link = this.#makeLink());
    this.#manager.onLeader(true);
    if (this.member) await this.#engine.refresh().catch(this.#manager.onFault);
    if (this.link === link && this.#state !== "closed") link.dial();
  }

  #makeLink() {
    const { address, WebSocket, clock, backoff } = this.#settings;
    const { token, renewable } = this.#manager;
    const engine = this.#engine;
    /** @type {Link} */
    const link = new Link({
      address, WebSocket, clock, backoff, token, renewable,
      why: async () => (await import("./why-not.js")).whyNot(this.#manager.rest),
      hello: (token) => ({ token, ...this.#hello() }),
      cursor: () => engine.receiving.inbox.cursor,
      onFrame: (frame) => {
        this.share({ frame, asked: engine.asked });
        engine.take(frame);
      },
      onLost: (code, reason) => engine.lost(code, reason),
      onState: (state, detail) => {
        const standing = { state, attempts: link.attempts, ...detail };
        this.share({ standing });
        if (this.link === link) engine.stand(standing);
      },
    });
    return link;
  }

  #hello() {
    const hello = this.#engine.hello();
    const cursor = this.member ? this.member.cursor(hello.cursor) : hello.cursor;
    this.#engine.asked = cursor !== undefined;
    return { ...hello, cursor };
  }

  /** Give the connection up. */
  resign() {
    if (!this.leads) return;
    this.leads = false;
    const { link } = this;
    this.link = null;
    link?.yield("another tab goes on");
    this.#manager.onLeader(false);
  }

  // ---- who is seen

  /** This page is seen, or not any more. @param {boolean} visible */
  #turn(visible) {
    if (this.member) this.member.tabs.show(visible);
    else this.show(visible);
    if (visible) this.nudge();
  }

  /** The device is seen, in this tab or another, or not any more. @param {boolean} visible */
  show(visible) {
    if (visible === this.#seen) return;
    this.#seen = visible;
    if (this.#settings.background === "inactive") this.tell({ event: visible ? "active" : "inactive" });
  }
}
