"""One-time codes, by the vectors of RFC 6238 (appendix B) and RFC 4226 (appendix D)."""

from __future__ import annotations

import base64

import pytest

from relay.services import totp

SEEDS = {
    "sha1": b"12345678901234567890",
    "sha256": b"12345678901234567890123456789012",
    "sha512": b"1234567890123456789012345678901234567890123456789012345678901234",
}


@pytest.mark.parametrize(
    ("time", "digest", "code"),
    [
        (59, "sha1", "94287082"),
        (59, "sha256", "46119246"),
        (59, "sha512", "90693936"),
        (1111111109, "sha1", "07081804"),
        (1111111109, "sha256", "68084774"),
        (1111111109, "sha512", "25091201"),
        (1111111111, "sha1", "14050471"),
        (1111111111, "sha256", "67062674"),
        (1111111111, "sha512", "99943326"),
        (1234567890, "sha1", "89005924"),
        (1234567890, "sha256", "91819424"),
        (1234567890, "sha512", "93441116"),
        (2000000000, "sha1", "69279037"),
        (2000000000, "sha256", "90698825"),
        (2000000000, "sha512", "38618901"),
        (20000000000, "sha1", "65353130"),
        (20000000000, "sha256", "77737706"),
        (20000000000, "sha512", "47863826"),
    ],
)
def test_the_vectors_of_rfc_6238(time: int, digest: str, code: str) -> None:
    assert totp.code_of(SEEDS[digest], time // totp.SECONDS, digits=8, digest=digest) == code


def test_the_vectors_of_rfc_4226() -> None:
    codes = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
    assert [totp.code_of(SEEDS["sha1"], counter) for counter in range(10)] == codes


def test_a_code_is_right_one_step_early_and_one_step_late() -> None:
    secret, now = SEEDS["sha1"], 59_000.0
    step = int(now // 30)
    steps = [totp.step_of(secret, totp.code_of(secret, step + away), now) for away in (-2, -1, 0, 1, 2)]
    assert steps == [None, step - 1, step, step + 1, None]
    for wrong in ("", "12345", "1234567", "abcdef", "١٢٣٤٥٦"):
        assert totp.step_of(secret, wrong, now) is None


def test_the_link_has_what_an_app_needs() -> None:
    link = totp.link_of(SEEDS["sha1"], "alice@work", "chat.example.org")
    assert link == (
        "otpauth://totp/chat.example.org:alice%40work?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        "&issuer=chat.example.org&digits=6&period=30"
    )
    assert base64.b32decode(totp.shown(SEEDS["sha1"])) == SEEDS["sha1"]
    assert len(totp.new_secret()) == 20
