/**
 * One connection for all tabs of a browser that go by the same name. One tab leads: it has the connection, shares
 * what comes over it, and sends what the others ask for. When it goes, another leads. What the leader shares is
 * numbered, so that a tab which missed something (frozen, or back from the page cache) finds out and asks for it.
 */

import { Timer } from "../clock.js";
import { generateUniqueId } from "../ids.js";
import { Leadership, holdLife } from "./leadership.js";
import { Roster } from "./roster.js";

/** @import { Clock } from "../clock.js" */
/** @import { Count } from "./roster.js" */
/** @import { Channels, Locks } from "./leadership.js" */

/**
 * @typedef {object} Hears
 * @property {() => void} leads this tab leads now
 * @property {() => void} resigned this tab does not lead any more
 * @property {() => object} snapshot how things stand, for a tab that joins
 * @property {(snapshot: any) => void} welcomed
 * @property {(news: any) => void} news what the leader shares
 * @property {() => void} missed some of it was lost
 * @property {(snapshot: any) => void} answered the leader is there, and this is how things stand
 * @property {(request: any, missed: boolean) => void} request what another tab asks for, and whether some of it was lost
 * @property {(count: Count) => void} counted
 */

const SILENCE_SECONDS = 10;
const ANSWER_SECONDS = 5;

export class Tabs {
  id = generateUniqueId();
  /** @type {Count} */
  count = { tabs: 1, visible: true, notifier: "" };
  #hears;
  #prefix;
  #locks;
  #Channel;
  /** @type {InstanceType<Channels> | null} */
  #channel = null;
  #leadership;
  #roster;
  #watch;
  #patience;
  #endLife = () => {};
  /** Whether this tab is seen. */
  visible = true;
  #term = "";
  #number = 0;
  #asked = 0;
  /** @type {Map<string, number>} how often each tab has asked for something */
  #requests = new Map();

  /**
   * @param {{name: string, clock: Clock, locks: Locks, BroadcastChannel: Channels}} means
   * @param {Hears} hears
   */
  constructor({ name, clock, locks, BroadcastChannel }, hears) {
    this.#hears = hears;
    this.#locks = locks;
    this.#Channel = BroadcastChannel;
    this.#prefix = `relay-sdk:${name}:`;
    this.#leadership = new Leadership(locks, `${this.#prefix}leader`, () => this.#lead(), () => this.#stepDown());
    this.#roster = new Roster(locks, `${this.#prefix}tab:`, this.id, () => this.#recount());
    this.#watch = new Timer(clock);
    this.#patience = new Timer(clock);
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
    this.#watch.stop();
    this.#patience.stop();
    this.#leadership.resign();
    this.#endLife();
    this.#channel.close();
    this.#channel = null;
    this.#term = "";
  }

  /** Lead, whoever does now. */
  seize() {
    this.#leadership.seize();
  }

  /** Tell the leader whether this tab is seen; one that is looks after the leader. @param {boolean} visible */
  show(visible) {
    this.visible = visible;
    if (this.leading) this.#roster.note(this.id, visible);
    else if (this.#channel) this.#ping();
  }

  /** As the leader, tell all tabs. @param {object} news */
  share(news) {
    if (!this.leading) return;
    this.#number += 1;
    this.#post({ kind: "news", term: this.#term, number: this.#number, news });
  }

  /** Tell all tabs, whoever leads. @param {object} request */
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
    this.#watch.stop();
    this.#patience.stop();
    this.#term = generateUniqueId();
    this.#number = 0;
    this.#roster.note(this.id, this.visible);
    this.#hears.leads();
    this.#post({ kind: "lead" });
  }

  #stepDown() {
    this.#roster.clear();
    this.#hears.resigned();
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
    this.#post({ kind: "welcome", to: from, term: this.#term, number: this.#number, count: this.count, snapshot: this.#hears.snapshot() });
    this.#roster.note(from, visible);
  }

  /** @param {{term: string, number: number, count: Count, snapshot: any}} message */
  #welcomed({ term, number, count, snapshot }) {
    this.#heard();
    const known = this.#term === term;
    const missed = known && number > this.#number;
    [this.#term, this.#number] = [term, number];
    this.#count(count);
    if (!known) this.#hears.welcomed(snapshot);
    else if (missed) this.#hears.missed();
    else this.#hears.answered(snapshot);
  }

  /** @param {{from: string, number: number, request: any}} message */
  #request({ from, number, request }) {
    const expected = (this.#requests.get(from) ?? number - 1) + 1;
    this.#requests.set(from, number);
    this.#hears.request(request, number > expected);
  }

  /** @param {{term: string, number: number, news: any}} message */
  #news({ term, number, news }) {
    if (this.leading) return;
    this.#heard();
    if (term !== this.#term) return; // before the welcome, which comes with what it says
    const missed = number > this.#number + 1;
    if (number <= this.#number) return;
    this.#number = number;
    if (missed) this.#hears.missed();
    if (news.count) this.#count(news.count);
    else this.#hears.news(news);
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
    this.#hears.counted(count);
  }

  // ---- a leader that does not answer

  #heard() {
    this.#patience.stop();
    this.#watch.set(SILENCE_SECONDS, () => this.visible && this.#ping());
  }

  #ping() {
    this.#post({ kind: this.#term ? "ping" : "join", visible: this.visible });
    if (!this.#patience.running && this.visible) this.#patience.set(ANSWER_SECONDS, () => this.seize());
  }
}
