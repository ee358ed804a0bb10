"""Loaded by schemathesis: two requests in three name what is there, so that more is met than 404."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import schemathesis

from tests.e2e.fuzzing import BYSTANDER
from tests.e2e.fuzzing import KNOWN as VARIABLE

KNOWN: dict[str, list[str]] = json.loads(os.environ[VARIABLE])


@schemathesis.hook
def before_call(context: Any, case: Any, **kwargs: Any) -> None:
    """Put known names into a case; which ones follows from the case itself."""
    chosen = random.Random(f"{case.method} {case.path_parameters} {case.query} {case.body!r}")
    unchanged = chosen.random() < 1 / 3
    for name in set(case.path_parameters or {}) & set(KNOWN):
        # An answer may have told the name of the one who is to be left alone.
        if not unchanged or case.path_parameters[name] == BYSTANDER:
            case.path_parameters[name] = chosen.choice(KNOWN[name])
    if unchanged:
        return
    meta = case.body.get("meta") if isinstance(case.body, dict) else None
    if isinstance(meta, dict) and "target_id" in meta:
        meta["target_id"] = chosen.choice([*KNOWN["user_id"], *KNOWN["group_id"]])
