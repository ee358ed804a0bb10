/** The main process of docs/sdk/electron, unchanged, under Node with a fake of Electron, against a real server. */

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Device, UNLIMITED, until } from "../support/devices.js";
import { run } from "../support/program.js";
import { Server } from "../support/server.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const EXAMPLE = join(ROOT, "docs/sdk/electron");

/** The application's folder, with the packages that npm would have installed. */
function install() {
  const folder = mkdtempSync(join(tmpdir(), "relay-electron-"));
  cpSync(EXAMPLE, folder, { recursive: true });
  mkdirSync(join(folder, "node_modules/electron"), { recursive: true });
  cpSync(join(ROOT, "tests/js/electron/fake-electron.js"), join(folder, "node_modules/electron/index.js"));
  writeFileSync(
    join(folder, "node_modules/electron/package.json"),
    '{"name": "electron", "type": "module", "main": "index.js"}',
  );
  symlinkSync(join(ROOT, "relay/web/sdk"), join(folder, "node_modules/relay-sdk"));
  symlinkSync(join(ROOT, "tests/js/node_modules/ws"), join(folder, "node_modules/ws"));
  return folder;
}

/** The running application; `ask` does what its window would. */
class Application {
  #number = 0;
  /** @type {any} */
  state = null;
  /** Every state that the connection came to, as a new one may be there before anybody looks. @type {string[]} */
  connections = [];
  /** @type {any} */
  preferences = null;

  /** @param {string} folder @param {string} server */
  constructor(folder, server) {
    this.process = fork(join(folder, "main.js"), {
      env: { ...process.env, RELAY_SERVER: server, EXAMPLE_FOLDER: join(folder, "data") },
      serialization: "advanced",
    });
    this.process.on("message", (/** @type {any} */ { channel, value }) => {
      if (channel === "relay:changed") {
        this.state = value;
        if (value.connection !== this.connections.at(-1)) this.connections.push(value.connection);
      }
      if (channel === "window") this.preferences = value;
    });
  }

  /** @param {string} channel @param {...unknown} values @returns {Promise<any>} */
  ask(channel, ...values) {
    const id = (this.#number += 1);
    return new Promise((resolve, reject) => {
      const take = (/** @type {any} */ answer) => {
        if (answer.id !== id) return;
        this.process.off("message", take);
        if (answer.error) reject(new Error(answer.error));
        else resolve(answer.value);
      };
      this.process.on("message", take);
      this.process.send({ id, channel, values });
    });
  }

  /** @param {"quit" | "SIGKILL"} how */
  async end(how) {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    if (how === "quit") this.process.send({ channel: "quit" });
    else this.process.kill(how);
    return ended;
  }
}

test("the example signs in, talks, sleeps, is killed with messages unsent, and goes on", async () => {
  const server = await new Server(UNLIMITED).start();
  const tokens = await server.users("alice", "bob");
  await run(["user", "passwd", "alice", "--password-stdin", "--config", server.config], "correct horse\n");
  const folder = install();
  mkdirSync(join(folder, "data"));
  const bob = await new Device(server.url, tokens.bob ?? "").connect();
  let application = new Application(folder, server.url);
  try {
    await until(() => application.preferences, "the window opens");
    assert.deepEqual(
      { ...application.preferences, preload: "" },
      { preload: "", contextIsolation: true, nodeIntegration: false, sandbox: true },
    );
    await assert.rejects(application.ask("relay:sign-in", "alice", "wrong horse"), /wrong/);
    assert.equal((await application.ask("relay:sign-in", "alice", "correct horse")).signedIn, true);
    await until(() => application.state?.connection === "connected", "it connects");
    await bob.messaging.sendPrivateMessage("alice", "Hello");
    await until(() => application.state.conversations[0]?.unread === 1, "the message is counted");
    await application.ask("relay:open", "bob");
    await until(() => application.state.shown?.messages[0]?.payload.content === "Hello", "the message is shown");
    await application.ask("relay:send", "bob", "Hello Bob");
    await until(
      () =>
        application.state.shown.messages.at(-1).state === "read" ||
        application.state.shown.messages.at(-1).state === "delivered",
      "it reaches Bob",
    );

    const before = application.connections.length;
    application.process.send({ channel: "resume" });
    await until(
      () => application.connections.slice(before).at(-1) === "connected",
      "the connection of before the sleep is replaced",
    );

    await server.kill();
    await until(() => application.state.connection === "reconnecting", "the server is missed");
    await application.ask("relay:send", "bob", "written without a server");
    await until(
      () => readFileSync(join(folder, "data/relay/alice.journal"), "utf8").includes("written without a server"),
      "it is on the disk",
    );
    await application.end("SIGKILL");
    await server.start();
    application = new Application(folder, server.url);
    await until(
      () => bob.store.conversation("alice").messages.at(-1)?.payload.content === "written without a server",
      "it is sent after all",
    );
    assert.equal(readFileSync(join(folder, "data/session")).includes("rly_"), false);
    await application.ask("relay:sign-out");
    assert.deepEqual(await application.ask("relay:state"), { signedIn: false });
    assert.equal(await application.end("quit"), 0);
  } finally {
    application.process.kill("SIGKILL");
    await bob.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the window can reach the main process only by the bridge's functions", () => {
  const preload = readFileSync(join(EXAMPLE, "preload.cjs"), "utf8");
  const main = readFileSync(join(EXAMPLE, "main.js"), "utf8");
  const asked = [...preload.matchAll(/invoke\("([^"]+)"/g)].map((found) => found[1]);
  const handled = [...main.matchAll(/handle\("([^"]+)"/g)].map((found) => found[1]);
  assert.deepEqual(asked, handled);
  assert.match(readFileSync(join(EXAMPLE, "index.html"), "utf8"), /default-src 'none'; script-src 'self'/);
});
