/** Plugins' work at set times: what waits or runs, and having one run now. */

import { element } from "../dom.js";
import { loaded } from "../settings/parts.js";
import { NUMBER } from "../words.js";
import { act, chip, table, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */

const own = texts.jobs;
/** @type {Record<string, "good" | "warning" | "bad" | "">} */
const KINDS = { running: "good", waiting: "", "set aside": "bad", "plugin off": "warning", "no schedule": "warning" };

/** Draw the jobs of all plugins, or of one. @param {Administration} admin @param {string} [plugin] */
export function drawJobs(admin, plugin) {
  const run = (/** @type {any} */ { plugin: name, schedule, key }) => admin.send("POST", `/api/admin/plugins/${encodeURIComponent(name)}/run-job`, { schedule, key });
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: own.job, draw: ({ schedule, key, rule }) => [schedule, key && element("small", {}, ` ${key}`), rule && element("small", {}, ` ${rule}`)] },
    { title: texts.plugins.name, draw: ({ plugin: name }) => element("a", { href: hashTo("plugins", name) }, name) },
    { title: own.next, draw: ({ next_at: at }) => time(at) },
    { title: own.last, draw: ({ last_at: at }) => time(at) },
    { title: texts.plugins.state, draw: ({ state }) => chip(own.states[/** @type {"waiting"} */ (state)] ?? state, KINDS[state]) },
    { title: own.attempts, class: "number", draw: ({ attempts }) => NUMBER.format(attempts) },
    { title: own.error, draw: ({ error }) => element("small", {}, error ?? "") },
    { title: "", class: "acts", draw: (job) => job.state !== "running" && act(admin, own.run, () => run(job)) },
  ];
  const shown = plugin ? columns.filter((_column, index) => index !== 1) : columns;
  return element(
    "section",
    {},
    element("h3", {}, own.title),
    loaded(() => admin.get("/api/admin/jobs", plugin ? { plugin } : {}), ({ jobs }) => (jobs.length > 0 ? element("div", { class: "admin-scroll" }, table(own.title, shown, jobs).node) : element("p", { class: "told" }, own.none))),
  );
}
