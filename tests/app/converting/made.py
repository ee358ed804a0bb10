"""Exports that tests make, of Slack and of Mattermost, as folders, zips and files of lines."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from relay.app.converting.records import Conversion, open_export
from relay.app.converting.report import Report

NOW = 1_800_000_000.0
Files = dict[str, Any]

USERS = [
    {"id": "U1", "team_id": "T1", "name": "alice", "profile": {"real_name": "Alice Liddell", "email": "alice@example.org"}},
    {"id": "U2", "team_id": "T1", "name": "bob", "profile": {"display_name": "Bobby", "real_name": "Bob Moore"}},
    {"id": "U3", "team_id": "T1", "name": "carol", "real_name": "Carol", "deleted": True, "profile": {}},
    {"id": "U4", "team_id": "T1", "name": "guest", "is_ultra_restricted": True, "profile": None},
]  # fmt: skip
CHANNELS = [
    {
        "id": "C1", "name": "general", "created": 1_500_000_000, "creator": "U2", "members": ["U1", "U2", "U4"],
        "topic": {"value": "Everything"}, "purpose": {"value": "For all"},
        "pins": [{"id": "1600000001.000100", "type": "C"}],
    },
    {"id": "C2", "name": "old-days", "created": 1_500_000_000, "creator": "U3", "is_archived": True, "members": ["U2"]},
]  # fmt: skip
GROUPS = [{"id": "G1", "name": "secret", "created": 1_500_000_000, "creator": "U1", "members": ["U1", "U2"]}]
MPIMS = [{"id": "G2", "name": "mpdm-alice--bob--guest-1", "created": 1_500_000_000, "creator": "U1", "members": ["U1", "U2", "U4"]}]  # fmt: skip
DMS = [{"id": "D1", "created": 1_500_000_000, "members": ["U1", "U2"]}, {"id": "D2", "members": ["U1"]}]


def said(second: int, text: str = "", user: str | None = "U1", **more: Any) -> dict[str, Any]:
    """Return a message of Slack's, so many seconds after a day began."""
    made = {"type": "message", "user": user, "text": text, "ts": f"{1_600_000_000 + second}.000100", **more}
    return {name: value for name, value in made.items() if value is not None}


def slack(**folders: Any) -> Files:
    """Return the files of an export of Slack's: what the folders of its channels hold on one day, or by file name."""
    files: Files = {
        "users.json": USERS, "channels.json": CHANNELS, "groups.json": GROUPS, "mpims.json": MPIMS, "dms.json": DMS,
    }  # fmt: skip
    for folder, days in folders.items():
        if isinstance(days, list):
            files[f"{folder}/2020-09-13.json"] = days
        else:
            files |= {f"{folder}/{name}": value for name, value in days.items()}
    return files


def as_bytes(value: Any) -> bytes:
    """Return what a file of an export holds."""
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, indent=1).encode()


def in_folder(folder: Path, files: Files) -> Path:
    """Write an export as a folder."""
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(value))
    return folder


def in_zip(path: Path, files: Files, top: str = "") -> Path:
    """Write an export as a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, value in files.items():
            opened.writestr(top + name, as_bytes(value))
    return path


def lines(*objects: Any) -> bytes:
    """Return an export of Mattermost's as lines; the first is its version."""
    version = {"type": "version", "version": 1}
    return b"".join(
        one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in (version, *objects)
    )


class Read:
    """An export that was converted: its records by kind, and the report."""

    def __init__(self, system: str, path: Path, people: dict[str, str] | None = None) -> None:
        self.report = Report()
        with open_export(system, path, self.report, NOW, people=people) as conversion:
            self.people = conversion.people()
            self.lines = list(conversion.lines())
            self.records = [json.loads(line) for line in self.lines]
            self.files: dict[str, bytes] = {}
            for one in self.all("attachment"):
                with conversion.open_file(one["path"]) as file:
                    self.files[one["attachment_id"]] = file.read()

    def all(self, record: str) -> list[dict[str, Any]]:
        """Return the records of a kind."""
        return [one for one in self.records if one["record"] == record]

    def messages(self, conversation: str | None = None) -> list[dict[str, Any]]:
        """Return the messages of a conversation, or all."""
        return [one for one in self.all("message") if conversation in (None, one["conversation"])]

    def texts(self, conversation: str | None = None) -> list[str]:
        """Return what messages say; None for those without a text."""
        return [one.get("payload", {}).get("content") for one in self.messages(conversation)]

    @property
    def kinds(self) -> dict[str, int]:
        """Return how often each thing did not fit."""
        return dict(self.report.kinds)


__all__ = ["NOW", "Conversion", "Read", "as_bytes", "in_folder", "in_zip", "lines", "said", "slack"]
