"""The section [backup]: when backups are made by themselves, where they are kept, and for how long."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.settings.kinds import FilePath

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
FILE_MARK: Final = "{file}"


def check_time(text: str) -> None:
    """Check that a text is a time of the day, or empty.

    Raises:
        ValueError: the text is neither.
    """
    if text and not _TIME.fullmatch(text):
        raise ValueError("a time of the day is written 03:30, from 00:00 to 23:59")


class BackupSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The times of backups, their folder, how many are kept, and what takes them elsewhere."""

    at: Annotated[
        str,
        Meta(
            max_length=5,
            extra={"each": check_time},
            description="The time of the day at which a backup is made, by the clock of this machine. Empty: none "
            "is made by the clock. One that was missed while the server was down is made soon after its start.",
            examples=["03:30"],
        ),
    ] = ""
    every_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=31_622_400,
            extra={"least": 60},
            description="How often a backup is made instead, from the beginning of the last one. 0: not so.",
        ),
    ] = 0
    folder: Annotated[
        FilePath,
        Meta(
            description="The folder of the backups; the last part of the path is made where it is missing. Empty: "
            "the folder `backups` beside the database. A disk of its own is better."
        ),
    ] = ""
    keep: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="How many backups are kept in the folder. After each good one the oldest go; the newest "
            "always stays. 0 = no limit.",
        ),
    ] = 7
    keep_days: Annotated[
        float,
        Meta(ge=0, le=36_500, description="How many days a backup is kept in the folder; 0 = no limit."),
    ] = 0
    command: Annotated[
        list[str],
        Meta(
            max_length=100,
            description="A program with its arguments that takes each good backup elsewhere; {file} stands for "
            "its path. It runs without a shell, as the server's user. If it fails, the backup counts as failed, "
            "and its file stays.",
            examples=["rclone"],
        ),
    ] = msgspec.field(default_factory=list)
    command_seconds: Annotated[
        float,
        Meta(ge=1, le=604_800, description="How long the command may take until it is ended."),
    ] = 3600.0
