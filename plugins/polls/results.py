"""Results of polls, sent now and then, with the counts of the very transaction that stores the result."""

import sqlite3
from functools import partial

import trio

from relay.plugin import Draft, Entry, Integer, Name, Payload, RelayError, Server, Unchanged

from . import votes
from .votes import Poll

LONGEST_WAIT = 3600.0
"""The longest wait in seconds; the wall clock may be changed, so it is read again after this time."""

AT_ONCE = 1000


class PollResult(Payload):
    """The votes for each option, the number of voters, and since when the poll is closed."""

    poll: Integer
    votes: list[int]
    voters: int
    closed_at: float | None = None
    closed_by: Name | None = None


async def keep(server: Server, pause: float) -> None:
    """Close polls that are due and send new results, `pause` seconds apart, in a loop that never ends."""
    await server.write(votes.catch_up)
    while True:
        await server.write(partial(votes.close_due, now=server.now()))
        for poll in await server.read(partial(votes.untold, limit=AT_ONCE)):
            try:
                await publish(server, poll)
            except RelayError as refused:  # too many at once, or the disk is behind; the next round brings it
                server.log.warning("the result of poll %d waits: %s", poll.message_id, refused)
                server.wake()
                break
        await trio.sleep(pause)
        await server.woken(min(await server.read(votes.next_close) - server.now(), LONGEST_WAIT))


async def publish(server: Server, poll: Poll) -> None:
    """Send a poll's result to its conversation.

    Raises:
        RelayError: it is refused for now.
    """
    conversation = await server.conversations.at(poll.address)
    if conversation is None:  # a deleted group
        await server.write(lambda connection: votes.forget(connection, [poll.message_id]))
        return

    def shape(draft: Draft) -> None:
        def apply(connection: sqlite3.Connection, _entry: Entry) -> str:
            now = votes.find(connection, poll.message_id)
            if now is None:  # deleted meanwhile
                raise Unchanged
            votes.tell(connection, now.message_id)
            return draft.type.write(result(connection, now))

        draft.apply = apply

    # The votes are counted inside the transaction, so this payload has none yet.
    nothing = {"poll": poll.message_id, "votes": [], "voters": 0}
    await server.post(poll.author_id, "poll_result", nothing, conversation, shape=shape)


def result(connection: sqlite3.Connection, poll: Poll) -> PollResult:
    """Return a poll's result as it is now."""
    counted = votes.counts(connection, poll.message_id)
    return PollResult(
        poll=poll.message_id, votes=counted, voters=poll.voters, closed_at=poll.closed_at, closed_by=poll.closed_by
    )
