"""Problems of a configuration: every one is found, with its place and a hint."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from relay.settings import SETTINGS, Problem, SettingsError, load
from relay.settings.kinds import check_origin
from relay.settings.toml_source import find_lines

# The time of one example depends on the machine's other work; its outcome does not.
unhurried = hypothesis_settings(deadline=None, max_examples=150)


def write(folder: Path, text: str, name: str = "relay.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path | None, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(path, environ or {})
    assert str(caught.value).split("\n") == [str(problem) for problem in caught.value.problems]
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


BROKEN = """\
port = 5
[server]
port = "84"
hots = "x"
path = "q"
trusted_proxies = ["10.0.0.1/8"]
tls_key = "k.pem"
allowed_origins = ["https://a.example/path"]
[limts]
a = 1
[limits]
mesages_per_second = 5
frame_bytes = 10
[timeouts]
hello_seconds = nan
head_seconds = true
[plugins]
enabld = ["x"]
enabled = "x"
[types]
x = 5
chat_message = { prio = 1, priority = 5000 }
[log]
level = "INFO"
[web]
page = "true"
sdk = 1
"""

BROKEN_PROBLEMS = """\
1: [port]: stands outside of any section; did you mean [server] port?
3: [server] port: "84" is not a whole number from 0 to 65535; numbers stand without quotes
4: [server] hots: no such key; did you mean host?
5: [server] path: no such key; did you mean [storage] path?
6: [server] trusted_proxies: "10.0.0.1/8" does not fit: 10.0.0.1/8 has host bits set
7: [server] tls_key: needs tls_certificate as well; TLS takes both or neither
8: [server] allowed_origins: "https://a.example/path" does not fit: an origin is written https://chat.example.org
9: [limts]: no such section; did you mean [limits]?
12: [limits] mesages_per_second: no such key; did you mean messages_per_second?
13: [limits] frame_bytes: 10 is not a whole number which is 0 (no limit) or 1024 to 1,073,741,824 bytes
15: [timeouts] hello_seconds: nan is not a number from 0.1 to 3600 seconds
16: [timeouts] head_seconds: true is not a number from 0.1 to 3600 seconds
18: [plugins] enabld: no such key; did you mean enabled?
19: [plugins] enabled: "x" is not a list of texts such as "chat_message", 1000 at most; a list stands in brackets
21: [types] x: 5 is not a table; write [types.x] in a line of its own, and its keys below
22: [types.chat_message] prio: no such key; did you mean priority?
22: [types.chat_message] priority: 5000 is not a whole number from 0 to 1000
24: [log] level: "INFO" is not "debug" or "info" or "warning" or "error"; did you mean info?
26: [web] page: "true" is not true or false; true stands without quotes
27: [web] sdk: 1 is not true or false
environment: RELAY_LIMITS__PENDIN_FILE: no such key; did you mean RELAY_LIMITS__PENDING_FILE?
environment: RELAY_SERVR__PORT: no such key; did you mean RELAY_SERVER__PORT?
environment: RELAY_TYPES__BLOB__PRIORTY: no such key; did you mean RELAY_TYPES__BLOB__PRIORITY?
environment: RELAY_SERVER__PORT: "84840" is not a whole number from 0 to 65535
"""


def test_all_problems_are_reported_at_once_with_their_lines_and_what_was_meant(tmp_path):
    environ = {
        "RELAY_SERVR__PORT": "1",
        "RELAY_SERVER__PORT": "84840",
        "RELAY_LIMITS__PENDIN_FILE": "x",
        "RELAY_TYPES__BLOB__PRIORTY": "3",
    }
    found = problems_of(write(tmp_path, BROKEN), environ)
    expected = BROKEN_PROBLEMS.splitlines()
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[server]\nhost = 127.0.0.1\n",
            "2: column 13: Expected newline or end of document after a statement; text",
        ),
        ("[log]\nlevel = debug\n", '2: column 9: Invalid value; text stands in quotes, as in host = "127.0.0.1"'),
        ("[server\n", "1: column 8: Expected ']' at the end of a table declaration"),
        ("[server]\nport = 1\nport = 2\n", "3: column 9: Cannot overwrite a value"),
        ("[server]\nport = [1,", "2: column 11: Invalid value"),
        (f"a = {'[' * 100_000}", " is nested too deeply"),
    ],
)
def test_syntax_errors_tell_line_and_column(tmp_path, text, problem):
    (found,) = problems_of(write(tmp_path, text))
    assert found.startswith(problem)


def test_files_that_cannot_be_read_are_problems_too(tmp_path):
    assert problems_of(tmp_path / "absent.toml") == [" cannot be read: No such file or directory"]
    (tmp_path / "latin.toml").write_bytes(b'[server]\nname = "caf\xe9"\n')
    assert problems_of(tmp_path / "latin.toml") == ["2: is not UTF-8 text; save the file as UTF-8"]
    absent = {"RELAY_SERVER__PORT_FILE": str(tmp_path / "no"), "RELAY_SERVER__PORT": "1"}
    assert problems_of(None, absent) == [
        "environment: RELAY_SERVER__PORT_FILE: RELAY_SERVER__PORT is set too; set only one of them",
        f"environment: RELAY_SERVER__PORT_FILE: cannot read {tmp_path / 'no'}: No such file or directory",
    ]


def test_variables_and_their_files_must_hold_utf_8(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    environ = {"RELAY_SERVER__HOST_FILE": str(tmp_path / "latin"), "RELAY_LOG__LEVEL": "\udcff"}
    assert problems_of(None, environ) == [
        "environment: RELAY_LOG__LEVEL: the value is not UTF-8 text",
        "environment: RELAY_SERVER__HOST_FILE: the value is not UTF-8 text",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RELAY_STORAGE__PATH", ""),
        ("RELAY_SERVER__PORT", ""),
        ("RELAY_WEB__PAGE", "perhaps"),
        ("RELAY_SERVER__HOST", ""),
        ("RELAY_PLUGINS__ENABLED", "[a"),
        ("RELAY_PLUGINS__ENABLED", "[1]\nx = 2"),
        ("RELAY_PLUGINS__NAME", "1"),
        ("RELAY_SERVER__PORT__X", "1"),
        ("RELAY___PORT", "1"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_one_problem(name, text):
    assert len(problems_of(None, {name: text})) == 1


def test_a_problem_takes_one_line_whatever_the_text_in_it(tmp_path):
    path = write(tmp_path, '"a\\nb" = 1\n[server]\n"c\\nd" = 1\nhost = ["e\\nf"]\n[plugins]\nenabled = "g\\nh"\n')
    assert [problem[:1] for problem in problems_of(path)] == ["1", "3", "4", "6"]
    assert problems_of(None, {"RELAY_SERVER__PORT": "84840"}) == [
        'environment: RELAY_SERVER__PORT: "84840" is not a whole number from 0 to 65535'
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_no_problem(tmp_path):
    (tmp_path / "relay.toml").write_bytes(b"\xef\xbb\xbf[server]\r\nport = 7\r\n")
    assert load(tmp_path / "relay.toml", {}).server.port == 7


def test_lines_are_found_through_strings_arrays_and_inline_tables():
    text = '''# [no]\n[a."b.c"] # x = 1\nd . e = "]"\nf = """\nno = 1\n"""\ng = [ # {
  { h = 1, i = [2, 3] },\n]\nk = { l = {}, m = 1.5 }\n[[n]]\no = \'\'\'\n[no]\n\'\'\'\np = 2020-01-01'''
    base = ("a", "b.c")
    assert find_lines(text) == {
        ("a",): 2,
        base: 2,
        (*base, "d"): 3,
        (*base, "d", "e"): 3,
        (*base, "f"): 4,
        (*base, "g"): 7,
        (*base, "g", "h"): 8,
        (*base, "g", "i"): 8,
        (*base, "k"): 10,
        (*base, "k", "l"): 10,
        (*base, "k", "m"): 10,
        ("n",): 11,
        ("n", "0"): 11,
        ("n", "o"): 12,
        ("n", "0", "o"): 12,
        ("n", "p"): 15,
        ("n", "0", "p"): 15,
    }


def test_each_table_of_an_array_has_its_own_line():
    text = "[[n]]\na = 1\n[m]\na = 2\n[[n]]\n[[n]]\nb = { c = 1 }"
    found = find_lines(text)
    assert {path: line for path, line in found.items() if path[:2] in (("n", "0"), ("n", "1"), ("n", "2"))} == {
        ("n", "0"): 1,
        ("n", "0", "a"): 2,
        ("n", "1"): 5,
        ("n", "2"): 6,
        ("n", "2", "b"): 7,
    }


# The promise: settings, or SettingsError, whatever is given


def problems_with(path: Path | None, environ: dict[str, str]) -> list[Problem]:
    try:
        load(path, environ)
    except SettingsError as error:
        return error.problems
    return []


@unhurried
@given(
    value=st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text())),
    row=st.sampled_from(SETTINGS),
)
def test_any_value_in_the_environment_is_taken_or_refused_with_its_name(value, row):
    name = f"RELAY_{row.section.replace('.', '__')}__{row.key}".upper()
    assert {problem.key for problem in problems_with(None, {name: str(value)})} <= {name}


JSON = st.recursive(
    st.one_of(
        st.text(max_size=5),
        st.integers(-5, 10**6),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [*(f"{row.section}.{row.key}" for row in SETTINGS), "types.a", "plugins.p.q", "server.x", "log", "y"]
)


@unhurried
@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_any_values_in_a_file_are_taken_or_refused_in_their_own_lines(tmp_path_factory, values):
    lines = [f"{key} = {json.dumps(value, ensure_ascii=True)}" for key, value in values.items()]
    path = write(tmp_path_factory.getbasetemp(), "\n".join(lines), "values.toml")
    for problem in problems_with(path, {}):
        assert problem.file == str(path)
        if problem.key:
            key = problem.key.removeprefix("[").replace("] ", ".").removesuffix("]")
            assert problem.line is not None
            assert lines[problem.line - 1].startswith(f"{key} = ")


@unhurried
@given(st.text(alphabet="[]{}=.,\"'\\#\n ab1", max_size=40))
def test_lines_of_any_valid_text_lie_within_it(tmp_path_factory, text):
    path = write(tmp_path_factory.getbasetemp(), text, "any.toml")
    for problem in problems_with(path, {}):
        assert problem.line is None or 1 <= problem.line <= text.count("\n") + 1


def test_numbers_with_a_unit_are_told_how_they_are_written(tmp_path: Path) -> None:
    path = write(tmp_path, '[timeouts]\ndrain_seconds = "10s"\n[limits]\nbody_bytes = "64MB"\n')
    drain, body = problems_of(path)
    assert drain.endswith("; write 10, without the unit")
    assert body.endswith("; write 67108864, without the unit")


def test_every_entry_of_a_list_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, '[server]\ntrusted_proxies = ["10.0.0.1/8", "nginx", "127.0.0.1", "300.1.1.1"]\n')
    (problem,) = problems_of(path)
    assert problem.count("does not fit") == 3
    for entry in ("10.0.0.1/8", "nginx", "300.1.1.1"):
        assert f'"{entry}" does not fit' in problem


def test_a_shortened_key_finds_its_whole(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, "[types.chat_message]\nttl = 60\n"))
    assert problem.endswith("no such key; did you mean ttl_seconds?")


def test_what_a_file_holds_that_a_variable_names_is_never_shown(tmp_path: Path) -> None:
    secret = write(tmp_path, "topsecret", "secret")
    for name in ("RELAY_LIMITS__PENDING_FILE", "RELAY_SERVER__TRUSTED_PROXIES_FILE", "RELAY_LOG__LEVEL_FILE"):
        (problem,) = problems_of(None, {name: str(secret)})
        assert "topsecret" not in problem
        assert name in problem


@pytest.mark.parametrize(
    "origin",
    [
        "https://chat.example.org",
        "https://chat.example.org:8443",
        "http://localhost:5173",
        "http://127.0.0.1:5173",
        "http://[::1]:8080",
        "capacitor://localhost",
        "moz-extension://0f1e2d3c-aaaa-bbbb-cccc-0123456789ab",
        "https://xn--exmple-cua.org",
    ],
)
def test_an_origin_that_browsers_send_is_taken(origin: str) -> None:
    check_origin(origin)


@pytest.mark.parametrize(
    ("origin", "right"),
    [
        ("https://*.example.org", "list each"),
        ("*", "list each"),
        ("https://example.org:443", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("https://example.org:70000", "1 to 65535"),
        ("https://example.org:0443", "1 to 65535"),
        ("https://example.org/", "without a path"),
        ("https://Example.org", "lower case"),
        ("https://exämple.org", "xn--"),
        ("example.org", "https://chat.example.org"),
        ("null", "https://chat.example.org"),
        ("http://[::1", "https://chat.example.org"),
        ("http://[::zz]", "https://chat.example.org"),
        ("http://[1::2::3]", "http://[::1]:8080"),
        ("http://[0:0:0:0:0:0:0:1]", "[::1]"),
        ("https://user@example.org", "https://chat.example.org"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_with_what_would_be_right(origin: str, right: str) -> None:
    with pytest.raises(ValueError, match=re.escape(right)):
        check_origin(origin)
