"""The section [cluster]: what it takes, and what it refuses with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.settings import SettingsError, load

NODE = """[cluster]
name = "chat"
node = "node-1"
servers = ["nats://nats1.example.org:4222", "tls://nats2.example.org", "nats://[::1]:4223"]
address = "node1.example.org:8485"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "relay.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(write(folder, text), {})
    return [str(problem).partition(": ")[2] for problem in caught.value.problems]


def test_without_a_name_there_is_no_cluster(tmp_path: Path) -> None:
    assert load(write(tmp_path, ""), {}).cluster.name == ""


def test_a_node_has_a_name_its_servers_and_an_address(tmp_path: Path) -> None:
    cluster = load(write(tmp_path, NODE), {}).cluster
    assert (cluster.node, len(cluster.servers), cluster.address) == ("node-1", 3, "node1.example.org:8485")
    assert (cluster.replicas, cluster.lease_seconds, cluster.keep_hours, cluster.stream_bytes) == (3, 5, 24, 0)


def test_a_name_alone_is_no_node(tmp_path: Path) -> None:
    assert problems(tmp_path, '[cluster]\nname = "chat"\n') == [
        f"[cluster] name: needs {key} as well; a node of a cluster has all of them"
        for key in ("node", "servers", "address")
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('name = "my chat"', '[cluster] name: "my chat" does not fit: a name has letters from a to z'),
        ('node = "a.b"', "[cluster] node: "),
        ('servers = ["nats1.example.org:4222"]', "a server is written nats://nats1.example.org:4222"),
        ('servers = ["nats://host:0"]', "a server is written nats://nats1.example.org:4222"),
        ('address = "node1.example.org"', "host and port are written node1.example.org:8485"),
        ('listen = "0.0.0.0:99999"', "host and port are written node1.example.org:8485"),
        ("replicas = 2", "does not fit: right is 1, 3 or 5"),
        ("replicas = 7", "[cluster] replicas: 7 is not a whole number from 1 to 5"),
        ("lease_seconds = 0.1", "is not a number from 0.5 to 60 seconds"),
        ("stream_bytes = 5", "[cluster] stream_bytes: 5 is not"),
    ],
)
def test_what_does_not_fit_is_told_with_what_would_be_right(tmp_path: Path, line: str, told: str) -> None:
    key = line.partition(" ")[0]
    kept = [one for one in NODE.splitlines() if one.partition(" ")[0] != key]
    (problem,) = problems(tmp_path, "\n".join([*kept, line, ""]))
    assert told in problem


def test_a_password_in_the_address_of_a_server_is_refused_and_not_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, NODE.replace("nats://nats1", "nats://relay:geheim@nats1"))
    assert "they stand in user and password_file" in problem
    assert "geheim" not in problem
    (problem,) = problems(tmp_path, NODE.replace('["nats://nats1', '"nats://relay:geheim@nats1').replace("]:4223", ":4223"))  # fmt: skip
    assert "geheim" not in problem


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('user = "relay"', "user: needs password_file as well; a login takes both"),
        ('password_file = "p"', "password_file: needs user as well; a login takes both"),
        ('tls_certificate = "c"', "tls_certificate: needs tls_key as well; TLS takes both or neither"),
        ('tls_key = "k"', "tls_key: needs tls_certificate as well; TLS takes both or neither"),
        ('node_tls_ca = "a"\nnode_tls_certificate = "c"', "node_tls_certificate: needs node_tls_key as well"),
        ('node_tls_key = "k"\nnode_tls_certificate = "c"', "node_tls_key: needs node_tls_ca as well"),
        ('node_tls_key = "k"\nnode_tls_ca = "a"', "node_tls_ca: needs node_tls_certificate as well"),
        ('credentials = "c"\nuser = "r"\npassword_file = "p"', "user: stands beside credentials"),
    ],
)
def test_keys_that_belong_together_are_asked_for(tmp_path: Path, lines: str, told: str) -> None:
    (problem,) = problems(tmp_path, f"{NODE}{lines}\n")
    assert told in problem


def test_files_are_found_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    lines = "".join(f'{key} = "{key}.pem"\n' for key in ("node_tls_certificate", "node_tls_key", "node_tls_ca"))
    cluster = load(write(tmp_path, f"{NODE}{lines}"), {"RELAY_CLUSTER__NODE": "other"}).cluster
    assert cluster.node_tls_ca == str(tmp_path / "node_tls_ca.pem")
    assert cluster.node == "other"
