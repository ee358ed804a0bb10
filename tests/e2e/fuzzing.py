"""Requests made up from a server's own /openapi.json by schemathesis, as somebody, or as nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.e2e.server import Server, Tables

SETTINGS: Tables = {"limits": {"uploads_per_minute": 0}, "log": {"level": "error"}}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
)
KNOWN = "RELAY_FUZZ_KNOWN"
BYSTANDER = "bystander"
HOOKS = "tests.e2e.fuzzing_hooks"
ROOT = Path(__file__).parents[2]
CALLERS = ("alice", "admin", None)
"""An ordinary user, an administrator, and nobody."""


class Target:
    """A server with something in it, and those who ask; nobody does anything to the bystander, as admins may erase whom they know."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder, SETTINGS)
        self.server.relay("user", "add", "admin", "--admin")
        self.tokens = self.server.import_users(["alice", "bob", BYSTANDER])
        self.tokens["admin"] = self.server.relay("token", "create", "admin").strip()
        self.server.start()
        self.known = self._fill()

    def _fill(self) -> dict[str, list[str]]:
        """Bring about what is asked for, and return its names by the variables of paths."""
        groups = [f"team{number}" for number in range(8)]
        with self.server.rest(self.tokens["alice"]) as rest:
            for group in groups:
                body = {"name": group, "members": ["bob", "admin"], "group_id": group}
                rest.post("/api/groups", json=body).raise_for_status()
            for target, type_ in (("bob", "chat_message"), ("team0", "group_message")):
                message = {"type": type_, "payload": {"content": "hello"}, "meta": {"target_id": target}}
                rest.post("/api/messages", json=message).raise_for_status()
            file = rest.post("/api/attachments", content=b"hello", params={"name": "a.txt"}).raise_for_status()
        return {
            "user_id": ["alice", "bob", "admin"],
            "group_id": groups,
            "attachment_id": [file.json()["attachment_id"]],
            "client_id": ["phone"],
        }

    def fuzz(self, caller: str | None, examples: int, seed: int, *, phases: Iterable[str], seconds: float) -> str:
        """Ask much, and return what schemathesis found, which is nothing where all is well.

        Args:
            examples: the most requests for each call.
            seconds: after so long it counts as failed.
        """
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{self.server.url}/openapi.json"]
        command += ["--checks", ",".join(CHECKS), "--phases", ",".join(phases), "--max-examples", str(examples)]
        command += ["--seed", str(seed), "--continue-on-failure", "--no-color", "--suppress-health-check", "all"]
        if caller is not None:
            # What a logout leaves could ask nothing more.
            command += [
                "--header",
                f"Authorization: Bearer {self.tokens[caller]}",
                "--exclude-path",
                "/api/logout",
            ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS}
        environment[KNOWN] = json.dumps(self.known)
        # It keeps notes of its own where it runs.
        folder = self.server.folder
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode == 0 and self.server.alive:
            return ""
        return f"as {caller or 'nobody'}, seed {seed}:\n{done.stdout}{done.stderr}\n{self.server.diagnosis()}"

    def end(self) -> None:
        """Stop the server."""
        self.server.stop()
