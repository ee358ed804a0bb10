/** Backups: where they are kept, when the next is made, what became of the newest, a new one, and the download of one. */

import { element, fill } from "../dom.js";
import { size } from "../format.js";
import { BASE } from "../session.js";
import { NUMBER } from "../words.js";
import { loaded } from "../settings/parts.js";
import { act, askFirst, chip, facts, heading, table, time } from "./parts.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */

const own = texts.backups;
const PATH = "/api/admin/backups";
const LOOK_MS = 1_000;
/** The browser reads a download's address after the click. */
const HELD_MS = 60_000;

/** @param {Administration} admin */
export function draw(admin) {
  const make = act(admin, own.make, () => admin.send("POST", PATH), { class: "primary" });
  return [heading(own.title, own.intro, make), loaded(() => admin.get(PATH), (state) => drawState(admin, state))];
}

/** @param {Administration} admin @param {any} state */
function drawState(admin, state) {
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: own.when, draw: ({ at, way }) => [time(at), element("small", {}, " ", own.ways[/** @type {"rest"} */ (way)] ?? way)] },
    { title: own.file, draw: (row) => [element("bdi", {}, row.file || "–"), element("small", {}, " ", about(row))] },
    { title: own.result, draw: ({ problem }) => (problem === null ? chip(own.good, "good") : [chip(own.failed, "bad"), element("small", {}, " ", problem)]) },
    { title: "", class: "acts", draw: (row) => row.there && admin.may("owner") && act(admin, own.download, () => download(admin, row)) },
  ];
  return [
    element("div", { class: "admin-cards" }, drawFacts(state), state.running && drawRunning(admin, state.running)),
    state.backups.length > 0 ? element("div", { class: "admin-scroll" }, table(own.title, columns, state.backups).node) : element("p", { class: "told" }, own.none),
  ];
}

/** Return the size of a backup, what is in it, and how long it took. @param {any} row */
function about({ bytes, messages, seconds }) {
  return bytes === null ? "" : own.about(size(bytes), NUMBER.format(messages ?? 0), NUMBER.format(Math.ceil(seconds)));
}

/** @param {any} state */
function drawFacts({ folder, at, every_seconds: every, next_at: next, failing, last_good: good }) {
  const schedule = at ? own.daily(at) : every > 0 ? own.every(NUMBER.format(Math.round(every / 60))) : own.never;
  return element(
    "section",
    { class: "admin-card" },
    element("h3", {}, own.state, failing !== null && [" ", chip(own.failed, "bad")]),
    failing !== null && element("p", { class: "failure", dir: "auto" }, failing),
    facts({
      [own.lastGood]: good === null ? own.noGood : [time(good.at), good.bytes !== null && ` (${size(good.bytes)})`],
      [own.schedule]: schedule,
      [own.next]: next && time(next),
      [own.folder]: folder,
    }),
  );
}

/**
 * Draw how far a backup is, and the section anew once it is made.
 *
 * @param {Administration} admin @param {any} running
 */
function drawRunning(admin, running) {
  const bar = element("progress", { max: 1, "aria-label": own.running });
  const told = element("p", { class: "note", role: "status" });
  const { signal } = admin;
  const show = (/** @type {any} */ { doing, done_bytes: done, total_bytes: total }) => {
    if (total > 0) bar.value = done / total;
    else bar.removeAttribute("value");
    fill(told, `${own.doing[/** @type {"copying"} */ (doing)] ?? doing} ${total > 0 ? own.of(size(done), size(total)) : ""}`);
  };
  const look = async () => {
    if (signal.aborted) return;
    const { running: now } = await admin.get(PATH, undefined, signal).catch(() => ({ running }));
    if (signal.aborted) return;
    if (now === null) return admin.again();
    show(now);
    setTimeout(() => void look(), LOOK_MS);
  };
  show(running);
  setTimeout(() => void look(), LOOK_MS);
  return element("section", { class: "admin-card" }, element("h3", {}, own.running), bar, told);
}

/**
 * Save a backup to this computer.
 *
 * @param {Administration} admin @param {any} row
 */
async function download(admin, { file, bytes }) {
  if ((await askFirst(own.downloadQuestion, own.download, { why: own.downloadWhy(size(bytes)), danger: false })) === null) return false;
  const headers = { Authorization: `Bearer ${admin.session.token}` };
  const answer = await fetch(`${BASE}${PATH}/${encodeURIComponent(file)}`, { headers, signal: admin.signal });
  if (!answer.ok) throw new Error(own.notDownloaded);
  const address = URL.createObjectURL(await answer.blob());
  setTimeout(() => URL.revokeObjectURL(address), HELD_MS);
  element("a", { href: address, download: file }).click();
  return false;
}
