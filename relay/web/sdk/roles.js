/**
 * The part that this tab plays: it leads, with the connection, or follows the tab that does. Without other tabs it
 * leads. What the leader shares is `news`: frames, how the connection stands, what failed. What anybody asks is a
 * `request`: messages to send, and what only the leader can do.
 */

import { Timer } from "./clock.js";
import { ConnectionClosed, RelayError } from "./errors.js";
import { Link } from "./link.js";
import { isVisible, watchPage } from "./page-events.js";
import { Tabs } from "./tabs.js";

/** @import { Engine, Manager, Standing } from "./engine.js" */
/** @import { Settings } from "./options.js" */

const GATHER_SECONDS = 0.05;

export class Roles {
  leads = false;
  /** @type {Link | null} */
  link = null;
  /** @type {Tabs | null} */
  tabs;
  running = false;
  #engine;
  #settings;
  #manager;
  #unwatch = () => {};
  #seen = true;
  #gather;
  #reminder;
  /** @type {number | null} the lowest position that a tab asked to go back to */
  #lowest = null;

  /**
   * @param {Engine} engine
   * @param {Settings} settings
   * @param {Manager} manager
   */
  constructor(engine, settings, manager) {
    this.#engine = engine;
    this.#settings = settings;
    this.#manager = manager;
    this.#gather = new Timer(settings.clock);
    this.#reminder = new Timer(settings.clock);
    this.tabs = settings.tabs && new Tabs({ ...settings.tabs, clock: settings.clock }, {
      leads: () => void this.#lead(),
      resigned: () => this.#resign(),
      snapshot: () => this.#snapshot(),
      welcomed: (snapshot) => this.#welcomed(snapshot),
      news: (news) => this.#hear(news),
      missed: () => this.#missed(),
      answered: ({ queued }) => queued !== engine.outbox.unanswered.length && this.#submit(),
      request: (request, missed) => void this.#serve(request, missed),
      counted: ({ visible }) => this.#show(visible),
    });
  }

  // ---- beginning and end

  async start() {
    if (this.running) return this.engineState === "closed" ? this.again() : undefined;
    this.running = true;
    this.#engine.stand({ state: "connecting", attempts: 0 });
    try {
      await this.#engine.opened;
    } catch (error) {
      return this.expel(/** @type {Error} */ (error));
    }
    if (!this.running) return;
    const { page } = this.#settings;
    this.#unwatch = watchPage(page, {
      online: () => this.nudge(),
      visible: (visible) => this.#turn(visible),
      leaving: () => this.#part("the page goes"),
      restored: () => this.#enter(),
    });
    this.#enter();
  }

  get engineState() {
    return this.#engine.standing.state;
  }

  async stop() {
    if (!this.running) return;
    this.running = false;
    this.#unwatch();
    const alone = !this.tabs || this.tabs.count.tabs < 2;
    const { link } = this;
    if (link && alone) {
      this.#engine.receiving.acknowledge(true);
      this.link = null;
      await link.leave();
    }
    this.#part("another tab goes on");
    this.#engine.stand({ state: "disconnected", attempts: 0 });
    await this.#engine.keeper.flush();
  }

  /** Connect anew, at once. */
  again() {
    if (this.link) this.link.dial();
    else if (this.engineState !== "closed") this.ask({ again: true });
    else {
      this.#engine.stand({ state: "connecting", attempts: 0 });
      this.tabs?.seize();
    }
  }

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
    if (this.link) return this.link.fail(error);
    this.running = false;
    this.#part("");
    this.#engine.stand({ state: "closed", attempts: 0, error });
  }

  #enter() {
    this.#seen = isVisible(this.#settings.page);
    if (this.tabs) this.tabs.join(this.#seen);
    else void this.#lead();
  }

  /** @param {string} why */
  #part(why) {
    this.link?.yield(why);
    this.tabs?.leave();
    this.#resign();
  }

  // ---- leading

  /** @param {object} payload */
  tell(payload) {
    this.link?.send({ type: "connection_event", payload, meta: {} });
  }

  /** @param {object} news */
  share(news) {
    this.tabs?.share(news);
  }

  /** The server has answered a hello; the replay begins at `cursor`. @param {number} cursor */
  begin(cursor) {
    const { inbox } = this.#engine.receiving;
    const { link } = this;
    inbox.suspended = false;
    if (!link) return inbox.reached !== null && cursor > inbox.reached ? this.#missed() : undefined;
    this.#lowest = null;
    void this.#engine.keeper.put("device", this.#engine.device);
    this.#engine.queue.begin((envelope) => link.send(envelope), this.#engine.ready?.limits ?? {});
    if (!this.#seen && this.#settings.background === "inactive") this.tell({ event: "inactive" });
  }

  async #lead() {
    this.leads = true;
    this.#reminder.stop();
    const { address, WebSocket, clock, backoff } = this.#settings;
    const engine = this.#engine;
    const link = (this.link = new Link({
      address, WebSocket, clock, backoff,
      token: this.#manager.token,
      renewable: this.#manager.renewable,
      hello: (token) => ({ token, ...this.#hello() }),
      cursor: () => engine.receiving.inbox.cursor,
      onFrame: (frame) => {
        this.share({ frame });
        engine.take(frame);
      },
      onLost: (code, reason) => engine.lost(code, reason),
      onState: (state, detail) => {
        const standing = { state, attempts: link.attempts, ...detail };
        this.share({ standing: packed(standing) });
        if (this.link === link) engine.stand(standing);
      },
    }));
    this.#manager.onLeader(true);
    if (this.tabs) await engine.refresh().catch(this.#manager.onFault);
    if (this.link === link && this.engineState !== "closed") link.dial();
  }

  #hello() {
    const hello = this.#engine.hello();
    const { cursor } = hello;
    return this.#lowest !== null && cursor > this.#lowest ? { ...hello, cursor: this.#lowest } : hello;
  }

  #resign() {
    if (!this.leads) return;
    this.leads = false;
    const { link } = this;
    this.link = null;
    link?.yield("another tab goes on");
    this.#gather.stop();
    this.#manager.onLeader(false);
  }

  #snapshot() {
    const { device, epoch, ready, standing, receiving, outbox } = this.#engine;
    const [{ live }, { reached }, queued] = [receiving, receiving.inbox, outbox.unanswered.length];
    return { device, epoch, ready, standing: packed(standing), reached, live, queued };
  }

  /** @param {any} request @param {boolean} missed */
  async #serve(request, missed) {
    const { outbox } = this.#engine;
    if (missed && this.leads) await this.#engine.refresh().catch(this.#manager.onFault); // what was written before goes before
    if (request.forget) void this.stop().then(() => this.#engine.forget());
    if (request.submit) outbox.take(request.submit, false);
    if (request.discard) outbox.drop(request.discard);
    const { link } = this;
    if (!link) return;
    if (request.cancel) outbox.takeBack(request.cancel);
    if (request.again) link.dial();
    if (request.nudge) link.nudge();
    if (request.remind) link.remind();
    if (request.back === undefined) return;
    this.#lowest = Math.min(this.#lowest ?? request.back, request.back);
    this.#gather.set(GATHER_SECONDS, () => link.resync());
  }

  // ---- following

  /** @param {object} request */
  ask(request) {
    this.tabs?.ask(request);
  }

  /** @param {any} news */
  #hear(news) {
    const { queue, outbox } = this.#engine;
    if (news.frame) this.#engine.take(news.frame);
    if (news.standing) this.#follow(unpacked(news.standing));
    if (news.failed) queue.fail(news.failed, RelayError.fromPayload(news.error));
    if (news.cancelled) outbox.takeBack(news.cancelled);
  }

  /** @param {any} snapshot */
  #welcomed({ device, epoch, ready, standing, reached, live }) {
    const engine = this.#engine;
    const { inbox } = engine.receiving;
    const error = engine.stranger(device.userId);
    if (error) return this.expel(error);
    const renamed = engine.epoch !== null && epoch !== null && epoch !== engine.epoch;
    Object.assign(engine, { device, epoch: epoch ?? engine.epoch, ready });
    if (renamed) engine.restart();
    if (engine.fresh || renamed) inbox.restore(reached);
    else if (standing.state === "replaying" || (reached ?? 0) > (inbox.reached ?? 0)) this.#missed();
    engine.fresh = false;
    engine.receiving.live = live;
    this.#submit();
    this.#follow(unpacked(standing));
  }

  /** The leader may not know of all that waits: what it has already it takes no second time. */
  #submit() {
    for (const submit of this.#engine.outbox.unanswered) this.ask({ submit });
  }

  #missed() {
    const { inbox } = this.#engine.receiving;
    if (inbox.reached === null) return;
    inbox.suspended = true;
    this.ask({ back: inbox.reached });
  }

  /** @param {Standing} standing */
  #follow(standing) {
    this.#engine.stand(standing);
    const wait = standing.retryIn;
    if (wait === undefined) this.#reminder.stop();
    else this.#reminder.set(wait, () => this.#seen && this.ask({ remind: true }));
  }

  // ---- who is seen

  /** This page is seen, or not any more. @param {boolean} visible */
  #turn(visible) {
    if (this.tabs) this.tabs.show(visible);
    else this.#show(visible);
    if (visible) this.nudge();
  }

  /** The device is seen, in this tab or another, or not any more. @param {boolean} visible */
  #show(visible) {
    if (visible === this.#seen) return;
    this.#seen = visible;
    if (this.#settings.background === "inactive") this.tell({ event: visible ? "active" : "inactive" });
  }
}

/** Errors do not travel whole between tabs. @param {Standing} standing */
function packed({ error, ...standing }) {
  const { name, code, message, reason } = /** @type {any} */ (error ?? {});
  return error ? { ...standing, fault: { name, code, message, reason } } : standing;
}

/** @param {any} packed @returns {Standing} */
function unpacked({ fault, ...standing }) {
  if (!fault) return standing;
  const { name, code, message, reason } = fault;
  return { ...standing, error: name === "ConnectionClosed" ? new ConnectionClosed(code, reason) : new RelayError(code ?? "internal", message) };
}
