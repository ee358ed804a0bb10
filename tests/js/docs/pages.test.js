/** The code of the SDK's documentation: each page runs from top to bottom, as alice, against the real server. */

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { WebSocket } from "ws";

import { RestApiClient } from "../../../relay/web/sdk/index.js";
import { UNLIMITED } from "../support/devices.js";
import { Server } from "../support/server.js";

const DOCS = fileURLToPath(new URL("../../../docs/sdk/", import.meta.url));
const SDK = new URL("../../../relay/web/sdk/", import.meta.url);
const PAGES = ["index", "socket-manager", "outbox", "tabs", "messaging-api", "rest-api-client", "store", "recipes"];
/** The pages that need a connection. */
const CONNECTED = ["recipes", "tabs"];
const MADE = `
import { MessagingAPI as TheMessagingAPI, SocketManager as TheSocketManager, Store as TheStore } from "relay-sdk";
const socket = new TheSocketManager(url, token);
const messaging = new TheMessagingAPI(socket);
const store = new TheStore(messaging);
await socket.connect();
await store.ready;
`;

/** @type {Server} */
let server;
/** @type {Record<string, string>} */
let tokens;
/** @type {any} */
let page;

before(async () => {
  server = await new Server(UNLIMITED).start();
  await server.run("user", "add", "root", "--admin");
  tokens = await server.users("alice", "bob", "carol");
  globalThis.WebSocket ??= /** @type {any} */ (WebSocket);
});

after(() => server?.close());

/** The parts of a browser's page that the recipes use. */
function document() {
  const elements = new Map();
  const element = () => ({
    hidden: false, textContent: "", scrollTop: 0, scrollHeight: 1000, files: [], children: /** @type {any[]} */ ([]),
    replaceChildren(/** @type {any[]} */ ...children) {
      this.children = children;
    },
  });
  return {
    title: "", hidden: true, elements, createElement: element,
    querySelector: (/** @type {string} */ name) => elements.get(name) ?? elements.set(name, element()).get(name),
  };
}

/**
 * Run the blocks of a page as one module, each with functions of its own, and return the exports of the last ones.
 *
 * @param {string} name
 */
async function run(name) {
  const text = readFileSync(join(DOCS, `${name}.md`), "utf8");
  const blocks = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code ?? "");
  assert.ok(blocks.length > 0, `${name} has code`);
  const code = (CONNECTED.includes(name) ? MADE : "") + blocks.join("\n");
  const imports = [...new Set(code.match(/^import .*$/gm))].join("\n");
  const body = code.replace(/^import .*$/gm, "").replaceAll('"bot-state"', JSON.stringify(join(server.folder, `bot-${name}`)));
  const program = `const { url, token, document, Notification } = globalThis.page;\n${imports}\n${body}`
    .replaceAll('"relay-sdk"', `"${new URL("index.js", SDK)}"`)
    .replaceAll('"relay-sdk/node"', `"${new URL("node.js", SDK)}"`)
    .replaceAll('"ws"', `"${import.meta.resolve("ws")}"`)
    .replaceAll('"react"', `"${new URL("../support/react.js", import.meta.url)}"`);
  const ends = "\nexport const ends = { socket: typeof socket === 'undefined' ? null : socket, store: typeof store === 'undefined' ? null : store, bot: typeof connection === 'undefined' ? null : connection, messaging: typeof messaging === 'undefined' ? null : messaging };";
  const file = join(server.folder, `${name}.mjs`);
  writeFileSync(file, program + ends);
  return import(pathToFileURL(file).href);
}

for (const name of PAGES) {
  test(`the code of ${name}.md runs`, { timeout: 120_000 }, async () => {
    globalThis.console.log = () => {}; // the examples tell much
    page = /** @type {any} */ (globalThis).page = { url: server.url, token: tokens.alice, document: document(), Notification: class {} };
    mkdirSync(server.folder, { recursive: true });
    const module = await run(name);
    if (name === "recipes") await recipes(module);
    const { socket, store, messaging, bot } = module.ends;
    store?.close();
    messaging?.close();
    await bot?.disconnect();
    await socket?.disconnect();
  });
}

/**
 * The recipes do what they are for.
 *
 * @param {any} module
 */
async function recipes(module) {
  const { store } = module.ends;
  const bob = new RestApiClient(server.url, tokens.bob);
  await bob.sendMessage({ type: "chat_message", payload: { content: "<b>Hi</b>" }, meta: { target_id: "alice", id: "recipe" } });
  await eventually(() => page.document.title === `(${store.notifications.unread + 1}) Chat`, "the title");
  const shown = () => page.document.querySelector("#messages").children.map((/** @type {any} */ item) => item.textContent);
  await eventually(() => shown().some((/** @type {string} */ text) => text.includes("<b>Hi</b>")), "the list");
  assert.equal(module.Unread({ store, user: "bob" }), "1");
  await eventually(async () => (await bob.getUserMessages("alice", { limit: 1 })).messages[0]?.payload.content === "You said: <b>Hi</b>", "the bot");
}

/** @param {() => unknown} condition @param {string} what */
async function eventually(condition, what) {
  for (let tries = 0; tries < 1500; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`not within 30 s: ${what}`);
}
