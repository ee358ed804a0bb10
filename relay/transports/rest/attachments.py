"""Attachments: uploads read as a stream, downloads by ranges (RFC 9110 section 14), for users who may see them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from msgspec import Meta
from quart import Blueprint, Response, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Limit, Position, Query, invalid
from relay.http.views import Caller, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, not_found
from relay.services import gallery
from relay.services.sniffing import INLINE
from relay.storage.attachments import Attachment
from relay.storage.gallery import FileKind
from relay.storage.shown import cleaned, shows
from relay.transports.rest.access import check_still
from relay.transports.rest.bodies import pace_body
from relay.transports.rest.conditions import precondition, wanted_part
from relay.transports.rest.problems import problem, refuse_disconnected
from relay.transports.rest.users import require_known

blueprint = Blueprint("attachments", __name__)

PATH: Final = "/api/attachments"
_MAX_NAME: Final = 255
_FIELD_BYTES: Final = 65_536
_PIECE_BYTES: Final = 16_384
_FILE_HEADERS: Final = {"ETag": "the sha256 of the whole file", "Accept-Ranges": "`bytes`"}
_HARMLESS: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; img-src 'self'"


class UploadQuery(Query, frozen=True):
    """The name of the file."""

    name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=_MAX_NAME)] | None,
        Meta(description=f"a file name of 1 to {_MAX_NAME} characters"),
    ] = None


class Uploaded(Answer, frozen=True, omit_defaults=True):
    """An uploaded file; `type` is recognized by its bytes, `sha256` is in hexadecimal digits.

    `width` and `height` are a picture's, in pixels, where they are known.
    """

    attachment_id: Name
    name: str
    type: str
    size: Integer
    sha256: str
    width: Integer | None = None
    height: Integer | None = None


class FilesQuery(Query, frozen=True):
    """The conversation, the kind of its files, and the page."""

    target_id: Name
    kind: Annotated[
        Literal["pictures", "media", "files"] | None,
        Meta(description="only pictures that browsers show, only sound and films, or only all else"),
    ] = None
    before: Position = None
    limit: Limit = 50


class SharedFile(Answer, frozen=True, omit_defaults=True):
    """A file of a conversation and its message; `width` and `height` are a picture's, where they are known."""

    attachment_id: Name
    name: str
    type: str
    size: Integer
    message_id: Integer
    seq: Integer
    sender_id: Name
    timestamp: float
    width: Integer | None = None
    height: Integer | None = None


class SharedFiles(Answer, frozen=True):
    """A page of files, those of the newest message first; `next_before` is null at the end."""

    files: list[SharedFile]
    has_more: bool
    next_before: Integer | None


@blueprint.get(PATH, endpoint="files")
@endpoint(query=FilesQuery, answers={200: SharedFiles}, refusals=[ErrorCode.NOT_FOUND])
async def list_files(engine: Engine, caller: Caller, query: FilesQuery) -> SharedFiles:
    """Answer with files of the caller's conversation with a user or in a group, as they may see its messages."""
    kind = None if query.kind is None else FileKind(query.kind)
    found = await engine.gallery.page(caller.user_id, query.target_id, kind, query.limit, query.before)
    if found is None:
        await require_known(engine, caller, query.target_id)
        return SharedFiles(files=[], has_more=False, next_before=None)
    return SharedFiles(
        files=[_shared(one) for one in found.files], has_more=found.before is not None, next_before=found.before
    )


def _shared(one: gallery.SharedFile) -> SharedFile:
    file, message, seq = one
    return SharedFile(
        attachment_id=file.attachment_id,
        name=file.name,
        type=file.type,
        size=file.size,
        message_id=message.message_id,
        seq=seq,
        sender_id=message.sender_id,
        timestamp=message.timestamp,
        width=file.width,
        height=file.height,
    )


@blueprint.post(PATH)
@endpoint(
    query=UploadQuery,
    body=bytes,
    optional_body=True,
    body_types=["application/octet-stream", "multipart/form-data"],
    answers={201: Uploaded},
    refusals=[ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED],
    headers={"Content-Disposition": "its `filename` is the file's name, where the query has none"},
    answer_headers={201: {"Location": "the file's path"}},
)
async def upload(engine: Engine, caller: Caller, query: UploadQuery) -> Response:
    """Take a file, as the raw body or as the one file of a form, and answer with what it is."""
    engine.restrictions.check_write(caller.user_id)
    engine.rates.uploads.take(caller.user_id)
    if request.mimetype == "multipart/form-data":
        name, data = await _form_file()
        size = None
    else:
        disposition = parse_options_header(request.headers.get("Content-Disposition"))[1]
        name, data, size = disposition.get("filename", ""), _body(), request.content_length
    name = _clean_name(query.name or name)
    stored = await engine.attachments.receive(caller.user_id, name, data, size)
    answer = Uploaded(
        attachment_id=stored.attachment_id,
        name=stored.name,
        type=stored.type,
        size=stored.size,
        sha256=stored.sha256.hex(),
        width=stored.width or None,
        height=stored.height or None,
    )
    return reply(answer, 201, {"Location": f"{PATH}/{stored.attachment_id}"})


@blueprint.get(f"{PATH}/<attachment_id>")
@endpoint(
    answers={200: bytes, 206: bytes, 304: None},
    answer_types=["*/*"],
    refusals=[412, 416],
    headers={
        "Range": "one range of bytes, such as `bytes=0-1023`; several bring the whole file",
        "If-Range": "the ETag for which the range is wanted; with another one the whole file comes",
        "If-None-Match": "the ETags that the caller has already",
        "If-Match": "the ETags of which the file must have one",
    },
    answer_headers={
        200: _FILE_HEADERS,
        206: _FILE_HEADERS | {"Content-Range": "which bytes these are, of how many"},
        304: {"ETag": _FILE_HEADERS["ETag"]},
    },
)
async def download(engine: Engine, caller: Caller, attachment_id: str) -> Response:
    """Answer with a file, or the part of it that was asked for."""
    found = await engine.attachments.open(caller.user_id, attachment_id)
    headers = _headers(found)
    tag = found.sha256.hex()
    unmet_status = precondition(tag)
    if unmet_status == 304:
        return _answer(b"", 304, {"ETag": headers["ETag"], "Content-Security-Policy": _HARMLESS})
    if unmet_status is not None:
        return problem(invalid("the file has another ETag than If-Match names"), unmet_status)
    part = wanted_part(tag, found.size)
    if part is None:
        start, stop, status = 0, found.size, 200
    elif part.start >= part.stop:
        unmet = invalid(f"there is no such range; the file has {found.size} bytes")
        return problem(unmet, 416, {"Content-Range": f"bytes */{found.size}", "Accept-Ranges": "bytes"})
    else:
        (start, stop), status = part, 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{found.size}"
    headers["Content-Length"] = str(stop - start)
    body: Any = b"" if request.method == "HEAD" else engine.attachments.read(found, start, stop)
    return _answer(body, status, headers)


@blueprint.delete(f"{PATH}/<attachment_id>")
@endpoint(answers={204: None}, refusals=[ErrorCode.CONFLICT])
async def remove(engine: Engine, caller: Caller, attachment_id: str) -> None:
    """Remove an upload of the caller's that no message holds."""
    await engine.attachments.remove(caller.user_id, attachment_id)


@blueprint.errorhandler(Disconnect)
async def _hide_from_strangers(error: Disconnect) -> Response:
    """Answer a download with an unknown token by 404: to a device that was removed, the file is gone."""
    is_download = request.endpoint == "attachments.download"
    if is_download and error.code is CloseCode.BAD_TOKEN and "Authorization" in request.headers:
        attachment_id = (request.view_args or {})["attachment_id"]
        return problem(not_found(f"attachment {attachment_id!r}"))
    return await refuse_disconnected(error)


async def _body() -> AsyncGenerator[bytes, None]:
    """Yield the request's body as it comes in, no faster than it is read."""
    flow = pace_body()
    async for part in request.body:
        yield part
        flow.taken(len(part))
    await check_still()


async def _form_file() -> tuple[str, AsyncGenerator[bytes, None]]:
    """Return the name of a form's first file, and its bytes as they come in; what follows it is not read.

    Raises:
        RelayError: `invalid_payload` for a malformed form, or one without a file.
    """
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise invalid("a form names its boundary in Content-Type")
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), max_form_memory_size=_FIELD_BYTES)
    events = _form_events(decoder)
    try:
        async for event in events:
            if isinstance(event, File):
                return event.filename, _file_data(events)
    except BaseException:
        await events.aclose()
        raise
    raise invalid("the form has no file")


async def _form_events(decoder: MultipartDecoder) -> AsyncGenerator[Any, None]:
    async with aclosing(_body()) as parts:
        try:
            async for part in parts:
                # By pieces: the decoder's limit is on what it holds, also of a file that came in one.
                for start in range(0, len(part), _PIECE_BYTES):
                    decoder.receive_data(part[start : start + _PIECE_BYTES])
                    while not isinstance(event := decoder.next_event(), (NeedData, Epilogue)):
                        yield event
                    if isinstance(event, Epilogue):
                        return
        except RequestEntityTooLarge:
            raise invalid(f"what a form says of one part has at most {_FIELD_BYTES} bytes") from None
        except ValueError as error:
            raise invalid(f"the form cannot be read: {error}") from None
    raise invalid("the form ends before its last boundary")


async def _file_data(events: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, (Field, File)):
                return
            if isinstance(event, Data):
                yield event.data
                if not event.more_data:
                    await check_still()
                    return


def _clean_name(name: str) -> str:
    """Return a file name without folders and characters that are not shown or turn what is."""
    shown = cleaned(re.split(r"[\\/]", name)[-1])
    return shown[:_MAX_NAME].rstrip() if shows(shown.replace(".", "")) else "file"


def _headers(attachment: Attachment) -> dict[str, str]:
    plain = attachment.name.encode("ascii", "replace").decode().translate({34: "'", 92: "_", 37: "_"})
    kind = "inline" if attachment.type in INLINE else "attachment"
    charset = "; charset=utf-8" if attachment.type.startswith("text/") else ""
    return {
        "Content-Type": attachment.type + charset,
        "Content-Disposition": f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(attachment.name, safe='')}",
        "Content-Security-Policy": _HARMLESS,
        "ETag": f'"{attachment.sha256.hex()}"',
        "Accept-Ranges": "bytes",
    }


def _answer(body: Any, status: int, headers: dict[str, str]) -> Response:
    response: Response = current_app.response_class(body, status=status, headers=Headers(headers))
    if "Content-Length" in headers:
        response.headers["Content-Length"] = headers["Content-Length"]
    if status == 304:
        response.headers.pop("Content-Type", None)
    response.headers["Cache-Control"] = "private, no-cache"
    return response
