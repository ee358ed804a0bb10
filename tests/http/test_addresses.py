"""Addresses of other servers: what is public, and how URLs are read."""

from __future__ import annotations

import ipaddress

import pytest

from relay.http.addresses import is_public, mapped, read_url


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
    ("url", "authority", "target"),
    [
        ("https://a.example", "a.example", "/"),
        ("HTTPS://A.Example:443/B%20c?d=e%2Bf&g", "a.example", "/B%20c?d=e%2Bf&g"),
        ("http://a.example:8080/[x]", "a.example:8080", "/[x]"),
        ("https://Straße.example/ü?ö", "xn--strae-oqa.example", "/%C3%BC?%C3%B6"),
        ("https://[2600:1406::1]:8443/", "[2600:1406::1]:8443", "/"),
        ("https://a.example/x#y", "a.example", "/x"),
    ],
)
def test_a_url_is_read_as_it_is_called(url: str, authority: str, target: str) -> None:
    read = read_url(url)
    assert (read.authority, read.target) == (authority, target)
    assert read.origin == f"{read.scheme}://{authority}"
    assert (read.credentials, read.fragment) == (None, url.partition("#")[2])


@pytest.mark.parametrize(
    "url",
    ["a.example", "ftp://a.example", "https:///x", "https://a.example:99999/", "https://a.example:0/", "https://a.example/b c",
     "https://a[.example/", "https://\u2603\ufe0f.example/", "https://[::1/", "https://[::1]x/", "https://a.example/\u2003"],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_url(url)


def test_a_user_in_a_url_is_no_part_of_its_authority() -> None:
    read = read_url("https://user:se%40cret@a.example/")
    assert (read.credentials, read.authority) == ("user:se@cret", "a.example")
    assert read_url("https://user@a.example/").credentials == "user:"
    assert read_url("https://@a.example/").credentials is None


def test_a_host_is_shown_in_its_own_alphabet_and_an_address_is_known() -> None:
    assert read_url("https://xn--bcher-kva.example").display_host == "bücher.example"
    assert read_url("https://a_b.example").display_host == "a_b.example"
    assert read_url("https://[::1]").display_host == "::1"
    assert str(read_url("https://10.0.0.7:80").literal) == "10.0.0.7"
    assert read_url("https://a.example").literal is None
