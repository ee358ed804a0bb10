"""The late import of the library: it takes a second or more, which no thread of the server's may be held for."""

from importlib import import_module
from typing import Any

import trio

_known: dict[str, Any] = {}


async def load() -> Any:
    """Return the module `protocol`; its first import runs on a thread of its own."""
    name = f"{__package__}.protocol"
    if name not in _known:
        _known[name] = await trio.to_thread.run_sync(import_module, name, abandon_on_cancel=True)
    return _known[name]
