/** A lock between processes: a file beside the storage's, with `.lock` at its end, names the process that holds it. */

import { link, readFile, rename, rm, stat, writeFile } from "node:fs/promises";

/**
 * Take the lock.
 *
 * @param {string} path
 * @throws {Error} Another process holds it; `code` is `ELOCKED`.
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
 * Remove the lock of a process that is gone; tells whether that worked. Two processes may try so at once, so the file is
 * renamed first: if it turns out to be the other's new lock, it is put back.
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
 * @param {string} holder the process id, and when that process began
 */
async function isHeld(lockFile, holder) {
  const [pid, start] = holder.split(" ");
  if (!pid) return Date.now() - (await stat(lockFile).catch(() => ({ mtimeMs: 0 }))).mtimeMs < 1000; // being written
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "ESRCH") return false;
  }
  return !start || start === (await startOf(Number(pid))); // else the process id was reused
}

/** Return when a process began, where the system tells (Linux): a later process may have the same id. @param {number} pid */
async function startOf(pid) {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}
