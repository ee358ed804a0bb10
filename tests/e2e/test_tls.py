"""TLS by the server itself, and plain text on its port."""

from __future__ import annotations

import datetime
import http.client
import json
import socket
import ssl
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.conftest import MakeWorld
from tests.e2e.server import RELAY, ROOT, Server, environment
from tests.e2e.wire import PATIENCE, request
from tests.e2e.world import World

pytestmark = pytest.mark.e2e


@pytest.fixture
def secure(make_world: MakeWorld, tmp_path: Path) -> World:
    """A server with a certificate of its own."""
    certificate, key = make_certificate(tmp_path)
    files = {"tls_certificate": str(certificate), "tls_key": str(key)}
    return make_world((), {"server": files})


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, secret


def status_over_tls(server: Server, certificate: Path) -> int:
    context = ssl.create_default_context(cafile=str(certificate))
    connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=PATIENCE)
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
    connection.close()
    return status


def told(server: Server, data: bytes) -> tuple[int, str]:
    """Send plain bytes; return the status of the answer and what it says."""
    with socket.create_connection(server.address, timeout=PATIENCE) as plain:
        plain.sendall(data)
        answer = b""
        while piece := plain.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["detail"]


def test_plain_http_on_the_port_of_tls_is_told_so_and_tls_goes_on(secure: World, tmp_path: Path) -> None:
    for data in (request("/healthz", upgrade=False), request(), b"\r\n"):
        status, detail = told(secure.server, data)
        assert status == 400
        assert "https://" in detail
    assert status_over_tls(secure.server, tmp_path / "certificate.pem") == 200
    said = [line for line in secure.server.log.read_text().splitlines() if "speaks TLS" in line]
    assert len(said) == 1


def test_a_websocket_over_tls_hears_of_a_wrong_path_and_of_ready(secure: World, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    for head, first in ((request("/elsewhere"), b"HTTP/1.1 404 "), (request(), b"HTTP/1.1 101 ")):
        raw = socket.create_connection(secure.server.address, timeout=PATIENCE)
        with context.wrap_socket(raw, server_hostname="localhost") as one:
            one.sendall(head)
            assert one.recv(13) == first


def test_a_command_is_told_of_a_certificate_that_it_does_not_trust_and_with_it_works(
    secure: World, tmp_path: Path
) -> None:
    server = secure.server
    token = server.import_users(["ann", "ben"])["ann"]
    # A longer wait than this test's own: such a certificate is not tried again.
    send = [*RELAY, "send", "ben", "hello", "--url", f"https://localhost:{server.port}", "--timeout", "3600"]
    trusts = {"SSL_CERT_FILE": str(tmp_path / "certificate.pem")}
    for extra, status in (({}, 1), (trusts, 0)):
        environ = environment() | {"RELAY_TOKEN": token} | extra
        done = subprocess.run(
            send, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == status, done.stderr
        assert ("certificate verify failed: self-signed certificate" in done.stderr) is (status == 1)
        assert ("SSL_CERT_FILE names a file" in done.stderr) is (status == 1)


def test_a_renewed_certificate_is_served_after_a_reload_and_a_broken_one_is_not(
    secure: World, tmp_path: Path
) -> None:
    server, key = secure.server, tmp_path / "key.pem"
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    with closing(http.client.HTTPSConnection("localhost", server.port, context=context, timeout=PATIENCE)) as old:
        assert status_of(old) == 200
        make_certificate(tmp_path)
        with pytest.raises(ssl.SSLCertVerificationError):
            status_over_tls(server, tmp_path / "certificate.pem")
        assert server.relay("reload") == "changed: [server] tls_certificate\n"
        assert status_over_tls(server, tmp_path / "certificate.pem") == 200
        key.write_text("no key")
        with pytest.raises(
            AssertionError, match=r"the settings stay as they were: .*key\.pem holds no private key"
        ):
            server.relay("reload")
        assert status_over_tls(server, tmp_path / "certificate.pem") == 200
        assert status_of(old) == 200  # on the connection of before: a new one would not be trusted


def status_of(connection: http.client.HTTPSConnection) -> int:
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    response.read()
    return response.status
