/** One connection: what it tells, and that its end is told once and is the end. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Connection } from "../../../relay/web/sdk/connection.js";
import { FakeClock } from "../fakes/clock.js";
import { FakeNetwork } from "../fakes/sockets.js";

let clock;
let socket;
let frames;
let ends;
/** @type {Connection} */
let connection;

beforeEach(() => {
  [clock, frames, ends] = [new FakeClock(), [], []];
  const network = new FakeNetwork();
  connection = new Connection({
    address: "wss://relay.test/ws",
    WebSocket: network.WebSocket,
    clock,
    cursor: () => null,
    hello: () => ({ token: "token", client_id: "c_1" }),
    onFrame: ({ type }) => frames.push(type),
    onEnd: (code, reason) => ends.push([code, reason]),
  });
  socket = network.last;
});

test("frames that arrive after it was given up are not heard", () => {
  socket.accept();
  socket.say("chat_message");
  const deliver = socket.onmessage; // as a browser does with what it had read before the close
  connection.drop(4000, "resync");
  assert.equal(socket.onmessage, null);
  assert.deepEqual([typeof deliver, frames], ["function", ["chat_message"]]);
});

test("its end is told once, however often it is given up", () => {
  socket.accept();
  connection.drop(4000, "resync");
  connection.drop(1006, "and again");
  assert.deepEqual(ends, [[4000, "resync"]]);
});

test("a deadline that passes after its end tells nothing", async () => {
  connection.drop(4000, "resync");
  await clock.advance(60);
  assert.equal(ends.length, 1);
});
