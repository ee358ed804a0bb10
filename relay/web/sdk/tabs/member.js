/**
 * One tab's part in what the tabs of a browser have in common. The leader shares `news`: frames, how the connection
 * stands, what failed. Anybody asks for something in a `request`: messages to send, and what only the leader can do.
 */

import { Timer } from "../clock.js";
import { ConnectionClosed, RelayError } from "../errors.js";
import { generateUniqueId } from "../ids.js";
import { Tabs } from "./tabs.js";

/** @import { Engine, Manager, Standing } from "../engine.js" */
/** @import { Settings } from "../options.js" */

const GATHER_SECONDS = 0.05;
const LOCK_SECONDS = 5;

export class Member {
  /** @type {Tabs} */
  tabs;
  #engine;
  #onFault;
  #gather;
  #reminder;
  /** @type {Promise<void>} one request after the other */
  #served = Promise.resolve();
  /** @type {number | null} the lowest position that a tab asked to go back to */
  #lowest = null;

  /**
   * @param {Engine} engine
   * @param {Settings} settings
   * @param {Manager} manager
   */
  constructor(engine, settings, manager) {
    const { clock } = settings;
    const { roles } = engine;
    const { name, token, ...means } = /** @type {NonNullable<Settings["tabs"]>} */ (settings.tabs);
    // Tabs with tokens of different users must not hear of each other, even if nobody gave them names.
    const group = typeof token === "string" ? `${name}:${digest(token)}` : name;
    this.#engine = engine;
    this.#onFault = manager.onFault;
    this.#gather = new Timer(clock);
    this.#reminder = new Timer(clock);
    this.tabs = new Tabs({ ...means, name: group, clock }, {
      leads: () => {
        this.#reminder.stop();
        void roles.lead();
      },
      resigned: () => roles.resign(),
      snapshot: () => this.#snapshot(),
      welcomed: (snapshot) => this.#welcomed(snapshot),
      answered: ({ queued }) => queued !== engine.outbox.unanswered.length && this.#submit(),
      news: (news) => this.#hear(news),
      missed: () => this.missed(),
      request: (request, missed) => void (this.#served = this.#served.then(() => this.#serve(request, missed))),
      counted: ({ visible }) => roles.show(visible),
    });
  }

  // ---- as the leader

  /** @param {{standing?: Standing, [name: string]: any}} news */
  share({ standing, ...news }) {
    this.tabs.share(standing ? { standing: packed(standing) } : news);
  }

  /**
   * Return where the next connection begins: at the own cursor, or below it when a tab asked for that.
   *
   * @param {number | undefined} cursor
   */
  cursor(cursor) {
    return this.#lowest === null ? cursor : Math.min(cursor ?? Infinity, this.#lowest);
  }

  /** A replay has begun there. */
  begun() {
    this.#lowest = null;
  }

  /**
   * What was asked for while this tab could not hear it is in the storage, and goes before.
   *
   * @param {any} request
   * @param {boolean} missed
   */
  async #serve(request, missed) {
    const { outbox, roles } = this.#engine;
    if (missed && roles.leads) await this.#engine.refresh().catch(this.#onFault);
    if (request.forget) void roles.stop().then(() => this.#engine.forget());
    if (request.submit) outbox.take(request.submit, false);
    if (request.discard) outbox.drop(request.discard);
    const { link } = roles;
    if (!link) return;
    if (request.cancel) outbox.takeBack(request.cancel);
    if (request.again) link.dial();
    if (request.nudge) link.nudge();
    if (request.remind) link.remind();
    if (request.back === undefined) return;
    this.#lowest = Math.min(this.#lowest ?? request.back, request.back);
    this.#gather.set(GATHER_SECONDS, () => link.resync());
  }

  #snapshot() {
    const { device, epoch, ready, standing, receiving, outbox } = this.#engine;
    const [{ live }, { reached }, queued] = [receiving, receiving.inbox, outbox.unanswered.length];
    return { device, epoch, ready, standing: packed(standing), reached, live, queued };
  }

  // ---- as a follower

  /** Some of what the leader shared did not arrive: have it all brought again. */
  missed() {
    const { inbox } = this.#engine.receiving;
    if (inbox.reached === null) return;
    inbox.suspended = true;
    this.tabs.ask({ back: inbox.reached });
  }

  /** @param {any} news */
  #hear(news) {
    const { queue, outbox } = this.#engine;
    if (news.frame) {
      this.#engine.asked = news.asked ?? true; // a tab with an earlier version does not say
      this.#engine.take(news.frame);
    }
    if (news.standing) this.#follow(unpacked(news.standing));
    if (news.failed) queue.fail(news.failed, RelayError.fromPayload(news.error));
    if (news.cancelled) outbox.takeBack(news.cancelled);
  }

  /** @param {any} snapshot */
  #welcomed({ device, epoch, ready, standing, reached, live }) {
    const engine = this.#engine;
    const { inbox } = engine.receiving;
    const error = engine.stranger(device.userId);
    if (error) return engine.roles.expel(error);
    // Whoever just asked to connect tries for itself, as it may have a better token.
    if (standing.state === "closed" && engine.standing.state === "connecting") return this.tabs.seize();
    const renamed = engine.epoch !== null && epoch !== null && epoch !== engine.epoch;
    Object.assign(engine, { device, epoch: epoch ?? engine.epoch, ready });
    if (renamed) engine.restart();
    if (engine.fresh || renamed) inbox.restore(reached);
    else if (standing.state === "replaying" || (reached ?? 0) > (inbox.reached ?? 0)) this.missed();
    engine.fresh = false;
    engine.receiving.live = live;
    this.#submit();
    this.#follow(unpacked(standing));
  }

  /** The leader may not know of all that waits; what it has already it takes no second time. */
  #submit() {
    for (const submit of this.#engine.outbox.unanswered) this.tabs.ask({ submit });
  }

  /** @param {Standing} standing */
  #follow(standing) {
    this.#engine.stand(standing);
    const wait = standing.retryIn;
    if (wait === undefined) this.#reminder.stop();
    else this.#reminder.set(wait, () => this.tabs.visible && this.tabs.ask({ remind: true }));
  }
}

/**
 * Tell whether tabs can share here: a browser that lets a page keep nothing may refuse its locks and channels as well.
 *
 * @param {Pick<NonNullable<Settings["tabs"]>, "locks" | "BroadcastChannel">} means
 * @param {Settings["clock"]} clock
 */
export async function canShare({ locks, BroadcastChannel }, clock) {
  const name = `relay-sdk:${generateUniqueId()}`;
  const patience = new Timer(clock);
  try {
    new BroadcastChannel(name).close();
    const silence = new Promise((_, reject) => patience.set(LOCK_SECONDS, () => reject(new Error("no lock"))));
    await Promise.race([locks.request(name, () => {}), silence]);
    return true;
  } catch {
    return false;
  } finally {
    patience.stop();
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

/** Tell texts apart; says nothing of them and is no secret. @param {string} text */
function digest(text) {
  let hash = 0xcbf29ce484222325n; // FNV-1a
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(36);
}
