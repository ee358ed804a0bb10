"""The end of a simulation: everybody comes back, and what devices show and the database holds is compared."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from relay.client.mirror import Mirror
from relay.services.expiry import _LONGEST_WAIT
from relay.storage.write_ahead import log_of
from tests.mirrors import load, plain, shown
from tests.simulation.promises import EVERYBODY, Truth, check_acks, check_complete, check_log, check_seen, read_log
from tests.simulation.server import GROUPS

if TYPE_CHECKING:
    from tests.simulation.run import Run

EXPECTED_ERRORS = (
    "as the message asked",  # the misbehaving plugin
    "misbehaving",
    "the disk does not take",
    "the simulated disk fails",
    "was restored from",
)
_PATIENCE = 400
"""Seconds until every message has its answer, once nothing fails any more."""

_SETTLES = 12
"""Seconds until what is on its way has arrived, on the slowest connection."""

_FAILING = (" fails, ", "stored-ends")
"""What a step says of itself where it makes a transaction fail."""

_RETRIES = 36
"""Seconds until what a failed transaction was to erase, collect or purge was tried again."""


async def gather(run: Run) -> None:
    """Have every device come, and wait until all that was sent is answered, and what is on its way has arrived."""
    await trio.sleep(1)
    for round_ in range(_PATIENCE):
        for phone in run.phones:
            if not phone.connected and round_ % 10 == 0:
                run.nursery.start_soon(phone.come)
        if _all_is_answered(run):
            await trio.sleep(_SETTLES)
            if _all_is_answered(run):  # not so where the last bytes of an old connection said that it is over
                break
        await trio.sleep(1)
    else:
        waiting = {phone.client_id: list(phone.pending) or phone.connected for phone in run.phones}
        run.broken("answered", f"after {_PATIENCE} s without a fault these still wait: {waiting}")
    if any(failing in did for did in run.outcome.did for failing in _FAILING):
        await trio.sleep(_RETRIES)
    if run.clock.was_moved:
        await trio.sleep(_LONGEST_WAIT)  # until what has expired by the clock's step is gone


def _all_is_answered(run: Run) -> bool:
    return run.server.life is not None and all(phone.connected and not phone.pending for phone in run.phones)


async def compare_devices(run: Run) -> None:
    """Compare what each device shows with what a fresh load does."""
    life = run.server.life
    if life is None:
        run.broken("runs on", "no server runs at the end")
        return
    rows = await life.engine.runner.read(read_log)
    run.server.logs[life.engine.epoch] = rows
    truth = Truth(rows, _whole())
    fresh: dict[str, Mirror] = {}
    unread: dict[str, Any] = {}
    for phone in run.phones:
        await phone.settle(life)
        if phone.user not in fresh:
            fresh[phone.user] = await load(life, phone.user)
            unread[phone.user] = plain(await life.engine.history.conversations(phone.user))["conversations"]
        if run.swept:
            _erase_swept(phone.mirror, fresh[phone.user])
        mine, theirs = (_shown(mirror, run.clock.latest) for mirror in (phone.mirror, fresh[phone.user]))
        for key in theirs.keys() | mine.keys():
            if mine.get(key) != theirs.get(key):
                told = _difference(mine.get(key), theirs.get(key))
                run.broken("shows what is there", f"{phone.client_id} shows of {key}: {told}")
        for row in unread[phone.user]:
            conversation = phone.mirror.conversation(row["target_id"])
            counted = [conversation.unread(phone.user, now) for now in (life.engine.now(), run.clock.latest)]
            if row["unread"] not in counted:
                run.broken("unread", f"{phone.client_id} counts {counted} unread: {row}")
        check_complete(phone.witness, _by_address(phone.mirror), truth, run.broken)


def _shown(mirror: Mirror, now: float) -> dict[str, Any]:
    """Return what a page would draw of a mirror, but for what the server adds and an ack does not bring."""
    found = shown(mirror, now)
    for conversation in found.values():
        for message in conversation["messages"].values():
            for added in ("files", "removed"):
                message["payload"].pop(added, None)
    return found


def _whole() -> set[str]:
    return {group for group, history in GROUPS.items() if history == "start"}


def _erase_swept(mirror: Mirror, fresh: Mirror) -> None:
    """Erase on a device what retention has erased, which no event tells."""
    for key, conversation in fresh.conversations.items():
        for seq, message in conversation.messages.items():
            known = mirror.conversation(key).messages.get(seq)
            if known is None or message.deleted_at is None or known.deleted_at is not None:
                continue
            known.erase(message.deleted_at)
            reactions = mirror.conversation(key).reactions
            mirror.conversation(key).reactions = {one for one in reactions if one[0] != known.message_id}


def _difference(mine: Any, theirs: Any) -> str:
    """Return where two views of one conversation differ: what the device shows, and what is there."""
    if mine is None or theirs is None:
        return f"{mine}, and there is {theirs}"
    pairs = [
        (seq, mine["messages"].get(seq), theirs["messages"].get(seq))
        for seq in sorted(mine["messages"].keys() | theirs["messages"].keys())
    ]
    pairs += [(name, mine[name], theirs[name]) for name in ("receipts", "reactions", "unread")]
    return "; ".join(f"{name}: {one}, and there is {other}" for name, one, other in pairs if one != other)[:1500]


def _by_address(mirror: Mirror) -> dict[str, set[int]]:
    """Return the seqs that a mirror has, by the conversations' addresses."""
    found: dict[str, set[int]] = {}
    for key, conversation in mirror.conversations.items():
        pair = ":".join(sorted({mirror.user_id, key}))
        for address in (f"group:{key}", f"user:{pair}"):
            found[address] = set(conversation.messages)
    found[f"self:{mirror.user_id}"] = set(mirror.conversation("self").messages)
    found[EVERYBODY] = set(mirror.conversation(EVERYBODY).messages)
    return found


def check_database(run: Run, connection: sqlite3.Connection) -> None:
    """Check what the database holds once the server is gone."""
    tell = run.broken
    for problem in connection.execute("PRAGMA integrity_check").fetchall():
        if problem[0] != "ok":
            tell("sound", str(problem[0]))
    for problem in connection.execute("PRAGMA foreign_key_check").fetchall():
        tell("sound", f"a foreign key leads nowhere: {problem}")
    logs = run.server.logs
    logs[run.server.epoch] = rows = read_log(connection)
    truths = {epoch: Truth(found, _whole()) for epoch, found in logs.items()}
    check_log(rows, tell)
    for phone in run.phones:
        check_acks(phone.witness, logs, tell)
        check_seen(phone.witness, truths, tell)
    _check_changes(run, rows)
    _check_index(run, rows, connection)


def _check_index(run: Run, rows: dict[int, Any], connection: sqlite3.Connection) -> None:
    """Check that search finds every message up to where its index reaches, and none that was erased."""
    indexed = {row[0] for row in connection.execute("SELECT id FROM search_index_content")}
    (reached,) = connection.execute("SELECT max(value) FROM search_state WHERE name = 'done'").fetchone()
    said = {
        row.message_id
        for row in rows.values()
        if row.type in ("chat_message", "group_message") and row.payload is not None and row.payload["content"]
    }
    if missing := sorted(one for one in said - indexed if one <= (reached or 0)):
        run.broken("found", f"the index reaches to {reached} and has not {missing}")
    if gone := sorted(one for one in indexed if one not in rows or rows[one].payload is None):
        run.broken("found", f"the index has {gone}, which are not there")


def _check_changes(run: Run, rows: dict[int, Any]) -> None:
    """Check that deletions and edits that are in the log have had their effect."""
    newest: dict[int, str] = {}
    for row in rows.values():
        if row.payload is None:
            continue
        about = rows.get(row.payload.get("message_id", 0))
        if row.type == "message_delete" and about is not None and about.payload is not None:
            run.broken("deleted", f"message {about.message_id} was deleted by {row.message_id}, and is there")
        if row.type == "message_edit" and about is not None:
            newest[about.message_id] = row.payload["content"]
    for message_id, content in newest.items():
        if (payload := rows[message_id].payload) is not None and payload["content"] != content:
            run.broken("edited", f"message {message_id} says {payload['content']!r}, its newest edit {content!r}")


def check_bytes(run: Run, database: Path) -> None:
    """Check that what was erased is nowhere: not in a table, an index or an unused part of the file."""
    with sqlite3.connect(database) as connection:
        payloads = [row[0] for row in connection.execute("SELECT payload FROM log WHERE payload IS NOT NULL")]
        # Who left a group still sees what its messages said before they were edited.
        payloads += [
            row[0] for row in connection.execute("SELECT payload FROM versions WHERE payload IS NOT NULL")
        ]
        names = [row[0] for row in connection.execute("SELECT name FROM attachments")]
    connection.close()
    there = "\n".join(payloads + names)
    files = [path for path in (database, log_of(database)) if path.exists()]
    bytes_ = b"".join(path.read_bytes() for path in files)
    for word in (*run.words, *run.files):
        # Not its first letters: an index keeps of a word what the one before it has not.
        if word not in there and word[4:].encode() in bytes_:
            where = [path.name for path in files if word[4:].encode() in path.read_bytes()]
            run.broken("erased", f"{word!r} is in no message, and its bytes are in {', '.join(where)}")
