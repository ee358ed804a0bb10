"""`relay user export`: everything of one account, as files in a folder."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import click

from relay.cli.base import Command, Failure, tell
from relay.cli.database import perform
from relay.protocol.errors import said


@click.command("export", cls=Command)
@click.argument("name")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write, which is new or empty.  [default: NAME-export]",
)
def export_user(name: str, folder: Path | None) -> None:
    """Export the account of the user NAME: profile, what they said, what was sent to them alone, their files.

    It is what `relay user erase` would erase, in JSON and in lines of JSON. What others said is not in it.
    """
    folder = folder or Path(f"{name}-export")
    account = perform("user.export", user_id=name)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise Failure(f"{folder} is not empty; name a new folder with --to")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "account.json").write_text(json.dumps(account, ensure_ascii=False, indent=1) + "\n")
        messages = _write_lines(folder / "messages.ndjson", "user.export_messages", name)
        _write_lines(folder / "latest.ndjson", "user.export_latest", name)
        files = _write_files(folder, name)
    except OSError as error:
        raise Failure(f"{error.filename or folder} cannot be written: {error.strerror or said(error)}") from None
    text = f"user {name}: {messages:,} messages and {files:,} files in {folder}"
    tell(text, user_id=name, folder=str(folder), messages=messages, files=files)


def _write_lines(path: Path, op: str, name: str) -> int:
    """Write the pages of an operation to a file; return the number of lines."""
    count = 0
    after: int | None = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while after is not None:
            page = perform(op, user_id=name, after=after)
            file.write(page["lines"])
            count += page["lines"].count("\n")
            after = page["reached"]
    return count


def _write_files(folder: Path, name: str) -> int:
    """Write a user's uploads into a folder, and a list of them; return their number."""
    listed: list[dict[str, Any]] = []
    while page := perform("user.export_files", user_id=name, after=listed[-1]["attachment_id"] if listed else ""):
        for file in page:
            path = folder / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as writing:
                while piece := perform(
                    "user.export_bytes", user_id=name, attachment_id=file["attachment_id"], start=writing.tell()
                ):
                    writing.write(b64decode(piece))
        listed += page
    lines = "".join(json.dumps(file, ensure_ascii=False) + "\n" for file in listed)
    (folder / "files.ndjson").write_text(lines, encoding="utf-8")
    return len(listed)
