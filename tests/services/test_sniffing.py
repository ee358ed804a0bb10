"""What a file is, and how large a picture, by its first bytes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.services.sniffing import INLINE, measure, sniff
from relay.storage.attachments import NO_PIXELS
from tests.pictures import PICTURES


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


@pytest.mark.parametrize(("format_", "data"), PICTURES.items(), ids=PICTURES)
def test_the_size_of_a_picture_is_that_in_which_it_is_shown(format_: str, data: bytes) -> None:
    type_ = f"image/{format_.split()[0]}"
    assert sniff(data) == type_
    expected = {"jpeg turned": (2, 3), "webp turned": NO_PIXELS}
    assert measure(type_, data) == expected.get(format_, (3, 2))


def test_an_avif_that_is_turned_and_what_is_no_picture_have_no_size() -> None:
    assert measure("image/avif", PICTURES["avif"] + b"irot") == NO_PIXELS
    assert measure("image/png", PICTURES["png"] + b"eXIf") == NO_PIXELS
    assert measure("image/svg+xml", b'<svg width="10" height="10"/>') == NO_PIXELS
    assert measure("text/plain", PICTURES["png"]) == NO_PIXELS


def test_a_size_that_no_browser_shows_is_not_believed() -> None:
    huge = PICTURES["png"].replace(b"\x00\x00\x00\x03\x00\x00\x00\x02", b"\xff\xff\xff\xff\x00\x00\x00\x02")
    assert measure("image/png", huge) == NO_PIXELS


@given(data=st.data(), format_=st.sampled_from(sorted(PICTURES)))
def test_spoilt_pictures_have_a_size_or_none_and_raise_nothing(data: st.DataObject, format_: str) -> None:
    spoilt = bytearray(PICTURES[format_])
    for at in data.draw(st.lists(st.integers(0, len(spoilt) - 1), max_size=12)):
        spoilt[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(spoilt)))
    pixels = measure(f"image/{format_.split()[0]}", bytes(spoilt[:cut]))
    assert pixels == NO_PIXELS or min(pixels) > 0


@pytest.mark.parametrize(
    ("type_", "head"),
    [
        ("image/jpeg", b"\xff\xd8" + b"\xff\xe1\x00\x02" * 32_000),
        ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x02" + b"\x00" * 130_000),
        ("image/gif", b"GIF89a" + b"\x00" * 130_000),
        ("image/avif", PICTURES["avif"][:40] + b"\x00\x00\x00\x08free" * 16_000),
        ("image/webp", b"RIFF\xff\xff\xff\xffWEBPVP8X" + b"\xff" * 130_000),
    ],
)
def test_a_first_chunk_that_is_made_to_take_long_is_read_in_a_moment(type_: str, head: bytes) -> None:
    began = time.process_time()
    assert min(measure(type_, head)) >= 0
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("head", "type_"),
    [
        (b"\x1aE\xdf\xa3\x01webm....\x86\x86A_OPUS....", "audio/webm"),
        (b"\x1aE\xdf\xa3\x01webm....V_VP8....A_OPUS....", "video/webm"),
        (b"\x1aE\xdf\xa3\x01webm....", "video/webm"),
        (b"\x00\x00\x00\x18ftypiso5....moov....hdlr....soun", "audio/mp4"),
        (b"\x00\x00\x00\x18ftypiso5....moov....vide....soun", "video/mp4"),
    ],
)
def test_a_recording_of_sound_alone_is_no_film(head: bytes, type_: str) -> None:
    assert sniff(head) == type_
    assert type_ in INLINE
