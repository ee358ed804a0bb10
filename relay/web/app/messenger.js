/** The page of who is signed in: the SDK's objects, and the parts that draw what its store holds. */

import { MessagingAPI, SocketManager, Store } from "../sdk/index.js";
import { Banner } from "./banner.js";
import { ConversationPane } from "./conversation.js";
import { ask, element, fill } from "./dom.js";
import { Files } from "./files.js";
import { Names } from "./names.js";
import { Notices } from "./notices.js";
import { BASE } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { LINK } from "./sign-in.js";
import { dropRefused, lossQuestion } from "./unsent.js";

const TITLE = document.title;
/** The token is wrong or expired, the account is disabled, the session was revoked. @type {Set<unknown>} */
const SIGNED_OUT = new Set([4501, 4502, 4503]);

export class Messenger {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {ConversationPane | null} */
  #pane = null;
  #over = false;
  /** What is half written in other conversations, by their ids. @type {Map<string, string>} */
  drafts = new Map();

  /**
   * @param {import("./session.js").Session} session
   * @param {{ ending: (why?: string) => void, ended: () => void }} events told when the session is over, and when all
   *   that this page had of it is gone
   */
  constructor(session, events) {
    this.session = session;
    this.events = events;
    this.socket = new SocketManager(BASE, session.token, { name: session.userId });
    this.messaging = new MessagingAPI(this.socket);
    this.store = new Store(this.messaging);
    this.names = new Names(this.messaging);
    this.files = new Files(this.messaging);
    this.notices = new Notices();
  }

  /** Whose conversation is open, by the address: reloading, going back and links all lead there. */
  get open() {
    try {
      return decodeURIComponent(location.hash.match(/^#\/(.+)$/)?.[1] ?? "");
    } catch {
      return ""; // a link that somebody broke
    }
  }

  /** @param {HTMLElement} place */
  async show(place) {
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
      this.store.subscribe("conversations", () => this.#countUnread()),
      this.messaging.subscribeToNotifications(
        ({ payload }, { replay }) => replay || this.notices.say(payload.title, payload.body),
      ),
      this.socket.onConnectionStateChange((state) => state === "closed" && void this.#closed(this.socket.lastError)),
    );
    moved();
    await this.socket.connect().catch(() => {}); // `closed` tells why
  }

  /**
   * Open a conversation.
   *
   * @param {string} id
   * @param {number} [seq] where to go in it
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
    this.#over = true; // what the server says of the revoked token now is no news
    this.events.ending();
    await this.socket.rest.logout().catch((error) => error); // without a network the token stays good until it expires
    await this.#leave();
    this.events.ended();
  }

  /** Tell of what failed. @param {unknown} error */
  failed = (error) => this.notices.failed(error);

  /**
   * The server does not want this connection back. Who is nobody to it any more signs in again, and finds what was not
   * sent yet; the banner tells of the other reasons.
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
   * End all that this page has of the session; nothing of it is there for whoever signs in next.
   *
   * @param {boolean} [forget] whether what the browser keeps of this user goes as well
   */
  async #leave(forget = true) {
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    for (const end of this.#ends.splice(0)) end();
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
    history.replaceState(null, "", location.pathname); // whose conversation was open
  }

  /** Say what to do with the link of an invitation: who is in already cannot come in by it. */
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
