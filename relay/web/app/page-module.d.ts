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
  /** Buttons in the bar beside the message. */
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
