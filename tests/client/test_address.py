"""The address of a server."""

from __future__ import annotations

import pytest

from relay.client.address import parse


@pytest.mark.parametrize(
    ("url", "authority", "base", "socket"),
    [
        ("http://localhost:8000", "localhost:8000", "http://localhost:8000", "/ws"),
        ("ws://localhost:8000/ws", "localhost:8000", "http://localhost:8000", "/ws"),
        ("https://chat.example", "chat.example", "https://chat.example", "/ws"),
        ("wss://chat.example/relay/", "chat.example", "https://chat.example/relay", "/relay/ws"),
        ("http://[::1]:80", "[::1]", "http://[::1]", "/ws"),
    ],
)
def test_an_address_is_read_in_any_of_its_forms(url: str, authority: str, base: str, socket: str) -> None:
    address = parse(url)
    assert (address.authority, address.base_url, address.socket_path) == (authority, base, socket)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://h", "http://", "http://u:p@h", "http://h/?token=x", "http://h#x"]
)
def test_what_is_no_address_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="server address"):
        parse(url)
