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
  frozen = false;
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
          queueMicrotask(() => !other.tab.dead && browser.channels.has(other) && other.onmessage?.({ data: copy }));
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

  fire(name, event = {}) {
    for (const listener of [...this.#of(name)]) listener(event);
  }

  show(visible) {
    this.page.document.visibilityState = visible ? "visible" : "hidden";
    this.fire("visibilitychange");
  }

  /** The tab is gone, without a word; its locks are free. */
  kill() {
    this.dead = true;
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
    queueMicrotask(async () => {
      if (first.tab.dead) return;
      const result = await first.callback({ name });
      this.#leave(name, first);
      first.resolve(result);
    });
  }
}
