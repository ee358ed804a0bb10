"""The tools: what each takes and gives, and what it does.

All but a few steps of a tool is one call of relay's REST API as the caller, so that it can do what the caller can,
and nothing else.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from relay.http import call_api, invalid
from relay.plugin import Ack, Integer, Server, other_party

ToolName = Literal[
    "who_am_i", "list_conversations", "read_messages", "read_new", "search", "find_user", "list_members",
    "send_message", "edit_message", "delete_message", "react", "mark_read",
]  # fmt: skip

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^/]+$")]
Target = Annotated[Id, Meta(description="the conversation: the id of the other user, or of a group")]
MessageId = Annotated[Integer, Meta(description="meta.message_id of the message")]
Seq = Annotated[
    Integer | None, Meta(description="a meta.seq of this conversation, or next_… of an earlier answer")
]
Limit = Annotated[int, Meta(ge=1, le=200, description="how many at most")]
Content = Annotated[str, Meta(min_length=1, max_length=100_000, description="the text, plain or Markdown")]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern="^[!-~]+$",
        description="a new unique text, such as a UUID, for each thing you want done; the same one again to retry",
    ),
]
Message = Annotated[
    dict[str, Any],
    Meta(
        description="type, payload (content is the text), meta (message_id, seq, sender_id, target_id, timestamp)"
    ),
]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what tools take."""


class Me(msgspec.Struct):
    """The user of the token."""

    user_id: str
    display_name: str
    admin: bool


class ListConversations(Arguments, frozen=True):
    """A page of conversations."""

    cursor: Annotated[Integer | None, Meta(description="next_cursor of the page before")] = None
    limit: Limit = 50


class Conversations(msgspec.Struct):
    """A page of conversations, with what is unread in each."""

    conversations: list[dict[str, Any]]
    has_more: bool
    next_cursor: int | None


class ReadMessages(Arguments, frozen=True):
    """A page of one conversation."""

    target_id: Target
    before: Seq = None
    after: Seq = None
    limit: Limit = 50


class History(msgspec.Struct):
    """A page of one conversation, oldest message first, and values that belong to it, such as reactions."""

    messages: list[Message]
    latest: list[Message]
    has_more: bool
    next_before: int | None
    next_after: int | None


class ReadNew(Arguments, frozen=True):
    """The position to go on from."""

    cursor: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(description="cursor of the last answer; without it: what none of your devices has received yet"),
    ] = None
    limit: Limit = 50


class News(msgspec.Struct):
    """A page of all that was stored after a cursor, in whichever conversation."""

    messages: list[Message]
    cursor: str
    has_more: bool


class Search(Arguments, frozen=True):
    """A query."""

    q: Annotated[
        str, Meta(min_length=1, max_length=1000, description='words; "a phrase", -without, from:ID, in:ID')
    ]
    order: Literal["best", "newest"] = "best"
    limit: Limit = 20
    cursor: Annotated[Annotated[str, Meta(max_length=64)] | None, Meta(description="next_cursor")] = None


class Results(msgspec.Struct):
    """A page of messages that were found, each with a snippet in HTML."""

    results: list[dict[str, Any]]
    has_more: bool
    next_cursor: str | None


class FindUser(Arguments, frozen=True):
    """A part of a name."""

    q: Annotated[str, Meta(min_length=1, max_length=200, description="a part of the id or of the name")]
    cursor: Annotated[Id | None, Meta(description="next_cursor of the page before")] = None
    limit: Limit = 50


class Users(msgspec.Struct):
    """A page of users."""

    users: list[dict[str, Any]]
    has_more: bool
    next_cursor: str | None


class ListMembers(Arguments, frozen=True):
    """A group."""

    group_id: Id


class Group(msgspec.Struct):
    """A group, and its members' roles."""

    group_id: str
    name: str
    members: list[dict[str, Any]]


class SendMessage(Arguments, frozen=True):
    """A message to send."""

    target_id: Target
    content: Content
    idempotency_key: Key
    reply_to: Annotated[Integer | None, Meta(description="meta.message_id of the message that it answers")] = None


class EditMessage(Arguments, frozen=True):
    """A new text for one's own message."""

    message_id: MessageId
    content: Content
    idempotency_key: Key


class DeleteMessage(Arguments, frozen=True):
    """A message to delete."""

    message_id: MessageId


class React(Arguments, frozen=True):
    """A reaction to put on a message, or to take away."""

    message_id: MessageId
    emoji: Annotated[str, Meta(min_length=1, max_length=64, description="one emoji")]
    on: Annotated[bool, Meta(description="false takes it away")] = True


class MarkRead(Arguments, frozen=True):
    """The place up to which a conversation was read."""

    target_id: Target
    up_to_seq: Annotated[Integer, Meta(description="meta.seq of the newest message that was read")]


class Pointers(msgspec.Struct):
    """The read pointers after the call, and what is left unread."""

    read: list[dict[str, Any]]


async def who_am_i(_server: Server, _user_id: str, _asked: Arguments) -> Any:
    """Return who the token belongs to: whose messages are your own."""
    return await call_api("GET", "/api/users/me")


async def list_conversations(_server: Server, _user_id: str, asked: ListConversations) -> Any:
    """List your conversations: target_id, name, the last message, and how much is unread."""
    return await call_api("GET", "/api/conversations", {"cursor": asked.cursor, "limit": asked.limit})


async def read_messages(server: Server, user_id: str, asked: ReadMessages) -> Any:
    """Read one conversation: the newest page, or the one before or after a seq.

    Go on with before = next_before for older, after = next_after for newer messages, while has_more is true.
    """
    kind = await kind_of_target(server, user_id, asked.target_id)
    query = {"before": asked.before, "after": asked.after, "limit": asked.limit}
    return await call_api("GET", f"/api/messages/{kind}/{asked.target_id}", query)


async def read_new(server: Server, _user_id: str, asked: ReadNew) -> Any:
    """Read what is new in all conversations since a cursor: nothing is left out, nothing comes twice.

    Call again with the cursor of the answer: at once while has_more is true, else later. Your own messages come
    as well.
    """
    after = None if asked.cursor is None else position_of(server, asked.cursor)
    page = await call_api("GET", "/api/messages/undelivered", {"after": after, "limit": asked.limit})
    return {**page, "cursor": f"{page['cursor']}.{server.epoch}"}


async def search(_server: Server, _user_id: str, asked: Search) -> Any:
    """Search all messages that you may see."""
    return await call_api("GET", "/api/search", msgspec.structs.asdict(asked))


async def find_user(_server: Server, _user_id: str, asked: FindUser) -> Any:
    """Find users by a part of their id or name."""
    return await call_api("GET", "/api/users", msgspec.structs.asdict(asked))


async def list_members(_server: Server, _user_id: str, asked: ListMembers) -> Any:
    """List a group's members and their roles."""
    return await call_api("GET", f"/api/groups/{asked.group_id}")


async def send_message(server: Server, user_id: str, asked: SendMessage) -> Any:
    """Send a text to a user or a group. With an idempotency_key that was used before, nothing is sent again."""
    kind = await kind_of_target(server, user_id, asked.target_id)
    payload: dict[str, Any] = {"content": asked.content}
    if asked.reply_to is not None:
        payload["reply_to"] = asked.reply_to
    type_ = "group_message" if kind == "group" else "chat_message"
    return await send(type_, payload, asked.target_id, asked.idempotency_key)


async def edit_message(server: Server, user_id: str, asked: EditMessage) -> Any:
    """Give a message of your own another text."""
    target_id = await target_of(server, user_id, asked.message_id)
    payload = {"message_id": asked.message_id, "content": asked.content}
    return await send("message_edit", payload, target_id, asked.idempotency_key)


async def delete_message(server: Server, user_id: str, asked: DeleteMessage) -> Any:
    """Delete a message of your own, or any in a group that you administer: for everybody, and for good.

    Deleting it again changes nothing.
    """
    target_id = await target_of(server, user_id, asked.message_id)
    payload = {"message_id": asked.message_id}
    return await send("message_delete", payload, target_id, f"mcp-delete-{asked.message_id}")


async def react(server: Server, user_id: str, asked: React) -> Any:
    """Put an emoji on a message, or take it away."""
    target_id = await target_of(server, user_id, asked.message_id)
    return await send("reaction", msgspec.structs.asdict(asked), target_id)


async def mark_read(_server: Server, _user_id: str, asked: MarkRead) -> Any:
    """Mark a conversation as read up to a message; others may see that."""
    return await call_api("POST", "/api/messages/read", body=msgspec.structs.asdict(asked))


async def send(type_: str, payload: dict[str, Any], target_id: str, own_id: str | None = None) -> Any:
    """Send an envelope, and return its ack's payload."""
    meta = {"target_id": target_id} if own_id is None else {"target_id": target_id, "id": own_id}
    return await call_api("POST", "/api/messages", body={"type": type_, "payload": payload, "meta": meta})


async def kind_of_target(server: Server, user_id: str, target_id: str) -> str:
    """Return "group" for a group that the user is in, else "user": any other group looks like no user's name."""
    return "user" if await server.groups.role(target_id, user_id) is None else "group"


async def target_of(server: Server, user_id: str, message_id: int) -> str:
    """Return the target by which a user names the conversation of a message.

    Raises:
        RelayError: `not_found`.
    """
    conversation = await server.conversations.of_message(user_id, message_id)
    return other_party(conversation.address, user_id)


def position_of(server: Server, cursor: str) -> int:
    """Return the position in the log that a cursor of `read_new` names.

    Raises:
        RelayError: `invalid_payload`, also for a cursor of another database: its positions mean nothing here.
    """
    position, _, epoch = cursor.partition(".")
    if not (position.isascii() and position.isdecimal() and len(position) <= 16):
        raise invalid("cursor is not one that an answer of read_new gave", field="cursor")
    if epoch != server.epoch:
        raise invalid("cursor is of another database; leave it out, and begin anew", field="cursor")
    return int(position)


Run = Callable[[Server, str, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        takes, gives: its arguments and its result.
        writes: whether it changes anything.
        destroys: whether what it changes may be lost.
        needs: the message type without which there is nothing that it could do.
    """

    title: str
    run: Run
    takes: type[Arguments]
    gives: type[msgspec.Struct]
    writes: bool = False
    destroys: bool = False
    needs: str | None = None

    @property
    def name(self) -> str:
        """Its name in the protocol."""
        return self.run.__name__

    @property
    def description(self) -> str:
        """What an agent reads of it."""
        return " ".join((self.run.__doc__ or "").split())


_ALL: Final = [
    Tool("Who am I", who_am_i, Arguments, Me),
    Tool("List conversations", list_conversations, ListConversations, Conversations),
    Tool("Read a conversation", read_messages, ReadMessages, History),
    Tool("Read what is new", read_new, ReadNew, News),
    Tool("Search messages", search, Search, Results, needs="search"),
    Tool("Find a user", find_user, FindUser, Users),
    Tool("List a group's members", list_members, ListMembers, Group),
    Tool("Send a message", send_message, SendMessage, Ack, writes=True, needs="chat_message"),
    Tool("Edit a message", edit_message, EditMessage, Ack, writes=True, destroys=True, needs="message_edit"),
    Tool(
        "Delete a message", delete_message, DeleteMessage, Ack, writes=True, destroys=True, needs="message_delete"
    ),
    Tool("React to a message", react, React, Ack, writes=True, needs="reaction"),
    Tool("Mark as read", mark_read, MarkRead, Pointers, writes=True, needs="read_receipt"),
]
TOOLS: Final = {tool.name: tool for tool in _ALL}
READING: Final = frozenset(tool.name for tool in _ALL if not tool.writes)


def offered(named: Collection[str] | None, within: Collection[str] | None) -> frozenset[str]:
    """Return the names of tools that are offered: those named, or all, and of them those within a set."""
    names = frozenset(get_args(ToolName) if named is None else named)
    return names if within is None else names & frozenset(within)
