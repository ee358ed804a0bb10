/** `make chaos`: node run.js [--seconds 300] [--seed N]; prints the seed, so that a failure can be repeated. */

import { parseArgs } from "node:util";

import { talkInABadNetwork } from "./talk.js";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "300" }, seed: { type: "string" } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
console.log(`seed ${seed}, ${values.seconds} seconds`);
const counts = await talkInABadNetwork(seed, Number(values.seconds));
for (const [what, count] of Object.entries(counts)) console.log(`${String(count).padStart(7)}  ${what}`);
console.log("nothing lost, doubled or out of order");
