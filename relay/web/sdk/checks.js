/** Argument checks: a wrong argument throws a TypeError that names it and says what is right. */

/** @type {Record<string, [wanted: string, is: (value: any) => unknown]>} */
const KINDS = {
  name: ["a text that is not empty", (value) => value && typeof value === "string"],
  text: ["a text", (value) => typeof value === "string"],
  number: ["a number", Number.isFinite],
  flag: ["true or false", (value) => typeof value === "boolean"],
  function: ["a function", (value) => typeof value === "function"],
  object: ["an object", (value) => typeof value === "object" && value && !Array.isArray(value)],
  names: ["a list of texts", (value) => listOf(value, KINDS.name)],
  numbers: ["a list of numbers", (value) => listOf(value, KINDS.number)],
  files: ["a list of ids, Files, Blobs or {path}", (value) => listOf(value, KINDS.file)],
  file: ["", (file) => file && (typeof file === "string" || file instanceof Blob || typeof file.path === "string")],
  time: ["seconds or a Date", (value) => value instanceof Date || Number.isFinite(value)],
  token: ["a text or a function", (value) => ["string", "function"].includes(typeof value)],
  socket: ["a SocketManager", (value) => value?.registerHandler],
  rest: ["a RestApiClient", (value) => value?.getMe],
  status: oneOf("online away busy offline"),
  role: oneOf("owner admin member"),
  history: oneOf("join start"),
  event: oneOf("state message error sent synced reset leader"),
  background: oneOf("inactive none"),
};

/** The kind of each argument, by its name; an argument that is not listed has the kind of its own name, if any. */
const ARGUMENTS = Object.fromEntries(
  [
    "name userId groupId target targetId type emoji clientId attachmentId method path",
    "text content q id",
    "number messageId replyTo seq timeout ackSeconds outboxLimit inFlight fillLimit",
    "flag typing tabs keep private",
    "function handler listener callback onProgress random fetch WebSocket",
    "object payload options pagination query envelope body extra call signal backoff storage clock",
    "names members mentions userIds",
    "numbers messageIds",
    "files attachments",
    "time until",
    "token authToken",
    "socket socketManager",
    "rest restApiClient",
  ].flatMap((line) => line.split(" ").map((word, _, [kind]) => [word, kind])),
);

/**
 * Throw for an argument that can never be right.
 *
 * @param {Record<string, unknown>} values the required arguments, by name
 * @param {Record<string, any>} [optional] optional arguments, by name; unknown names are ignored
 * @throws {TypeError} An argument is wrong.
 */
export function check(values, optional = {}) {
  for (const [name, value] of Object.entries({ ...optional, ...values })) {
    const kind = KINDS[ARGUMENTS[name] ?? name];
    if (kind && !kind[1](value) && (value != null || name in values)) throw mistake(name, value, kind[0]);
  }
}

/**
 * Return the error for an argument.
 *
 * @param {string} name
 * @param {unknown} value
 * @param {string} wanted
 */
export function mistake(name, value, wanted) {
  const shown = typeof value === "string" ? `'${value}'` : Array.isArray(value) ? `[${value}]` : value;
  return new TypeError(`${name} is ${shown}; right is ${wanted}`);
}

/** @param {any} values @param {any} kind */
function listOf(values, kind) {
  return Array.isArray(values) && values.every(kind[1]);
}

/** @param {string} words @returns {[string, (value: any) => unknown]} */
function oneOf(words) {
  const values = words.split(" ");
  return [`one of ${values.join(", ")}`, (value) => values.includes(value)];
}
