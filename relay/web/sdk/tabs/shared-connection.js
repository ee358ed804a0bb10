/**
 * One tab's part in the connection that the tabs of a browser share. The leader shares `news`: frames, the connection's
 * status, failed messages. Any tab asks with a `request`: for messages to be sent, and for what only the leader can do.
 *
 * Tabs may run two versions of this file at once, so the names in news, requests and snapshots are a wire format.
 */

import { Timer } from "../clock.js";
import { ConnectionClosed, RelayError } from "../errors.js";
import { generateUniqueId } from "../ids.js";
import { recordOf } from "../outbox-record.js";
import { Tabs } from "./tabs.js";

/** @import { Core } from "../core.js" */
/** @import { Settings } from "../options.js" */
/** @import { ConnectionStatus, Reconnector } from "../reconnector.js" */

/**
 * @typedef {object} Lead what the lifecycle of this page does for the tabs
 * @property {boolean} leads
 * @property {Reconnector | null} reconnector there is one in the tab that leads
 * @property {() => Promise<void>} lead
 * @property {() => void} resign
 * @property {() => Promise<void>} forget
 * @property {(error: Error) => void} fail
 * @property {(visible: boolean) => void} show
 */

/** Several tabs that missed something ask within this time: one new connection serves them all. */
const GATHER_SECONDS = 0.05;
const LOCK_SECONDS = 5;

export class SharedConnection {
  /** @type {Tabs} */
  tabs;
  #lead;
  #core;
  #receiver;
  #outbox;
  #queue;
  #onFault;
  #gather;
  #reminder;
  /** @type {Promise<void>} one request after the other */
  #served = Promise.resolve();
  /** @type {number | null} the lowest position that a tab asked to go back to */
  #lowest = null;

  /**
   * @param {Lead} lead
   * @param {Core} core
   * @param {Settings} settings
   * @param {(fault: unknown) => void} onFault
   */
  constructor(lead, core, settings, onFault) {
    const { clock } = settings;
    this.#lead = lead;
    this.#core = core;
    this.#receiver = core.receiver;
    this.#outbox = core.outbox;
    this.#queue = core.queue;
    this.#onFault = onFault;
    this.#gather = new Timer(clock);
    this.#reminder = new Timer(clock);
    const { name, token, ...platform } = /** @type {NonNullable<Settings["tabs"]>} */ (settings.tabs);
    // Tabs with tokens of different users must not hear each other, even if nobody gave them names.
    const group = typeof token === "string" ? `${name}:${digest(token)}` : name;
    this.tabs = new Tabs({ ...platform, name: group, clock }, {
      leads: () => {
        this.#reminder.stop();
        void lead.lead();
      },
      resigned: () => lead.resign(),
      snapshot: () => this.#snapshot(),
      welcomed: (snapshot) => this.#welcomed(snapshot),
      answered: ({ queued }) => queued !== this.#unanswered.length && this.#submit(),
      news: (news) => this.#takeNews(news),
      missed: () => this.#missed(),
      request: (request, missed) => void (this.#served = this.#served.then(() => this.#serve(request, missed))),
      counted: ({ visible }) => lead.show(visible),
    });
  }

  // ---- as the leader

  /** @param {{standing?: ConnectionStatus, [name: string]: any}} news */
  share({ standing, ...news }) {
    this.tabs.share(standing ? { standing: packed(standing) } : news);
  }

  /**
   * Return where the next connection's replay begins: at the own cursor, or below it when a tab asked for that.
   *
   * @param {number | undefined} cursor
   */
  cursor(cursor) {
    return this.#lowest === null ? cursor : Math.min(cursor ?? Infinity, this.#lowest);
  }

  /** A replay begins, of this tab's connection or of the leader's. @param {number} cursor */
  replays(cursor) {
    if (this.#lead.reconnector) this.#lowest = null;
    else if (cursor > (this.#receiver.reached ?? Infinity)) this.#missed();
  }

  /**
   * Serve a request. Requests that this tab missed have left their messages in the storage, and those go first.
   *
   * @param {any} request
   * @param {boolean} missed
   */
  async #serve(request, missed) {
    if (missed && this.#lead.leads) await this.#core.refresh().catch(this.#onFault);
    if (request.forget) void this.#lead.forget();
    if (request.submit) this.#outbox.restore(request.submit, false);
    if (request.discard) this.#outbox.drop(request.discard);
    const { reconnector } = this.#lead;
    if (!reconnector) return;
    if (request.cancel) this.#outbox.takeBack(request.cancel);
    if (request.again) reconnector.dial();
    if (request.nudge) reconnector.nudge();
    if (request.remind) reconnector.remind();
    if (request.back === undefined) return;
    this.#lowest = Math.min(this.#lowest ?? request.back, request.back);
    this.#gather.set(GATHER_SECONDS, () => reconnector.resync());
  }

  /** The messages that this tab waits for, as the outbox stores them. */
  get #unanswered() {
    const entries = [...this.#queue.entries.values()];
    return entries.filter(({ message, keep }) => keep && message.state === "queued").map(recordOf);
  }

  #snapshot() {
    const { device, ready, status } = this.#core;
    const { epoch, reached, live } = this.#receiver;
    return { device, epoch, ready, standing: packed(status), reached, live, queued: this.#unanswered.length };
  }

  // ---- as a follower

  /** Some of what the leader shared did not arrive: have everything since then replayed. */
  #missed() {
    const back = this.#receiver.suspend();
    if (back !== null) this.tabs.ask({ back });
  }

  /** @param {any} news */
  #takeNews({ frame, asked = true, standing, failed, error, cancelled }) {
    if (frame) this.#core.take(frame, asked); // a tab with an earlier version does not say what it asked for
    if (standing) this.#follow(unpacked(standing));
    if (failed) this.#queue.fail(failed, RelayError.fromPayload(error));
    if (cancelled) this.#outbox.takeBack(cancelled);
  }

  /** @param {any} snapshot */
  #welcomed({ standing, ...snapshot }) {
    const status = unpacked(standing);
    const error = this.#core.wrongUser(snapshot.device.userId);
    if (error) return this.#lead.fail(error);
    // An application that just called connect() may have a better token than the tab that was refused.
    if (status.state === "closed" && this.#core.status.state === "connecting") return this.tabs.seize();
    if (this.#core.join(snapshot, status.state === "replaying")) this.#missed();
    this.#submit();
    this.#follow(status);
  }

  /** Tell the leader of all messages that wait: it may not know of them, and takes none twice. */
  #submit() {
    for (const submit of this.#unanswered) this.tabs.ask({ submit });
  }

  /** @param {ConnectionStatus} status */
  #follow(status) {
    this.#core.setStatus(status);
    const wait = status.retryIn;
    // Browsers slow the timers of hidden tabs down: one that is visible reminds the leader of its next try.
    if (wait === undefined) this.#reminder.stop();
    else this.#reminder.set(wait, () => this.tabs.visible && this.tabs.ask({ remind: true }));
  }
}

/**
 * Tell whether tabs can share here: a browser that lets a page store nothing may refuse its locks and channels as well.
 *
 * @param {Pick<NonNullable<Settings["tabs"]>, "locks" | "BroadcastChannel">} platform
 * @param {Settings["clock"]} clock
 */
export async function canShare({ locks, BroadcastChannel }, clock) {
  const name = `relay-sdk:${generateUniqueId()}`;
  const deadline = new Timer(clock);
  try {
    new BroadcastChannel(name).close();
    const late = new Promise((_, reject) => deadline.set(LOCK_SECONDS, () => reject(new Error("no lock"))));
    await Promise.race([locks.request(name, () => {}), late]);
    return true;
  } catch {
    return false;
  } finally {
    deadline.stop();
  }
}

/** Return a status with its error as plain data: channels do not carry an error's own fields. @param {ConnectionStatus} status */
function packed({ error, ...status }) {
  const { name, code, message, reason } = /** @type {any} */ (error ?? {});
  return error ? { ...status, fault: { name, code, message, reason } } : status;
}

/** @param {any} packed @returns {ConnectionStatus} */
function unpacked({ fault, ...status }) {
  if (!fault) return status;
  const { name, code, message, reason } = fault;
  return { ...status, error: name === "ConnectionClosed" ? new ConnectionClosed(code, reason) : new RelayError(code ?? "internal", message) };
}

/** Return a short name for a text: FNV-1a, which tells texts apart and keeps nothing secret. @param {string} text */
function digest(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(36);
}
