/** The window: draws what the main process tells it, and asks it for what is clicked. */

/** @type {any} */
const { relay } = globalThis;
const part = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** @param {any} state */
function draw({ signedIn, connection, conversations = [], shown }) {
  part("sign-in").hidden = signedIn;
  part("talk").hidden = !signedIn;
  part("connection").textContent = connection === "connected" ? "" : connection;
  part("conversations").replaceChildren(...conversations.map(drawConversation));
  part("messages").replaceChildren(...(shown ? shown.messages.map(drawMessage) : []));
  part("write").dataset.target = shown ? shown.target : "";
  part("write").hidden = !shown;
}

/** @param {any} conversation */
function drawConversation({ target, name, unread }) {
  const button = document.createElement("button");
  button.textContent = unread ? `${name} (${unread})` : name;
  button.addEventListener("click", () => relay.open(target));
  const line = document.createElement("li");
  line.append(button);
  return line;
}

/** @param {any} message */
function drawMessage({ senderId, payload, state, mine }) {
  const line = document.createElement("li");
  line.textContent = `${senderId}: ${payload.content ?? "…"}${mine ? ` (${state})` : ""}`;
  return line;
}

part("sign-in").addEventListener("submit", async (/** @type {any} */ event) => {
  event.preventDefault();
  const { userId, password } = Object.fromEntries(new FormData(event.target));
  draw(await relay.signIn(userId, password));
});
part("write").addEventListener("submit", (/** @type {any} */ event) => {
  event.preventDefault();
  relay.send(event.target.dataset.target, event.target.content.value);
  event.target.reset();
});
part("sign-out").addEventListener("click", () => relay.signOut());

relay.onChange(draw);
draw(await relay.state());
