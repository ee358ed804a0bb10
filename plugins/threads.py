"""`thread_read` and `thread_follow`: how far a user has read a thread, and whether they take part in it.

Both are for the user's own devices alone. A thread is the replies to one message, whose `thread` names it.
"""

import sqlite3
from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import (
    DIALOGUE,
    Act,
    Draft,
    Entry,
    Integer,
    Kind,
    MessageType,
    Payload,
    follow_thread,
    hookimpl,
    move_thread_pointer,
)


class ThreadRead(Payload):
    """The end of what was read of a thread."""

    thread: Annotated[Integer, Meta(description="the message whose thread it is")]
    up_to_seq: Annotated[Integer, Meta(description="`seq` of the newest reply that was read")]


class ThreadFollow(Payload):
    """The wish to follow a thread, or to follow it no more."""

    thread: Annotated[Integer, Meta(description="the message whose thread it is")]
    on: Annotated[bool, Meta(description="whether the user follows it")]


def prepare_read(draft: Draft) -> None:
    """Move the read pointer in the transaction that stores the value; it only moves forward."""
    said: ThreadRead = draft.payload

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        move_thread_pointer(connection, entry, said.thread, said.up_to_seq)

    draft.apply = apply
    draft.only_sender = True


def prepare_follow(draft: Draft) -> None:
    """Note it in the transaction that stores the value."""
    said: ThreadFollow = draft.payload

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        follow_thread(connection, entry, said.thread, on=said.on)

    draft.apply = apply
    draft.only_sender = True


def thread_of(said: Any) -> int:
    """Return the message whose thread is meant."""
    thread: int = said.thread
    return thread


@hookimpl
def relay_message_types() -> list[MessageType]:
    """Add the types; both are values about the root, and are erased with it."""

    def about_root(name: str, payload: type[Payload], **more: Any) -> MessageType:
        return MessageType(
            name=name,
            payload=payload,
            kind=Kind.LATEST,
            targets=DIALOGUE,
            priority=40,
            act=Act.READ,
            key=lambda said: str(said.thread),
            about=thread_of,
            **more,
        )

    return [
        about_root("thread_read", ThreadRead, prepare=prepare_read),
        about_root("thread_follow", ThreadFollow, prepare=prepare_follow),
    ]
