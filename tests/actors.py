"""Somebody who may everything, for tests of what becomes of it."""

from __future__ import annotations

from typing import Final

from relay.services.audit import Actor

OPERATOR: Final = Actor.operator(0)
