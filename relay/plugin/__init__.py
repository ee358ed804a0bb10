"""The contract of plugin authors: every name that a plugin imports from relay, but for HTTP and tests.

Import from this package itself; its modules may change::

    from relay.plugin import ConversationKind, Kind, MessageType, hookimpl

Names for views are in `relay.http`, those for tests in `relay.testing`. `__all__` lists the names by purpose;
docs/plugins/hooks.md explains each.

Rule 1: hooks *register*, at boot; pluggy is synchronous and isolates nothing. What a plugin registered is
called by relay itself, under a deadline, and what it raises is answered `plugin_failed`.

Rule 2: nothing here knows how a message arrived, or what calls a plugin: that is `relay.engine`.
"""

from relay.plugin.actions import (
    Action,
    ActionAnswer,
    ActionOutcome,
    Actions,
    Button,
    CheckboxField,
    Choice,
    DateField,
    Form,
    FormField,
    NumberField,
    Select,
    SelectField,
    TextField,
    is_date,
)
from relay.plugin.asking import AccountHook, ConversationHook, PasswordAuthenticator, UploadHook
from relay.plugin.backoff import Backoff
from relay.plugin.checks import (
    AttachedFile,
    AttachedFiles,
    Mentions,
    Text,
    answer_depth,
    check_future,
    check_mentions,
    check_text,
    find_message,
    find_root,
    follow_thread,
    move_read_pointer,
    move_thread_pointer,
    refuse_later,
)
from relay.plugin.claims import Claim
from relay.plugin.cursor import LogCursor, Slice, survive_full_disk
from relay.plugin.diagnostics import Diagnostics
from relay.plugin.hookspecs import hookimpl
from relay.plugin.interfaces import (
    ConnectedDevice,
    Conversations,
    Devices,
    Groups,
    Messages,
    Presence,
    SharedSettings,
    SignedInUser,
    Users,
)
from relay.plugin.invocations import OfferedCommand, SlashAnswer, SlashCommands, SlashInvocation
from relay.plugin.jobs import Jobs
from relay.plugin.page import PageExtension
from relay.plugin.payloads import Payload
from relay.plugin.registrations import (
    Authenticator,
    BackgroundTask,
    Command,
    Credentials,
    DeviceEvent,
    MessageHook,
    Migration,
    Routes,
    SessionHook,
)
from relay.plugin.schedules import Schedule, cron, every
from relay.plugin.sign_in_ways import SignInWay
from relay.plugin.slash_commands import SlashCommand
from relay.plugin.types import DIALOGUE, Delivery, Draft, MessageType, MessageTypes, Sender, Server
from relay.protocol.answers import Ack, Error
from relay.protocol.choices import with_choices
from relay.protocol.envelope import MAX_INTEGER, Integer, Name, SentEnvelope
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Kind, Role, ServerRole
from relay.protocol.rights import Act, Holder, Rights
from relay.protocol.session import ConnectionEvent
from relay.services.audit import About, Actor
from relay.services.channels import Conversation
from relay.services.diagnosis import Freed, QueueState, TraceNote
from relay.services.envelopes import envelope
from relay.services.limits import TokenBuckets
from relay.services.permissions import NOTIFY, Decision, decide, is_group_admin, require
from relay.services.questions import MemberChange, NewConversation, NewName, NewUser, RegisteredUser, Upload
from relay.services.statuses import SeenStatus
from relay.storage.accounts import (
    User,
    create_token,
    create_user,
    get_user,
    hash_secret,
    list_tokens,
    revoke_token,
    tells_receipts,
    update_user,
)
from relay.storage.conversations import group_address, parties, user_address
from relay.storage.entry import Entry, Unchanged
from relay.storage.errors import StorageFailed
from relay.storage.folding import DROPPED, plain, ranges
from relay.storage.history import NO_BOUND, Record, View, newest_seq, other_party, read_views
from relay.storage.imports import SAID_HERE
from relay.storage.mentions import forget_mentions, note_mentions
from relay.storage.messages import find_in_channel, note_edit, read_first, read_records, rewrite_message
from relay.storage.names import check_name, kind_of
from relay.storage.observer import Edited, note_erased
from relay.storage.portable import PortableTable
from relay.storage.presence import choose_status
from relay.storage.schedules import ScheduledJob
from relay.storage.shown import check_shown, cleaned
from relay.storage.tombstones import erase_messages, remove_message
from relay.storage.tracing import TracedMessage
from relay.storage.versions import changed_since
from relay.wakeup import Wakeup

__all__ = [  # noqa: RUF022 - grouped by purpose
    # What a plugin registers, and the hooks that return it.
    "hookimpl",
    "Authenticator",
    "BackgroundTask",
    "Claim",
    "Command",
    "Credentials",
    "DeviceEvent",
    "MessageHook",
    "Migration",
    "PageExtension",
    "PortableTable",
    "Routes",
    "SessionHook",
    "SignInWay",
    "SlashCommand",
    "SlashInvocation",
    "SlashAnswer",
    # What it tells those who look for a fault.
    "Diagnostics",
    "TracedMessage",
    "TraceNote",
    "QueueState",
    "Freed",
    # What it is asked before something happens that is no message.
    "AccountHook",
    "ConversationHook",
    "UploadHook",
    "PasswordAuthenticator",
    "NewUser",
    "RegisteredUser",
    "NewName",
    "NewConversation",
    "MemberChange",
    "Upload",
    # Message types: their payloads, and a message before it is stored.
    "MessageType",
    "Kind",
    "ConversationKind",
    "DIALOGUE",
    "Role",
    "ServerRole",
    "Payload",
    "Text",
    "AttachedFile",
    "AttachedFiles",
    "Mentions",
    "Actions",
    "Action",
    "Button",
    "Select",
    "Choice",
    "Form",
    "FormField",
    "TextField",
    "NumberField",
    "SelectField",
    "CheckboxField",
    "DateField",
    "ActionAnswer",
    "ActionOutcome",
    "is_date",
    "Name",
    "Integer",
    "MAX_INTEGER",
    "Delivery",
    "Draft",
    "Sender",
    "Conversation",
    # Refusals.
    "RelayError",
    "ErrorCode",
    "Unchanged",
    "StorageFailed",
    "not_found",
    "with_choices",
    # Checks that several types share.
    "answer_depth",
    "check_future",
    "check_mentions",
    "check_name",
    "check_shown",
    "check_text",
    "cleaned",
    "find_message",
    "find_root",
    "follow_thread",
    "is_group_admin",
    "Act",
    "Holder",
    "Rights",
    "Decision",
    "decide",
    "require",
    "move_read_pointer",
    "move_thread_pointer",
    "refuse_later",
    # The server as one plugin sees it.
    "Server",
    "Users",
    "Groups",
    "Conversations",
    "Messages",
    "Devices",
    "ConnectedDevice",
    "Presence",
    "SharedSettings",
    "SignedInUser",
    "MessageTypes",
    "SlashCommands",
    "OfferedCommand",
    "Actor",
    "About",
    "TokenBuckets",
    # Work at set times.
    "Schedule",
    "every",
    "cron",
    "Jobs",
    "ScheduledJob",
    # Tasks that follow the log, and try again.
    "SAID_HERE",
    "LogCursor",
    "Slice",
    "Backoff",
    "Wakeup",
    "survive_full_disk",
    # Messages: on their way into the log, read from it, and as clients get them.
    "Entry",
    "Edited",
    "Record",
    "SentEnvelope",
    "Ack",
    "Error",
    "ConnectionEvent",
    "envelope",
    "find_in_channel",
    "read_first",
    "read_records",
    # Changes to stored messages, in a transaction.
    "erase_messages",
    "remove_message",
    "forget_mentions",
    "note_edit",
    "note_erased",
    "note_mentions",
    "rewrite_message",
    # Conversations, and which part of them a user sees.
    "NO_BOUND",
    "View",
    "changed_since",
    "group_address",
    "newest_seq",
    "other_party",
    "parties",
    "read_views",
    "user_address",
    # Users, tokens and presence.
    "User",
    "kind_of",
    "NOTIFY",
    "SeenStatus",
    "choose_status",
    "create_token",
    "create_user",
    "get_user",
    "hash_secret",
    "list_tokens",
    "revoke_token",
    "tells_receipts",
    "update_user",
    # Text in the form that searches compare.
    "DROPPED",
    "plain",
    "ranges",
]
