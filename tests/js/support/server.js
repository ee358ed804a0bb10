/** The real server in a process of its own, on a free port, with a temporary folder. */

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const RELAY = process.env.RELAY_COMMAND ?? join(ROOT, ".venv/bin/relay");
const START_SECONDS = 60; // a busy machine takes its time
const STOP_SECONDS = 10;
/** Without relay's settings, and without `RELAY_COMMAND`, of which a server would say that it does not read it. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("RELAY_")));

export class Server {
  /** @type {import("node:child_process").ChildProcess | null} */
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
    const child = spawn(RELAY, ["serve", "--config", this.config], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no address within ${START_SECONDS} s: ${this.log.join("")}`)), START_SECONDS * 1000);
      let said = ""; // by this process: the log begins with what earlier ones said
      const read = (/** @type {Buffer} */ part) => {
        this.log.push(String(part));
        said += String(part);
        const found = /listens on (http:\/\/127\.0\.0\.1:\d+) /.exec(said);
        if (!found) return;
        clearTimeout(timer);
        this.url = found[1] ?? "";
        resolve(undefined);
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${this.log.join("")}`)));
    });
    return this;
  }

  /**
   * Create users, and return a token for each.
   *
   * @param {...string} names
   * @returns {Record<string, string>}
   */
  users(...names) {
    const file = join(this.folder, "users.txt");
    writeFileSync(file, `${names.join("\n")}\n`);
    const lines = this.run("user", "import", file, "--tokens").trim().split("\n");
    return Object.fromEntries(lines.map((line) => /** @type {[string, string]} */ (line.split("\t"))));
  }

  /**
   * Run a relay command, and return its output.
   *
   * @param {...string} words
   */
  run(...words) {
    const done = spawnSync(RELAY, [...words, "--config", this.config], { env, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`relay ${words.join(" ")}: ${done.stderr}`);
    return done.stdout;
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
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    const hard = setTimeout(() => child.kill("SIGKILL"), STOP_SECONDS * 1000);
    await ended;
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
