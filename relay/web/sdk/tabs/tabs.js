/**
 * Messages between the tabs of a browser that share a name. One tab leads: it has the connection, shares the frames of the
 * server, and sends what the others ask for. When it is closed, another tab leads.
 *
 * The leader numbers its news, so that a tab that missed some (frozen, or back from the page cache) notices it and asks
 * for a replay. Numbers begin again with each leader's term. Requests are numbered by each tab, for the same reason.
 */

import { Timer } from "../clock.js";
import { generateUniqueId } from "../ids.js";
import { Leadership, holdLife } from "./leadership.js";
import { Roster } from "./roster.js";

/** @import { Clock } from "../clock.js" */
/** @import { Count } from "./roster.js" */
/** @import { Channels, Locks } from "./leadership.js" */

/**
 * @typedef {object} TabsCallbacks
 * @property {() => void} leads this tab leads from now on
 * @property {() => void} resigned this tab no longer leads
 * @property {() => object} snapshot returns the leader's state, for a tab that joins
 * @property {(snapshot: any) => void} welcomed the leader's state, for this tab that joins
 * @property {(news: any) => void} news news of the leader's
 * @property {() => void} missed some news was lost
 * @property {(snapshot: any) => void} answered the leader is there; its state
 * @property {(request: any, missed: boolean) => void} request a request of another tab's, and whether an earlier one was lost
 * @property {(count: Count) => void} counted
 */

/** After this time without news, a visible tab asks whether the leader is there. */
const SILENCE_SECONDS = 10;
/** After this time without an answer it takes the lead itself. */
const ANSWER_SECONDS = 5;

export class Tabs {
  id = generateUniqueId();
  /** @type {Count} */
  count = { tabs: 1, visible: true, notifier: "" };
  #callbacks;
  #prefix;
  #locks;
  #Channel;
  /** @type {InstanceType<Channels> | null} */
  #channel = null;
  #leadership;
  #roster;
  #silence;
  #deadline;
  #endLife = () => {};
  /** Whether this tab is visible. */
  visible = true;
  #term = "";
  #number = 0;
  #asked = 0;
  /** @type {Map<string, number>} the number of the last request, by tab */
  #requests = new Map();

  /**
   * @param {{name: string, clock: Clock, locks: Locks, BroadcastChannel: Channels}} platform
   * @param {TabsCallbacks} callbacks
   */
  constructor({ name, clock, locks, BroadcastChannel }, callbacks) {
    this.#callbacks = callbacks;
    this.#locks = locks;
    this.#Channel = BroadcastChannel;
    this.#prefix = `relay-sdk:${name}:`;
    this.#leadership = new Leadership(locks, `${this.#prefix}leader`, () => this.#lead(), () => this.#stepDown());
    this.#roster = new Roster(locks, `${this.#prefix}tab:`, this.id, () => this.#recount());
    this.#silence = new Timer(clock);
    this.#deadline = new Timer(clock);
  }

  get joined() {
    return this.#channel !== null;
  }

  get leading() {
    return this.#leadership.held;
  }

  /** Whether this is the one tab that shows notifications. */
  get notifies() {
    return this.count.notifier ? this.count.notifier === this.id : this.leading;
  }

  /** @param {boolean} visible */
  join(visible) {
    if (this.#channel) return;
    this.visible = visible;
    this.#channel = new this.#Channel(this.#prefix);
    this.#channel.onmessage = (/** @type {{ data: any }} */ { data }) => this.#receive(data);
    this.#endLife = holdLife(this.#locks, `${this.#prefix}tab:${this.id}`);
    this.#leadership.seek();
    this.#follow();
  }

  leave() {
    if (!this.#channel) return;
    this.#post({ kind: "leave" });
    this.#roster.clear();
    this.#silence.stop();
    this.#deadline.stop();
    this.#leadership.resign();
    this.#endLife();
    this.#channel.close();
    this.#channel = null;
    this.#term = "";
  }

  /** Take the lead away from whichever tab has it. */
  seize() {
    this.#leadership.seize();
  }

  /** Note whether this tab is visible, and tell the leader; only visible tabs check the leader. @param {boolean} visible */
  show(visible) {
    this.visible = visible;
    if (this.leading) this.#roster.note(this.id, visible);
    else if (this.#channel) this.#ping();
  }

  /** As the leader, share news with all tabs. @param {object} news */
  share(news) {
    if (!this.leading) return;
    this.#number += 1;
    this.#post({ kind: "news", term: this.#term, number: this.#number, news });
  }

  /** Send a request to all tabs; the leader serves it. @param {object} request */
  ask(request) {
    this.#asked += 1;
    this.#post({ kind: "request", request, number: this.#asked });
  }

  // ---- inside

  /** @param {object} message */
  #post(message) {
    this.#channel?.postMessage({ from: this.id, ...message });
  }

  /** @param {any} message */
  #receive(message) {
    if (message.to !== undefined && message.to !== this.id) return;
    const act = {
      news: () => this.#news(message),
      request: () => this.#request(message),
      lead: () => this.#follow(),
      join: () => this.#welcome(message),
      ping: () => this.#welcome(message),
      welcome: () => this.#welcomed(message),
      leave: () => this.#roster.remove(message.from),
    }[/** @type {string} */ (message.kind)];
    act?.();
  }

  #lead() {
    this.#silence.stop();
    this.#deadline.stop();
    this.#term = generateUniqueId();
    this.#number = 0;
    this.#roster.note(this.id, this.visible);
    this.#callbacks.leads();
    this.#post({ kind: "lead" });
  }

  #stepDown() {
    this.#roster.clear();
    this.#callbacks.resigned();
    this.#leadership.seek();
    this.#follow();
  }

  #follow() {
    if (this.leading) return;
    this.#term = "";
    this.#ping();
  }

  /** @param {{from: string, visible: boolean}} message */
  #welcome({ from, visible }) {
    if (!this.leading) return;
    this.#post({ kind: "welcome", to: from, term: this.#term, number: this.#number, count: this.count, snapshot: this.#callbacks.snapshot() });
    this.#roster.note(from, visible);
  }

  /** @param {{term: string, number: number, count: Count, snapshot: any}} message */
  #welcomed({ term, number, count, snapshot }) {
    this.#heard();
    const known = this.#term === term;
    const missed = known && number > this.#number;
    [this.#term, this.#number] = [term, number];
    this.#count(count);
    if (!known) this.#callbacks.welcomed(snapshot);
    else if (missed) this.#callbacks.missed();
    else this.#callbacks.answered(snapshot);
  }

  /** @param {{from: string, number: number, request: any}} message */
  #request({ from, number, request }) {
    const expected = (this.#requests.get(from) ?? number - 1) + 1;
    this.#requests.set(from, number);
    this.#callbacks.request(request, number > expected);
  }

  /** @param {{term: string, number: number, news: any}} message */
  #news({ term, number, news }) {
    if (this.leading) return;
    this.#heard();
    if (term !== this.#term) return; // news before the welcome: the snapshot has them
    const missed = number > this.#number + 1;
    if (number <= this.#number) return;
    this.#number = number;
    if (missed) this.#callbacks.missed();
    if (news.count) this.#count(news.count);
    else this.#callbacks.news(news);
  }

  #recount() {
    if (!this.leading) return;
    const count = this.#roster.count();
    this.share({ count });
    this.#count(count);
  }

  /** @param {Count} count */
  #count(count) {
    this.count = count;
    this.#callbacks.counted(count);
  }

  // ---- a leader that does not answer

  #heard() {
    this.#deadline.stop();
    this.#silence.set(SILENCE_SECONDS, () => this.visible && this.#ping());
  }

  #ping() {
    this.#post({ kind: this.#term ? "ping" : "join", visible: this.visible });
    if (!this.#deadline.running && this.visible) this.#deadline.set(ANSWER_SECONDS, () => this.seize());
  }
}
