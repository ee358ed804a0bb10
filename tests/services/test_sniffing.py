"""What a file is, by its first bytes."""

from __future__ import annotations

import pytest

from relay.services.sniffing import INLINE, sniff


@pytest.mark.parametrize(
    ("head", "type_", "inline"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png", True),
        (b"\xff\xd8\xff\xe0....", "image/jpeg", True),
        (b"GIF89a....", "image/gif", True),
        (b"RIFF....WEBPVP8 ", "image/webp", True),
        (b"RIFF....WAVEfmt ", "audio/wav", True),
        (b"\x00\x00\x00\x20ftypisom", "video/mp4", True),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4", True),
        (b"%PDF-1.7", "application/pdf", False),
        (b"PK\x03\x04", "application/zip", False),
        (b"", "text/plain", True),
        ("grüße, 世界".encode(), "text/plain", True),
        ("世界".encode()[:-1], "text/plain", True),
        (b"\x00\x01\x02", "application/octet-stream", False),
        (b"caf\xe9 in latin-1", "application/octet-stream", False),
        (b"\xef\xbb\xbf  <!DOCTYPE html><p>", "text/html", False),
        (b"<script>alert(1)</script>", "text/html", False),
        (b"<?xml version='1.0'?><svg onload='x'/>", "image/svg+xml", False),
        (b"  <svg xmlns='x'/>", "image/svg+xml", False),
        (b"<?xml version='1.0'?><feed/>", "text/xml", False),
        (b"text with <svg in it", "image/svg+xml", False),
    ],
)
def test_a_file_is_what_it_begins_with(head: bytes, type_: str, inline: bool) -> None:
    assert sniff(head) == type_
    assert (type_ in INLINE) is inline
