/** One process at a time: a file beside the storage's, with `.lock` at its end, names the process that has it. */

import { link, readFile, rename, rm, stat, writeFile } from "node:fs/promises";

/**
 * Take the lock.
 *
 * @param {string} path
 * @throws {Error} Another process has it; `code` is `ELOCKED`.
 */
export async function lock(path) {
  const lockFile = `${path}.lock`;
  for (;;) {
    try {
      return await writeFile(lockFile, `${process.pid} ${await startOf(process.pid)}`, { flag: "wx", mode: 0o600 });
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    }
    const holder = await readFile(lockFile, "utf8").catch(() => "");
    if ((await isHeld(lockFile, holder)) || !(await breakLock(lockFile, holder))) {
      throw Object.assign(new Error(`${path} is in use by another process`), { code: "ELOCKED" });
    }
  }
}

/**
 * Take away the lock of a process that is gone; two that try so at once must not take away each other's.
 *
 * @param {string} lockFile
 * @param {string} holder
 */
async function breakLock(lockFile, holder) {
  const aside = `${lockFile}.${process.pid}`;
  await rename(lockFile, aside).catch(() => {}); // gone already
  const taken = await readFile(aside, "utf8").catch(() => holder);
  if (taken !== holder) await link(aside, lockFile).catch(() => {});
  await rm(aside, { force: true });
  return taken === holder;
}

/** @param {string} path */
export async function unlock(path) {
  await rm(`${path}.lock`, { force: true });
}

/**
 * @param {string} lockFile
 * @param {string} holder its process and when that began
 */
async function isHeld(lockFile, holder) {
  const [pid, start] = holder.split(" ");
  if (!pid) return Date.now() - (await stat(lockFile).catch(() => ({ mtimeMs: 0 }))).mtimeMs < 1000; // being written
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "ESRCH") return false;
  }
  return !start || start === (await startOf(Number(pid))); // else its number was given to another process
}

/** When a process began, where the system says so (Linux), to tell it from a later one with its number. @param {number} pid */
async function startOf(pid) {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}
