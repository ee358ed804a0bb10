"""The sections [limits] and [attachments]: bounds on what one peer, one user and all of them may ask."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from relay.settings.kinds import ByteLimit, Limit


class LimitsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates, counts and sizes; 0 lifts that limit."""

    messages_per_second: Annotated[
        Limit,
        Meta(
            description="Messages a user may send per second in the long run, over all devices together. "
            "More is answered `rate_limited` with the time to wait; the connection stays."
        ),
    ] = 50
    messages_burst: Annotated[
        Limit,
        Meta(
            description="Messages a user may send at once before messages_per_second counts, so that a "
            "person can paste and a bot can catch up. 0 lifts the rate as well."
        ),
    ] = 500
    connection_messages_per_second: Annotated[
        Limit,
        Meta(
            description="Messages one device may send per second, with ten seconds' worth at once: a narrower "
            "limit within the user's."
        ),
    ] = 0
    address_messages_per_second: Annotated[
        Limit,
        Meta(
            description="Messages that may come from one address per second, whoever sends them, with ten "
            "seconds' worth at once. A whole office may share a single address."
        ),
    ] = 0
    typing_per_second: Annotated[
        Limit,
        Meta(
            description="Transient messages, typing indicators above all, that a user may send per second, "
            "over all devices together, with ten seconds' worth at once. They count apart from "
            "messages."
        ),
    ] = 10
    events_per_second: Annotated[
        Limit,
        Meta(
            description="Connection events (acks, heartbeats, active and inactive) and refused messages that a "
            "user may send per second, over all devices together, with ten seconds' worth at once. "
            "Beyond that the server reads from the connection no faster; nothing is lost."
        ),
    ] = 100
    small_frames_per_second: Annotated[
        Limit,
        Meta(
            description="Pings, pongs and fragments of fewer than 128 bytes that one connection may send per "
            "second, with ten seconds' worth at once. More closes with 4505."
        ),
    ] = 50
    connections: Annotated[
        Limit,
        Meta(
            description="Open connections of the whole server. Above it new ones are closed with 4405. The "
            "operating system's limit on open files (`ulimit -n`) holds in any case."
        ),
    ] = 0
    connections_per_user: Annotated[
        Limit,
        Meta(description="Open connections of one user, one per device. The next one is closed with 4504."),
    ] = 100
    connections_per_address: Annotated[
        Limit,
        Meta(
            description="Open connections from one address. An office or a mobile network may share "
            "a single one; behind a reverse proxy, set `[server] trusted_proxies`, or the "
            "proxy's own is counted."
        ),
    ] = 1000
    strangers_per_address: Annotated[
        Limit,
        Meta(
            description="Connections from one address, of IPv6 from one /64, that are not authenticated yet: "
            "without a whole request, idle between two, or without a hello. Above it the "
            "one that has waited longest, five seconds at least, is closed. The addresses of `[server] "
            "trusted_proxies` are not counted."
        ),
    ] = 1000
    hellos_per_minute: Annotated[
        Limit,
        Meta(
            description="Hellos that may come from one address per minute. It is high "
            "so that everybody can come back at once after a restart."
        ),
    ] = 6000
    logins_per_minute: Annotated[
        Limit,
        Meta(
            description="Attempts per minute to log in or to register from one address, or from one IPv6 "
            "network of 64 bits."
        ),
    ] = 20
    wrong_passwords_per_hour: Annotated[
        Limit,
        Meta(
            description="Wrong passwords for one account per hour: from all networks together that the account "
            "has never logged in from, and separately from each network that it has. Further "
            "attempts are answered `rate_limited` there; the owner can still log in from the usual "
            "networks. Of wrong codes of a second factor there may be a tenth as many."
        ),
    ] = 100
    uploads_per_minute: Annotated[Limit, Meta(description="Files one user may upload per minute.")] = 60
    frame_bytes: Annotated[
        ByteLimit,
        Meta(
            description="Size of one message from a client, its envelope included, over WebSocket and REST. On a "
            "WebSocket a larger one closes with 1009; by REST it is answered `too_large`, unless body_bytes is 0."
        ),
    ] = 65_536
    head_bytes: Annotated[
        ByteLimit, Meta(description="Size of the head of one HTTP request: its first line and all headers.")
    ] = 16_384
    message_bytes_per_second: Annotated[
        ByteLimit,
        Meta(
            description="Bytes of messages that are read from one user per second in the long run, over all "
            "devices together, with a mebibyte at once. Nothing is refused above it: the server "
            "reads that user's connections more slowly, so that the recipients can keep up."
        ),
    ] = 4_194_304
    page_bytes: Annotated[
        ByteLimit,
        Meta(
            description="Bytes of messages in one page of history, notifications or search. A page of long "
            "messages has fewer than its `limit`, but at least one; `has_more` says that there are others."
        ),
    ] = 1_048_576
    pages_at_once: Annotated[
        Limit,
        Meta(
            description="Pages of messages that are made and sent by REST for one user at a time. Further "
            "requests wait, so a client that asks for many pages and reads none costs no more memory "
            "than these."
        ),
    ] = 8
    body_bytes: Annotated[
        ByteLimit,
        Meta(
            description="Size of the body of one REST request; a larger one is answered 413. A message is held to "
            "frame_bytes besides."
        ),
    ] = 1_048_576
    queue_bytes: Annotated[
        ByteLimit,
        Meta(
            description="Bytes that may wait to be sent to one connection. Above it transient messages are "
            "dropped first, then the connection closes with 4403; resuming brings everything "
            "stored."
        ),
    ] = 1_048_576
    queue_messages: Annotated[
        Limit,
        Meta(
            description="Messages that may wait to be sent to one connection: queue_bytes counted in messages. "
            "Whichever of the two is reached first counts."
        ),
    ] = 10_000
    in_flight: Annotated[
        Limit,
        Meta(
            description="Messages of one connection that have arrived and are not acked yet. When it is reached, "
            "the server stops reading from that connection until some are on disk, so the sender "
            "slows down and loses nothing."
        ),
    ] = 256
    pending: Annotated[
        Limit,
        Meta(
            description="Messages of the whole server that wait for the disk. Further ones are answered "
            "`overloaded`; the client tries again."
        ),
    ] = 20_000
    bad_frames: Annotated[
        Limit,
        Meta(
            description="Protocol errors that one connection may make before it is closed with "
            "4505. Each one before that is answered with an error."
        ),
    ] = 20
    group_members: Annotated[
        Limit,
        Meta(description="Members of one group. A message to it costs one delivery per device of each."),
    ] = 1000
    groups_per_user: Annotated[
        Limit,
        Meta(
            description="Existing groups that one user has made. Deleted ones whose id the user chose "
            "count too, since the id stays taken."
        ),
    ] = 1000
    devices_per_user: Annotated[
        Limit,
        Meta(
            description="Devices that are known of one user; a new one takes the place of the one that was seen "
            "longest ago, which loses nothing and is new when it comes back. A program that names no "
            "client_id is a new device each time."
        ),
    ] = 500
    logins_per_user: Annotated[
        Limit,
        Meta(
            description="Logins of one user, those that ended within a month too; one more ends the one that was "
            "used longest ago. Tokens that no login made do not count."
        ),
    ] = 200
    following_per_user: Annotated[
        Limit, Meta(description="Users whose presence one user may follow; each hello brings their statuses.")
    ] = 1000
    reactions_per_message: Annotated[
        Limit,
        Meta(
            description="Different reactions of one user to one message, removed ones included. One more is "
            "answered `forbidden`."
        ),
    ] = 20
    content_characters: Annotated[
        Limit,
        Meta(description="Length of the `content` of a message in characters; more is answered `too_large`."),
    ] = 20_000

    @property
    def message_bytes(self) -> int:
        """The largest message by REST in bytes; 0 means no limit, which holds when a request's body has none."""
        return self.frame_bytes if self.body_bytes else 0


class AttachmentsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files in messages; they are kept in the database."""

    max_bytes: Annotated[
        ByteLimit, Meta(description="Size of one file; a larger one is answered 413. 0 lifts the limit.")
    ] = 104_857_600
    quota_bytes: Annotated[
        ByteLimit,
        Meta(
            description="Size of all existing files of one user together, those that are being "
            "uploaded included. 0 lifts the limit."
        ),
    ] = 1_073_741_824
    uploads_at_once: Annotated[
        Limit,
        Meta(
            description="Files that one user may be uploading at one time; the next is answered `rate_limited`. "
            "0 lifts the limit."
        ),
    ] = 10
    upload_minutes: Annotated[
        float,
        Meta(
            ge=0.01,
            le=10_080,
            description="How long one upload may take. A longer one is refused, and the part that came is "
            "deleted.",
        ),
    ] = 60.0
    scan_seconds: Annotated[
        float,
        Meta(
            ge=0.01,
            le=3600,
            description="How long one plugin may look at an uploaded file before anybody can see it. A file that "
            "takes longer is refused.",
        ),
    ] = 60.0
    keep_unused_hours: Annotated[
        float,
        Meta(
            ge=0.01,
            le=8760,
            description="How long an uploaded file is kept when no message holds it yet. A file whose last "
            "message was deleted goes at the next collection.",
        ),
    ] = 24.0
    collect_minutes: Annotated[
        float,
        Meta(ge=0.01, le=10_080, description="Time between two collections of files that no message holds."),
    ] = 10.0
