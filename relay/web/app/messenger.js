/** The page of a signed-in user: the SDK's objects, and the parts that draw the store's views. */

import { MessagingAPI, SocketManager, Store } from "../sdk/index.js";
import { CLOSE_ACCOUNT_DISABLED, CLOSE_BAD_TOKEN, CLOSE_SESSION_REVOKED } from "../sdk/protocol.js";
import { Banner } from "./notices/banner.js";
import { ConversationPane } from "./conversation/conversation.js";
import { hashOf, readHash } from "./address.js";
import { ask, element, fill } from "./dom.js";
import { Files } from "./files/files.js";
import "./files/gallery.js";
import "./groups/entries.js";
import { Blocked } from "./moderation/blocked.js";
import { Restricted } from "./moderation/restricted.js";
import { SlowMode } from "./moderation/slow-mode.js";
import { Names } from "./names.js";
import { Notices } from "./notices/notices.js";
import { openPerson } from "./people/person-dialog.js";
import { Notifying } from "./notifications/notifications.js";
import { beginPictures, refreshPerson } from "./people/pictures.js";
import { sendFaultsBy } from "./plugins/plugin-guard.js";
import { beginPlugins, counted, echoed, endPlugins } from "./plugins/plugins.js";
import { noticeText } from "./moderation/notice-text.js";
import { closing, problem } from "./problems.js";
import { BASE } from "./session.js";
import { listenForSettings } from "./settings/commands.js";
import { emptyPlace } from "./settings/empty-place.js";
import { Sidebar } from "./sidebar/sidebar.js";
import { ACTION, LINK } from "./way-in/fragments.js";
import { tellAnswers } from "./composer/slash-commands.js";
import { dropRefused, lossQuestion } from "./unsent.js";
import { words } from "./words.js";

/** @type {Set<unknown>} */
const SIGNED_OUT = new Set([CLOSE_BAD_TOKEN, CLOSE_ACCOUNT_DISABLED, CLOSE_SESSION_REVOKED]);

export class Messenger {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {ConversationPane | null} */
  #pane = null;
  #over = false;
  /** Where one was in conversations that one left, by their ids. @type {Map<string, import("./conversation/message-list.js").Place>} */
  places = new Map();

  /**
   * @param {import("./session.js").Session} session
   * @param {{ ending: (why?: string) => void, ended: () => void }} events ending: the session is over; ended: everything
   *   that this page had of it is gone
   */
  constructor(session, events) {
    this.session = session;
    this.events = events;
    this.socket = new SocketManager(BASE, session.token, { name: session.userId });
    this.messaging = new MessagingAPI(this.socket);
    this.store = new Store(this.messaging, { counted, echoed, persist: true, threads: true });
    this.names = new Names(this.messaging);
    this.files = new Files(this.messaging);
    this.notices = new Notices();
    this.restricted = new Restricted(this);
    this.slowMode = new SlowMode(this);
    this.blocked = new Blocked(this);
    this.names.isBlocked = (userId) => this.blocked.has(userId);
  }

  /** The id of the open conversation. It is in the address, so that reloading, going back and links work. */
  get open() {
    return readHash(location.hash).id;
  }

  /** @param {HTMLElement} place */
  async show(place) {
    beginPlugins(this);
    sendFaultsBy((fault) => void this.socket.rest.request("POST", "/api/page/faults", { body: fault }).catch(() => {}));
    this.sidebar = new Sidebar(this);
    this.main = element("main", {});
    const banner = new Banner(this);
    this.notifying = new Notifying(this);
    fill(place, banner.node, this.sidebar.node, this.main, this.notices.node);
    const moved = () => (this.#refuseLink(), this.#openConversation());
    addEventListener("hashchange", moved);
    this.#ends.push(
      () => removeEventListener("hashchange", moved),
      () => banner.close(),
      () => this.notifying?.close(),
      dropRefused(this.messaging),
      beginPictures(this),
      listenForSettings(this),
      tellAnswers(this),
      this.messaging.subscribeToNotifications(
        ({ payload }, { replay }) => replay || this.notices.say(...noticeText(payload), { level: payload.level }),
      ),
      this.socket.onConnectionStateChange((state) => {
        if (state === "connected") beginPlugins(this);
        if (state === "closed") void this.#closed(this.socket.lastError);
      }),
    );
    moved();
    await this.socket.connect().catch(() => {}); // `closed` tells why
  }

  /**
   * Open a conversation.
   *
   * @param {string} id
   * @param {number} [seq] the message to scroll to
   */
  async openConversation(id, seq) {
    if (this.#over) return;
    const address = hashOf(id, seq);
    if (location.hash !== address) location.hash = address;
    else if (seq !== undefined) await this.#pane?.goTo(seq);
  }

  /** Open the dialog of a person. @param {string} userId */
  openPerson(userId) {
    openPerson(this, userId);
  }

  /** Go to what a notification tells of. @param {{ target?: string, seq?: number | null }} place */
  visit({ target, seq }) {
    if (target) void this.openConversation(target, seq ?? undefined);
  }

  async signOut() {
    const question = lossQuestion(this.messaging.outgoing);
    if ((question && !(await ask(question, words.notices.signOut))) || this.#over) return;
    this.#over = true; // the server will close the connection for the revoked token: that is expected
    const pushing = this.notifying?.push.end();
    this.events.ending();
    await pushing;
    await this.socket.rest.logout().catch((error) => error); // without a network the token stays good until it expires
    await this.#leave();
    if (this.session.signOut?.startsWith("/")) location.assign(BASE + this.session.signOut);
    else this.events.ended();
  }

  /**
   * Erase the account for good, and end its session on this page.
   *
   * @param {{ current_password?: string, code?: string }} proof
   * @throws {Error} The server refused it; the session goes on.
   */
  async eraseAccount(proof) {
    this.#over = true; // the server closes the connection before it answers
    try {
      await this.socket.rest.eraseAccount(proof);
    } catch (error) {
      this.#over = false;
      throw error;
    }
    this.events.ending(words.settings.data.erased);
    await this.#leave();
    this.events.ended();
  }

  /** Show an error. @param {unknown} error */
  failed = (error) => this.notices.failed(error);

  /**
   * The server refuses this connection for good. A user who is signed out by that signs in again, and finds their unsent
   * messages; for other reasons the banner shows the error.
   *
   * @param {any} error
   */
  async #closed(error) {
    if (!SIGNED_OUT.has(error?.code) || this.#over) return;
    this.#over = true;
    const why = error.code === CLOSE_ACCOUNT_DISABLED ? await this.#whyDisabled(error) : closing(error);
    this.events.ending(words.notices.signedOut(why));
    await this.#leave(false);
    this.events.ended();
  }

  /** Return why the account is closed, which a call tells more of than the end of the connection. @param {Error} error */
  async #whyDisabled(error) {
    const refusal = await this.socket.rest.request("GET", "/api/users/me").catch((/** @type {any} */ refused) => refused);
    return refusal?.details?.reason === "banned" ? problem(refusal) : closing(error);
  }

  /**
   * End everything of the session on this page: nothing stays for the next user.
   *
   * @param {boolean} [forget] whether the user's data in this browser is deleted as well
   */
  async #leave(forget = true) {
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    for (const end of this.#ends.splice(0)) end();
    sendFaultsBy(null);
    endPlugins();
    this.#pane?.close();
    this.sidebar?.close();
    this.files.close();
    this.names.close();
    this.restricted.close();
    this.slowMode.close();
    this.blocked.close();
    this.notices.close();
    this.places.clear();
    await this.store.forget();
    this.messaging.close();
    await this.socket.disconnect();
    if (forget) await this.socket.forget();
    document.body.classList.remove("conversing");
    history.replaceState(null, "", location.pathname); // the open conversation
  }

  /** Refuse the link of an invitation: this user is signed in already. Other links are followed before this page. */
  #refuseLink() {
    if (ACTION.test(location.hash)) return location.reload();
    if (!LINK.test(location.hash)) return;
    history.replaceState(null, "", location.pathname);
    this.notices.say(words.notices.signedInAlready, words.notices.signOutFirst);
  }

  #openConversation() {
    const { id, seq } = readHash(location.hash);
    if (this.#pane?.id === id) {
      const place = history.state?.place;
      if (seq !== null) void this.#pane.goTo(seq);
      else if (place) void this.#pane.goBack(place);
      return;
    }
    this.#pane?.close();
    this.#pane = id ? new ConversationPane(this, id) : null;
    if (id) this.store.marks.endUnread(id);
    document.body.classList.toggle("conversing", id !== "");
    fill(/** @type {HTMLElement} */ (this.main), this.#pane?.node ?? emptyPlace(this));
    this.#pane?.begin(seq);
    if (id) void refreshPerson(this, id);
    this.sidebar?.mark(id);
  }
}
