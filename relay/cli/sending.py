"""`relay send`: sends one message; exit status 0 means that it is stored."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from relay.cli.base import Command, Failure, tell
from relay.cli.connecting import connection_options, find_token, find_url

if TYPE_CHECKING:
    from relay.client import RestClient

_TEXTS: Final = ("chat_message", "group_message")
_LONGEST_PAUSE: Final = 5.0
_PAUSE: Final = 0.5


@click.command(cls=Command)
@click.argument("target")
@click.argument("text")
@connection_options
@click.option("--group", is_flag=True, help="TARGET is a group; saves asking the server.")
@click.option("--type", "type_name", metavar="TYPE", help="The message type.  [default: as TARGET is, see above]")
@click.option("--id", "own_id", metavar="ID", help="Your own id for the message.  [default: a random one]")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=15,
    show_default=True,
    help="Seconds to keep trying while the server is away or busy.",
)
def send(
    target: str,
    text: str,
    url: str | None,
    token: str | None,
    token_file: Path | None,
    group: bool,
    type_name: str | None,
    own_id: str | None,
    timeout: float,
) -> None:
    """Send TEXT to TARGET, a user or a group, and print the message's id and seq once it is stored.

    It becomes a chat_message, or a group_message where TARGET is a group. For every other TYPE, TEXT is the
    payload, a JSON object. `-` as TEXT reads standard input. A message with the same ID is stored once, however
    often it is sent.
    """
    if group and type_name not in (None, "group_message"):
        raise click.UsageError("--group says that the type is group_message; leave one of --group and --type out")
    type_name = "group_message" if group else type_name
    if own_id is not None and not 1 <= len(own_id) <= 64:
        raise click.UsageError("--id has 1 to 64 characters")
    payload = _payload(type_name, text)
    meta = {"target_id": target, "id": own_id or uuid.uuid4().hex}
    ack = _run(
        find_url(url), find_token(token, token_file), type_name, {"payload": payload, "meta": meta}, timeout
    )
    known = ", stored already" if ack.get("duplicate") else ""
    tell(f"message {ack.get('message_id', '-')}, seq {ack.get('seq', '-')}{known}", **ack)


def _payload(type_name: str | None, text: str) -> dict[str, Any]:
    if text == "-":
        try:
            text = sys.stdin.buffer.read().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise click.UsageError("standard input is not UTF-8 text") from None
    if type_name is None or type_name in _TEXTS:
        return {"content": text}
    try:
        payload = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"the payload of a {type_name} is a JSON object: {error}") from None
    if not isinstance(payload, dict):
        raise click.UsageError(f'the payload of a {type_name} is a JSON object, such as \'{{"title": "hi"}}\'')
    return payload


def _run(url: str, token: str, type_name: str | None, envelope: dict[str, Any], timeout: float) -> dict[str, Any]:
    import trio

    from relay.client import RelayError, RelayOffline, RestClient
    from relay.client.address import parse

    async def work() -> dict[str, Any]:
        async with RestClient(parse(url).base_url, token) as rest:
            return await _send(rest, type_name, envelope, trio.current_time() + timeout)

    try:
        return trio.run(work)
    except RelayError as error:
        untrusted = isinstance(error, RelayOffline) and not error.retry
        hint = "; SSL_CERT_FILE names a file with the certificates to trust" if untrusted else ""
        raise Failure(f"{error.message}{hint}") from None
    except (ValueError, TypeError) as error:  # a wrong address, or text that JSON cannot hold
        raise Failure(str(error)) from None


async def _send(
    rest: RestClient, type_name: str | None, envelope: dict[str, Any], deadline: float
) -> dict[str, Any]:
    """Post the message until it is answered; its own id keeps it from being stored twice."""
    import trio

    from relay.client import RelayError

    while True:
        try:
            with trio.fail_at(deadline):
                type_name = type_name or await _type_for(rest, envelope["meta"]["target_id"])
                ack: dict[str, Any] = await rest.post("/api/messages", {"type": type_name, **envelope})
                return ack
        except trio.TooSlowError:
            raise RelayError("offline", "no answer in time; it may be stored all the same") from None
        except RelayError as error:
            pause = min(error.retry_after or _PAUSE, _LONGEST_PAUSE)
            if not error.retry or trio.current_time() + pause >= deadline:
                raise
            await trio.sleep(pause)


async def _type_for(rest: RestClient, target_id: str) -> str:
    """Ask the server whether the target is a group that the sender sees; otherwise it can only be a user."""
    from relay.client import RelayError

    try:
        await rest.get(f"/api/groups/{quote(target_id, safe='')}")
    except RelayError as error:
        if error.code != "not_found":
            raise
        return "chat_message"
    return "group_message"
