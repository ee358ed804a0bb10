"""`relay sandbox`: a server on a copy of a backup, that reaches nobody."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.backup import work_on
from relay.cli.base import Command, json_option, load_settings, note
from relay.cli.serving import run_server

if TYPE_CHECKING:
    from relay.settings import Settings


@click.command("sandbox", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="The port to listen on; 0: any."
)
@json_option
def sandbox(file: Path, port: int, as_json: bool) -> None:
    """Run a server on a copy of the backup FILE, to look into it, until it is told to stop; the copy goes then.

    It listens on 127.0.0.1, with the settings in force but for the database's path, TLS, [mail] and [backup]. It
    reaches nobody: no mails, webhooks and pushes, no background tasks and schedules of plugins.
    """
    from relay.app.muting import mute

    settings = load_settings()
    with _folder() as folder:
        database = folder / "relay.db"
        _copy(file, database)
        mute()
        run_server(_muted(settings, database, port), tell=partial(_tell, database, as_json), background=False)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="relay-sandbox-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(file: Path, database: Path) -> None:
    from relay.storage.restoring import restore

    work_on(database, lambda progress: restore(file, database, progress, uid=os.geteuid()))


def _muted(settings: Settings, database: Path, port: int) -> Settings:
    """Return settings for a server on this machine alone."""
    import msgspec

    from relay.settings.backup import BackupSettings
    from relay.settings.cluster import ClusterSettings
    from relay.settings.mail import MailSettings

    replace = msgspec.structs.replace
    here = {"host": "127.0.0.1", "port": port, "tls_certificate": "", "tls_key": "", "public_url": ""}
    return replace(
        settings,
        server=replace(settings.server, **here),
        storage=replace(settings.storage, path=str(database)),
        # Changes would go into the server's own relay.toml, and a reload of that would undo what is muted here.
        plugins=replace(settings.plugins, admin_changes=False, file=None),
        mail=MailSettings(),
        backup=BackupSettings(),
        cluster=ClusterSettings(),
    )


def _tell(database: Path, as_json: bool, line: str) -> None:
    if as_json:
        click.echo(json.dumps({"url": line.split()[3], "database": str(database)}))
        return
    click.echo(line)
    note(f"commands for this sandbox take RELAY_STORAGE__PATH={database}; end it with Ctrl-C")
