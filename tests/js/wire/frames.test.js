import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { Names } from "./names.js";
import "../../../relay/web/sdk/tabs/shared-connection.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import "../../../relay/web/sdk/gap-fill.js";
import { settle } from "../fakes/clock.js";
import { FakeBrowser } from "../fakes/browser.js";
import { World } from "../fakes/world.js";

const FOLDER = new URL("../../wire/", import.meta.url);

/** A scenario that runs: the real SocketManager over fake sockets, of which the scenario is the server's end. */
class Player {
  world = new World({ relay: false });
  tab = new FakeBrowser().tab();
  names = new Names({ token: "token" });
  asked = [];
  sent = new Map();
  resets = 0;
  filled = [];
  #heard = 0;
  #opened = 0;
  #answer = null;

  begin(token = "token") {
    if (this.socket) return;
    this.names.known.token = token;
    const fetch = (url) => (this.asked.push(new URL(url)), new Promise((resolve) => (this.#answer = resolve)));
    const { page } = this.tab;
    this.socket = this.world.client({ clientId: "alice-laptop", tabs: false, page, fetch }, token);
    this.socket.on("reset", () => (this.resets += 1));
    this.socket.on("synced", ({ filled }) => this.filled.push(...filled));
  }

  get #last() {
    return this.world.network.last;
  }

  async play(step) {
    if (step.from === "client") this.#expect(step);
    else await this[{ application: "apply", server: "say", network: "cut", time: "pass" }[step.from] ?? "others"](step);
    await settle();
  }

  /** Check that the client has sent nothing unexpected. */
  finish() {
    assert.deepEqual(this.#last?.sent.slice(this.#heard) ?? [], [], "the client said as well");
    assert.equal(this.world.network.sockets.length, this.#opened, "the client opened a connection as well");
  }

  #expect(step) {
    if (step.open) {
      this.#opened += 1;
      this.#heard = 0;
      assert.equal(this.world.network.sockets.length, this.#opened);
      this.#last.accept();
    } else if (step.get) {
      const { pathname, search } = this.asked.shift() ?? { pathname: "nothing was asked", search: "" };
      assert.equal(pathname + search, step.get);
    } else if (step.close) {
      assert.equal(this.#last.closed?.code, step.close.code);
    } else {
      const frame = this.#last.sent[this.#heard];
      this.#heard += 1;
      this.names.check(step.frame, frame);
    }
  }

  async apply({ connect, token, disconnect, reconnect, send, position, visible, sees }) {
    if (position) await this.world.storage.apply([["put", "relay.test/ws:default/position", { taken: [], ...position }]]);
    else this.begin(token);
    if (connect) this.socket.connect().catch(() => {});
    if (disconnect) void this.socket.disconnect();
    if (reconnect) this.socket.reconnect().catch(() => {});
    if (visible !== undefined) this.tab.show(visible);
    if (send) this.sent.set(send[3].id, this.socket.sendMessage(...send));
    if (sees) this.#compare(sees);
  }

  #compare({ sent = {}, code = {}, ...others }) {
    const { connectionState: state, cursor, userId, contents, lastError } = this.socket;
    const seen = { state, cursor, userId, contents, error: lastError?.code, resets: this.resets, filled: this.filled };
    for (const [name, value] of Object.entries(others)) assert.deepEqual(seen[name], value, name);
    for (const [id, value] of Object.entries(sent)) assert.equal(this.sent.get(id).state, value, id);
    for (const [id, value] of Object.entries(code)) assert.equal(this.sent.get(id).error?.code, value, id);
  }

  async say({ frame, close, answer }) {
    this.finish();
    if (frame) this.#last.deliver(JSON.stringify(this.names.fill(frame)));
    if (close) this.#last.end(close.code, this.names.fill(close.reason));
    if (answer) this.#answer(Response.json(this.names.fill(answer)));
  }

  async cut() {
    this.finish();
    this.#last.end(1006);
  }

  async pass({ seconds }) {
    this.finish();
    await this.world.clock.advance(seconds);
  }

  async others() {
    this.finish();
  }
}

for (const name of readdirSync(FOLDER).filter((file) => file.endsWith(".json"))) {
  const scenario = JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));
  test(`${name}: ${scenario.title}`, async () => {
    const player = new Player();
    for (const [number, step] of scenario.steps.entries()) {
      try {
        await player.play(step);
      } catch (error) {
        error.message = `step ${number}, ${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
    }
    player.finish();
  });
}

test("the comparison is strict, and a placeholder stands for one value", () => {
  const names = new Names();
  assert.throws(() => names.check({ a: 1 }, { a: 1, b: 2 }));
  assert.throws(() => names.check({ a: 1 }, { a: "1" }));
  names.check({ a: "<epoch>", t: "<time>" }, { a: "e", t: 1_700_000_000 });
  assert.throws(() => names.check("<epoch>", "another"));
  assert.throws(() => names.check("<time>", 5));
});
