"""A reload of the settings while the server runs: read again, checked whole, then in force where they are live.

Up to the first change everything is checked: the file, the certificate, the options of each plugin. What does
not fit is refused, and nothing has changed. Then the keys of relay itself are taken over in one step of the event
loop, and the plugins whose options changed are loaded anew, one after the other; one that cannot be stays as it
was, and is named.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec
import trio

from relay.engine.options import BadOptions, read_options
from relay.engine.registry import LoadedPlugin, Registry
from relay.engine.reloading import Reloader
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.acts import Act
from relay.services.audit import Actor, AuditLog
from relay.settings import Settings, SettingsError, load_for_server
from relay.settings.live import compare

_log: Final = logging.getLogger("relay")

Take = Callable[[], list[str]]
"""Takes settings over that were prepared, and returns what has changed besides the keys that differ."""


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a reload.

    Attributes:
        applied: what changed and is in force, as the file writes it: "[log] level", "[plugins.retention]".
        after_restart: what changed and waits for a restart.
        kept: what cannot be taken and stays as it was, each with the reason.
    """

    applied: list[str]
    after_restart: list[str]
    kept: dict[str, str]


class Served(Protocol):
    """An engine, as far as a reload changes it."""

    settings: Settings
    registry: Registry
    reloader: Reloader
    audit: AuditLog

    def take_settings(self, settings: Settings) -> None:
        """Have other settings in force, whose keys are live."""


def _nothing(_began: bool) -> None:
    pass


class LiveSettings:
    """The way in for settings that are read again.

    Attributes:
        on_reload: called with True when a reload begins, and with False once it is over.
        certificate_ends: when the certificate that is served expires, Unix seconds; None without TLS.
    """

    def __init__(self, engine: Served) -> None:
        self._engine = engine
        self._watchers: list[Callable[[Settings], Take]] = []
        self._one_at_a_time = trio.Lock()
        self.on_reload: Callable[[bool], None] = _nothing
        self.certificate_ends: float | None = None

    def watch(self, prepare: Callable[[Settings], Take]) -> None:
        """Have something take part in each reload.

        Args:
            prepare: checks the settings that would be in force, raises `RelayError` where they cannot be, and
                returns what takes them over, which raises nothing.
        """
        self._watchers.append(prepare)

    async def reload(self, actor: Actor) -> Reloaded:
        """Read the settings again, and have in force what is live.

        Raises:
            RelayError: `conflict` where something in them does not fit: nothing has changed.
        """
        async with self._one_at_a_time:
            self.on_reload(True)
            try:
                return await self._reload(actor)
            except RelayError as refused:
                _log.error("the settings stay as they were: %s", refused.message)
                raise RelayError(refused.code, f"the settings stay as they were: {refused.message}") from None
            finally:
                self.on_reload(False)

    async def _reload(self, actor: Actor) -> Reloaded:
        engine = self._engine
        new = self._read()
        found = compare(engine.settings, new)
        takes = [prepare(found.settings) for prepare in self._watchers]
        changed = [plugin for plugin in engine.registry.loaded if self._differs(plugin, new)]
        # From here on nothing is refused but single plugins.
        engine.take_settings(found.settings)
        noticed = [text for take in takes for text in take()]
        applied = list(dict.fromkeys([*found.live, *noticed]))
        kept: dict[str, str] = {}
        for plugin in changed:
            await self._reload_plugin(plugin, new, applied, kept)
        result = Reloaded(applied=applied, after_restart=[*found.later, *self._unloaded(new)], kept=kept)
        _tell(result)
        if applied:
            details = {"applied": applied, "after_restart": result.after_restart}
            await engine.audit.record(actor, Act.SETTINGS_RELOADED, None, details)
        return result

    def _read(self) -> Settings:
        """Return the settings as the file has them now; those in force where there is no file.

        Raises:
            RelayError: `conflict`, with every problem.
        """
        file = self._engine.settings.plugins.file
        if file is None:
            return self._engine.settings
        try:
            return load_for_server(Path(file), os.environ)
        except SettingsError as wrong:
            raise _conflict(str(wrong)) from None

    def _differs(self, plugin: LoadedPlugin, new: Settings) -> bool:
        """Tell whether a plugin has other options, or one of its types another table.

        Raises:
            RelayError: `conflict` for options that the plugin's struct does not take.
        """
        old = self._engine.settings
        if any(old.types.get(name) != new.types.get(name) for name in plugin.types):
            return True
        if plugin.struct is None:
            return False
        given = new.plugins.options.get(plugin.name, {})
        try:
            return bool(read_options(plugin.name, plugin.struct, given, new.plugins.places) != plugin.options)
        except BadOptions as wrong:
            raise _conflict(str(wrong)) from None

    async def _reload_plugin(
        self, plugin: LoadedPlugin, new: Settings, applied: list[str], kept: dict[str, str]
    ) -> None:
        """Load a plugin anew, and note in one of two places what came of it."""
        engine = self._engine
        names = [name for name in plugin.types if engine.settings.types.get(name) != new.types.get(name)]
        about = [f"[types.{name}]" for name in names] or [f"[plugins.{plugin.name}]"]
        try:
            await engine.reloader.reload(plugin.name)
        except RelayError as refused:
            kept.update(dict.fromkeys(about, refused.message))
            return
        types = {name: one for name, one in engine.settings.types.items() if name not in plugin.types}
        types |= {name: new.types[name] for name in plugin.types if name in new.types}
        options = dict(engine.settings.plugins.options)
        options[plugin.name] = new.plugins.options.get(plugin.name, {})
        plugins = msgspec.structs.replace(engine.settings.plugins, options=options)
        engine.settings = msgspec.structs.replace(engine.settings, types=types, plugins=plugins)
        applied.extend(about)

    def _unloaded(self, new: Settings) -> list[str]:
        """Return the tables that changed of plugins that are not loaded: `plugins reload` takes them."""
        loaded = {plugin.name for plugin in self._engine.registry.loaded}
        old = self._engine.settings.plugins.options
        names = sorted({*old, *new.plugins.options} - loaded)
        return [f"[plugins.{name}]" for name in names if old.get(name, {}) != new.plugins.options.get(name, {})]


def _tell(result: Reloaded) -> None:
    """Log what came of a reload."""
    _log.info("the settings were read again; changed: %s", ", ".join(result.applied) or "nothing")
    if result.after_restart:
        _log.warning("these settings changed and wait for a restart: %s", ", ".join(result.after_restart))
    for name, reason in result.kept.items():
        _log.error("%s stays as it was: %s", name, reason)


def _conflict(text: str) -> RelayError:
    return RelayError(ErrorCode.CONFLICT, text)
