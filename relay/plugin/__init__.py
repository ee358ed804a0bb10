"""The contract of plugin authors: everything that a plugin imports from relay, besides HTTP and test fixtures.

Every name is imported from this package itself; its modules may change::

    from relay.plugin import ConversationKind, Kind, MessageType, hookimpl

What a plugin needs of HTTP is in `relay.http`, what it tests with in `relay.testing`.

Rule 1: hooks *register*, at boot; pluggy is synchronous and isolates nothing. What a plugin registered is
called by relay itself, under a deadline, and what it raises is answered `plugin_failed`.

Rule 2: nothing here knows how a message arrived, or what calls a plugin: that is `relay.engine`.
"""

from relay.plugin.checks import (
    Mentions,
    Text,
    answer_depth,
    check_mentions,
    check_text,
    check_to_come,
    find_message,
    move_read_pointer,
)
from relay.plugin.hookspecs import hookimpl
from relay.plugin.payloads import Payload
from relay.plugin.registrations import (
    Authenticator,
    BackgroundTask,
    Claim,
    Command,
    Credentials,
    DeviceEvent,
    MessageHook,
    Migration,
    Routes,
    SessionHook,
)
from relay.plugin.services import Services
from relay.plugin.types import DIALOGUE, Draft, MessageType, MessageTypes, Sender, Server
from relay.protocol.answers import Ack, Error
from relay.protocol.choices import with_choices
from relay.protocol.envelope import MAX_INTEGER, Integer, Name, SentEnvelope
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.protocol.session import ConnectionEvent
from relay.services.channels import Conversation
from relay.services.history import envelope
from relay.services.limits import TokenBuckets
from relay.services.permissions import NOTIFY
from relay.services.statuses import SeenStatus
from relay.storage.accounts import (
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
from relay.storage.errors import StorageFailed
from relay.storage.folding import DROPPED, plain, ranges
from relay.storage.history import NO_BOUND, Record, View, newest_seq, other_party, read_views
from relay.storage.log import Entry, Unchanged
from relay.storage.mentions import forget_mentions, note_mentions
from relay.storage.messages import find_in_channel, note_edit, read_first, read_records, rewrite_message
from relay.storage.names import check_name
from relay.storage.observer import Edited, note_erased
from relay.storage.presence import choose_status, set_following
from relay.storage.shown import check_shown, cleaned
from relay.storage.tombstones import erase_messages
from relay.storage.versions import changed_since

__all__ = [
    "DIALOGUE",
    "DROPPED",
    "MAX_INTEGER",
    "NOTIFY",
    "NO_BOUND",
    "Ack",
    "Authenticator",
    "BackgroundTask",
    "Claim",
    "Command",
    "ConnectionEvent",
    "Conversation",
    "ConversationKind",
    "Credentials",
    "DeviceEvent",
    "Draft",
    "Edited",
    "Entry",
    "Error",
    "ErrorCode",
    "Integer",
    "Kind",
    "Mentions",
    "MessageHook",
    "MessageType",
    "MessageTypes",
    "Migration",
    "Name",
    "Payload",
    "Record",
    "RelayError",
    "Role",
    "Routes",
    "SeenStatus",
    "Sender",
    "SentEnvelope",
    "Server",
    "Services",
    "SessionHook",
    "StorageFailed",
    "Text",
    "TokenBuckets",
    "Unchanged",
    "View",
    "answer_depth",
    "changed_since",
    "check_mentions",
    "check_name",
    "check_shown",
    "check_text",
    "check_to_come",
    "choose_status",
    "cleaned",
    "create_token",
    "create_user",
    "envelope",
    "erase_messages",
    "find_in_channel",
    "find_message",
    "forget_mentions",
    "get_user",
    "group_address",
    "hash_secret",
    "hookimpl",
    "list_tokens",
    "move_read_pointer",
    "newest_seq",
    "not_found",
    "note_edit",
    "note_erased",
    "note_mentions",
    "other_party",
    "parties",
    "plain",
    "ranges",
    "read_first",
    "read_records",
    "read_views",
    "revoke_token",
    "rewrite_message",
    "set_following",
    "tells_receipts",
    "update_user",
    "user_address",
    "with_choices",
]
