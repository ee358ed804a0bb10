"""Reminders at their time, and those whose author leaves before it."""

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from relay.plugin import Draft, Entry, RelayError, ScheduledJob, Server, Unchanged, erase_messages

from .options import Options
from .table import find, forget, of_group, of_user


async def remind(server: Server, job: ScheduledJob, options: Options) -> None:
    """Send a reminder: in its author's name, or to its author from the user `reminders`."""
    found = await server.read(partial(find, message_id=int(job.key)))
    if found is None:
        return  # deleted meanwhile
    reminder, text = found
    place = await server.conversations.at(reminder.address)
    author = await server.users.get(reminder.user_id)
    if (
        place is None
        or author is None
        or author.disabled
        or author.user_id not in place.members
        or not (reminder.only_me or server.conversations.may_write(author.user_id, place))
    ):
        await server.write(partial(forget, server, message_ids=[reminder.message_id]))
        return
    if reminder.only_me:
        await server.ensure_user(options.sender)

    def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
        if find(connection, reminder.message_id) is None:  # deleted at this moment
            raise Unchanged

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        if reminder.only_me:  # what asked for it is of no more use, and would stand among the notifications
            erase_messages(connection, [reminder.message_id], entry.timestamp)
        forget(server, connection, [reminder.message_id])

    def shape(draft: Draft) -> None:
        draft.apply, draft.after = apply, after

    payload = {"text": text, "remind": reminder.message_id}
    sender = options.sender if reminder.only_me else reminder.user_id
    try:
        await server.post(sender, "reminder", payload, place, own_id=job.run_id, shape=shape)
    except RelayError as refused:
        if not refused.retry:  # the job is over, and so is what it was for
            await server.write(partial(forget, server, message_ids=[reminder.message_id]))
        raise


def stored(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Forget the reminders of who leaves a group, and those of a group that is deleted."""
    for entry in entries:
        change = msgspec.json.decode(entry.payload)
        if change["event"] in ("member_removed", "deleted"):
            forget(server, connection, of_group(connection, entry.channel_id, change.get("user_id")))


def left(server: Server, connection: sqlite3.Connection, user_id: str) -> None:
    """Forget the reminders of a user who is erased."""
    forget(server, connection, [one.message_id for one, _text in of_user(connection, user_id)])
