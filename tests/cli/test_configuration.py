"""`relay config`: the check, its warnings, and the values in force."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from relay import __version__
from tests.cli.conftest import Run


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_the_file_is_taken_before_and_after_the_command_and_the_nearest_wins(run: Run, folder: Path) -> None:
    ports = {name: write(folder / name, f"[server]\nport = {port}\n") for port, name in ((1001, "a"), (1002, "b"))}
    a, b = ports["a"], ports["b"]
    for arguments, port in (
        (("--config", a, "config", "show"), 1001),
        (("config", "--config", a, "show"), 1001),
        (("config", "show", "--config", a), 1001),
        (("--config", a, "config", "show", "--config", b), 1002),
    ):
        assert f"server.port = {port} " in run(*arguments).output


def test_the_variable_names_the_file_unless_an_option_does(run: Run, folder: Path) -> None:
    a, b = (write(folder / name, f"[server]\nport = {port}\n") for name, port in (("a", 1001), ("b", 1002)))
    assert "server.port = 1001 " in run("config", "show", env={"RELAY_CONFIG": a}).output
    assert "server.port = 1002 " in run("config", "show", "--config", b, env={"RELAY_CONFIG": a}).output
    assert "server.port = 1002 " in run("--config", b, "config", "show", env={"RELAY_CONFIG": a}).output


def test_relay_toml_of_the_current_folder_is_the_default_and_defaults_come_after(run: Run, folder: Path) -> None:
    assert "server.port = 8484 " in run("config", "show").output
    assert run("config", "check").output == "built-in defaults: ok\n"
    write(folder / "relay.toml", "[server]\nport = 1001\n")
    assert "server.port = 1001 " in run("config", "show").output
    assert run("config", "check").output == "relay.toml: ok\n"


@pytest.mark.parametrize("command", [("user", "list"), ("config", "show"), ("serve",), ("token", "create", "bob")])
def test_a_named_file_that_is_missing_is_said_so(run: Run, folder: Path, command: tuple[str, ...]) -> None:
    refused = run(*command, "--config", "missing.toml", ok=False)
    assert refused.exit_code == 2
    assert refused.stderr == "missing.toml: cannot be read: No such file or directory\n"
    assert not list(folder.iterdir())


def test_all_problems_of_the_settings_are_printed(run: Run, folder: Path) -> None:
    write(folder / "relay.toml", "[server]\nprot = 1\n[limits]\npending = -1\n")
    for command, status in ((("user", "list"), 2), (("serve",), 2), (("config", "check"), 1)):
        refused = run(*command, ok=False)
        assert refused.exit_code == status
        assert "relay.toml:2: [server] prot: no such key; did you mean port?" in refused.output
        assert "relay.toml:4: [limits] pending" in refused.output


def test_a_plugin_that_cannot_be_loaded_fails_the_check(run: Run, folder: Path) -> None:
    write(folder / "plugins.d" / "broken.py", "import nothing_of_that_name\n")
    write(folder / "relay.toml", '[plugins]\nenabled = ["chat_message", "absent"]\n')
    refused = run("config", "check", ok=False)
    assert refused.exit_code == 1
    assert "broken.py:1: ModuleNotFoundError" in refused.output
    assert "there is no plugin of that name" in refused.output
    assert "relay.toml: ok" not in refused.output


def test_tls_files_that_cannot_be_used_fail_the_check(run: Run, folder: Path) -> None:
    write(folder / "key.pem", "no key")
    write(folder / "relay.toml", '[server]\ntls_certificate = "absent.pem"\ntls_key = "key.pem"\n')
    said = (
        f"relay.toml:2: [server] tls_certificate: {folder}/absent.pem cannot be read: No such file or directory\n"
    )
    assert run("config", "check", ok=False).output == said


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('[server]\nhost = "0.0.0.0"\n', "without TLS"),
        ('[accounts]\nregistration = "open"\n', "anybody who reaches the server"),
        ('[plugins]\ndirectories = ["absent"]\n', "there is no folder"),
        ('[plugins.chat_massage]\ncolour = "red"\n', "no such plugin is loaded"),
        ("[types.chat_massage]\npriority = 1\n", "no plugin adds a message type of that name"),
    ],
)
def test_what_looks_wrong_is_a_warning(run: Run, folder: Path, text: str, warning: str) -> None:
    write(folder / "relay.toml", text)
    lines = run("config", "check").output.splitlines()
    assert lines[-1] == "relay.toml: ok"
    assert lines[0].startswith("relay.toml: warning: ")
    assert warning in lines[0]


@pytest.mark.parametrize(
    "text", ['host = "::1"', 'host = "localhost"', 'host = "::"\ntrusted_proxies = ["::1/128"]']
)
def test_a_server_on_this_machine_or_behind_a_proxy_needs_no_tls(run: Run, folder: Path, text: str) -> None:
    write(folder / "relay.toml", f"[server]\n{text}\n")
    assert run("config", "check").output == "relay.toml: ok\n"


def test_every_value_is_shown_with_its_origin_and_secrets_are_not(run: Run, folder: Path) -> None:
    write(folder / "relay.toml", '[server]\nhost = "localhost"\n[plugins.bot]\napi_key = "hunter2"\n')
    shown = run("config", "show", env={"RELAY_SERVER__PORT": "1001"}).output
    assert 'server.host = "localhost"' in shown
    assert "# relay.toml:2" in shown
    assert "# environment RELAY_SERVER__PORT" in shown
    assert "hunter2" not in shown
    assert 'storage.durability = "full"' in shown


@pytest.mark.parametrize("command", [(), ("user",), ("token",), ("group",), ("config",)])
def test_alone_it_prints_its_help(run: Run, command: tuple[str, ...]) -> None:
    assert run(*command).stdout == run(*command, "--help").stdout


def test_it_knows_its_version_and_the_nearest_command(run: Run) -> None:
    assert run("--version").output == f"relay {__version__}\n"
    refused = run("usr", ok=False)
    assert refused.exit_code == 2
    assert "No such command 'usr'" in refused.stderr


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "relay", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"relay {__version__}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[server]\nhost = "203.0.113.9"\n',
            "relay.toml:2: [server] cannot listen on 203.0.113.9:8484: Cannot assign requested",
        ),
        ('[server]\nhost = "chat.invalid"\n', "relay.toml:2: [server] cannot listen on chat.invalid:8484: "),
        ('[storage]\npath = "/tmp"\n', "relay.toml:2: [storage] path: /tmp is a folder; a file is named"),
        ('[storage]\npath = "absent/relay.db"\n', "/absent is not there; make it, or correct the path"),
        (
            '[plugins]\nenabled = ["webhooks"]\n',
            "relay.toml:2: [plugins] enabled: no plugin that is loaded adds a",
        ),
    ],
)
def test_what_would_keep_the_server_from_its_work_fails_the_check_with_its_line(
    run: Run, folder: Path, text: str, said: str
) -> None:
    write(folder / "relay.toml", text)
    assert said in run("config", "check", ok=False).output


def test_a_server_without_message_types_is_refused(run: Run, folder: Path) -> None:
    write(folder / "relay.toml", '[server]\nport = 0\n[plugins]\nenabled = ["webhooks"]\n')
    refused = run("serve", ok=False)
    assert refused.exit_code == 1
    assert "relay: [plugins] enabled: no plugin that is loaded adds a message type" in refused.stderr


def test_a_sample_is_printed_as_it_is_and_the_samples_are_listed(run: Run, folder: Path) -> None:
    assert re.match(r"relay\.toml +every setting, with its default", run("config", "sample").stdout)
    write(folder / "relay.toml", run("config", "sample", "relay.toml").stdout)
    assert run("config", "check").output.endswith("relay.toml: ok\n")
    assert (
        "there is no sample 'Caddy'; did you mean Caddyfile?" in run("config", "sample", "Caddy", ok=False).stderr
    )


def test_the_version_is_printed_with_what_is_inside(run: Run) -> None:
    assert run("version").stdout == f"relay {__version__}\n"
    told = run("version", "--verbose").stdout
    assert told.startswith(f"relay {__version__}\nform: Python package\n")
    assert "\npackages:\n  " in told


def test_relays_own_plugins_that_are_not_there_are_another_reason(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.engine.loader.bundled_directory", lambda: folder / "nowhere")
    monkeypatch.setattr("relay.engine.discovery.bundled_directory", lambda: folder / "nowhere")
    said = run("config", "check", ok=False).output
    assert f"relay's own plugins are not in {folder / 'nowhere'}: install relay anew" in said


SIGN_IN = """[plugins]
also = ["oidc"]
[plugins.oidc.providers.example]
issuer = "https://id.example.org"
client_id = "relay"
title = "Example Inc."
"""


def test_a_secret_that_cannot_be_read_fails_the_check_and_nobody_is_called(run: Run, folder: Path) -> None:
    write(folder / "relay.toml", f'{SIGN_IN}client_secret_file = "absent"\n')
    checked = run("config", "check", ok=False).output
    assert "[plugins.oidc.providers.example] client_secret_file: absent: No such file or directory" in checked


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        ("[plugins.webhooks]\nfoo = 1\n", {}, 'switch it on: [plugins] also = ["webhooks"]'),
        ("[plugins.webhoks]\nfoo = 1\n", {}, "did you mean webhooks?"),
        (SIGN_IN, {}, "[server] public_url is empty, and Example Inc. must send people back to it"),
        ("[accounts]\npassword_login = false\n", {}, "nobody can sign in on the page"),
        ("[heartbeat]\ninterval_seconds = 300\n", {}, "many proxies end a connection after 60 s of silence"),
        ("", {"RELAY_SERVER_PORT": "9000"}, "RELAY_SERVER_PORT is not read; did you mean RELAY_SERVER__PORT?"),
        ("", {"RELAY_PORT": "9000"}, "RELAY_PORT is not read; did you mean RELAY_SERVER__PORT?"),
    ],
)
def test_what_is_perhaps_not_meant_is_warned_of(
    run: Run, folder: Path, text: str, environ: dict[str, str], said: str
) -> None:
    write(folder / "relay.toml", text)
    checked = run("config", "check", env=environ).output
    assert "relay.toml: warning: " in checked
    assert said in checked


def test_a_port_that_another_program_has_is_warned_of_and_the_servers_own_is_not(run: Run, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        write(folder / "relay.toml", f"[server]\nport = {port}\n")
        said = f"warning: [server] cannot listen on 127.0.0.1:{port}: Address already in use; another program"
        assert said in run("config", "check").output
        (folder / "relay.db.sock").touch()
        assert said not in run("config", "check").output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'host = "203.0.113.9"\n',
            "cannot listen on 203.0.113.9:0: Cannot assign requested address; [server] host",
        ),
        ('host = "chat.invalid"\n', "cannot listen on chat.invalid:0: "),
        ('tls_certificate = "absent.pem"\ntls_key = "key.pem"\n', "[server] tls_certificate: "),
        ('[storage]\npath = "absent/relay.db"\n', "[storage] path: the folder "),
    ],
)
def test_serve_says_of_wrong_settings_what_the_check_says_and_leaves_no_database_behind(
    run: Run, folder: Path, text: str, said: str
) -> None:
    write(folder / "relay.toml", f"[server]\nport = 0\n{text}")
    assert said in run("config", "check", ok=False).output
    refused = run("serve", ok=False)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert said in refused.stderr
    assert [path.name for path in folder.iterdir()] == ["relay.toml"]


def test_what_kubernetes_sets_by_itself_is_not_spoken_of(run: Run, folder: Path) -> None:
    environ = {"RELAY_SERVER_PORT": "tcp://10.0.0.1:80"}
    assert "warning" not in run("config", "check", env=environ).output


def test_an_option_inside_a_table_of_a_plugin_has_its_own_line_and_no_false_warning(
    run: Run, folder: Path
) -> None:
    text = """[plugins]
also = ["notifications"]
[plugins.notifications.email]
host = "127.0.0.1"
from = "relay@example.org"
sendr = "x"
"""
    write(folder / "relay.toml", text)
    checked = run("config", "check", ok=False).output
    assert "relay.toml:6: plugins.notifications.email.sendr: no such option; " in checked
    assert "no such plugin is loaded" not in checked


def test_words_are_completed_without_a_traceback(folder: Path) -> None:
    environ = {**os.environ, "COMP_WORDS": "relay us", "COMP_CWORD": "1", "_RELAY_COMPLETE": "bash_complete"}
    relay = Path(sys.executable).with_name("relay")
    done = subprocess.run([relay], env=environ, capture_output=True, text=True, check=False, timeout=30)
    assert "plain,user" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_answer_that_cannot_be_written_is_a_sentence(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "relay", "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 1
    assert done.stderr == "relay: standard output cannot be written to: No space left on device\n"


def test_what_differs_from_the_defaults_is_shown_with_them(run: Run, folder: Path) -> None:
    text = '[server]\nport = 9000\nhost = "127.0.0.1"\n[plugins.bot]\napi_key = "hunter2"\ncolour = "red"\n'
    write(folder / "relay.toml", text)
    lines = run("config", "diff").output.splitlines()
    assert [line.split("  #")[0].rstrip() for line in lines] == [
        "server.port = 9000",
        'plugins.bot.api_key = "(redacted)"',
        'plugins.bot.colour = "red"',
    ]
    assert lines[0].endswith("# relay.toml:2; default 8484")
    first = json.loads(run("config", "diff", "--json").output.splitlines()[0])
    assert first == {"key": "server.port", "value": 9000, "origin": "relay.toml:2", "default": 8484}


def test_a_path_of_the_settings_is_shown_whole_and_the_content_of_a_secret_file_never(
    run: Run, folder: Path
) -> None:
    write(folder / "secret", "topsecret")
    write(folder / "relay.toml", '[server]\ntls_certificate = "a.pem"\ntls_key = "b.pem"\n')
    environ = {f"RELAY_{name}_FILE": "secret" for name in ("PLUGINS__BOT__NAME", "SERVER__HOST", "MAIL__USERNAME")}
    environ |= {"RELAY_MAIL__PASSWORD_FILE": "password.txt"}  # the key itself: a file's name
    shown = run("config", "show", env=environ).output
    assert f'server.tls_key = "{folder}/b.pem"' in shown
    assert "accounts.password_login = true" in shown
    assert f'mail.password_file = "{folder}/password.txt"' in shown
    assert "topsecret" not in shown
    assert 'server.host = "(redacted)"' in shown


@pytest.mark.parametrize("key", ["server.port", "port", "[server] port", "RELAY_SERVER__PORT"])
def test_a_key_is_explained_however_it_is_written(run: Run, folder: Path, key: str) -> None:
    write(folder / "relay.toml", "[server]\nport = 9000\n")
    told = json.loads(run("config", "explain", key, "--json").output)
    assert told["key"] == "server.port"
    assert told["meaning"].startswith("TCP port for WebSocket")
    assert (told["default"], told["value"], told["origin"]) == (8484, 9000, "relay.toml:2")
    assert (told["variable"], told["bounds"]) == ("RELAY_SERVER__PORT", "0 to 65535")
    assert "bounds: 0 to 65535\n" in run("config", "explain", key).output


def test_a_key_that_is_not_there_or_is_in_several_sections_is_said_so(run: Run, folder: Path) -> None:
    assert (
        "there is no key server.prot; did you mean server.port?"
        in run("config", "explain", "server.prot", ok=False).output
    )
    several = run("config", "explain", "max_bytes", ok=False).output
    assert "attachments.max_bytes" in several
    assert "types.NAME.max_bytes" in several
    option = run("config", "explain", "plugins.bot.colour", env={"RELAY_PLUGINS__BOT__COLOUR": "red"}).output
    assert "value: red\norigin: environment RELAY_PLUGINS__BOT__COLOUR\n" in option


def test_a_file_to_begin_with_is_written_once_and_its_schema_beside_it(run: Run, folder: Path) -> None:
    run("config", "init", "etc.toml")
    assert run("config", "check", "--config", "etc.toml").output == "etc.toml: ok\n"
    begins = (folder / "etc.toml").read_text().splitlines()[0]
    assert begins == "#:schema relay.schema.json"
    schema = json.loads((folder / "relay.schema.json").read_text())
    assert "delay_seconds" in schema["properties"]["plugins"]["properties"]["notifications"]["properties"]
    write(folder / "etc.toml", "[server]\nport = 1\n")
    assert "etc.toml is there already" in run("config", "init", "etc.toml", ok=False).output
    assert (folder / "etc.toml").read_text() == "[server]\nport = 1\n"
    run("config", "init", "etc.toml", "--force")
    assert "port = 1\n" not in (folder / "etc.toml").read_text().splitlines()
    refused = run("config", "init", "absent/relay.toml", ok=False).output
    assert "absent/relay.toml cannot be written: No such file or directory" in refused


def test_the_check_for_programs_has_problems_and_warnings(run: Run, folder: Path) -> None:
    write(folder / "relay.toml", "[timeouts]\ndrain_seconds = 30\n[storage]\npath = '/tmp'\n")
    told = json.loads(run("config", "check", "--json", ok=False).output)
    assert told["file"] == "relay.toml"
    assert told["problems"] == [
        "relay.toml:4: [storage] path: /tmp is a folder; a file is named, such as relay.db in it"
    ]
    assert "[timeouts] drain_seconds = 30" in told["warnings"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[timeouts]\ndrain_seconds = 30", "Docker kills a server 10 s after it was told to stop"),
        ("[timeouts]\nhandler_seconds = 2", "plugins are blamed for a slow database"),
        ("[limits]\nframe_bytes = 4096", "fits into no frame"),
        ("[limits]\nmessages_burst = 5", "nobody can send so many in one second"),
        (
            '[server]\ntrusted_proxies = ["::1"]\n[timeouts]\nkeep_alive_seconds = 20',
            "now and then use one that is just being closed",
        ),
    ],
)
def test_settings_at_odds_are_warned_of(run: Run, folder: Path, text: str, said: str) -> None:
    write(folder / "relay.toml", text)
    checked = run("config", "check").output
    assert "warning: " in checked
    assert said in checked


def test_an_option_in_an_array_of_tables_has_its_own_line_and_a_unit_its_hint(run: Run, folder: Path) -> None:
    text = '[plugins]\nalso = ["notifications"]\n[[plugins.notifications.rules]]\ndo = "push"\n'
    write(folder / "relay.toml", text + '[[plugins.notifications.rules]]\ndo = "push"\n\ntypess = ["x"]\n')
    checked = run("config", "check", ok=False).output
    assert "relay.toml:8: plugins.notifications.rules.1.typess: no such option; did you mean types?" in checked
    assert checked.count("no such option") == 1
    write(
        folder / "relay.toml",
        '[plugins]\nalso = ["notifications"]\n[plugins.notifications]\ndelay_seconds = "2m"\n',
    )
    assert "write 120, without the unit" in run("config", "check", ok=False).output


def test_the_server_says_at_its_start_which_variables_it_does_not_read(run: Run, folder: Path) -> None:
    write(folder / "relay.toml", '[server]\nport = 0\n[plugins]\nenabled = ["webhooks"]\n')
    environ = {**os.environ, "RELAY_SERVER_PORT": "9000"}
    done = subprocess.run(
        [sys.executable, "-m", "relay", "serve"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "RELAY_SERVER_PORT is not read; did you mean RELAY_SERVER__PORT?" in done.stderr


def test_what_keeps_a_node_of_a_cluster_from_running_is_told(run: Run, folder: Path) -> None:
    write(
        folder / "relay.toml",
        '[cluster]\nname = "team"\nnode = "first"\nservers = ["nats://127.0.0.1:4222"]\naddress = "192.0.2.7:8485"\n'
        'node_tls_certificate = "a.pem"\nnode_tls_key = "b.pem"\nnode_tls_ca = "c.pem"\n',
    )
    done = run("config", "check", ok=False)
    assert done.exit_code == 1
    assert "relay.toml:5: [cluster] address: cannot listen on 192.0.2.7:8485: " in done.output
    assert "[cluster] listen says where this node listens for the others, as 0.0.0.0:8485\n" in done.output
    assert "relay.toml:6: [cluster] node_tls_…: the certificate, key or ca cannot be used: " in done.output
