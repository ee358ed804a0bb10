/** Prints how large the SDK is on its way to a page, and fails when what most pages need is over its limit. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const SDK = fileURLToPath(new URL("../../../relay/web/sdk/", import.meta.url));
const LIMIT = 15 * 1024;
const NODE_ONLY = /^(node|storage\/(file|lock))\.js$/;

/** Leaves what is imported when it is needed out of the bundle. */
const onDemand = {
  name: "on demand",
  setup: (build) => build.onResolve({ filter: /.*/ }, ({ path, kind }) => (kind === "dynamic-import" ? { path, external: true } : undefined)),
};

/** The bytes of what a page imports: at its start, and when all of it has been needed. */
async function sizeOf(contents) {
  const [start, whole] = [[onDemand], []].map(async (plugins) => {
    const options = { bundle: true, minify: true, format: "esm", target: "es2022", write: false, outdir: "out" };
    const result = await build({ ...options, plugins, stdin: { contents, resolveDir: SDK } });
    return gzipSync(result.outputFiles[0].contents, { level: 9 }).length;
  });
  return { start: await start, whole: await whole };
}

/** What a page takes that imports the modules as they are served, each gzipped. */
function served() {
  const names = readdirSync(SDK, { recursive: true }).map(String).filter((name) => name.endsWith(".js") && !NODE_ONLY.test(name));
  return names.reduce((sum, name) => sum + gzipSync(readFileSync(join(SDK, name))).length, 0);
}

const socket = 'export { SocketManager } from "./socket-manager.js"';
const messaging = `${socket}; export { MessagingAPI } from "./messaging-api.js"`;
const kilobytes = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;
const pair = await sizeOf(messaging);

console.log("minified and gzipped, at the start (with what is loaded when it is needed: tabs, files, gaps):");
for (const [name, { start, whole }] of [
  ["SocketManager", await sizeOf(socket)],
  ["SocketManager and MessagingAPI", pair],
  ["everything, the Store as well", await sizeOf('export * from "./index.js"')],
]) {
  console.log(`  ${name.padEnd(32)}${kilobytes(start)} (${kilobytes(whole)})`);
}
console.log(`as it is served, module by module, gzipped: ${kilobytes(served())}`);
if (pair.start > LIMIT) {
  console.error(`SocketManager and MessagingAPI are ${pair.start - LIMIT} bytes over the limit of ${kilobytes(LIMIT)}`);
  process.exitCode = 1;
}
