/** The real server in a process of its own, on a free port, with a temporary folder. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { begin, run } from "./program.js";

const START_SECONDS = 60; // a busy machine takes its time
const STOP_SECONDS = 10;

export class Server {
  /** @type {import("./program.js").Program | null} */
  #process = null;
  /** @type {string[]} */
  log = [];

  /** @param {Record<string, Record<string, unknown>>} [settings] by section, above those for tests */
  constructor(settings = {}) {
    this.folder = mkdtempSync(join(tmpdir(), "relay-js-"));
    this.config = join(this.folder, "relay.toml");
    this.settings = { server: { host: "127.0.0.1", port: 0, ...settings.server }, ...settings };
    this.settings.storage = { path: join(this.folder, "relay.db"), durability: "normal", ...settings.storage };
    this.settings.server = { host: "127.0.0.1", port: 0, ...settings.server };
    this.url = "";
  }

  /** Start it, on the same port as before, and wait until it accepts connections. */
  async start() {
    const { server } = /** @type {any} */ (this.settings);
    server.port ||= await freePort();
    writeFileSync(this.config, toml(this.settings));
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no address within ${START_SECONDS} s: ${this.log.join("")}`)), START_SECONDS * 1000);
      let said = ""; // by this process: the log begins with what earlier ones said
      this.#process = begin(["serve", "--config", this.config], (text) => {
        this.log.push(text);
        said += text;
        const found = /listens on (http:\/\/127\.0\.0\.1:\d+) /.exec(said);
        if (!found) return;
        clearTimeout(timer);
        this.url = found[1] ?? "";
        resolve(undefined);
      });
      this.#process.ended.then((code) => reject(new Error(`the server ended with ${code}: ${this.log.join("")}`)), reject);
    });
    return this;
  }

  /**
   * Create users, and return a token for each.
   *
   * @param {...string} names
   * @returns {Promise<Record<string, string>>}
   */
  async users(...names) {
    const file = join(this.folder, "users.txt");
    writeFileSync(file, `${names.join("\n")}\n`);
    const lines = (await this.run("user", "import", file, "--tokens")).trim().split("\n");
    return Object.fromEntries(lines.map((line) => /** @type {[string, string]} */ (line.split("\t"))));
  }

  /**
   * Run a relay command, and return its output.
   *
   * @param {...string} words
   */
  run(...words) {
    return run([...words, "--config", this.config]);
  }

  /** Kill it, as a power cut would. */
  kill() {
    return this.#end("SIGKILL");
  }

  /** Stop it; its folder stays, and it can be started again. */
  stop() {
    return this.#end("SIGTERM");
  }

  /** Stop it, and delete its folder. */
  async close() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** @param {NodeJS.Signals} signal */
  async #end(signal) {
    const program = this.#process;
    this.#process = null;
    if (!program) return;
    program.kill(signal);
    const hard = setTimeout(() => program.kill("SIGKILL"), STOP_SECONDS * 1000);
    await program.ended;
    clearTimeout(hard);
  }
}

/**
 * Return a free port below those that the system gives to connections: one of these might have it while the server is down,
 * or even connect to itself.
 *
 * @returns {Promise<number>}
 */
async function freePort() {
  const port = 10_000 + Math.floor(Math.random() * 10_000);
  const probe = createServer();
  const free = await new Promise((resolve) => probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
  await new Promise((resolve) => probe.close(resolve));
  return free ? port : freePort();
}

/** @param {Record<string, Record<string, unknown>>} settings */
function toml(settings) {
  const sections = Object.entries(settings).map(([name, values]) => {
    const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
    return `[${name}]\n${lines.join("\n")}\n`;
  });
  return sections.join("\n");
}
