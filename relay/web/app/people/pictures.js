/**
 * The pictures of users and groups in their avatars: learned wherever the server names one, loaded once it comes into view,
 * and kept for the session. Until then, and where it cannot be loaded, an avatar shows initials.
 */

import { element } from "../dom.js";

/** @import { Messenger } from "../messenger.js" */

/** @type {Map<string, string>} attachment ids, by user or group */
const known = new Map();
/** @type {Map<string, Promise<string>>} object URLs, by attachment id */
const loading = new Map();
/** @type {Map<string, string>} those that are loaded */
const loaded = new Map();
/** @type {{ url: (id: string) => string, token: string } | null} */
let source = null;
/** A picture is loaded only for an avatar that is seen: there may be hundreds in a list. */
const watcher = globalThis.IntersectionObserver && new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    void load(/** @type {HTMLElement} */ (target));
  }
}, { rootMargin: "200px" });

/** Load pictures for a session. @param {Messenger} messenger */
export function beginPictures({ messaging, session, store }) {
  const { restApi } = messaging;
  source = { url: (id) => restApi.attachmentUrl(id), token: session.token };
  const rows = () => {
    for (const { target, picture } of store.conversations) if (picture !== undefined) learnPicture(target, picture);
  };
  const mine = () => store.me && learnPicture(store.me.user_id, store.me.picture ?? null);
  const ends = [store.subscribe("conversations", rows), store.subscribe("me", mine)];
  rows();
  mine();
  return () => {
    for (const end of ends) end();
    source = null;
    for (const url of loaded.values()) URL.revokeObjectURL(url);
    for (const memory of [known, loading, loaded]) memory.clear();
  };
}

/**
 * Remember which picture a user or a group shows; avatars on the page change by themselves.
 *
 * @param {string} id
 * @param {string | null | undefined} attachmentId null for none; undefined where the server did not tell
 */
export function learnPicture(id, attachmentId) {
  if (attachmentId === undefined || (known.get(id) ?? null) === attachmentId) return;
  if (attachmentId === null) known.delete(id);
  else known.set(id, attachmentId);
  for (const avatar of document.querySelectorAll(`.avatar[data-of="${CSS.escape(id)}"]`)) decorate(/** @type {HTMLElement} */ (avatar), id);
}

/**
 * Ask the server for a user's name and picture once more, as their conversation is opened: nobody tells of a change.
 *
 * @param {Messenger} messenger
 * @param {string} id
 */
export async function refreshPerson({ messaging, names, store }, id) {
  const listed = store.conversations.find(({ kind, target }) => kind === "user" && target === id);
  if (!listed) return;
  try {
    const { display_name: name, picture } = await messaging.restApi.getUser(id);
    learnPicture(id, picture);
    names.learn(id, name);
    if (name !== listed.name) store.refresh();
  } catch {
    // what is known stays
  }
}

/** The attachment that a user or group shows, as far as it is known. @param {string} id */
export function pictureOf(id) {
  return known.get(id) ?? null;
}

/**
 * Give an avatar the picture of its user or group, now or once it is seen.
 *
 * @param {HTMLElement} avatar
 * @param {string} id
 */
export function decorate(avatar, id) {
  avatar.dataset.of = id;
  const picture = known.get(id);
  const url = picture && loaded.get(picture);
  if (url) return draw(avatar, url);
  avatar.querySelector("img")?.remove();
  if (picture) watcher?.observe(avatar);
}

/** @param {HTMLElement} avatar */
async function load(avatar) {
  const picture = known.get(avatar.dataset.of ?? "");
  if (!picture || !source) return;
  const session = source;
  const fetching = loading.get(picture) ?? fetched(picture, session);
  loading.set(picture, fetching);
  try {
    const url = await fetching;
    if (session !== source) return URL.revokeObjectURL(url);
    loaded.set(picture, url);
    if (known.get(avatar.dataset.of ?? "") === picture) draw(avatar, url);
  } catch {
    loading.delete(picture); // the next avatar tries again
  }
}

/** @param {string} picture @param {{ url: (id: string) => string, token: string }} session */
async function fetched(picture, { url, token }) {
  // A file never changes, so what the browser keeps of it is good, also without a network.
  const answer = await fetch(url(picture), { headers: { Authorization: `Bearer ${token}` }, cache: "force-cache" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return URL.createObjectURL(await answer.blob());
}

/** @param {HTMLElement} avatar @param {string} url */
function draw(avatar, url) {
  const image = element("img", { src: url, alt: "", draggable: "false", onerror: () => image.remove() });
  avatar.querySelector("img")?.remove();
  avatar.prepend(image);
}
