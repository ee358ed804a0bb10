"""Media types of files, found by their first bytes; what the uploader says is not trusted.

The table holds the types that people exchange and that a browser shows. A type that a browser may run as code is
never shown inline: HTML and SVG are recognised, and are not in `INLINE`.
"""

from __future__ import annotations

import codecs
from typing import Final

SNIFFED_BYTES: Final = 4096

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
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
)
_MARKUP: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<!--")

INLINE: Final = frozenset(
    {
        "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "audio/mpeg", "audio/ogg", "audio/wav",
        "audio/flac", "audio/mp4", "video/mp4", "video/webm", "text/plain",
    }
)  # fmt: skip
"""The types that a browser may show inline; everything else is a download."""


def sniff(head: bytes) -> str:
    """Return the media type of a file that begins with `head`; its first SNIFFED_BYTES are looked at."""
    head = head[:SNIFFED_BYTES]
    for offset, signature, type_ in _SIGNATURES:
        if head.startswith(signature, offset):
            return type_
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


def _is_text(head: bytes) -> bool:
    """Return whether bytes are UTF-8 text without control characters; the last character may be cut off."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\r\f\x1b" for character in text)
