"""What plugins that call other servers share."""

from __future__ import annotations

import ipaddress

import pytest

from relay.http.addresses import is_public, mapped, seconds_to_wait, words_of

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "240.0.0.1", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::10.0.0.1",
    ],
)  # fmt: skip
def test_a_private_address_and_a_way_to_one_are_not(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_a_mapped_address_is_the_one_it_stands_for() -> None:
    assert str(mapped(ipaddress.ip_address("::ffff:10.0.0.1"))) == "10.0.0.1"
    assert str(mapped(ipaddress.ip_address("fc00::1"))) == "fc00::1"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0),
        ("9" * 400, 999_999_999),
        *((text, None) for text in (None, "", "soon", "-5", "1e9", "\u0665", "Tue, 99 Nov 2023 22:13:30 GMT")),
    ],
)
def test_what_retry_after_asks_for(text: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(text, NOW) == seconds


def test_the_first_of_an_errors_causes_that_has_words_is_told() -> None:
    silent = ConnectionError()
    silent.__cause__ = OSError("no route to the host")
    assert words_of(silent) == "no route to the host"
    assert words_of(ConnectionError()) == "ConnectionError"
    assert words_of(ValueError("x" * 1000)) == "x" * 300
