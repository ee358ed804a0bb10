"""The change of plugins while the server runs: one is loaded anew, loaded for the first time, or taken out.

The new code is imported and asked for its parts on a thread of its own, and its new migrations are run. Up to
there nothing has changed for anybody, and what fails is told and leaves the old code at work. Then messages are
held for a moment, until those that the old code drafted are stored, and `Registry.become` puts the new plugin in
the old one's place: in one step of the event loop, while the writer's thread stands still. So no message is
drafted, or stored, by half of the old code and half of the new.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

import trio

from relay.engine.discovery import Found, Reimport, find
from relay.engine.dispatch import Dispatcher
from relay.engine.guard import Guard, in_words
from relay.engine.loader import enabled_in, leave_out_dead_hooks, load_one
from relay.engine.migrations import migrate
from relay.engine.overrides import override_types
from relay.engine.plugin_tasks import PluginTasks
from relay.engine.registry import Registry
from relay.engine.watchdog import Watch
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.draining import Drain
from relay.services.router import MessageRouter
from relay.settings import Settings, SettingsError, load
from relay.storage.jobs import Runner

_log: Final = logging.getLogger("relay")
_IMPORT_SECONDS: Final = 15.0
"""How long importing a plugin may take; it runs on a thread of its own, and holds nobody up."""

_HELD_SECONDS: Final = 2.0
"""How long new messages may be held until those before them are stored; then the change is called off."""

_ENDING_SECONDS: Final = 6.0
"""How long an answer waits for the old code's tasks."""

State = Literal["loaded", "reloaded", "removed"]


class Changed(NamedTuple):
    """The result of a change of one plugin.

    Attributes:
        types_added, types_removed: message types that are new, and that are unknown from now on.
        old_runs: whether a task of the old code has not ended yet; the new code's tasks begin once it has.
    """

    name: str
    state: State
    types_added: list[str]
    types_removed: list[str]
    old_runs: bool


class Reloader:
    """Changes the plugins of a running server, one at a time.

    Args:
        runner: for migrations.
        settings: those of the start; a plugin's own are read again.
        now: Unix seconds.
        inline: whether code is imported on the event loop: for virtual time.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        dispatcher: Dispatcher,
        router: MessageRouter,
        runner: Runner,
        tasks: PluginTasks,
        settings: Settings,
        drain: Drain,
        now: Callable[[], float],
        inline: bool,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._router = router
        self._runner = runner
        self._tasks = tasks
        self._settings = settings
        self._drain = drain
        self._now = now
        self._inline = inline
        self._one_at_a_time = trio.Lock()

    async def reload(self, name: str) -> Changed:
        """Load a plugin's code and options anew, or for the first time.

        Raises:
            RelayError: `not_found`; `conflict` where the new code cannot be taken, and the old one stays;
                `overloaded` where the server is too busy or ends.
        """
        async with self._one_at_a_time:
            try:
                return await self._reload(name)
            except RelayError as refused:
                _log.warning("%s", refused.message)
                raise

    async def reload_after(self, name: str, edit: Callable[[], Callable[[], None]]) -> Changed:
        """Edit the settings file, then load a plugin anew; where that is refused, the edit is undone.

        Args:
            edit: changes the file and returns what undoes that; called on a thread of its own.

        Raises:
            RelayError: as `reload` does, and what `edit` raises.
        """
        async with self._one_at_a_time:
            before = self._registry.guard(name)
            undo = edit() if self._inline else await trio.to_thread.run_sync(edit)
            try:
                return await self._reload(name)
            finally:
                if self._registry.guard(name) is before:
                    undo()

    async def unload(self, name: str) -> Changed:
        """Take a plugin out until it is loaded again; its types are unknown from then on.

        Raises:
            RelayError: `not_found`; `conflict` for one that the operator requires; `overloaded` where the server
                is too busy or ends.
        """
        if name in self._settings.plugins.required:
            raise RelayError(ErrorCode.CONFLICT, f"[plugins] required names {name!r}: nothing may pass without it")
        async with self._one_at_a_time:
            candidate = self._registry.copy()
            if candidate.remove(name) is None:
                raise not_found(f"plugin {name!r} at work")
            leave_out_dead_hooks(candidate, [])
            return await self._change(name, candidate, "removed")

    async def _reload(self, name: str) -> Changed:
        settings = self._settings_now()
        found = _find(name, settings)
        candidate = self._registry.copy()
        place = next((number for number, one in enumerate(candidate.loaded) if one.name == name), None)
        state: State = "loaded" if candidate.remove(name) is None else "reloaded"
        modules = Reimport(found)
        try:
            await self._import(candidate, found, settings, place)
            await self._check(candidate, name, settings)
            return await self._change(name, candidate, state)
        finally:
            guard = candidate.guard(name)
            if guard is not None and self._registry.guard(name) is guard:
                modules.finish()
            else:
                modules.undo()

    def _settings_now(self) -> Settings:
        """Return the settings as the file has them now; those of the start where there is none."""
        file = self._settings.plugins.file
        if file is None:
            return self._settings
        try:
            return load(Path(file), os.environ)
        except SettingsError as wrong:
            raise RelayError(ErrorCode.CONFLICT, f"the settings cannot be read: {wrong}") from None

    async def _import(self, candidate: Registry, found: Found, settings: Settings, place: int | None) -> None:
        """Import a plugin and add it to a registry, as loaded or as broken."""
        watch = candidate.rules.loop if self._inline else Watch()
        options, places = settings.plugins.options.get(found.name, {}), settings.plugins.places

        def work() -> None:
            load_one(candidate, found, options, places, watch=watch, place=place)

        if self._inline:
            work()
            return
        with trio.move_on_after(_IMPORT_SECONDS) as limit:
            await trio.to_thread.run_sync(work, abandon_on_cancel=True)
        if limit.cancelled_caught:
            raise _refused(found.name, f"importing it takes longer than {_IMPORT_SECONDS:g} s")

    async def _check(self, candidate: Registry, name: str, settings: Settings) -> None:
        """Refuse a plugin that was left out, and run the migrations of one that was not.

        Raises:
            RelayError: `conflict`.
        """
        leave_out_dead_hooks(candidate, [name])
        for broken in candidate.broken:
            if broken.name == name:
                self._note_broken(candidate, name)
                raise _refused(name, broken.reason)
        own = next(loaded.types for loaded in candidate.loaded if loaded.name == name)
        changes = {type_: settings.types[type_] for type_ in own if type_ in settings.types}
        for remark in override_types(candidate, changes):
            _log.warning("%s", remark)
        kept = {type_: place for type_, place in candidate.priorities.items() if type_ not in own}
        chosen = {type_: one.priority for type_, one in changes.items() if one.priority is not None}
        candidate.priorities = kept | chosen
        failed = await migrate(self._runner, candidate, self._now())
        if name in failed:
            raise _refused(name, failed[name])

    async def _change(self, name: str, candidate: Registry, state: State) -> Changed:
        """Hold messages until those before them are stored, and put a registry's plugins in place of the present.

        Raises:
            RelayError: `overloaded`, or `conflict` where a service cannot take the new parts; nothing has changed.
        """
        old, types = self._registry.guard(name), set(self._registry.types)
        step = _Step(self._registry, candidate)
        if self._drain.begun:
            raise RelayError(ErrorCode.OVERLOADED, "the server is stopping")
        self._dispatcher.pause()
        try:
            with trio.move_on_after(_HELD_SECONDS):
                await self._router.wait_idle()
                await self._runner.between(step.take)
        finally:
            step.over = True
            self._dispatcher.resume()
        if step.fault is not None:
            raise _refused(name, in_words(step.fault)) from step.fault
        if not step.taken:
            raise RelayError(
                ErrorCode.OVERLOADED, "the disk is too slow for a change of plugins; try again", retry_after=2.0
            )
        _log.info("plugin %r is %s", name, state)
        now = set(self._registry.types)
        runs = old is not None and not await self._has_ended(old)
        return Changed(name, state, sorted(now - types), sorted(types - now), runs)

    async def _has_ended(self, guard: Guard) -> bool:
        with trio.move_on_after(_ENDING_SECONDS) as limit:
            await self._tasks.wait_ended(guard)
        return not limit.cancelled_caught

    def _note_broken(self, candidate: Registry, name: str) -> None:
        """Where no code of a plugin runs, let the operator's list say what is wrong with it now."""
        if self._registry.guard(name) is None:
            others = [broken for broken in self._registry.broken if broken.name != name]
            self._registry.broken = others + [broken for broken in candidate.broken if broken.name == name]


class _Step:
    """The one step in which plugins change; called off where it could not begin in time.

    Attributes:
        taken: whether they have changed.
        over: whether it is called off.
        fault: the reason that they have not.
    """

    def __init__(self, registry: Registry, candidate: Registry) -> None:
        self._registry = registry
        self._candidate = candidate
        self.taken = self.over = False
        self.fault: Exception | None = None

    def take(self) -> None:
        """Change the plugins, unless nobody waits for it any more."""
        if self.over:
            return
        try:
            self._registry.become(self._candidate)
            self.taken = True
        except Exception as fault:
            self.fault = fault


def _find(name: str, settings: Settings) -> Found:
    """Return the plugin of a name that the settings enable.

    Raises:
        RelayError: `not_found`.
    """
    plugins = settings.plugins
    folders = [Path(folder) for folder in plugins.directories]
    wanted, missing = find(enabled_in(plugins), folders)
    for found in wanted:
        if found.name == name:
            return found
    if name not in missing:
        _, missing = find([name], folders)
    reason = missing.get(name, f"it is not enabled: relay plugins install {name} does that")
    raise RelayError(ErrorCode.NOT_FOUND, f"plugin {name!r}: {reason}")


def _refused(name: str, reason: str) -> RelayError:
    return RelayError(ErrorCode.CONFLICT, f"plugin {name!r} stays as it was: {reason}")
