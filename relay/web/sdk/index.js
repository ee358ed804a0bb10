/** The SDK's public API. `relay-sdk/node` adds what only Node and Electron can do. */

export * from "./types.js";
export { ConnectionClosed, RelayError } from "./errors.js";
export { MessagingAPI } from "./messaging-api.js";
export { RestApiClient } from "./rest-api-client.js";
export { SentMessage } from "./sent-message.js";
export { SocketManager } from "./socket-manager.js";
export { indexedDBStorage } from "./storage/indexeddb.js";
export { memoryStorage } from "./storage/memory.js";
export { Store } from "./store/index.js";

/** @typedef {import("./store/presence.js").StatusView} StatusView */
/** @typedef {import("./store/view-cache.js").ConversationSummary} ConversationSummary */
/** @typedef {import("./store/view-cache.js").ConversationView} ConversationView */
/** @typedef {import("./store/view-cache.js").EndView} EndView */
/** @typedef {import("./store/views.js").MessageView} MessageView */
/** @typedef {import("./store/files.js").FileView} FileView */
/** @typedef {import("./gaps.js").Gap} Gap */
/** @typedef {import("./reconnector.js").ConnectionState} ConnectionState */
/** @typedef {import("./options.js").SocketOptions} SocketOptions */
/** @typedef {import("./receiver.js").SyncReport} SyncReport */
/** @typedef {import("./sent-message.js").SentState} SentState */
/** @typedef {import("./socket-manager.js").SocketEvents} SocketEvents */
/** @typedef {import("./storage/memory.js").Storage} Storage */
