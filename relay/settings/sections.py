"""The fixed sections but [limits] and [attachments]: one struct each, with one annotated field per key.

A key, its default, its bounds and its explanation are written here and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from relay.settings.kinds import Address, Domains, FilePath, Networks, Origins, Seconds, Text


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address the server listens on, and the proxies and origins it trusts."""

    host: Annotated[
        Text,
        Meta(
            description="Address to listen on. 127.0.0.1 is reached from this machine only (a reverse proxy "
            "on it, say); 0.0.0.0 is every IPv4 address of the machine, :: every IPv6 one."
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="TCP port for WebSocket, REST and web pages alike. 0 takes any free one; the line "
            "printed at the start names it.",
        ),
    ] = 8484
    public_url: Annotated[
        Address,
        Meta(
            description="The address at which people open the page, for the links of invitations: "
            "https://chat.example.org, with a path where a proxy adds one. Empty: the address at which the admin "
            "who invites has opened it, or that of host and port on the command line.",
        ),
    ] = ""
    allowed_origins: Annotated[
        Origins,
        Meta(
            description="Web pages of other origins that may connect, each as scheme://host, with the port where "
            "it has one; no wildcards. Pages the server itself serves always may, and programs other than "
            "browsers send no origin. An application's own scheme (app://x) may be listed; pages of file:// have "
            "the origin null, which never may.",
            examples=["https://chat.example.org"],
        ),
    ] = msgspec.field(default_factory=list)
    trusted_proxies: Annotated[
        Networks,
        Meta(
            description="Networks of the reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are "
            "trusted. List only your own: a trusted proxy chooses the address that the "
            "limits count.",
            examples=["10.0.0.0/8"],
        ),
    ] = msgspec.field(default_factory=list)
    tls_certificate: Annotated[
        FilePath,
        Meta(
            description="PEM file with the certificate and its chain, to serve https and wss without a "
            "proxy. Needs tls_key as well; empty means no TLS."
        ),
    ] = ""
    tls_key: Annotated[FilePath, Meta(description="PEM file with the private key of tls_certificate.")] = ""
    backlog: Annotated[
        int,
        Meta(
            ge=1,
            le=65535,
            description="Connections the operating system holds ready until the server accepts them. Linux "
            "caps it at net.core.somaxconn.",
        ),
    ] = 1024


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one database file and what an ack promises about it."""

    path: Annotated[
        FilePath,
        Meta(
            min_length=1,
            description="The SQLite file with everything in it, created at the first start in a folder that is "
            "there. It needs a real local disk: SQLite's locks and its log do not work on network file systems.",
        ),
    ] = "relay.db"
    durability: Annotated[
        Literal["full", "normal"],
        Meta(
            description='What an ack promises. "full": every acked message survives a power loss. "normal": '
            "it survives a crash and kill -9 of the server, but a power loss or a crash of the "
            "operating system may lose the last moments; it is faster on slow disks. "
            "Neither ever corrupts the file."
        ),
    ] = "full"
    readers: Annotated[
        int,
        Meta(
            ge=1,
            le=32,
            description="Threads that answer history, search and resume while the one writer writes. More "
            "threads than processors rarely help. One user takes half of them at most, and one less than there "
            "are processors, but always one.",
        ),
    ] = 4
    read_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="How long the database may take to answer a user's request, the wait for a reader "
            'included. Then it is interrupted, and the request is refused with "overloaded". Keep it below '
            "timeouts.handler_seconds, or the plugin is blamed for a slow database. 0 = no limit.",
        ),
    ] = 5.0
    batch_messages: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="Messages stored in one transaction at most. A batch takes the messages that are waiting "
            "and never waits for more, so this bounds how long one commit takes, not how soon it "
            "starts.",
        ),
    ] = 512
    purge_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="How long after a message is erased or edited its bytes are purged from the search "
            "index, free pages and the write-ahead log. A purge merges the whole index: a longer time costs a "
            "large server less where much is erased.",
        ),
    ] = 10.0
    copy_before_upgrade: Annotated[
        bool,
        Meta(
            description="Whether the start of a newer relay copies the file first where the upgrade changes what "
            "is stored: to relay.db.schema-N beside it, N being the schema's version so far. It takes time and "
            "room, and the copy stays until you delete it.",
        ),
    ] = True


class HeartbeatSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The interval that decides how soon a vanished peer is noticed."""

    interval_seconds: Annotated[
        Seconds,
        Meta(
            description="A connection to which nothing was sent for this long gets a heartbeat; one that "
            "was silent for twice as long is closed with 4402. Stay below the idle timeout of "
            "proxies on the way, often 60 s."
        ),
    ] = 25.0


class PresenceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time after which a user without a connection is offline."""

    grace_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long a user stays online after the last device vanished without a goodbye, so "
            "that a tunnel or a page reload is not announced to everybody. 0 announces at once.",
        ),
    ] = 30.0


class ReplaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bound on a replay of missed messages."""

    limit: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Messages in one replay at most. Above it each conversation brings its newest "
            "messages and names the exact gaps, which the client fetches by REST when somebody "
            "scrolls there.",
        ),
    ] = 1000


class TimeoutsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time limits: for peers, plugins and the end of connections."""

    head_seconds: Annotated[
        Seconds,
        Meta(description="The whole head of a request must arrive within this time, or the connection is cut."),
    ] = 10.0
    hello_seconds: Annotated[
        Seconds,
        Meta(
            description="A new WebSocket connection must send its hello within this time; then it is closed with "
            "4401."
        ),
    ] = 10.0
    write_seconds: Annotated[
        Seconds,
        Meta(description="A peer must take what is being sent to it within this time, or the connection is cut."),
    ] = 20.0
    body_seconds: Annotated[
        Seconds, Meta(description="The whole body of a request must arrive within this time.")
    ] = 30.0
    close_seconds: Annotated[
        Seconds,
        Meta(description="A peer must answer a close frame within this time, or the connection is cut."),
    ] = 2.0
    drain_seconds: Annotated[
        Seconds,
        Meta(
            description="When the server stops, connections have this time to end by themselves; then they are "
            "cut. A supervisor's own timeout (systemd's TimeoutStopSec, Docker's 10 s) must be "
            "longer."
        ),
    ] = 4.0
    handler_seconds: Annotated[
        Seconds,
        Meta(
            description="A plugin must handle one message within this time, or the message is answered "
            "`plugin_failed`."
        ),
    ] = 5.0
    tls_handshake_seconds: Annotated[
        Seconds, Meta(description="A TLS handshake must complete within this time, or the connection is cut.")
    ] = 10.0
    keep_alive_seconds: Annotated[
        Seconds,
        Meta(
            description="An idle HTTP connection is closed when no request comes within this time. Keep it longer "
            "than the reverse proxy's own, or the proxy now and then uses a connection that is just being closed."
        ),
    ] = 75.0


class AccountsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Registration, tokens, passwords and the directory of users."""

    registration: Annotated[
        Literal["invite", "open", "domain", "closed"],
        Meta(
            description='Who may make an account: "invite": those with an invitation; "open": anybody who '
            'reaches the server; "domain": those with a mail address of mail_domains, to which a link is sent, '
            'and those with an invitation; "closed": nobody (accounts come from the command line).'
        ),
    ] = "invite"
    password_login: Annotated[
        bool,
        Meta(
            description="Whether people sign in by a password, and make accounts with one. With false they use a "
            "way that a plugin brings, such as oidc; only the first user's link still makes an account with a "
            "password, and `relay token create` lets an owner in who is locked out."
        ),
    ] = True
    mail_domains: Annotated[
        Domains,
        Meta(
            description='Domains whose mail addresses may have an account, with registration = "domain". Needs '
            "[mail]. Each is taken as it is: example.org does not stand for mail.example.org.",
            examples=["example.org"],
        ),
    ] = msgspec.field(default_factory=list)
    token_days: Annotated[
        int,
        Meta(ge=0, le=36_500, description="Days until the token of a login expires; 0 means never."),
    ] = 365
    password_min_length: Annotated[
        int, Meta(ge=1, le=128, description="Fewest characters a new password may have.")
    ] = 8
    require_second_factor_for: Annotated[
        Literal["nobody", "admins", "everybody"],
        Meta(
            description="Who must have a second factor, an authenticator app, to log in with a password. Who has "
            "none sets it up at the next login; sessions that are open, and tokens of the command line, stay."
        ),
    ] = "nobody"
    erase_own: Annotated[
        bool,
        Meta(
            description="Whether users may erase their own account, with what they wrote. With false an admin "
            "does it for them. A legal hold keeps messages in either case."
        ),
    ] = True
    directory: Annotated[
        Literal["everyone", "shared"],
        Meta(
            description='Which users a search by name finds: "everyone" on the server, or "shared": only those '
            "who have said something in a conversation that both are in."
        ),
    ] = "everyone"


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The audit log: the acts of those who administer the server."""

    keep_days: Annotated[
        float,
        Meta(
            ge=0,
            le=36_500,
            description="Days until an entry is erased; one on legal hold stays. No rule for other messages "
            "reaches the audit log. 0 means that all are kept for ever.",
        ),
    ] = 0.0
    addresses: Annotated[
        bool, Meta(description="Record with each entry the network address that the act came from.")
    ] = True


class WebSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that browsers may load from the server."""

    page: Annotated[
        bool,
        Meta(
            description="Serve relay's own page at / and its files below /app/. With false a plugin may serve a "
            "page at these paths."
        ),
    ] = True
    sdk: Annotated[
        bool,
        Meta(
            description="Serve the JavaScript SDK below /sdk/, for pages of any origin to import. relay's own "
            "page needs it."
        ),
    ] = True


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures that the server keeps of itself."""

    history: Annotated[
        bool,
        Meta(
            description="Keep the server's figures over time in the database: each minute for 2 days, each hour "
            "for 60 days, each day for 5 years. It is one small transaction a minute, and some megabytes in all."
        ),
    ] = True


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server's log lines."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The lowest level of the lines that are written."),
    ] = "info"
    format: Annotated[
        Literal["text", "json"],
        Meta(description='"text" for people, "json" for programs: one object a line.'),
    ] = "text"
