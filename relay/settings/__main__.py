"""`python -m relay.settings toml|markdown|schema`: writes a generated file to standard output.

These are relay.toml, docs/configuration.md, and relay.schema.json, by which editors complete the first.
"""

from __future__ import annotations

import sys

from relay.settings.rendering import render_markdown, render_toml
from relay.settings.schema import render_schema

_RENDERERS = {"toml": render_toml, "markdown": render_markdown, "schema": render_schema}


def main(arguments: list[str]) -> int:
    """Write the file that the only argument names; return the exit status."""
    if len(arguments) != 1 or arguments[0] not in _RENDERERS:
        sys.stderr.write("usage: python -m relay.settings toml|markdown|schema\n")
        return 2
    sys.stdout.buffer.write(_RENDERERS[arguments[0]]().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
