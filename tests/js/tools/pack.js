/** Builds the npm package: the SDK's files, the declarations that TypeScript reads from them, and an archive. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const SDK = join(ROOT, "relay/web/sdk");
const TSC = join(ROOT, "tests/js/node_modules/typescript/bin/tsc");
const [destination = join(ROOT, "dist")] = process.argv.slice(2);

const folder = join(destination, "relay-sdk");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync(SDK, folder, { recursive: true, filter: (path) => !path.endsWith("tsconfig.json") });
cpSync(join(ROOT, "LICENSE"), join(folder, "LICENSE"));
// Declarations of others take half the time to check, and an application that has the package checks them with its own.
run(process.execPath, [TSC, "-p", SDK, "--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--skipLibCheck", "--outDir", folder]);
cpSync(join(SDK, "types.d.ts"), join(folder, "types.d.ts")); // written by hand: interfaces can be added to
run("npm", ["pack", folder, "--pack-destination", destination, "--silent", "--offline"]);
const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
rmSync(folder, { recursive: true });
console.log(join(destination, `${name}-${version}.tgz`));

function run(command, words) {
  const done = spawnSync(command, words, { encoding: "utf8" });
  if (done.status === 0) return;
  console.error(done.error ?? done.stdout + done.stderr);
  process.exit(1);
}
