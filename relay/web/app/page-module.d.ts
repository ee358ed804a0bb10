/** The types of a plugin's page module: what it exports, and what it is given. docs/plugins/page.md explains them. */

import type { MessageView } from "../sdk/index.js";

/** What the module exports. It has at least one of these. */
export interface PageModule {
  /** How messages of the plugin's own types are drawn, by type. */
  types?: Record<string, TypeModule>;
  /** Buttons beside the paper clip. */
  composer?: Action<[relay: Relay]>[];
  /** A panel beside the conversation, on a phone in a dialog; a button in the conversation's header opens it. */
  panel?: { label: string; draw(relay: Relay): Element };
}

export interface TypeModule {
  /** Return an element for the message. It is called again, for a new element, whenever something about the message changes. */
  draw?(message: MessageView, relay: Relay): Element;
  /** Return the message in one line, for lists, quotes and screen readers. */
  text?(message: MessageView, relay: Relay): string;
  /** Buttons in the toolbar over the message, or in its menu. */
  actions?: Action<[message: MessageView, relay: Relay]>[];
}

export interface Action<Given extends unknown[]> {
  label: string;
  /** What is shown in place of the label: a short text, such as an emoji, or a function that draws an icon. */
  sign?: string | (() => Element);
  /** Whether the button is there; always, where this is left out. */
  shown?(...given: Given): boolean;
  press(...given: Given): unknown;
}

export interface Relay {
  /** The id of the signed-in user. */
  readonly me: string;
  /** The `options` of the plugin's `PageExtension`. */
  readonly options: any;
  /** The conversation, with the messages that are loaded. */
  readonly conversation: {
    id: string;
    kind: "user" | "group" | null;
    /** The user's role in a group; null elsewhere. */
    role: "owner" | "admin" | "member" | null;
    /** What the user may do in a group, as the server says; docs/topics/rights.md has all. */
    may?: readonly string[];
    name: string;
    messages: readonly MessageView[];
  };
  /** Return the display name of a user; the id until the name is known, and then everything is drawn again. */
  name(userId: string): string;
  /**
   * Send a message to this conversation. Resolves to the payload of its ack, or to null where it was refused: then the page
   * has told the user why.
   */
  send(type: string, payload: Record<string, unknown>): Promise<Record<string, any> | null>;
  /** Make a REST call as this user, and return the decoded answer; rejects with an error that has the server's `code`. */
  call(method: string, path: string, parts?: { query?: Record<string, any>; body?: unknown }): Promise<any>;
  /** Show an error for a while. */
  failed(error: unknown): void;
}

/** What the module exports that a plugin brings to the administration (`PageExtension.admin`). */
export interface AdminModule {
  section: AdminSection;
}

export interface AdminSection {
  /** Its name in the list of sections. */
  label: string;
  /** Return what is shown. It is called again whenever the section is opened, or something in it was changed. */
  draw(relay: AdminRelay): Element;
}

export interface AdminRelay {
  /** The id of the signed-in admin. */
  readonly me: string;
  /** The `options` of the plugin's `PageExtension`. */
  readonly options: any;
  /** The place inside the section that the address names; empty for the section itself. */
  readonly id: string;
  readonly query: URLSearchParams;
  /** Return the address of a place inside the section. */
  hashTo(inside?: string, query?: Record<string, string>): string;
  /** Return the address of an account in the administration. */
  userHash(userId: string): string;
  /** Ask the server, as this admin. */
  get(path: string, query?: Record<string, any>): Promise<any>;
  /** Change something, as this admin. */
  send(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: any): Promise<any>;
  /** Show an error for a while. */
  failed(error: unknown): void;
  /** Show a notice for a while. */
  say(text: string): void;
  /** Draw the section anew. */
  again(): void;
  /** What relay's own sections are made of. */
  readonly parts: AdminParts;
}

type Drawn = Node | string | null | undefined | false;
export interface AdminColumn {
  title: string;
  draw(row: any): Drawn | Drawn[];
  class?: string;
}

export interface AdminParts {
  heading(title: string, intro: string, ...actions: Drawn[]): Element;
  /** A table; on a phone each row is a card. */
  table(label: string, columns: AdminColumn[], rows: any[]): Element;
  /** A list that comes page by page: `rows` is the key of the rows in the answer of `path`. */
  listing(of: { path: string; rows: string; label: string; columns: AdminColumn[]; filters?: any[]; query?: Record<string, string>; empty?: string }): Element;
  /** What is loaded first, then drawn. */
  loaded(load: () => Promise<any>, draw: (value: any) => Node | Node[]): Element;
  /** A button that does something, and then draws the section anew; a result of false is for nothing done. */
  act(label: string, does: () => Promise<unknown>, attributes?: Record<string, any>): HTMLButtonElement;
  /** Ask before an act; resolves to the reason, maybe empty, or to null for a no. */
  askFirst(question: string, yes: string, more?: { why?: string; reason?: boolean; danger?: boolean; fields?: HTMLElement[] }): Promise<string | null>;
  facts(named: Record<string, Drawn>): Element;
  chip(text: string, kind?: "good" | "warning" | "bad" | ""): Element;
  time(seconds: number | null | undefined): Element;
  /** Show what is seen this one time, to be copied. */
  showSecret(title: string, why: string, value: string): HTMLDialogElement;
}
