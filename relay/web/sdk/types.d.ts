/**
 * The types of the protocol between a relay server and its clients, and of REST answers. Names are those of the wire:
 * docs/protocol.md and docs/rest.md explain them.
 */

/**
 * The payloads by message type of your own server. `relay schema --typescript` writes them, or an application does:
 * `declare module "relay-sdk" { interface MessageTypes { … } }`.
 */
export interface MessageTypes {}

/** The payloads of relay's own message types, for those that MessageTypes does not have. */
export interface CoreMessageTypes {
  chat_message: MessagePayload;
  group_message: MessagePayload;
  notification: NotificationPayload;
  message_edit: EditPayload;
  message_delete: DeletePayload;
  reaction: ReactionPayload;
  action: ActionPayload;
  action_close: { message_id: number; outcome?: string };
  group_event: GroupEventPayload;
  read_receipt: ReceiptPayload;
  status_update: StatusPayload;
  follow: { user_ids: string[]; follow: boolean };
  search: SearchQuery & { q: string };
  typing_indicator: { typing: boolean };
  message_stream: StreamPayload;
  connection_event: { event: string; [name: string]: unknown };
  ack: AckPayload;
  error: ErrorPayload;
}

/** The payload of a declared type; for another type any object. */
export type PayloadOf<Type extends string> = Type extends keyof MessageTypes
  ? MessageTypes[Type]
  : Type extends keyof CoreMessageTypes
    ? CoreMessageTypes[Type]
    : Record<string, unknown>;

export interface MessagePayload {
  content: string;
  attachments?: string[];
  reply_to?: number;
  /** The message in whose thread it is. */
  thread?: number;
  /** Whether the conversation shows it beside its thread. */
  thread_shown?: boolean;
  mentions?: string[];
  extra?: Record<string, unknown>;
  interrupted?: boolean;
  actions?: Actions;
  /** Its attachments as the server describes them. The server sets it. */
  readonly files?: AttachedFile[];
}

/** A file of a message; `width` and `height` are a picture's, in pixels, where they are known. */
export interface AttachedFile {
  attachment_id: string;
  name: string;
  type: string;
  size: number;
  width?: number;
  height?: number;
}

/** One option of a select. */
export interface Choice {
  value: string;
  label?: string;
}

/** A field of a form. `min` and `max` bound characters, a number, or dates as YYYY-MM-DD. */
export type FormField = { name: string; label: string; required?: boolean } & (
  | { type: "text"; min?: number; max?: number; multiline?: boolean }
  | { type: "number"; min?: number; max?: number }
  | { type: "select"; options: Choice[] }
  | { type: "checkbox" }
  | { type: "date"; min?: string; max?: string }
);

/** A button, a select or a form below a message. */
export type Action = { id: string; label: string; style?: "primary" | "danger"; confirm?: string } & (
  | { type: "button" }
  | { type: "select"; options: Choice[] }
  | { type: "form"; fields: FormField[] }
);

/** The actions of a message, who may answer them, and how often. */
export interface Actions {
  elements: Action[];
  once?: "user" | "message" | "never";
  for?: "everyone" | "admins" | string[];
}

export interface ActionPayload {
  message_id: number;
  action: string;
  value?: string;
  values?: Record<string, string | number | boolean>;
}

export interface StreamPayload {
  stream_id: string;
  offset?: number;
  text?: string;
  reply_to?: number;
  cancelled?: boolean;
}

export interface NotificationPayload {
  title: string;
  body?: string;
  level?: "info" | "success" | "warning" | "error";
  data?: Record<string, unknown>;
  expires_at?: number;
  collapse_key?: string;
  actions?: Actions;
}

export interface EditPayload {
  message_id: number;
  content: string;
  mentions?: string[];
  actions?: Actions;
}

export interface DeletePayload {
  message_id: number;
  kind?: "self";
  /** Whether somebody else than the author deletes it. The server sets it. */
  readonly removed?: boolean;
}

export interface ReactionPayload {
  message_id: number;
  emoji: string;
  on: boolean;
}

export interface ReceiptPayload {
  up_to_seq?: number;
  message_ids?: number[];
  private?: boolean;
  kind?: "self";
  state?: "read" | "delivered";
}

export type Presence = "online" | "away" | "busy" | "offline" | "unknown";

export interface StatusPayload {
  status: Presence;
  text?: string | null;
  until?: number | null;
  last_seen?: number | null;
}

export interface GroupEventPayload {
  event: "created" | "renamed" | "member_added" | "member_removed" | "role_changed" | "changed" | "deleted" | "member_timed_out" | "timeout_lifted" | "member_banned" | "ban_lifted";
  name?: string;
  user_id?: string;
  role?: Role;
  members?: Member[];
  /** When it is changed: the seconds between two messages of a plain member; 0 for no slow mode. */
  slow_mode_seconds?: number;
  /** Of a removal: whether the user may not come back. */
  banned?: boolean;
  /** When a timeout or a ban ends by itself, Unix seconds. */
  until?: number;
  reason?: string;
}

export interface AckPayload {
  message_id?: number;
  seq?: number;
  timestamp: number;
  duplicate: boolean;
  replaces?: number;
  /** Of a latest value: the message that it says something of. */
  about?: number;
  /** Of a latest value: what it replaces by, where that is not `about`. */
  key?: string;
  [name: string]: unknown;
}

export interface ErrorPayload {
  code: string;
  message: string;
  retry: boolean;
  retry_after?: number;
  details?: Record<string, unknown>;
}

export interface Meta {
  message_id?: number;
  seq?: number;
  id?: string;
  ref?: string;
  sender_id?: string;
  target_id?: string;
  client_id?: string;
  timestamp?: number;
  sent_at?: number;
  edited_at?: number;
  /** The `message_id` of the edit that gave it its content. */
  edit_id?: number;
  deleted_at?: number;
  /** Whether somebody else than the author deleted it. */
  removed?: boolean;
  expires_at?: number;
  replaces?: number;
  about?: number;
  key?: string;
  depth?: number;
  replay?: boolean;
  /** The one user who is sent it. */
  only_for?: string;
  /** Whether its payload is not shown for now, and is empty. */
  withheld?: boolean;
}

/** One message on the wire. A tombstone's payload is empty, whatever its type. */
export interface Envelope<Type extends string = string> {
  type: Type;
  payload: PayloadOf<Type>;
  meta: Meta;
}

export type ConversationKind = "user" | "group" | "self" | "broadcast";
export type Role = "owner" | "admin" | "member";
export type Member = { user_id: string; role: Role };

/** A place in a list: `cursor` is the `next_cursor` of the page before. */
export interface ListQuery {
  limit?: number;
  cursor?: string | number | null;
}

/** A page of a conversation: at most one of `before`, `after` and `around`, each a seq. */
export interface Pagination {
  before?: number;
  after?: number;
  around?: number;
  since?: number | string | Date;
  until?: number | string | Date;
  q?: string;
  type?: string;
  sender?: string;
  limit?: number;
}

export interface SearchQuery extends ListQuery {
  user?: string;
  group?: string;
  sender?: string;
  type?: string;
  since?: number | string | Date;
  until?: number | string | Date;
  order?: "best" | "newest";
}

export interface HistoryAnswer {
  messages: Envelope[];
  latest: Envelope[];
  has_more: boolean;
  next_before: number | null;
  next_after: number | null;
  /** How the threads of its messages stand, of those that have replies. */
  threads?: ThreadRow[];
}

/** A thread as the user sees it; `thread` is the message that its replies answer. */
export interface ThreadRow {
  thread: number;
  replies: number;
  last_seq: number;
  last_id: number;
  last_at: number;
  repliers: string[];
  follows: boolean;
  read_seq: number;
  unread: number;
  mentions: number;
}

export interface ThreadAnswer {
  root: Envelope;
  messages: Envelope[];
  latest: Envelope[];
  thread: ThreadRow | null;
  has_more: boolean;
  next_before: number | null;
  next_after: number | null;
}

export interface ThreadsAnswer {
  threads: (ThreadRow & { kind: "user" | "group"; target_id: string; root: Envelope })[];
  unread: number;
  has_more: boolean;
  next_cursor: number | null;
}

export interface NotificationsAnswer extends HistoryAnswer {
  unread: number;
}

export interface UndeliveredAnswer {
  messages: Envelope[];
  cursor: number;
  has_more: boolean;
}

export interface ConversationRow {
  kind: "user" | "group";
  target_id: string;
  name: string;
  role: Role;
  last_message: Envelope | null;
  last_seq: number;
  read_seq: number;
  unread: number;
  unread_mentions: number;
  /** The attachment that the other user or the group shows as a picture. */
  picture?: string | null;
  /** Latest values about the last message, without reactions. */
  latest?: Envelope[];
  /** How much of what is unread only threads show. */
  in_threads?: { unread: number; mentions: number };
  /** Of a group: who has each right, whether nobody may write in it any more, and what this user may do. */
  rights?: GroupRights;
  closed?: boolean;
  /** The seconds between two messages of a plain member; none or 0 for no slow mode. */
  slow_mode_seconds?: number;
  may?: string[];
}

export interface ConversationsAnswer {
  conversations: ConversationRow[];
  has_more: boolean;
  next_cursor: number | null;
}

export interface ReadAnswer {
  read: { target_id: string; up_to_seq: number; unread: number; kind?: "self" }[];
}

export interface SearchAnswer {
  results: { message: Envelope; snippet: string }[];
  has_more: boolean;
  next_cursor: string | number | null;
}

export interface User {
  user_id: string;
  display_name: string;
  /** The attachment that the user shows as their picture; missing on servers without pictures. */
  picture?: string | null;
  /** Whether nobody can use the account; of a user asked for by their id. */
  disabled?: boolean;
}

/** The password and a code of the second factor, where the caller has such. */
export interface Proof {
  current_password?: string;
  code?: string;
}

/** How far the erasure of an account has come. */
export interface Erasure {
  erased: number;
  /** On legal hold. */
  kept: number;
  files_kept: number;
  /** null while it goes on */
  done_at: number | null;
}

export interface Me extends User {
  admin: boolean;
  /** On this server. */
  role: "owner" | "admin" | "moderator" | "member" | "guest";
  created_at: number;
  token_expires_at: number | null;
  presence_to: "everyone" | "shared" | "nobody";
  /** Whether the user signs in by a password here. */
  has_password: boolean;
  /** Whether users may erase their own accounts on this server. */
  may_erase: boolean;
  groups_from: "everyone" | "shared" | "nobody";
  receipts: boolean;
  /** The status that the caller chose; "offline" means invisible. */
  status: "online" | "away" | "busy" | "offline";
  status_text: string | null;
  status_until: number | null;
}

export interface MeChanges {
  display_name?: string;
  /** An own upload, an image; null for none. */
  picture?: string | null;
  presence_to?: "everyone" | "shared" | "nobody";
  groups_from?: "everyone" | "shared" | "nobody";
  receipts?: boolean;
  password?: string;
  current_password?: string;
}

export interface Login {
  token: string;
  user_id: string;
  expires_at: number | null;
  /** Of a second factor that this login has set up; shown this one time. */
  recovery_codes?: string[];
}

export interface Status {
  user_id: string;
  status: Presence;
  text: string | null;
  until: number | null;
  last_seen: number | null;
}

export interface Device {
  client_id: string;
  /** How the program names itself, as HTTP's `User-Agent`; empty where it does not. */
  agent?: string;
  created_at: number;
  seen_at: number;
  connected: boolean;
}

/** Who has a right in a group; `admins` are its owner and admins. */
export type Holder = "everybody" | "admins" | "owner";

/** The rights of a group. */
export interface GroupRights {
  write: Holder;
  thread: Holder;
  invite: Holder;
  pin: Holder;
  delete_others: Holder;
  mention_all: Holder;
  edit_profile: Holder;
}

/** A change of a group; rights by the word of all of them, or one by one. */
export interface GroupChange {
  name?: string;
  description?: string;
  picture?: string | null;
  public?: boolean;
  rights?: "ordinary" | "announcement" | Partial<GroupRights>;
  closed?: boolean;
  /** 0, for no slow mode, to 21,600. */
  slow_mode_seconds?: number;
}

export interface Group {
  group_id: string;
  name: string;
  /** What the group is for; empty where nobody has said. */
  description?: string;
  picture?: string | null;
  /** Whether everybody on the server finds it, and may join. */
  public?: boolean;
  history: "join" | "start";
  rights?: GroupRights;
  /** Whether nobody may write in it any more. */
  closed?: boolean;
  /** The seconds between two messages of a plain member; 0 for no slow mode. */
  slow_mode_seconds?: number;
  /** The seconds until this user may write again. */
  slow_mode_wait?: number;
  /** What this user may do in it. */
  may?: string[];
  members: Member[];
}

export interface Attachment {
  attachment_id: string;
  name: string;
  type: string;
  size: number;
  sha256: string;
  width?: number;
  height?: number;
}

/** A function that returns a token: called before each connection, and once more when a token was refused. */
export type TokenProvider = (why: { reason: "first" | "reconnect" | "refused" }) => string | Promise<string>;

/** Progress of a transfer, in bytes; `total` is 0 where it is not known. */
export type Progress = (loaded: number, total: number) => void;
