"""Changes of the settings file that keep its comments and its layout: the one module that imports tomlkit."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from relay.protocol.errors import said
from relay.settings.fields import KeyPath
from relay.settings.loading import gather, load
from relay.settings.problems import Problem


class NotWritten(Exception):
    """The settings file cannot be changed; the text says why."""


class SettingsFile:
    """The text of a settings file that is being changed; the file itself changes in `save`.

    Args:
        path: the file; one that does not exist is made.

    Raises:
        NotWritten: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = ""
        try:
            with suppress(FileNotFoundError):
                self._before = path.read_bytes().decode("utf-8-sig")
            self._document = tomlkit.parse(self._before)
        except OSError as error:
            raise NotWritten(f"{path} cannot be read: {error.strerror or said(error)}") from None
        except (UnicodeDecodeError, TOMLKitError) as error:
            raise NotWritten(f"{path} is not TOML: {error}") from None

    def get(self, key: KeyPath) -> Any:
        """Return the value of a key as plain Python; None where the file does not have it."""
        found: Any = self._document
        for name in key:
            if not isinstance(found, Mapping) or name not in found:
                return None
            found = found[name]
        return found.unwrap() if hasattr(found, "unwrap") else found

    def put(self, key: KeyPath, value: Any) -> None:
        """Set a key; tables that lead to it are made."""
        *tables, last = key
        place: Any = self._document
        for name in tables:
            if name not in place:
                place[name] = tomlkit.table()
            place = place[name]
        place[last] = value

    def drop(self, key: KeyPath) -> None:
        """Take a key out, where it is there."""
        *tables, last = key
        place: Any = self._document
        for name in tables:
            if name not in place:
                return
            place = place[name]
        if last in place:
            del place[last]

    def add(self, key: KeyPath, entry: str, default: Sequence[str] = ()) -> None:
        """Append to a list; one that the file does not have begins with the entries of its default."""
        listed = self.get(key)
        if listed is None:
            self.put(key, [*default, entry])
        elif entry not in listed:
            self._array(key).append(entry)

    def take(self, key: KeyPath, entry: str, default: Sequence[str] = ()) -> None:
        """Remove an entry of a list; of one that the file does not have, from its default."""
        listed = self.get(key)
        if listed is None:
            self.put(key, [one for one in default if one != entry])
        elif entry in listed:
            self._array(key).remove(entry)

    def _array(self, key: KeyPath) -> Any:
        found: Any = self._document
        for name in key:
            found = found[name]
        return found

    def difference(self) -> str:
        """Return what has changed, as a unified diff; "" for nothing."""
        lines = difflib.unified_diff(
            self._before.splitlines(), self._text().splitlines(), str(self.path), str(self.path), n=1, lineterm=""
        )
        return "\n".join(lines)

    def _text(self) -> str:
        return tomlkit.dumps(self._document)

    def save(self, environ: Mapping[str, str]) -> None:
        """Write the file whole or not at all, once its new text has proved to be settings.

        Raises:
            NotWritten: the file or its folder is not writable.
            SettingsError: the new text would not be settings that a server starts with.
        """
        target = self.path.resolve()
        draft: Path | None = None
        try:
            handle, name = tempfile.mkstemp(".toml", f".{target.stem}-", target.parent)
            draft = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(self._text())
            load(draft, environ)
            if target.exists():
                if not os.access(target, os.W_OK):
                    raise PermissionError(13, "it is not writable")
                shutil.copymode(target, draft)
                with suppress(PermissionError):
                    owner = target.stat()
                    os.chown(draft, owner.st_uid, owner.st_gid)
            else:
                draft.chmod(0o644)
            draft.replace(target)
            draft = None
        except OSError as error:
            raise NotWritten(f"{self.path} cannot be written: {error.strerror or said(error)}") from None
        finally:
            if draft is not None:
                draft.unlink(missing_ok=True)


def variable_of(key: KeyPath, file: Path | None, environ: Mapping[str, str]) -> str | None:
    """Return the variable of the environment that sets a key, or something in it: what the file says is void."""
    problems: list[Problem] = []
    exists = file is not None and file.exists()
    _, given = gather(file if exists else None, environ, problems)
    for path, one in given.items():
        shorter = min(len(path), len(key))
        if path[:shorter] == key[:shorter]:
            return one.key
    return None
