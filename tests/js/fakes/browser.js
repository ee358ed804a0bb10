/** A browser with tabs: Web Locks and BroadcastChannels that its tabs share, and pages that can be seen or killed. */

export class FakeBrowser {
  channels = new Set();
  #locks = new Map();

  /** Open a tab; its parts are options of a SocketManager. */
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
  /** Whether it is in the page cache: what is said meanwhile is lost to it. */
  frozen = false;
  /** Whether it is held back: what is said meanwhile waits. */
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

  /** What a tab is made with. */
  get options() {
    const { page, locks, BroadcastChannel } = this;
    return { page, locks, BroadcastChannel };
  }

  /** A clock whose timers run as the tab's, and not at all once it is gone. */
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

  /** WebSockets that hear nothing while the tab is held back, and end with it. */
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

  /** Run something as the browser does: not while the tab is held back, and never once it is gone. */
  soon(work) {
    if (this.suspended || this.frozen) this.#backlog.push(work);
    else queueMicrotask(() => !this.dead && work());
  }

  thaw() {
    this.frozen = this.suspended = false;
    for (const work of this.#backlog.splice(0)) this.soon(work);
  }

  /** The tab is gone, without a word; its locks are free. */
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
