/**
 * What notifies a user: how much of each conversation, when they want quiet, how much a notification tells. The server's plugin
 * `notifications` keeps it, for all their devices. Where the plugin is off, it is kept in this browser.
 */

/** @import { ConversationSummary } from "../../sdk/index.js" */
/** @import { MessagingAPI } from "../../sdk/index.js" */

/** @typedef {"all" | "mentions" | "nothing"} Level */
/** @typedef {{ from: string, to: string, zone: string }} QuietHours */

/**
 * @typedef {object} Settings as GET /api/push/settings has them
 * @property {number | null} do_not_disturb_until Unix seconds
 * @property {QuietHours | null} quiet_hours
 * @property {"full" | "sender" | "none" | null} content
 * @property {{ target_id: string, until: number | null, mentions: boolean }[]} muted
 * @property {string[]} everything groups of which every message notifies
 */

const KEY = "relay.levels";
const LONGEST_TIMER_MS = 0x7fffffff;
/** @type {Settings} */
const USUAL = { do_not_disturb_until: null, quiet_hours: null, content: null, muted: [], everything: [] };

export class Levels {
  /** Whether the server keeps it; null until it told. @type {boolean | null} */
  supported = null;
  /** @type {Settings} */
  settings = kept();
  #messaging;
  #changed;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #closed = false;

  /** @param {MessagingAPI} messaging @param {() => void} changed called when something notifies otherwise than before */
  constructor(messaging, changed) {
    this.#messaging = messaging;
    this.#changed = changed;
    addEventListener("storage", this.#stored);
  }

  /** Ask the server what is chosen; other devices may have changed it. @returns {Promise<Settings>} */
  async load() {
    try {
      this.#take(await this.#call("GET", "settings"), true);
    } catch (error) {
      if (/** @type {any} */ (error).code !== "not_found") throw error;
      this.#take(kept(), false);
    }
    return this.settings;
  }

  /**
   * Return what notifies of a conversation. It is muted where something was chosen that is less than usual: all that is said
   * to oneself, and mentions in groups.
   *
   * @param {Pick<ConversationSummary, "target" | "kind">} conversation
   * @returns {{ level: Level, muted: boolean, until: number | null }}
   */
  of({ target, kind }) {
    const muted = this.settings.muted.find(({ target_id: id, until }) => id === target && !isOver(until));
    if (muted) return { level: muted.mentions ? "mentions" : "nothing", muted: true, until: muted.until };
    const all = kind !== "group" || this.settings.everything.includes(target);
    return { level: all ? "all" : "mentions", muted: false, until: null };
  }

  /**
   * Choose what notifies of a conversation.
   *
   * @param {Pick<ConversationSummary, "target" | "kind">} conversation
   * @param {Level} level
   * @param {number | null} [until] Unix seconds, for what is less than usual; null until it is changed
   */
  async set({ target, kind }, level, until = null) {
    const group = kind === "group";
    const usual = level === "all" || (level === "mentions" && group && until === null);
    const before = this.settings;
    const muted = before.muted.filter(({ target_id: id }) => id !== target);
    if (!usual) muted.push({ target_id: target, until, mentions: level === "mentions" });
    // What is muted for a while notifies as before when that is over.
    const keeps = !usual && until !== null;
    const everything = keeps ? before.everything : before.everything.filter((id) => id !== target);
    if (group && level === "all") everything.push(target);
    const path = encodeURIComponent(target);
    if (await this.#onServer()) {
      const had = before.everything.includes(target);
      const has = everything.includes(target);
      if (had !== has) await this.#call(has ? "PUT" : "DELETE", `everything/${path}`);
      if (usual) await this.#call("DELETE", `muted/${path}`);
      else await this.#call("PUT", `muted/${path}`, { until, mentions: level === "mentions" });
    }
    this.#take({ ...this.settings, muted, everything }, this.supported);
  }

  /** Change when one wants quiet, or what notifications tell. @param {Partial<Settings>} change */
  async change(change) {
    const settings = (await this.#onServer()) ? await this.#call("PATCH", "settings", change) : { ...this.settings, ...change };
    this.#take(settings, this.supported);
  }

  /** Whether one wants quiet now, by the clock of the zone that one chose. */
  get quiet() {
    const { do_not_disturb_until: until, quiet_hours: hours } = this.settings;
    if (until !== null && !isOver(until)) return true;
    return hours !== null && isWithin(hours, new Date());
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    removeEventListener("storage", this.#stored);
  }

  async #onServer() {
    if (this.supported === null) await this.load();
    return this.supported;
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  #call(method, path, body) {
    return this.#messaging.restApi.request(method, `/api/push/${path}`, body && { body });
  }

  /** @param {Settings} settings @param {boolean | null} supported */
  #take(settings, supported) {
    if (this.#closed) return;
    this.supported = supported;
    const text = JSON.stringify(settings);
    const same = text === JSON.stringify(this.settings);
    this.settings = settings;
    try {
      localStorage.setItem(KEY, text);
    } catch {
      // storage is forbidden: it holds as long as the page
    }
    this.#wait();
    if (!same) this.#changed();
  }

  /** Call back when something that is muted for a while no longer is. */
  #wait() {
    clearTimeout(this.#timer);
    const ends = this.settings.muted.map(({ until }) => until ?? Infinity).filter((until) => !isOver(until));
    const left = Math.min(...ends) * 1000 - Date.now();
    if (left === Infinity) return;
    const again = () => (left > LONGEST_TIMER_MS || this.#changed(), this.#wait());
    this.#timer = setTimeout(again, Math.min(Math.max(left, 0) + 50, LONGEST_TIMER_MS));
  }

  /** Another tab of this browser changed it. @param {StorageEvent} event */
  #stored = ({ key }) => {
    if (key !== KEY) return;
    this.settings = kept();
    this.#wait();
    this.#changed();
  };
}

/** @returns {Settings} */
function kept() {
  try {
    return { ...USUAL, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return USUAL; // storage is forbidden
  }
}

/** @param {number | null} until Unix seconds */
function isOver(until) {
  return until !== null && until * 1000 <= Date.now();
}

/**
 * Tell whether a moment is within hours of every day; from 22:00 to 07:00 goes over midnight.
 *
 * @param {QuietHours} hours
 * @param {Date} moment
 */
export function isWithin({ from, to, zone }, moment) {
  let now;
  try {
    now = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(moment);
  } catch {
    return false; // a zone that this browser does not know
  }
  return from <= to ? from <= now && now < to : now >= from || now < to;
}
