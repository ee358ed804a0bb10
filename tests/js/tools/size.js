/** Prints how large the SDK is on its way to a page, and fails when what most pages need is over its limit. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const SDK = fileURLToPath(new URL("../../../relay/web/sdk/", import.meta.url));
const LIMIT = 15 * 1024;

/** Bundle what a page imports; modules that are loaded only when they are needed count apart. */
async function bundled(code) {
  const result = await build({
    stdin: { contents: code, resolveDir: SDK },
    bundle: true, minify: true, format: "esm", target: "es2022", splitting: true, write: false, outdir: "out",
  });
  const sizes = result.outputFiles.map(({ contents }) => gzipSync(contents, { level: 9 }).length);
  const [first, ...others] = sizes;
  return { first, later: others.reduce((sum, size) => sum + size, 0), text: result.outputFiles[0].text };
}

/** What a page that imports index.js as it is served takes: every module, gzipped one by one. */
function served() {
  const files = readdirSync(SDK, { recursive: true }).map(String).filter((name) => name.endsWith(".js") && !/^node\.js$|file\.js$|lock\.js$/.test(name));
  return files.reduce((sum, name) => sum + gzipSync(readFileSync(join(SDK, name))).length, 0);
}

const socket = await bundled('export { SocketManager } from "./socket-manager.js"');
const pair = await bundled('export { SocketManager } from "./socket-manager.js"; export { MessagingAPI } from "./messaging-api.js"');
const all = await bundled('export * from "./index.js"');
const kilobytes = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;

console.log("gzipped, minified (loaded later, when needed):");
console.log(`  SocketManager                 ${kilobytes(socket.first)} (${kilobytes(socket.later)})`);
console.log(`  SocketManager, MessagingAPI   ${kilobytes(pair.first)} (${kilobytes(pair.later)}), limit ${kilobytes(LIMIT)}`);
console.log(`  everything                    ${kilobytes(all.first)} (${kilobytes(all.later)})`);
console.log(`gzipped, as it is served:       ${kilobytes(served())}`);
if (pair.first > LIMIT) {
  console.error(`over the limit by ${pair.first - LIMIT} bytes`);
  process.exitCode = 1;
}
