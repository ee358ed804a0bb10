"""The section [cluster]: the nodes that are one server together, and the NATS servers between them."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.settings.kinds import FilePath

_NAME: Final = re.compile(r"[A-Za-z0-9_-]*")
_HOST: Final = r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"
_PLACE: Final = re.compile(rf"{_HOST}:([0-9]{{1,5}})")
_SERVER: Final = re.compile(rf"(?:nats|tls)://{_HOST}(?::([0-9]{{1,5}}))?")


def check_cluster_name(text: str) -> None:
    """Check that a text may be the name of a cluster or of a node, or is empty.

    Raises:
        ValueError: the text is neither.
    """
    if not _NAME.fullmatch(text):
        raise ValueError("a name has letters from a to z, digits, - and _")


def check_place(text: str) -> None:
    """Check that a text is HOST:PORT, or empty.

    Raises:
        ValueError: the text is neither.
    """
    found = _PLACE.fullmatch(text)
    if text and (found is None or not _is_port(found[1])):
        raise ValueError("host and port are written node1.example.org:8485, an IPv6 address [::1]:8485")


def check_nats_server(text: str) -> None:
    """Check that a text is the URL of a NATS server, without anything secret in it.

    Raises:
        ValueError: the text is none.
    """
    if "@" in text:
        raise ValueError("there is no name and no password in it: they stand in user and password_file")
    found = _SERVER.fullmatch(text)
    if found is None or not _is_port(found[1] or "4222"):
        raise ValueError("a server is written nats://nats1.example.org:4222, or tls://… where it has TLS")


def check_replicas(text: str) -> None:
    """Check that a number of copies is odd, as each decision takes more than half of them.

    Raises:
        ValueError: it is not.
    """
    if text not in ("1", "3", "5"):
        raise ValueError("right is 1, 3 or 5")


def _is_port(text: str) -> bool:
    return 0 < int(text) < 65_536


Name = Annotated[str, Meta(max_length=64, extra={"each": check_cluster_name})]
Place = Annotated[str, Meta(max_length=262, extra={"each": check_place})]


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node's name and address, its NATS servers, and when another node takes the leader's place."""

    name: Annotated[
        Name,
        Meta(
            description="The name of the cluster, the same at all of its nodes: letters, digits, - and _. Empty: "
            "this server is no cluster. Needs node, servers, address, and `pip install 'relay-server[cluster]'`.",
            examples=["chat"],
        ),
    ] = ""
    node: Annotated[
        Name,
        Meta(
            description="The name of this node, which no other one has.",
            examples=["node1"],
        ),
    ] = ""
    servers: Annotated[
        list[str],
        Meta(
            max_length=100,
            extra={"each": check_nats_server},
            description="The NATS servers, all of them, each with JetStream on: nats://HOST:PORT, or "
            "tls://HOST:PORT. The node takes one that answers, and another when that is lost.",
            examples=["nats://nats1.example.org:4222"],
        ),
    ] = msgspec.field(default_factory=list)
    address: Annotated[
        Place,
        Meta(
            description="HOST:PORT at which the other nodes reach this one, over a network that only they are on. "
            "It is no address for clients: those connect to `[server] port`.",
            examples=["node1.example.org:8485"],
        ),
    ] = ""
    listen: Annotated[
        Place,
        Meta(
            description="HOST:PORT to listen on for the other nodes, where that is not address itself: "
            "0.0.0.0:8485, say, in a container. Empty: address.",
        ),
    ] = ""
    replicas: Annotated[
        int,
        Meta(
            ge=1,
            le=5,
            extra={"each": check_replicas},
            description="How many NATS servers have each message before it is acked: 1, 3 or 5. With 3, one of "
            "them may be lost, and nothing is; with 1 nothing goes on without that one.",
        ),
    ] = 3
    lease_seconds: Annotated[
        float,
        Meta(
            ge=0.5,
            le=60,
            description="How long nothing is heard of the leader until another node takes its place. Shorter, and "
            "a node that is only slow for a moment loses it.",
        ),
    ] = 5.0
    keep_hours: Annotated[
        float,
        Meta(
            ge=0.1,
            le=8760,
            description="How long NATS keeps what the nodes have written. A node that was away for longer fetches "
            "a new copy of the whole database.",
        ),
    ] = 24.0
    stream_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1_099_511_627_776,
            extra={"least": 67_108_864},
            description="Room for that at each NATS server. When it is full, messages are refused until the "
            "oldest of it is older than keep_hours. 0 = no limit.",
        ),
    ] = 0
    credentials: Annotated[
        FilePath,
        Meta(
            description="A file with a user's credentials for NATS (.creds, as nsc makes it); read anew at each "
            "connection."
        ),
    ] = ""
    user: Annotated[str, Meta(max_length=255, description="The name to log in to NATS with, instead.")] = ""
    password_file: Annotated[
        FilePath,
        Meta(description="A file with that user's password on its first line; read anew at each connection."),
    ] = ""
    tls_ca: Annotated[
        FilePath,
        Meta(
            description="PEM file with the certificates that those of the NATS servers are checked by, for tls:// "
            "ones. Empty: those of the system."
        ),
    ] = ""
    tls_certificate: Annotated[
        FilePath, Meta(description="PEM file with the certificate that this node shows to NATS. Needs tls_key.")
    ] = ""
    tls_key: Annotated[FilePath, Meta(description="PEM file with the private key of tls_certificate.")] = ""
    node_tls_certificate: Annotated[
        FilePath,
        Meta(
            description="PEM file with the certificate that this node shows to other nodes. Needs node_tls_key "
            "and node_tls_ca. Empty: nodes speak in the clear with each other."
        ),
    ] = ""
    node_tls_key: Annotated[
        FilePath, Meta(description="PEM file with the private key of node_tls_certificate.")
    ] = ""
    node_tls_ca: Annotated[
        FilePath, Meta(description="PEM file with the certificates that those of other nodes are checked by.")
    ] = ""
