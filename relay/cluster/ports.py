"""The ground of a node port: the sockets that it listens on, and the certificates that nodes show each other."""

from __future__ import annotations

import ssl

import trio

from relay.cluster.port import Address
from relay.protocol.errors import said
from relay.settings.cluster import ClusterSettings
from relay.transports.listening import CannotListen
from relay.transports.tls import TlsProblem


async def open_node_listeners(settings: ClusterSettings) -> list[trio.SocketListener]:
    """Listen for other nodes.

    Raises:
        CannotListen: the address is taken, or not this machine's.
    """
    place = settings.listen or settings.address
    try:
        host, port = Address.parse(place)
        return await trio.open_tcp_listeners(port, host=host)
    except (OSError, ValueError) as error:
        key = "listen" if settings.listen else "address"
        raise CannotListen(
            f"[cluster] {key}: cannot listen on {place} for other nodes: {said(error)}; [cluster] listen names an"
            " address of this machine"
        ) from error


def node_contexts(settings: ClusterSettings) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return what nodes are received with, and what this node connects to others with; None where it is plain.

    Raises:
        TlsProblem: a file cannot be used.
    """
    if not settings.node_tls_certificate:
        return None, None
    try:
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.node_tls_ca)
        server.verify_mode = ssl.CERT_REQUIRED
        client = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.node_tls_ca)
        for context in (server, client):
            context.load_cert_chain(settings.node_tls_certificate, settings.node_tls_key)
    except (OSError, ssl.SSLError) as error:
        raise TlsProblem(
            f"[cluster] node_tls_…: the certificate, key or ca cannot be used: {said(error)}"
        ) from error
    return server, client
