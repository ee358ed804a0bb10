/**
 * Uploads and downloads, with progress. A transfer may take any time; one that makes no progress for the client's timeout
 * fails.
 *
 * Loaded on demand. It imports nothing, because bundlers put a module that is shared with a lazy one into a chunk of its
 * own.
 */

/**
 * @import { Attachment, Progress } from "./types.js"
 * @import { Transport } from "./rest-transport.js"
 * @typedef {Blob | { path: string, name?: string, type?: string }} Uploadable a file, or in Node its path
 * @typedef {{ name?: string, onProgress?: Progress, signal?: AbortSignal }} UploadOptions
 * @typedef {{ onProgress?: Progress, signal?: AbortSignal, range?: [number, number?] }} DownloadOptions range: first and
 *   last byte
 */

const PATH = "/api/attachments";
/** The slowest line, in bytes a second, that an upload without progress events is given time for. */
const SLOWEST = 4096;
const STEP = 65_536;

/** @type {{ open: null | ((place: { path: string, name?: string, type?: string }) => Promise<Blob>) }} */
export const paths = { open: null };

/** @param {string} attachmentId */
function pathOf(attachmentId) {
  return `${PATH}/${encodeURIComponent(attachmentId)}`;
}

/**
 * Return a file as a Blob. Paths are opened by `relay-sdk/node`, where that was imported.
 *
 * @param {Uploadable} file
 * @returns {Promise<Blob>}
 */
export async function asBlob(file) {
  if (file instanceof Blob) return file;
  if (typeof file?.path !== "string") {
    const shown = typeof file === "string" ? `'${file}'` : String(file);
    throw new TypeError(`file is ${shown}; right is a File, a Blob or, in Node, {path}`);
  }
  if (!paths.open) throw new TypeError('to send files by their path, import "relay-sdk/node"');
  return paths.open(file);
}

/**
 * Upload a file.
 *
 * @param {Transport} transport
 * @param {Uploadable} file
 * @param {UploadOptions} [options]
 * @returns {Promise<Attachment>}
 * @throws {RelayError} The server refused it, or (code `offline`) the transfer broke or made no progress.
 */
export async function upload(transport, file, options = {}) {
  const blob = await asBlob(file);
  const name = options.name ?? /** @type {any} */ (file).name ?? /** @type {any} */ (blob).name;
  const url = transport.url(PATH, { name: name || undefined });
  const type = blob.type || "application/octet-stream";
  const { onProgress } = options;
  return transport.guard("POST", PATH, options.signal, async (signal, alive) => {
    /** @type {Progress} */
    const progress = (loaded, total) => {
      alive();
      onProgress?.(loaded, total);
    };
    /** @type {Sending} */
    const sending = { url, type, blob, signal, progress, transport };
    const put = globalThis.XMLHttpRequest ? putByXhr : putByFetch;
    try {
      return await put(sending, await transport.authorization());
    } catch (error) {
      const { status } = /** @type {{ status?: number }} */ (error);
      if (status !== 401 || typeof transport.token !== "function") throw error;
      return await put(sending, await transport.authorization("refused"));
    }
  });
}

/**
 * @typedef {{ url: string, type: string, blob: Blob, signal: AbortSignal, progress: Progress, transport: Transport }} Sending
 */

/**
 * Send by XMLHttpRequest: in browsers only that reports the progress of an upload.
 *
 * @param {Sending} sending
 * @param {Record<string, string>} headers
 * @returns {Promise<Attachment>}
 */
function putByXhr({ url, type, blob, signal, progress, transport }, headers) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort, { once: true });
    request.open("POST", url);
    for (const [name, value] of Object.entries({ Accept: "application/json", "Content-Type": type, ...headers })) {
      request.setRequestHeader(name, value);
    }
    request.upload.onprogress = (event) => progress(event.loaded, event.total);
    request.onload = () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText));
      else reject(transport.refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(transport.offline("POST", PATH, "the upload broke"));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.send(blob);
  });
}

/**
 * Send by fetch: in Node as a stream, which is counted, elsewhere as a whole.
 *
 * @param {Sending} sending
 * @param {Record<string, string>} headers
 * @returns {Promise<Attachment>}
 */
async function putByFetch({ url, type, blob, signal, progress, transport }, headers) {
  const streams = /** @type {any} */ (globalThis).process?.versions?.node !== undefined;
  const body = streams ? counted(blob, progress) : blob;
  const patience = streams ? undefined : patient(blob, progress);
  let response;
  try {
    const init = { method: "POST", headers: { Accept: "application/json", "Content-Type": type, ...headers }, body, signal };
    response = await transport.fetch(url, /** @type {RequestInit} */ (streams ? { ...init, duplex: "half" } : init));
  } catch (cause) {
    throw transport.offline("POST", PATH, "the upload broke", cause);
  } finally {
    clearInterval(patience);
  }
  if (!response.ok) throw await transport.refusalOf(response);
  progress(blob.size, blob.size);
  return response.json();
}

/**
 * Return a stream of a file's bytes, and report each step as it is read.
 *
 * @param {Blob} blob
 * @param {Progress} progress
 */
function counted(blob, progress) {
  let loaded = 0;
  return new ReadableStream({
    async pull(controller) {
      const part = new Uint8Array(await blob.slice(loaded, loaded + STEP).arrayBuffer());
      if (part.byteLength === 0) return controller.close();
      controller.enqueue(part);
      loaded += part.byteLength;
      progress(loaded, blob.size);
    },
  });
}

/**
 * Report an upload without progress events as alive, for as long as a slow line would need.
 *
 * @param {Blob} blob
 * @param {Progress} progress
 */
function patient(blob, progress) {
  let seconds = blob.size / SLOWEST;
  const timer = setInterval(() => {
    if ((seconds -= 1) > 0) progress(0, blob.size);
    else clearInterval(timer);
  }, 1000);
  return timer;
}

/**
 * Download a file. It has the name it was uploaded with, where the server tells it.
 *
 * @param {Transport} transport
 * @param {string} attachmentId
 * @param {DownloadOptions} [options]
 * @returns {Promise<File>}
 * @throws {RelayError} It does not exist, the caller may not see it, or (code `offline`) the transfer broke.
 */
export function download(transport, attachmentId, options) {
  return fetchFile(transport, pathOf(attachmentId), options);
}

/**
 * Download what an address answers with, which names it.
 *
 * @param {Transport} transport
 * @param {string} path
 * @param {DownloadOptions} [options]
 * @returns {Promise<File>}
 */
export async function fetchFile(transport, path, { onProgress, signal, range } = {}) {
  /** @type {Record<string, string>} */
  const headers = range ? { Accept: "*/*", Range: `bytes=${range[0]}-${range[1] ?? ""}` } : { Accept: "*/*" };
  return transport.call("GET", path, { headers, signal }, async (response, alive) => {
    const total = Number(response.headers.get("Content-Length") ?? 0);
    const parts = [];
    let loaded = 0;
    const reader = response.body?.getReader();
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) break;
      parts.push(value);
      loaded += value.byteLength;
      alive();
      onProgress?.(loaded, total);
    }
    const { name, type } = described(response);
    return new File(parts, name, { type });
  });
}

/**
 * Return an attachment's name, type, size and digest, from its headers.
 *
 * @param {Transport} transport
 * @param {string} attachmentId
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<Attachment>}
 */
export async function describeAttachment(transport, attachmentId, options) {
  const where = pathOf(attachmentId);
  return transport.call("HEAD", where, { ...options }, async (response) => ({
    attachment_id: attachmentId,
    ...described(response),
    size: Number(response.headers.get("Content-Length")),
    sha256: (response.headers.get("ETag") ?? "").replace(/^(?:W\/)?"|"$/g, ""),
  }));
}

/** @param {Response} response */
function described(response) {
  const disposition = response.headers.get("Content-Disposition") ?? "";
  const name = /filename\*=UTF-8''([^;]*)/.exec(disposition)?.[1] ?? /filename="([^"]*)"/.exec(disposition)?.[1];
  const type = (response.headers.get("Content-Type") ?? "").split(";")[0] ?? "";
  return { name: name ? decodeURIComponent(name) : "file", type };
}
