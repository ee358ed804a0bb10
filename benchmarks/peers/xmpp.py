"""XMPP: Prosody and ejabberd with an archive in SQLite (XEP-0313) and acks by stream management (XEP-0198)."""

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.loop import Loop
from benchmarks.peers.peer import NAME, Peer, Running, StreamLink, debian, free_port, process, text_of

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
    rb"|(?P<step></stream:features>|<success|<enabled|id=['\"](?:reg|bind)['\"])"
    rb"|(?P<error><stream:error|<failure|<failed|type=['\"]error['\"])"
)


class _XmppLink(StreamLink):
    def __init__(self, loop: Loop, user: str, other: str, server: Running) -> None:
        super().__init__(loop, user, other)
        self._steps = iter(self._greeting())
        self._stanzas = self._confirmed = 0

    def sign_in(self) -> None:
        """Register, authenticate, bind, and switch stream management on, one step for each answer."""
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
        yield b"<presence/>"

    def say(self, names: Sequence[bytes]) -> None:
        """Send messages, and ask for an ack after each."""
        head = f"<message to='{self.other}@localhost' type='chat' id='".encode()
        self.write(
            b"".join([head + name + b"y'><body>" + text_of(name) + b"</body></message>" + _ASK for name in names])
        )

    def take(self, data: bytes, now: float) -> bytes:
        """Go on with the greeting; then count acks, pass on what arrived, and answer when asked for an ack."""
        end = data.rfind(b">") + 1
        acks, asked = 0, False
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
                    self.delivered(token[2], now)
        if asked:
            self.write(f"<a xmlns='urn:xmpp:sm:3' h='{self._stanzas}'/>".encode())
        if acks:
            self.acked(acks, now)
        return data[end:]

    def _step(self, what: bytes) -> None:
        self.write(next(self._steps, b""))
        if what == b"<enabled":
            self._stanzas, self.signed_in = 0, True


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
"""


@contextmanager
def _prosody(folder: Path, users: Sequence[str]) -> Iterator[Running]:
    port = free_port()
    config = folder / "prosody.cfg.lua"
    config.write_text(_PROSODY.format(folder=folder, port=port))
    with process(["prosody", "--config", config, "-F"], folder, port) as pid:
        yield Running(port, [pid])


PROSODY = Peer(
    "Prosody",
    "written to its archive in SQLite, with its default of synchronous = NORMAL",
    lambda: debian("prosody"),
    "apt-get install prosody lua-dbi-sqlite3",
    _prosody,
    _XmppLink,
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
"""
_ERLANG = (
    "-noinput",
    "+K",
    "true",
    "-sname",
    "relay-bench-{port}",
    "-mnesia",
    "dir",
    '"{folder}/mnesia"',
    "-s",
    "ejabberd",
)


@contextmanager
def _ejabberd(folder: Path, users: Sequence[str]) -> Iterator[Running]:
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
)
