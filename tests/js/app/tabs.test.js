/** The stores of a browser's tabs, which share one connection. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { MessagingAPI, RestApiClient, Store } from "../../../relay/web/sdk/index.js";
import "../../../relay/web/sdk/gap-fill.js";
import "../../../relay/web/sdk/tabs/shared-connection.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import { FakeBrowser } from "../fakes/browser.js";
import { settle } from "../fakes/clock.js";
import { World } from "../fakes/world.js";

/** Answers of a server where nothing was said yet. @type {Record<string, object>} */
const NOTHING = {
  "/api/users/me": { user_id: "alice", display_name: "Alice" },
  "/api/conversations": { conversations: [], has_more: false, next_cursor: null },
  "/api/notifications": { messages: [], has_more: false, next_before: null, next_after: null, unread: 0 },
};

class Tabs {
  world = new World();
  browser = new FakeBrowser();

  /** @type {any} */
  fetch = async (/** @type {string} */ address) =>
    new Response(JSON.stringify(NOTHING[new URL(address).pathname]), { headers: { "Content-Type": "application/json" } });

  async open() {
    const tab = /** @type {any} */ (this.browser.tab());
    const socket = this.world.client({ clock: tab.clock(this.world.clock), WebSocket: tab.WebSocket(this.world.network), ...tab.options });
    const messaging = new MessagingAPI(socket, new RestApiClient("https://relay.test", "token", { fetch: this.fetch }));
    const store = new Store(messaging);
    socket.connect().catch(() => {});
    await settle();
    return { tab, socket, messaging, store };
  }
}

/** @param {{ store: Store }} page */
function shown({ store }) {
  return store.conversation("bob").messages.map(({ payload, state, mine }) => `${mine ? "I" : "bob"}: ${payload.content} (${state})`);
}

test("all tabs show a message of one tab, unsent and stored, and incoming ones", async () => {
  const tabs = new Tabs();
  const pages = [await tabs.open(), await tabs.open(), await tabs.open()];
  tabs.world.relay.answers = false;
  const sent = pages[1]?.messaging.sendPrivateMessage("bob", "from the second");
  await settle();
  for (const page of pages) assert.deepEqual(shown(page), ["I: from the second (queued)"]);
  tabs.world.relay.answers = true;
  tabs.world.relay.cut();
  await tabs.world.clock.advance(60);
  await sent;
  tabs.world.relay.write("an answer");
  await settle();
  for (const page of pages) assert.deepEqual(shown(page), ["I: from the second (sent)", "bob: an answer (sent)"]);
  for (const { store } of pages) store.close();
});

test("a failed message is discarded in all tabs", async () => {
  const tabs = new Tabs();
  const pages = [await tabs.open(), await tabs.open()];
  tabs.world.relay.refuse = () => ({ code: "forbidden", message: "no", retry: false });
  const sent = pages[1]?.messaging.sendPrivateMessage("bob", "no");
  await settle();
  for (const page of pages) assert.deepEqual(shown(page), ["I: no (failed)"]);
  await pages[1]?.messaging.discardMessage(sent?.id ?? "");
  await settle();
  for (const page of pages) assert.deepEqual(shown(page), []);
  for (const { store } of pages) store.close();
});

test("when the tab with the connection is gone, the others continue where they were", async () => {
  const tabs = new Tabs();
  const [first, second] = [await tabs.open(), await tabs.open()];
  tabs.world.relay.write("one");
  await settle();
  first.store.close();
  first.tab.kill();
  tabs.world.relay.write("two");
  await tabs.world.clock.advance(60);
  assert.deepEqual(shown(second), ["bob: one (sent)", "bob: two (sent)"]);
  assert.equal(second.store.conversation("bob").unread, 2);
  second.store.close();
});
