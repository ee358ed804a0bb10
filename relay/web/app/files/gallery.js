/** All files of a conversation, by kind and month; each leads to its message. */

import { addMenuEntry } from "../conversation/menu.js";
import { button, element, fill, icon, openDialog } from "../dom.js";
import { isolate, size } from "../format.js";
import { locale, words } from "../words.js";
import { nameOf } from "./kinds.js";
import { openLightbox } from "./lightbox.js";
import { listFiles } from "./listing.js";
import { drawTile } from "./pictures.js";

/** @import { FileView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { Found } from "./listing.js" */

/** @typedef {"pictures" | "media" | "files"} Tab */

/** @type {readonly Tab[]} */
const TABS = ["pictures", "media", "files"];
const MONTH = new Intl.DateTimeFormat(locale, { month: "long", year: "numeric" });
const DATE = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const PAGE = 60;
/** How near the end of the list the next page is loaded, in pixels. */
const NEAR = "300px";

addMenuEntry({ id: "gallery", label: words.files.gallery, icon: "gallery", order: 40, shown: (pane) => !pane.view.over, press: openGallery });

/** Show all files of a conversation. @param {ConversationPane} pane */
export function openGallery(pane) {
  new Gallery(pane).show();
}

class Gallery {
  /** @type {Tab} */
  #tab = "pictures";
  /** What was found so far, newest first. @type {Found[]} */
  #found = [];
  /** @type {number | null | undefined} where the next page begins; null at the end */
  #before = undefined;
  #loading = false;

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
    this.tabs = TABS.map((tab) =>
      button(words.files.tabs[tab], () => this.#choose(tab), { role: "tab", id: `gallery-${tab}`, "aria-controls": "gallery-found" }),
    );
    const list = element("div", { role: "tablist", class: "tabs", onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event) }, ...this.tabs);
    this.list = element("div", { class: "found" });
    this.end = element("div", { class: "more", role: "status" });
    this.panel = element("div", { role: "tabpanel", id: "gallery-found", class: "gallery-panel", tabindex: 0 }, this.list, this.end);
    this.body = element("div", { class: "gallery" }, list, this.panel);
    this.watcher = new IntersectionObserver(([entry]) => entry?.isIntersecting && void this.#load(), { root: this.panel, rootMargin: NEAR });
  }

  show() {
    this.dialog = openDialog(words.files.gallery, this.body);
    this.dialog.classList.add("wide", "tall");
    this.dialog.addEventListener("close", () => this.watcher.disconnect());
    this.#choose(this.#tab);
    this.tabs[0]?.focus();
  }

  /** @param {Tab} tab */
  #choose(tab) {
    this.#tab = tab;
    this.#found = [];
    this.#before = undefined;
    this.#loading = false;
    for (const [at, one] of this.tabs.entries()) {
      const chosen = TABS[at] === tab;
      one.setAttribute("aria-selected", String(chosen));
      one.tabIndex = chosen ? 0 : -1;
    }
    this.panel.setAttribute("aria-labelledby", `gallery-${tab}`);
    this.list.className = `found of-${tab}`;
    fill(this.list);
    fill(this.end);
    this.panel.scrollTop = 0;
    void this.#load();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const rtl = getComputedStyle(this.body).direction === "rtl";
    const step = { ArrowRight: rtl ? -1 : 1, ArrowLeft: rtl ? 1 : -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(this.#tab) + step + TABS.length) % TABS.length] ?? "pictures";
    this.#choose(next);
    this.tabs[TABS.indexOf(next)]?.focus();
  }

  async #load() {
    if (this.#loading || this.#before === null) return;
    this.#loading = true;
    const tab = this.#tab;
    this.watcher.unobserve(this.end);
    try {
      const page = await listFiles(this.pane.files.rest, this.pane.id, { kind: tab, limit: PAGE, before: this.#before });
      if (tab !== this.#tab) return;
      this.#before = page.before;
      this.#found.push(...page.found);
      this.#draw(page.found);
      if (this.#found.length === 0) fill(this.end, words.files.none[tab]);
      this.#loading = false;
      this.watcher.observe(this.end);
    } catch {
      if (tab !== this.#tab) return;
      this.#loading = false;
      fill(this.end, `${words.files.notListed} `, button(words.files.again, () => (fill(this.end), void this.#load()), { class: "link" }));
    }
  }

  /** @param {Found[]} fresh */
  #draw(fresh) {
    for (const found of fresh) {
      const month = MONTH.format(found.timestamp * 1000);
      let last = this.list.lastElementChild;
      if (!(last instanceof HTMLElement) || last.dataset.month !== month) {
        last = element("section", { "data-month": month, "aria-label": month }, element("h3", {}, month), element("ul", {}));
        this.list.append(last);
      }
      last.querySelector("ul")?.append(element("li", {}, this.#tab === "pictures" ? this.#picture(found) : this.#row(found)));
    }
  }

  /** @param {Found} found */
  #picture(found) {
    const { files } = this.pane;
    const toMessage = (/** @type {any} */ item) => this.#go(item);
    const open = (/** @type {FileView} */ file) => openLightbox(files, this.pane, file, { among: this.#found.toReversed(), toMessage });
    return drawTile(found.file, files.blobs, open, true);
  }

  /** @param {Found} found */
  #row(found) {
    const { files, names } = this.pane;
    const sender = names.of(found.senderId);
    const go = button(words.files.toMessage(isolate(nameOf(found.file))), () => this.#go(found), { sign: icon("reply"), class: "quiet" });
    const kind = found.file.type.split("/")[0];
    const by = element("span", { class: "by about" }, element("bdi", {}, sender), ` · ${DATE.format(found.timestamp * 1000)} · ${size(found.file.size)}`);
    if (kind === "audio") return element("div", { class: "heard" }, files.player.draw(found.file), element("div", { class: "line" }, by, go));
    if (kind === "video") {
      const films = this.#found.filter(({ file: { type } }) => type.startsWith("video/"));
      const open = (/** @type {FileView} */ file) => openLightbox(files, this.pane, file, { among: films.toReversed() });
      return element("div", { class: "heard" }, drawTile(found.file, files.blobs, open), element("div", { class: "line" }, by, go));
    }
    const row = files.drawRow(found.file, go);
    row.querySelector(".about")?.append(" · ", element("bdi", {}, sender), ` · ${DATE.format(found.timestamp * 1000)}`);
    return row;
  }

  /** @param {Found} found */
  #go({ seq }) {
    this.dialog?.close();
    void this.pane.messenger.openConversation(this.pane.id, seq);
  }
}
