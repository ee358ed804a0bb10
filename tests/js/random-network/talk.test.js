/** Twenty seconds in the bad network; `make chaos` runs five minutes. `NETWORK_SEED=7` tries another seed. */

import { test } from "node:test";

import { talkInABadNetwork } from "./talk.js";

const SECONDS = 20;
const SEED = Number(process.env.NETWORK_SEED ?? 1);

test(`six devices in a bad network lose nothing, duplicate nothing and keep the order (seed ${SEED})`, async (context) => {
  const counts = await talkInABadNetwork(SEED, SECONDS);
  context.diagnostic(`seed ${SEED}: ${JSON.stringify(counts)}`);
});
