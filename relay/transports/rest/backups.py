"""Backups by REST: their state and a new one for admins, and the download of one for owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import trio
from quart import Blueprint, Response, current_app, request

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.views import Caller
from relay.protocol.errors import ErrorCode, not_found
from relay.services.acts import Act
from relay.services.audit import About
from relay.services.backups import BackupState

blueprint = Blueprint("backups", __name__)

PATH: Final = "/api/admin/backups"
_TYPE: Final = "application/vnd.sqlite3"
_PIECE: Final = 128 * 1024


@blueprint.get(PATH)
@endpoint(answers={200: BackupState}, access="admin")
async def state(engine: Engine) -> BackupState:
    """Answer with the state of the backups: their folder, when the next is made, and what became of the newest."""
    return await engine.backups.state()


@blueprint.post(PATH)
@endpoint(answers={202: BackupState}, refusals=[ErrorCode.CONFLICT], access="admin")
async def make(engine: Engine, caller: Caller) -> BackupState:
    """Have a backup made now, in the server's folder. The answer comes before it is done."""
    engine.backups.start(caller.actor)
    return await engine.backups.state()


@blueprint.get(f"{PATH}/<name>")
@endpoint(answers={200: bytes}, answer_types=[_TYPE], access="owner")
async def download(engine: Engine, caller: Caller, name: str) -> Response:
    """Download a backup that is in the server's folder: everything that anybody has written is in it."""
    found = await trio.to_thread.run_sync(engine.backups.folder.find, name)
    if found is None:
        raise not_found(f"backup {name!r}")
    if request.method != "HEAD":
        about = About("backup", name)
        await engine.audit.record(caller.actor, Act.BACKUP_DOWNLOADED, about, {"bytes": found.bytes})
    headers = {
        "Content-Type": _TYPE,
        "Content-Length": str(found.bytes),
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }
    body: Any = b"" if request.method == "HEAD" else _pieces(found.path, found.bytes)
    response: Response = current_app.response_class(body, headers=headers)
    response.headers["Content-Length"] = headers["Content-Length"]
    return response


async def _pieces(path: Path, size: int) -> AsyncIterator[bytes]:
    """Yield a file piece by piece; no more of it than the answer has promised."""
    async with await trio.open_file(path, "rb") as file:
        while size > 0 and (piece := await file.read(min(_PIECE, size))):
            size -= len(piece)
            yield piece
