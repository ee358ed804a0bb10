"""Certificates and keys that do not fit are named, with the setting, the file and what would be right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.settings import Settings, load
from relay.transports.tls import TlsProblem, tls_context, tls_warning

NOW = datetime(2030, 6, 1, tzinfo=UTC)


def make(folder: Path, name: str, *, days: int = 90, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Write a certificate that began a day ago and lasts some days from now, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=200))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    return files


def settings(certificate: Path, key: Path) -> Settings:
    environ = {"RELAY_SERVER__TLS_CERTIFICATE": str(certificate), "RELAY_SERVER__TLS_KEY": str(key)}
    return load(None, environ)


def problem(certificate: Path, key: Path) -> str:
    with pytest.raises(TlsProblem) as caught:
        tls_context(settings(certificate, key))
    return str(caught.value)


def test_a_certificate_with_its_key_is_taken(tmp_path: Path) -> None:
    assert tls_context(Settings()) is None
    assert tls_context(settings(*make(tmp_path, "a"))) is not None


def test_each_file_that_is_not_there_is_named_by_its_own_key(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "a")
    absent = tmp_path / "absent"
    assert problem(absent, key) == f"[server] tls_certificate: {absent} cannot be read: No such file or directory"
    assert problem(certificate, absent) == f"[server] tls_key: {absent} cannot be read: No such file or directory"


def test_the_key_of_another_certificate_is_called_that(tmp_path: Path) -> None:
    (a, _), (_, b) = make(tmp_path, "a"), make(tmp_path, "b")
    assert problem(a, b) == f"[server] tls_key: {b} is the key of another certificate than {a}"


def test_files_that_are_exchanged_are_called_that(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "a")
    assert "it is in tls_key: they are exchanged" in problem(key, certificate)


def test_a_key_with_a_passphrase_is_refused_without_asking_anybody(tmp_path: Path) -> None:
    said = problem(*make(tmp_path, "a", passphrase=b"secret"))
    assert "is locked with a passphrase" in said
    assert "openssl pkey" in said


@pytest.mark.parametrize(("which", "key"), [("pem", "tls_certificate"), ("key", "tls_key")])
def test_what_is_no_pem_is_named(tmp_path: Path, which: str, key: str) -> None:
    files = make(tmp_path, "a")
    (tmp_path / f"a.{which}").write_text("a letter")
    assert problem(*files).startswith(f"[server] {key}: {tmp_path}/a.{which} holds no ")


@pytest.mark.parametrize(
    ("days", "said"), [(-1, "has expired on 2030-05-31"), (3, "expires on 2030-06-04"), (90, None)]
)
def test_a_certificate_that_has_expired_or_soon_will_is_warned_of(
    tmp_path: Path, days: int, said: str | None
) -> None:
    warning = tls_warning(settings(*make(tmp_path, "a", days=days)), NOW)
    assert warning is None if said is None else said in str(warning)


def test_a_certificate_that_is_not_valid_yet_is_warned_of(tmp_path: Path) -> None:
    warning = tls_warning(settings(*make(tmp_path, "a")), NOW - timedelta(days=300))
    assert "is valid from 2029-11-13 only" in str(warning)
