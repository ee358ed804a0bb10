"""Conditions and ranges, rule by rule (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

from typing import Any

import pytest
from quart import Quart

from relay.transports.rest.conditions import precondition, wanted_part

WHOLE = None
NONE = (0, 0)


async def asked(headers: list[tuple[str, str]], method: str = "GET", size: int = 10_240) -> tuple[Any, Any]:
    """Return what a request with these headers is told of a file with the tag `"tag"`."""
    from werkzeug.datastructures import Headers

    async with Quart(__name__).test_request_context("/", method=method, headers=Headers(headers)):
        return precondition("tag"), wanted_part("tag", size)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ('"tag"', 304),
        ('W/"tag"', 304),
        ('"other", W/"tag"', 304),
        ('"other" ,\t"tag"', 304),
        ("*", 304),
        ('"other"', None),
        ('"a,tag"', None),
        ("tag", None),
        ("", None),
        ('"tag', None),
        ('w/"tag"', None),
    ],
)
async def test_if_none_match_compares_weakly(header: str, status: int | None) -> None:
    assert (await asked([("If-None-Match", header)]))[0] == status
    assert (await asked([("If-None-Match", header)], "HEAD"))[0] == status


@pytest.mark.parametrize(
    ("header", "status"),
    [('"tag"', None), ('"other", "tag"', None), ("*", None), ('W/"tag"', 412), ('"other"', 412), ("tag", 412)],
)
async def test_if_match_compares_strongly(header: str, status: int | None) -> None:
    assert (await asked([("If-Match", header)]))[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("If-Match", '"other"'), ("If-None-Match", '"tag"')], 412),
        ([("If-Match", '"tag"'), ("If-None-Match", '"tag"')], 304),
        ([("If-None-Match", '"other"'), ("If-None-Match", '"tag"')], 304),
        ([("If-Match", '"other"'), ("If-Match", '"tag"')], None),
        ([("If-Modified-Since", "Wed, 21 Oct 2099 07:28:00 GMT")], None),
        ([("If-Unmodified-Since", "Wed, 21 Oct 1999 07:28:00 GMT")], None),
        ([("If-None-Match", '"other"'), ("If-Modified-Since", "Wed, 21 Oct 2099 07:28:00 GMT")], None),
    ],
)
async def test_conditions_come_in_their_order_and_those_by_date_are_not_known(
    headers: list[tuple[str, str]], status: int | None
) -> None:
    assert (await asked(headers))[0] == status


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", (0, 10)),
        ("BYTES=0-9", (0, 10)),
        ("bytes= 0-9 ", (0, 10)),
        ("bytes=,0-9,", (0, 10)),
        ("bytes=100-", (100, 10_240)),
        ("bytes=10230-99999999999999999999", (10_230, 10_240)),
        ("bytes=-5", (10_235, 10_240)),
        ("bytes=-10240", (0, 10_240)),
        ("bytes=-99999", (0, 10_240)),
        (f"bytes=-{'9' * 5000}", (0, 10_240)),
        ("bytes=-0", NONE),
        ("bytes=10240-", NONE),
        (f"bytes={'9' * 5000}-", NONE),
        ("bytes=10240-,99999-", NONE),
        ("bytes=0-0,-1", WHOLE),
        ("bytes=0-0,99999-", WHOLE),
        ("bytes=9-3", WHOLE),
        ("bytes=0-1,9-3", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=+1-2", WHOLE),
        ("bytes=1 - 2", WHOLE),
        ("bytes=\u0661-\u0662", WHOLE),
        ("lines=1-2", WHOLE),
        ("nonsense", WHOLE),
    ],
)
async def test_a_range_is_read_as_the_rfc_says(header: str, part: tuple[int, int] | None) -> None:
    assert (await asked([("Range", header)]))[1] == part


@pytest.mark.parametrize(
    ("header", "part"), [("bytes=0-", NONE), ("bytes=-5", WHOLE), ("bytes=-0", NONE), ("bytes=-05", WHOLE)]
)
async def test_of_an_empty_file_a_suffix_is_the_whole_and_everything_else_is_beyond_its_end(
    header: str, part: tuple[int, int] | None
) -> None:
    assert (await asked([("Range", header)], size=0))[1] == part


async def test_a_range_is_for_get_alone() -> None:
    assert (await asked([("Range", "bytes=0-9")], "HEAD"))[1] is WHOLE


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ('"tag"', True),
        ('W/"tag"', False),
        ('"other"', False),
        ('"other", "tag"', False),
        ("tag", False),
        ("*", False),
        ("Wed, 21 Oct 2099 07:28:00 GMT", False),
    ],
)
async def test_if_range_is_met_by_the_very_tag_alone(condition: str, met: bool) -> None:
    for wanted, part in (("bytes=0-9", (0, 10)), ("bytes=99999-", NONE)):
        found = (await asked([("Range", wanted), ("If-Range", condition)]))[1]
        assert found == (part if met else WHOLE)
