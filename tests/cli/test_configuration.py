"""`relay config`: the check, its warnings, and the values in force."""

from __future__ import annotations

import os
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
        ("[types.chat_massage]\npriority = 1\n", "no plugin declares this message type"),
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
        ('[server]\nhost = "203.0.113.9"\n', "relay.toml:2: [server] host = 203.0.113.9: Cannot assign requested"),
        ('[server]\nhost = "chat.invalid"\n', "relay.toml:2: [server] host = chat.invalid: "),
        ('[storage]\npath = "/tmp"\n', "relay.toml:2: [storage] path: /tmp is a folder; a file is named"),
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


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        ('[storage]\npath = "absent/relay.db"\n', {}, "there is no folder "),
        ("[plugins.webhooks]\nfoo = 1\n", {}, 'switch it on: [plugins] also = ["webhooks"]'),
        ("[plugins.webhoks]\nfoo = 1\n", {}, "did you mean webhooks?"),
        ("[heartbeat]\ninterval_seconds = 300\n", {}, "many proxies end a connection after 60 s of silence"),
        ("", {"RELAY_SERVER_PORT": "9000"}, "RELAY_SERVER_PORT is not read; did you mean RELAY_SERVER__PORT?"),
    ],
)
def test_what_is_perhaps_not_meant_is_warned_of(
    run: Run, folder: Path, text: str, environ: dict[str, str], said: str
) -> None:
    write(folder / "relay.toml", text)
    checked = run("config", "check", env=environ).output
    assert "relay.toml: warning: " in checked
    assert said in checked


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
