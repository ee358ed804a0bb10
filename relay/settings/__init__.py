"""The typed settings: one table of keys, read from a TOML file and the environment.

Two rules hold here. Each key is written once, as an annotated struct field, and what people read is generated
from it: the shipped relay.toml, docs/configuration.md and `relay config show`. And nobody mends a configuration
one error at a time: `load` either returns settings that are right in every key, or raises `SettingsError` with
all problems, each with its place and, where one comes near, the right name.

From below: `kinds` of values; `sections`, `limits` and `extensions`, which are the keys; `model`, all of them;
`fields`, the same as data; `toml_source`, `environment` and `sources`, what was given; `values`, whether it is
right; `loading`; `explaining` and `rendering`. This package knows nothing of sockets, SQL or plugins.
"""

from relay.settings.explaining import explain
from relay.settings.extensions import PluginsSettings, TypeSettings
from relay.settings.fields import SETTINGS, Setting
from relay.settings.limits import LimitsSettings
from relay.settings.loading import load
from relay.settings.model import Settings
from relay.settings.problems import Problem, SettingsError
from relay.settings.rendering import render_markdown, render_toml
from relay.settings.sections import (
    AccountsSettings,
    AttachmentsSettings,
    HeartbeatSettings,
    LogSettings,
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
    "render_markdown",
    "render_toml",
]
