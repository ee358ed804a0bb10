/**
 * Notifications of the system, sounds and the count on the page's icon, while the page is open somewhere. What the server pushes
 * is shown by the service worker, with the same tags: a conversation has one notification, whoever shows it.
 */

import { upright } from "../format.js";
import { BASE } from "../session.js";
import { gist } from "../texts.js";
import { counted, words } from "../words.js";
import { choices, permission } from "./choices.js";
import { chime } from "./sound.js";

/** @import { ConversationSummary, MessageView } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */
/** @import { Focus } from "./focus.js" */
/** @import { Levels } from "./levels.js" */

/** What is older was missed: it is unread, and nobody is told of it now. */
const FRESH_SECONDS = 120;
const SELF = "self";
const TITLE = document.title;

/** @typedef {{ unread: number, mentions: number, newest: number }} Known */
/** @typedef {{ title: string, body: string, tag: string, data: Record<string, unknown>, timestamp: number }} Told */

export class Alerts {
  /** @type {Map<string, Known>} */
  #known = new Map();
  #ready = false;
  #closed = false;
  /** @type {(() => void)[]} */
  #ends;
  #notifications = 0;
  /** Those that no service worker shows, by tag. @type {Map<string, Notification>} */
  #shown = new Map();

  /**
   * @param {Messenger} messenger
   * @param {Levels} levels
   * @param {Focus} focus
   * @param {() => void} missed called when something would have been shown, were it allowed
   */
  constructor(messenger, levels, focus, missed) {
    this.messenger = messenger;
    this.levels = levels;
    this.focus = focus;
    this.missed = missed;
    const { store } = messenger;
    this.#ends = [
      store.subscribe("conversations", () => this.#changed()),
      store.subscribe("notifications", () => this.#notified()),
    ];
    void store.ready.then(() => this.#begin(), () => {});
  }

  /** Count in the title, and on the icon of an installed page, what is unread; of muted conversations mentions alone. */
  count() {
    if (this.#closed) return;
    const unread = this.messenger.store.conversations.reduce((sum, one) => sum + (this.levels.of(one).muted ? one.unreadMentions : one.unread), 0);
    document.title = unread > 0 ? `(${unread}) ${TITLE}` : TITLE;
    const { setAppBadge, clearAppBadge } = /** @type {any} */ (navigator);
    if (!setAppBadge) return;
    (unread > 0 ? setAppBadge.call(navigator, unread) : clearAppBadge.call(navigator)).catch(() => {}); // the page is not installed
  }

  close() {
    this.#closed = true;
    for (const end of this.#ends) end();
    void this.#close(() => true);
    document.title = TITLE;
    /** @type {any} */ (navigator).clearAppBadge?.().catch(() => {});
  }

  /** What was read while no page was open is closed. */
  #begin() {
    if (this.#closed) return;
    for (const one of this.messenger.store.conversations) this.#known.set(one.target, knownOf(one));
    this.#notifications = this.messenger.store.notifications.unread;
    this.#ready = true;
    const read = new Set(this.messenger.store.conversations.filter(({ unread }) => unread === 0).map(({ target }) => target));
    void this.#close(({ target }) => read.has(target));
    this.count();
  }

  #changed() {
    if (this.#ready) this.#compare();
    this.count();
  }

  /** Tell of what came since the last time. */
  #compare() {
    for (const one of this.messenger.store.conversations) {
      const before = this.#known.get(one.target) ?? { unread: 0, mentions: 0, newest: 0 };
      const now = knownOf(one);
      this.#known.set(one.target, now);
      if (now.unread === 0 && before.unread > 0) void this.#close(({ target }) => target === one.target);
      else if (now.newest > before.newest && (now.unread > before.unread || now.mentions > before.mentions)) void this.#arrived(one, now.mentions > before.mentions);
    }
  }

  /** @param {ConversationSummary} conversation @param {boolean} mentioned */
  async #arrived(conversation, mentioned) {
    const { lastMessage: message, target } = conversation;
    if (!message || message.mine || isOld(message) || this.messenger.blocked.has(message.senderId)) return;
    const { level } = this.levels.of(conversation);
    if (level === "nothing" || (level === "mentions" && !mentioned)) return;
    const { names } = this.messenger;
    const group = conversation.kind === "group" && names.title(conversation);
    const who = names.of(message.senderId);
    const body = [upright(gist(message, names)), conversation.unread > 1 && counted(conversation.unread - 1, words.notifications.more)];
    await this.#tell(target, {
      ...this.#reduced(group ? words.notifications.inGroup(who, group) : who, body.filter(Boolean).join("\n"), conversation.unread),
      tag: `relay:${target}`,
      timestamp: message.timestamp * 1000,
      data: { target, seq: message.seq, messageId: message.messageId },
    });
  }

  /** Say no more than one wants notifications to tell. @param {string} title @param {string} body @param {number} unread */
  #reduced(title, body, unread) {
    const { content } = this.levels.settings;
    if (content !== "sender" && content !== "none") return { title, body };
    return { title: content === "none" ? TITLE : title, body: counted(unread, words.notifications.newMessages) };
  }

  /** Tell of a notification that was stored for this user, or for everybody. */
  #notified() {
    const { unread, messages } = this.messenger.store.notifications;
    const [before, message] = [this.#notifications, messages.at(-1)];
    this.#notifications = unread;
    if (!this.#ready) return;
    if (unread === 0 && before > 0) void this.#close(({ kind }) => kind === SELF);
    if (unread <= before || !message || isOld(message) || message.deletedAt !== null) return;
    const { title = gist(message, this.messenger.names), body = "" } = message.payload;
    const kind = message.conversation === "*" ? "broadcast" : SELF;
    void this.#tell("", {
      ...this.#reduced(upright(String(title)), upright(String(body)), unread),
      tag: `relay/${kind}`,
      timestamp: message.timestamp * 1000,
      data: { kind: SELF, messageId: message.messageId },
    });
  }

  /** @param {string} target @param {Told} told */
  async #tell(target, { title, ...options }) {
    if (this.levels.quiet || !this.messenger.socket.isNotifier()) return;
    const open = await this.focus.conversation();
    if (this.#closed || (open !== null && open === target && target !== "")) return;
    const { sound, system } = choices();
    if (sound) chime();
    if (open !== null) return;
    if (permission() === "default") this.missed();
    if (!system || permission() !== "granted") return;
    await this.#show(title, { ...options, silent: sound || undefined, icon: `${BASE}/app/icon.svg`, renotify: true });
  }

  /** @param {string} title @param {any} options */
  async #show(title, options) {
    const registration = await registered();
    if (!registration) {
      const shown = new Notification(title, options);
      this.#shown.set(options.tag, shown);
      shown.onclick = () => (shown.close(), focus(), this.messenger.visit(options.data));
      return;
    }
    const [before] = await registration.getNotifications({ tag: options.tag });
    // The server's push may have been faster: it is not shown as new again, and can still be taken back.
    const known = before?.data?.messageId === options.data.messageId;
    const data = { ...options.data, pushed: before?.data?.pushed };
    await registration.showNotification(title, { ...options, data, renotify: !known, silent: known || options.silent });
  }

  /** @param {(data: Record<string, any>) => boolean} which */
  async #close(which) {
    for (const [tag, one] of this.#shown) if (which(one.data ?? {})) (one.close(), this.#shown.delete(tag));
    const shown = (await (await registered())?.getNotifications()) ?? [];
    for (const one of shown) if (which(one.data ?? {})) one.close();
  }
}

/** @returns {Promise<ServiceWorkerRegistration | undefined>} */
async function registered() {
  const registration = await navigator.serviceWorker?.getRegistration(`${BASE}/`).catch(() => undefined);
  return registration?.active && "showNotification" in registration ? registration : undefined;
}

/** @param {ConversationSummary} conversation @returns {Known} */
function knownOf({ unread, unreadMentions, lastMessage }) {
  return { unread, mentions: unreadMentions, newest: lastMessage?.messageId ?? 0 };
}

/** @param {MessageView} message */
function isOld({ timestamp }) {
  return timestamp < Date.now() / 1000 - FRESH_SECONDS;
}
