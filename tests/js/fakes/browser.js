/** A fake browser: its tabs share Web Locks and BroadcastChannels, and can be hidden, frozen and killed. */

export class FakeBrowser {
  channels = new Set();
  #locks = new Map();

  /** Open a tab. Its parts are options of a SocketManager. */
  tab({ visible = true } = {}) {
    return new FakeTab(this, visible);
  }

  line(name) {
    if (!this.#locks.has(name)) this.#locks.set(name, []);
    return this.#locks.get(name);
  }
}

class FakeTab {
  dead = false;
  /** Whether it is in the page cache: channel messages are lost to it then. */
  frozen = false;
  /** Whether it is frozen: channel messages wait then. */
  suspended = false;
  #backlog = [];
  #sockets = [];
  #listeners = new Map();
  #held = new Set();

  constructor(browser, visible) {
    const tab = this;
    this.browser = browser;
    const listen = {
      addEventListener: (name, listener) => void this.#of(name).add(listener),
      removeEventListener: (name, listener) => void this.#of(name).delete(listener),
    };
    const document = { visibilityState: visible ? "visible" : "hidden", ...listen };
    this.page = { document, ...listen };
    this.locks = { request: (name, options, callback) => this.#request(name, options, callback ?? options) };
    this.BroadcastChannel = class {
      onmessage = null;
      constructor(name) {
        this.name = name;
        this.tab = tab;
        browser.channels.add(this);
      }
      postMessage(data) {
        if (tab.dead) return;
        for (const other of browser.channels) {
          if (other === this || other.name !== this.name || other.tab.frozen) continue;
          const copy = structuredClone(data);
          other.tab.soon(() => browser.channels.has(other) && other.onmessage?.({ data: copy }));
        }
      }
      close() {
        browser.channels.delete(this);
      }
    };
  }

  /** The options of a SocketManager in this tab. */
  get options() {
    const { page, locks, BroadcastChannel } = this;
    return { page, locks, BroadcastChannel };
  }

  /** A clock whose timers run as tasks of the tab, and not at all once it is killed. */
  clock(base) {
    return {
      now: base.now,
      setTimeout: (callback, ms) => {
        const timer = { cleared: false };
        timer.number = base.setTimeout(() => this.soon(() => timer.cleared || callback()), ms);
        return timer;
      },
      clearTimeout: (timer) => {
        timer.cleared = true;
        base.clearTimeout(timer.number);
      },
    };
  }

  /** WebSockets that receive nothing while the tab is frozen, and end with it. */
  WebSocket(network) {
    const tab = this;
    return class extends network.WebSocket {
      constructor(...parts) {
        super(...parts);
        tab.#sockets.push(this);
      }
      deliver(data) {
        tab.soon(() => super.deliver(data));
      }
      end(code, reason) {
        tab.soon(() => super.end(code, reason));
      }
    };
  }

  fire(name, event = {}) {
    for (const listener of [...this.#of(name)]) listener(event);
  }

  show(visible) {
    this.page.document.visibilityState = visible ? "visible" : "hidden";
    this.fire("visibilitychange");
  }

  /** Run a task of the tab: not while it is frozen, and never once it is killed. */
  soon(work) {
    if (this.suspended || this.frozen) this.#backlog.push(work);
    else queueMicrotask(() => !this.dead && work());
  }

  thaw() {
    this.frozen = this.suspended = false;
    for (const work of this.#backlog.splice(0)) this.soon(work);
  }

  /** Kill the tab: no event tells it, and its locks are freed. */
  kill() {
    this.dead = true;
    for (const socket of this.#sockets) socket.onClosed();
    for (const channel of this.browser.channels) if (channel.tab === this) this.browser.channels.delete(channel);
    for (const [name, request] of this.#held) this.#leave(name, request);
  }

  #of(name) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    return this.#listeners.get(name);
  }

  #request(name, options, callback) {
    const line = this.browser.line(name);
    return new Promise((resolve, reject) => {
      const request = { tab: this, callback, resolve, reject, held: false };
      this.#held.add([name, request]);
      options.signal?.addEventListener("abort", () => {
        if (request.held) return;
        this.#leave(name, request);
        reject(new DOMException("aborted", "AbortError"));
      });
      if (options.steal) {
        const [holder] = line.filter(({ held }) => held);
        if (holder) line.splice(line.indexOf(holder), 1);
        line.unshift(request);
        if (holder && !holder.tab.dead) queueMicrotask(() => holder.reject(new DOMException("stolen", "AbortError")));
      } else line.push(request);
      this.#grant(name);
    });
  }

  #leave(name, request) {
    const line = this.browser.line(name);
    if (line.includes(request)) line.splice(line.indexOf(request), 1);
    this.#grant(name);
  }

  #grant(name) {
    const [first] = this.browser.line(name);
    if (!first || first.held) return;
    first.held = true;
    first.tab.soon(async () => {
      if (!this.browser.line(name).includes(first)) return; // stolen before it was told
      const result = await first.callback({ name });
      this.#leave(name, first);
      first.resolve(result);
    });
  }
}
