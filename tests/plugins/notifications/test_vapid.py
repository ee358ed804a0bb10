"""Web Push's cryptography, by the RFCs' own numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.plugins.notifications.receivers import Browser, PushService, raw

PLAINTEXT = b"When I grow up, I want to be a watermelon"
OURS = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
BROWSER = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
MESSAGE = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3"
    "jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_a_message_is_the_one_of_rfc_8291_appendix_a(plugin: Callable[[str], Any]) -> None:
    vapid = plugin("vapid")
    key = vapid.load_key(raw(OURS))
    made = vapid.encrypt(PLAINTEXT, raw(BROWSER), raw(AUTH), salt=raw(SALT), key=key, padded_to=1)
    assert made == raw(MESSAGE)


@pytest.mark.parametrize("size", [0, 1, 510, 511, 512, 3992])
def test_a_browser_reads_what_was_encrypted_and_lengths_tell_little(
    plugin: Callable[[str], Any], size: int
) -> None:
    browser = Browser("https://push.example/1")
    made = plugin("vapid").encrypt(b"x" * size, browser.p256dh, browser.auth, padded_to=512 if size < 3000 else 1)
    assert browser.decrypt(made) == b"x" * size
    assert len(made) <= 4096
    if size < 3000:
        assert (len(made) - 86 - 16) % 512 == 0


def test_each_message_has_a_key_and_a_salt_of_its_own(plugin: Callable[[str], Any]) -> None:
    browser = Browser("https://push.example/1")
    made = {plugin("vapid").encrypt(b"same", browser.p256dh, browser.auth)[:86] for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize("contact", [None, "mailto:admin@example.org"])
def test_a_service_knows_who_sends(plugin: Callable[[str], Any], contact: str | None) -> None:
    vapid = plugin("vapid")
    key = vapid.load_key(vapid.make_key())
    service = PushService("https://push.example", lambda: 1_700_000_000.0)
    service.server_key = vapid.public_bytes(key)
    said = vapid.authorization(key, "https://push.example", 1_700_000_000.5, contact)
    service.check_sender(said)
    claims = json.loads(raw(said.split(".")[1]))
    assert claims.get("sub") == contact


def test_bytes_are_written_as_web_push_has_them(plugin: Callable[[str], Any]) -> None:
    vapid = plugin("vapid")
    assert vapid.encode(b"\xfb\xff") == "-_8"
    assert vapid.decode("-_8") == vapid.decode("-_8=") == b"\xfb\xff"
    for wrong in ("+/8", "a", "ü"):
        with pytest.raises(ValueError, match=r".+"):
            vapid.decode(wrong)
