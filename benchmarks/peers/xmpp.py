"""XMPP: Prosody and ejabberd, with archives in SQLite, acks by stream management (XEP-0198), rooms (XEP-0045)."""

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.loop import Loop
from benchmarks.peers.peer import (
    NAME,
    ON_DISK,
    ON_ITS_WAY,
    Peer,
    Running,
    StreamLink,
    Taken,
    Talk,
    debian,
    free_port,
    process,
    text_of,
)

_HEADER = (
    b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)
_BIND = (
    b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"
)
_ENABLE = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
_ASK = b"<r xmlns='urn:xmpp:sm:3'/>"
_TOKEN = re.compile(
    rb"<(?P<stanza>message|presence|iq)[\s>/]"
    rb"|" + NAME + rb"|<(?P<ask>r)[\s/]|<a\s[^>]*h=['\"](?P<h>\d+)"
    rb"|(?P<step></stream:features>|<success|<enabled|<subject|id=['\"](?:reg|bind)['\"])"
    rb"|(?P<error><stream:error|<failure|<failed|type=['\"]error['\"])"
)


class _XmppLink(StreamLink):
    def __init__(self, loop: Loop, user: str, talk: Talk, server: Running) -> None:
        super().__init__(loop, user, talk)
        host, self._type = ("rooms.localhost", "groupchat") if talk.in_room else ("localhost", "chat")
        self._address = f"{talk.other}@{host}"
        self._steps = iter(self._greeting())
        self._stanzas = self._confirmed = 0

    def sign_in(self) -> None:
        """Register, authenticate, bind, switch stream management on, enter the room: a step for each answer."""
        self.write(next(self._steps))

    def _greeting(self) -> Iterator[bytes]:
        secret = base64.b64encode(f"\0{self.user}\0secret".encode())
        account = f"<username>{self.user}</username><password>secret</password>".encode()
        yield _HEADER
        yield b"<iq type='set' id='reg'><query xmlns='jabber:iq:register'>" + account + b"</query></iq>"
        yield b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + secret + b"</auth>"
        yield _HEADER
        yield _BIND
        yield _ENABLE
        if self.talk.in_room:
            join = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"
            yield f"<presence to='{self._address}/{self.user}'>{join}</presence>".encode()
        else:
            yield b"<presence/>"

    def say(self, names: Sequence[bytes]) -> None:
        """Send messages, and ask for an ack after each."""
        head = f"<message to='{self._address}' type='{self._type}' id='".encode()
        self.write(
            b"".join([head + name + b"y'><body>" + text_of(name) + b"</body></message>" + _ASK for name in names])
        )

    def read(self, data: bytes, now: float) -> Taken:
        """Go on with the greeting; then read what is whole, and answer when asked for an ack."""
        end = data.rfind(b">") + 1
        acks, asked = 0, False
        names: list[bytes] = []
        for token in _TOKEN.finditer(data, 0, end):
            match token.lastgroup:
                case "stanza":
                    self._stanzas += 1
                case "ask":
                    asked = True
                case "h":
                    acks += int(token["h"]) - self._confirmed - (not self._confirmed)
                    self._confirmed = int(token["h"])
                case "step":
                    self._step(token["step"])
                case "error":
                    self.ended(data[token.start() : token.start() + 300].decode(errors="replace"))
                case _:
                    names.append(token[2])
        answer = f"<a xmlns='urn:xmpp:sm:3' h='{self._stanzas}'/>".encode() if asked else b""
        return Taken(end, names, acks, answer, news=True)

    def _step(self, what: bytes) -> None:
        if what == b"<subject":  # comes last of what a room tells who enters it
            self.signed_in = True
            return
        self.write(next(self._steps, b""))
        if what == b"<enabled":
            self._stanzas, self.signed_in = 0, not self.talk.in_room


_PROSODY = """\
run_as_root = true
data_path = "{folder}"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
modules_enabled = {{ "saslauth", "roster", "register_ibr", "smacks", "mam" }}
modules_disabled = {{ "s2s", "posix" }}
allow_registration = true
authentication = "internal_plain"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
storage = "sql"
sql = {{ driver = "SQLite3", database = "{folder}/prosody.sqlite" }}
default_archive_policy = true
log = {{ warn = "*console" }}
VirtualHost "localhost"
Component "rooms.localhost" "muc"
    modules_enabled = {{ "muc_mam" }}
    muc_log_all_rooms = true
    muc_room_locking = false
    muc_room_default_presence_broadcast = {{ visitor = false, participant = false, moderator = false }}
"""


@contextmanager
def _prosody(folder: Path, users: Sequence[str], room: str) -> Iterator[Running]:
    port = free_port()
    config = folder / "prosody.cfg.lua"
    config.write_text(_PROSODY.format(folder=folder, port=port))
    with process(["prosody", "--config", config, "-F"], folder, port) as pid:
        yield Running(port, [pid])


PROSODY = Peer(
    "Prosody",
    "written to the archives of both in SQLite, with that one's default: each of the two is a commit with fsync",
    lambda: debian("prosody"),
    "apt-get install prosody lua-dbi-sqlite3",
    _prosody,
    _XmppLink,
    "it is made for much more than this: XML, a roster, an archive of each user's own",
    keeps=ON_DISK,
    room_ack="written to the room's archive in SQLite, a commit with fsync",
)

_EJABBERD = """\
hosts: [localhost]
loglevel: error
registration_timeout: infinity
auth_method: internal
default_db: sql
sql_type: sqlite
sql_database: "{folder}/ejabberd.sqlite"
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, shaper: none, access: all, starttls: false}}
modules:
  mod_register: {{access: all, ip_access: all}}
  mod_roster: {{}}
  mod_stream_mgmt: {{max_ack_queue: infinity}}
  mod_mam: {{default: always}}
  mod_muc:
    host: rooms.localhost
    max_users: 1000
    default_room_options: {{mam: true, max_users: 1000, presence_broadcast: []}}
"""
# Without a name of its node Erlang starts no `epmd`, which would stay. Its schedulers do not spin while they wait,
# so that processor time is work.
_ERLANG = (
    "-noinput",
    "+K",
    "true",
    "+sbwt",
    "none",
    "-mnesia",
    "dir",
    '"{folder}/mnesia"',
    "-s",
    "ejabberd",
)


@contextmanager
def _ejabberd(folder: Path, users: Sequence[str], room: str) -> Iterator[Running]:
    port = free_port()
    config = folder / "ejabberd.yml"
    config.write_text(_EJABBERD.format(folder=folder, port=port))
    environ = {
        "EJABBERD_CONFIG_PATH": str(config),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
    }
    command = ["erl", *(word.format(folder=folder, port=port) for word in _ERLANG)]
    with process(command, folder, port, environ) as pid:
        yield Running(port, [pid])


EJABBERD = Peer(
    "ejabberd",
    "handed to its archive's task, which writes to SQLite with the default of synchronous = FULL",
    lambda: debian("ejabberd"),
    "apt-get install ejabberd erlang-p1-sqlite3",
    _ejabberd,
    _XmppLink,
    "Erlang runs on all cores; it confirms before a message is stored",
    keeps=ON_ITS_WAY,
    room_ack="handed to the room's task, which archives it in SQLite",
)
