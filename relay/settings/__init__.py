"""The typed settings: one table of keys, read from a TOML file and the environment.

Two rules hold here. Each key is written once, as an annotated struct field, and what people read is generated
from it: the shipped relay.toml, docs/configuration.md and `relay config show`. And nobody corrects a configuration
one error at a time: `load` either returns settings that are right in every key, or raises `SettingsError` with
all problems, each with its place and, where there is one, the nearest valid name.

From the bottom up: `kinds` (the kinds of value); `limits`, `sections` and `model` (the keys); `fields` (the same
keys as data); `toml_source` and `environment` (the two sources); `values` (the check of one value); `loading`;
`rendering`. This package knows nothing of sockets, SQL or plugins.
"""

from relay.settings.fields import SETTINGS, Setting
from relay.settings.limits import AttachmentsSettings, LimitsSettings
from relay.settings.loading import explain, load, load_for_server
from relay.settings.model import PluginsSettings, Settings, TypeSettings
from relay.settings.problems import Problem, SettingsError
from relay.settings.rendering import render_markdown, render_toml
from relay.settings.sections import (
    AccountsSettings,
    HeartbeatSettings,
    LogSettings,
    MetricsSettings,
    PresenceSettings,
    ReplaySettings,
    ServerSettings,
    StorageSettings,
    TimeoutsSettings,
    WebSettings,
)

__all__ = [
    "SETTINGS",
    "AccountsSettings",
    "AttachmentsSettings",
    "HeartbeatSettings",
    "LimitsSettings",
    "LogSettings",
    "MetricsSettings",
    "PluginsSettings",
    "PresenceSettings",
    "Problem",
    "ReplaySettings",
    "ServerSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "StorageSettings",
    "TimeoutsSettings",
    "TypeSettings",
    "WebSettings",
    "explain",
    "load",
    "load_for_server",
    "render_markdown",
    "render_toml",
]
