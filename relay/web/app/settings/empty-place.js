/** The place of a conversation while none is open: what to do next. */

import { button, element, fill } from "../dom.js";
import { createGroup, startConversation } from "../people/people.js";
import { words } from "../words.js";
import { inviteButton, openInvite } from "./invite.js";

/** @import { Messenger } from "../messenger.js" */

/** The beginning of the ids of the sample data's people and groups. */
const SAMPLE = "sample.";
const texts = words.invite;

/**
 * Draw the place. It follows the store as long as it is shown.
 *
 * @param {Messenger} messenger
 */
export function emptyPlace(messenger) {
  const place = element("div", { class: "empty-place" });
  let drawn = "";
  const draw = () => {
    const { store } = messenger;
    const sampled = store.me?.admin && store.conversations.some(({ target }) => target.startsWith(SAMPLE));
    const state = sampled ? "sample" : store.conversations.length > 0 || !store.me ? "some" : store.me.admin ? "admin" : "member";
    if (state === drawn) return;
    drawn = state;
    const begin = button(texts.begin, () => startConversation(messenger), { class: state === "member" ? "primary" : "" });
    const sample = element("div", { class: "sample-place" });
    if (state === "sample" || state === "admin") void offerSample(sample, messenger);
    if (state === "some" || state === "sample") return fill(place, element("p", { class: "hint" }, texts.choose), element("p", { class: "choices" }, begin), sample);
    const invite = state === "admin" ? button(texts.button, () => openInvite(messenger), { class: "primary" }) : inviteButton(messenger);
    const group = state === "admin" && button(texts.makeGroup, () => createGroup(messenger));
    fill(
      place,
      element("h2", {}, texts.emptyTitle),
      element("p", {}, state === "admin" ? texts.emptyAdmin : texts.emptyMember),
      element("p", { class: "choices" }, invite, group, begin),
      sample,
    );
  };
  draw();
  const ends = [messenger.store.subscribe("conversations", follow), messenger.store.subscribe("me", follow)];
  function follow() {
    if (place.isConnected || drawn === "") return draw();
    for (const end of ends) end();
  }
  return place;
}

/** Offer the sample data, or its removal, by a module that few people ever need. @param {Element} place @param {Messenger} messenger */
async function offerSample(place, messenger) {
  const module = await import("./sample.js").catch(() => null); // without a network there is no offer
  if (module) fill(place, module.sampleOffer(messenger.messaging.restApi, (there) => void follow(there)));

  /** The server keeps nothing of a removed sample, so this page forgets what it knows of it. @param {boolean} there */
  async function follow(there) {
    if (there) return messenger.store.refresh();
    await messenger.store.forget();
    location.reload();
  }
}
