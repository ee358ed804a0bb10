"""Types of files and sizes of pictures, found by their first bytes; what the uploader says is not trusted.

The table holds the types that people exchange and that a browser shows. A type that a browser may run as code is
never shown inline: HTML and SVG are recognised, and are not in `INLINE`.
"""

from __future__ import annotations

import codecs
from io import BytesIO
from typing import Final

import imagesize

from relay.storage.attachments import NO_PIXELS, PICTURES, Pixels

SNIFFED_BYTES: Final = 4096
_MOST_PIXELS: Final = 1 << 17
"""The largest width or height that is believed; no browser shows more."""

_SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
)
_WEBP_FLAGS: Final = 20
_WEBP_EXIF: Final = 8
"""The flag of a WebP with EXIF, which comes after all else."""
_MARKUP: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<!--")

INLINE: Final = frozenset(
    {
        "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "audio/mpeg", "audio/ogg", "audio/wav",
        "audio/flac", "audio/mp4", "audio/webm", "video/mp4", "video/webm", "text/plain",
    }
)  # fmt: skip
"""The types that a browser may show inline; everything else is a download."""


def sniff(head: bytes) -> str:
    """Return the media type of a file that begins with `head`; its first SNIFFED_BYTES are looked at."""
    head = head[:SNIFFED_BYTES]
    for offset, signature, type_ in _SIGNATURES:
        if head.startswith(signature, offset):
            return _heard(type_, head)
    if not _is_text(head):
        return "application/octet-stream"
    start = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith(_MARKUP):
        return "text/html"
    if b"<svg" in start:
        return "image/svg+xml"
    if start.startswith(b"<?xml"):
        return "text/xml"
    return "text/plain"


def measure(type_: str, head: bytes) -> Pixels:
    """Return the size in which a picture is shown, its orientation applied; NO_PIXELS where `head` does not tell.

    Args:
        head: its first bytes; in those of a JPEG, metadata come before the size. No pixel is decoded.
    """
    if type_ not in PICTURES or _may_turn(type_, head):
        return NO_PIXELS
    width, height = imagesize.get(BytesIO(head), exif_rotation=type_ == "image/jpeg")
    known = 0 < width <= _MOST_PIXELS and 0 < height <= _MOST_PIXELS
    return Pixels(int(width), int(height)) if known else NO_PIXELS


def _may_turn(type_: str, head: bytes) -> bool:
    """Return whether a picture may be shown turned, in a format where that is rare, and hard to find out."""
    if type_ == "image/webp":
        return head[12:16] == b"VP8X" and len(head) > _WEBP_FLAGS and bool(head[_WEBP_FLAGS] & _WEBP_EXIF)
    return (type_ == "image/avif" and b"irot" in head) or (type_ == "image/png" and b"eXIf" in head)


def _heard(type_: str, head: bytes) -> str:
    """Return the type of a file that may hold a film or sound alone, such as a voice message: by its tracks."""
    if type_ == "video/webm" and b"V_" not in head and (b"A_OPUS" in head or b"A_VORBIS" in head):
        return "audio/webm"
    if type_ == "video/mp4" and b"vide" not in head and b"soun" in head:
        return "audio/mp4"
    return type_


def _is_text(head: bytes) -> bool:
    """Return whether bytes are UTF-8 text without control characters; the last character may be cut off."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\r\f\x1b" for character in text)
