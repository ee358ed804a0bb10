/** The page of a signed-in user: the SDK's objects, and the parts that draw the store's views. */

import { MessagingAPI, SocketManager, Store } from "../sdk/index.js";
import { CLOSE_ACCOUNT_DISABLED, CLOSE_BAD_TOKEN, CLOSE_SESSION_REVOKED } from "../sdk/protocol.js";
import { Banner } from "./banner.js";
import { ConversationPane } from "./conversation.js";
import { ask, element, fill } from "./dom.js";
import { Files } from "./files.js";
import { Names } from "./names.js";
import { Notices } from "./notices.js";
import { sendFaultsBy } from "./plugin-guard.js";
import { beginPlugins, counted, echoed, endPlugins } from "./plugins.js";
import { BASE } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { LINK } from "./sign-in.js";
import { tellAnswers } from "./slash-commands.js";
import { dropRefused, lossQuestion } from "./unsent.js";

const TITLE = document.title;
/** @type {Set<unknown>} */
const SIGNED_OUT = new Set([CLOSE_BAD_TOKEN, CLOSE_ACCOUNT_DISABLED, CLOSE_SESSION_REVOKED]);

export class Messenger {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {ConversationPane | null} */
  #pane = null;
  #over = false;
  /** Unfinished texts, by conversation. @type {Map<string, string>} */
  drafts = new Map();

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
    this.store = new Store(this.messaging, { counted, echoed });
    this.names = new Names(this.messaging);
    this.files = new Files(this.messaging);
    this.notices = new Notices();
  }

  /** The id of the open conversation. It is in the address, so that reloading, going back and links work. */
  get open() {
    try {
      return decodeURIComponent(location.hash.match(/^#\/(.+)$/)?.[1] ?? "");
    } catch {
      return ""; // a broken link
    }
  }

  /** @param {HTMLElement} place */
  async show(place) {
    beginPlugins(this);
    sendFaultsBy((fault) => void this.socket.rest.request("POST", "/api/page/faults", { body: fault }).catch(() => {}));
    this.sidebar = new Sidebar(this);
    this.main = element("main", {});
    const banner = new Banner(this);
    fill(place, banner.node, this.sidebar.node, this.main, this.notices.node);
    const moved = () => (this.#refuseLink(), this.#openConversation());
    addEventListener("hashchange", moved);
    this.#ends.push(
      () => removeEventListener("hashchange", moved),
      () => banner.close(),
      dropRefused(this.messaging),
      tellAnswers(this),
      this.store.subscribe("conversations", () => this.#countUnread()),
      this.messaging.subscribeToNotifications(
        ({ payload }, { replay }) => replay || this.notices.say(payload.title, payload.body),
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
    if (this.open !== id) location.hash = `#/${encodeURIComponent(id)}`;
    if (seq === undefined) return;
    await this.store.loadAround(id, seq);
    this.#openConversation();
    this.#pane?.list.goTo(seq);
  }

  async signOut() {
    const question = lossQuestion(this.messaging.outgoing);
    if ((question && !(await ask(question, "Sign out"))) || this.#over) return;
    this.#over = true; // the server will close the connection for the revoked token: that is expected
    this.events.ending();
    await this.socket.rest.logout().catch((error) => error); // without a network the token stays good until it expires
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
    this.events.ending(`You were signed out: ${error.reason || error.message}.`);
    await this.#leave(false);
    this.events.ended();
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
    this.notices.close();
    this.drafts.clear();
    this.store.close();
    this.messaging.close();
    await this.socket.disconnect();
    if (forget) await this.socket.forget();
    document.title = TITLE;
    document.body.classList.remove("conversing");
    history.replaceState(null, "", location.pathname); // the open conversation
  }

  /** Refuse the link of an invitation: this user is signed in already. */
  #refuseLink() {
    if (!LINK.test(location.hash)) return;
    history.replaceState(null, "", location.pathname);
    this.notices.say("You are signed in already", "An invitation is for somebody new. Sign out first to use it.");
  }

  #openConversation() {
    const id = this.open;
    if (this.#pane?.id === id) return;
    this.#pane?.close();
    this.#pane = id ? new ConversationPane(this, id) : null;
    document.body.classList.toggle("conversing", id !== "");
    const hint = element("p", { class: "hint" }, "Choose a conversation, or begin one.");
    fill(/** @type {HTMLElement} */ (this.main), this.#pane?.node ?? hint);
    this.#pane?.begin();
    this.sidebar?.mark(id);
  }

  #countUnread() {
    let unread = 0;
    for (const conversation of this.store.conversations) unread += conversation.unread;
    document.title = unread > 0 ? `(${unread}) ${TITLE}` : TITLE;
  }
}
