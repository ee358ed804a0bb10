/** The program relay: a fork of what has imported it already, where the tests offer one, else a command. */

import { spawn } from "node:child_process";
import { createConnection } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const COMMAND = process.env.RELAY_COMMAND ?? join(ROOT, ".venv/bin/relay");
/** The path of a socket on which forks can be asked for. */
const FORKS = process.env.RELAY_FORKS;
/** Without relay's settings, and without what is for tests alone, of which a server would say that it does not read it. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("RELAY_")));

/**
 * A program that runs. `ended` is its exit code, or null where a signal ended it.
 *
 * @typedef {{ kill: (signal: NodeJS.Signals) => void, ended: Promise<number | null> }} Program
 */

/**
 * Begin to run relay.
 *
 * @param {string[]} words
 * @param {(text: string, stream: "out" | "err") => void} hear called with what it says
 * @param {string} [input] what it reads
 * @returns {Program}
 */
export function begin(words, hear, input = "") {
  return FORKS ? fork(FORKS, words, hear, input) : command(words, hear, input);
}

/**
 * Run relay to its end, and return what it prints.
 *
 * @param {string[]} words
 * @param {string} [input]
 */
export async function run(words, input) {
  const said = { out: "", err: "" };
  const code = await begin(words, (text, stream) => void (said[stream] += text), input).ended;
  if (code !== 0) throw new Error(`relay ${words.join(" ")}: ${said.err}`);
  return said.out;
}

/** @type {(...parameters: Required<Parameters<typeof begin>>) => Program} */
function command(words, hear, input) {
  const child = spawn(COMMAND, words, { env, stdio: "pipe" });
  child.stdin.end(input);
  child.stdout.setEncoding("utf8").on("data", (text) => hear(text, "out"));
  child.stderr.setEncoding("utf8").on("data", (text) => hear(text, "err"));
  return { kill: (signal) => void child.kill(signal), ended: new Promise((resolve) => child.once("close", resolve)) };
}

/** @type {(path: string, ...parameters: Required<Parameters<typeof begin>>) => Program} */
function fork(path, words, hear, input) {
  const socket = createConnection(path);
  socket.write(`${JSON.stringify({ words, env, input })}\n`);
  let pid = 0;
  let over = false;
  const ended = new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`relay ${words.join(" ")}: whoever forks is gone`)));
    createInterface({ input: socket }).on("line", (line) => {
      const told = JSON.parse(line);
      if (told.pid) pid = told.pid;
      for (const stream of /** @type {const} */ (["out", "err"])) if (told[stream]) hear(told[stream], stream);
      if (told.code === undefined) return;
      over = true;
      resolve(told.code < 0 ? null : told.code);
      socket.end();
    });
  });
  return { kill: (signal) => void (over || (pid ? send(pid, signal) : socket.destroy())), ended };
}

/** @param {number} pid @param {NodeJS.Signals} signal */
function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ESRCH") throw error; // it has ended a moment ago
  }
}
