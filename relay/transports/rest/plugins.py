"""The administration of plugins: their states, figures, parts and options, and what admins can do to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from quart import Blueprint

from relay.engine import job_acts, plugin_acts
from relay.engine.engine import Engine
from relay.engine.job_acts import JobState
from relay.engine.plugin_states import (
    PluginState,
    State,
    option_schema,
    option_values,
    parts_of,
    states,
    why_not_writable,
)
from relay.engine.registry import LoadedPlugin
from relay.http.endpoint import Access, endpoint
from relay.http.requests import MAX_PAGE, Answer, Body, Limit, Query, Word
from relay.http.views import Caller
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.transports.rest.calls import calls_of

blueprint = Blueprint("plugins", __name__)
_REFUSALS = [ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.OVERLOADED]


class ListedPlugin(Answer, frozen=True):
    """A plugin: running, set aside because it failed or an admin said so, left out at the start, or off."""

    name: str
    state: State
    source: Literal["bundled", "directory", "installed", ""]
    failures: int
    types: list[str]
    reason: str
    description: str
    page_faults: int


class ListedPlugins(Answer, frozen=True):
    """All plugins: those that were loaded, in their order, those that were left out, and those that are off."""

    plugins: list[ListedPlugin]


class PluginCount(Answer, frozen=True):
    """One of the things that a plugin counts, since it was loaded."""

    what: str
    kind: str
    count: int


class PluginCall(Answer, frozen=True):
    """A REST call of a plugin's own."""

    method: str
    path: str
    access: Access


class PluginOptions(Answer, frozen=True):
    """A plugin's options.

    `schema` is their JSON Schema, with types, bounds, defaults and texts. `values` are those in force; a secret
    one is `(redacted)`. `origins` says where each one that was given comes from. `writable` tells whether they can
    be changed by this server, and `why_not` why they cannot.
    """

    schema: dict[str, Any]
    values: dict[str, Any]
    origins: dict[str, str]
    writable: bool
    why_not: str | None


class Plugin(ListedPlugin, frozen=True):
    """One plugin whole.

    `last_failure` names the last one since `loaded_at`. `hooks` has, by hook, the names of what the plugin
    registered; one with `relay_page` has a module in the page. `options` is null for a plugin that declares none,
    or is not loaded, and so is `loaded_at`.
    """

    file: str | None
    loaded_at: float | None
    last_failure: str | None
    counts: list[PluginCount]
    hooks: dict[str, list[str]]
    calls: list[PluginCall]
    commands: list[str]
    options: PluginOptions | None


class ReloadedPlugin(Answer, frozen=True):
    """A plugin that was loaded; `old_runs` is true while a task of its old code has not ended."""

    state: Literal["loaded", "reloaded"]
    types_added: list[str]
    types_removed: list[str]
    old_runs: bool


class SetAside(Body, frozen=True):
    """The reason that a plugin is set aside, for the log and for other admins."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)] = plugin_acts.ASIDE


class UnloadedPlugin(Answer, frozen=True):
    """A plugin that was taken out; `old_runs` is true while a task of it has not ended."""

    types_removed: list[str]
    old_runs: bool


class JobsQuery(Query, frozen=True):
    """The plugin, and how many jobs at most."""

    plugin: Word = None
    limit: Limit = MAX_PAGE


class Job(Answer, frozen=True):
    """A job of a plugin's schedule; `error` is what it failed at when it was tried last."""

    plugin: str
    schedule: str
    key: str
    rule: str | None
    next_at: float
    began_at: float | None
    last_at: float | None
    state: JobState
    attempts: int
    error: str | None


class Jobs(Answer, frozen=True):
    """The jobs that wait or run, the next ones first."""

    jobs: list[Job]


class JobToRun(Body, frozen=True):
    """A job: that of the rule `schedule`, or the one called `key` of a schedule without a rule."""

    schedule: Annotated[str, Meta(min_length=1, max_length=64)]
    key: Annotated[str, Meta(max_length=200)] = ""


class DueJob(Answer, frozen=True):
    """The state of a job that is due now; it runs at once where that is `waiting`."""

    state: JobState


@blueprint.get("/api/admin/plugins")
@endpoint(answers={200: ListedPlugins}, access="admin")
async def plugins(engine: Engine) -> ListedPlugins:
    """Answer with every plugin and its state."""
    return ListedPlugins(plugins=[_listed(row) for row in states(engine)])


@blueprint.get("/api/admin/plugins/<name>")
@endpoint(answers={200: Plugin}, access="admin")
async def plugin(engine: Engine, name: str) -> Plugin:
    """Answer with one plugin: its state and figures, what it registered, and its options."""
    return _whole(engine, name)


@blueprint.post("/api/admin/plugins/<name>/reload")
@endpoint(answers={200: ReloadedPlugin}, refusals=_REFUSALS, access="admin")
async def reload(engine: Engine, caller: Caller, name: str) -> ReloadedPlugin:
    """Load a plugin's code and options anew; if that fails, the old code goes on."""
    _require_changes(engine)
    changed = await plugin_acts.reload(engine, caller.actor, name)
    return ReloadedPlugin(
        state="loaded" if changed.state == "loaded" else "reloaded",
        types_added=changed.types_added,
        types_removed=changed.types_removed,
        old_runs=changed.old_runs,
    )


@blueprint.post("/api/admin/plugins/<name>/resume")
@endpoint(answers={200: Plugin}, access="admin")
async def resume(engine: Engine, caller: Caller, name: str) -> Plugin:
    """Take a plugin back that was set aside."""
    _require_changes(engine)
    await plugin_acts.resume(engine, caller.actor, name)
    return _whole(engine, name)


@blueprint.post("/api/admin/plugins/<name>/set-aside")
@endpoint(body=SetAside, optional_body=True, answers={200: Plugin}, access="admin")
async def set_aside(engine: Engine, caller: Caller, name: str, body: SetAside) -> Plugin:
    """Set a plugin aside by hand: its types and calls are answered `plugin_failed`, and nothing of it runs."""
    _require_changes(engine)
    await plugin_acts.set_aside(engine, caller.actor, name, body.reason)
    return _whole(engine, name)


@blueprint.post("/api/admin/plugins/<name>/unload")
@endpoint(answers={200: UnloadedPlugin}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.OVERLOADED], access="admin")
async def unload(engine: Engine, caller: Caller, name: str) -> UnloadedPlugin:
    """Take a plugin out until it is loaded again, or the server is started anew."""
    _require_changes(engine)
    changed = await plugin_acts.unload(engine, caller.actor, name)
    return UnloadedPlugin(types_removed=list(changed.types_removed), old_runs=changed.old_runs)


@blueprint.get("/api/admin/jobs")
@endpoint(query=JobsQuery, answers={200: Jobs}, access="admin")
async def jobs(engine: Engine, query: JobsQuery) -> Jobs:
    """Answer with the jobs of plugins that wait or run, the next ones first."""
    found = await job_acts.list_jobs(engine, query.plugin, query.limit)
    return Jobs(jobs=[msgspec.convert(job, Job) for job in found])


@blueprint.post("/api/admin/plugins/<name>/run-job")
@endpoint(body=JobToRun, answers={200: DueJob}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.CONFLICT], access="admin")
async def run_job(engine: Engine, caller: Caller, name: str, body: JobToRun) -> DueJob:
    """Make a job due now, and answer with its state."""
    _require_changes(engine)
    return DueJob(state=await job_acts.run_job(engine, caller.actor, name, body.schedule, body.key))


@blueprint.patch("/api/admin/plugins/<name>/options")
@endpoint(body=dict[str, Any], answers={200: Plugin}, refusals=_REFUSALS, access="admin")
async def options(engine: Engine, caller: Caller, name: str, body: dict[str, Any]) -> Plugin:
    """Change options in the settings file and load the plugin anew; null takes one back to its default."""
    _require_changes(engine)
    await plugin_acts.set_options(engine, caller.actor, name, body)
    return _whole(engine, name)


def _require_changes(engine: Engine) -> None:
    """Refuse a change where the operator wants none from here.

    Raises:
        RelayError: `forbidden`.
    """
    if not engine.settings.plugins.admin_changes:
        raise RelayError(ErrorCode.FORBIDDEN, "[plugins] admin_changes is false: the operator changes plugins")


def _listed(row: PluginState) -> ListedPlugin:
    return ListedPlugin(**_fields(row))


def _fields(row: PluginState) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ListedPlugin.__struct_fields__}


def _whole(engine: Engine, name: str) -> Plugin:
    """Return one plugin whole.

    Raises:
        RelayError: `not_found`.
    """
    row = next((row for row in states(engine) if row.name == name), None)
    if row is None:
        raise not_found(f"plugin {name!r}")
    loaded = next((one for one in engine.registry.loaded if one.name == name), None)
    if loaded is None:
        return Plugin(
            **_fields(row),
            file=next((str(one.path) for one in engine.registry.broken if one.name == name and one.path), None),
            loaded_at=None,
            last_failure=None,
            counts=[],
            hooks={},
            calls=[],
            commands=[],
            options=None,
        )
    hooks = parts_of(engine.registry, loaded)
    counts = sorted(engine.server_of(name).counts.items())
    return Plugin(
        **_fields(row),
        file=str(loaded.path),
        loaded_at=loaded.since,
        last_failure=loaded.guard.last,
        counts=[PluginCount(what=what, kind=kind, count=count) for (what, kind), count in counts],
        hooks=hooks,
        calls=[
            PluginCall(method=one.method, path=one.path, access=one.access)
            for one in calls_of(loaded, engine.registry)
        ],
        commands=hooks.get("relay_commands", []),
        options=_options(engine, loaded),
    )


def _options(engine: Engine, loaded: LoadedPlugin) -> PluginOptions | None:
    schema = option_schema(loaded)
    if schema is None:
        return None
    why_not = why_not_writable(engine)
    return PluginOptions(
        schema=schema,
        values=option_values(loaded),
        origins=dict(loaded.origins),
        writable=why_not is None,
        why_not=why_not,
    )
