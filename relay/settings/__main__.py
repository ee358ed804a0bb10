"""`python -m relay.settings toml|markdown`: write relay.toml or docs/configuration.md to standard output."""

from __future__ import annotations

import sys

from relay.settings.rendering import render_markdown, render_toml

_RENDERERS = {"toml": render_toml, "markdown": render_markdown}


def main(arguments: list[str]) -> int:
    """Write the page that the only argument names; return the exit status."""
    if len(arguments) != 1 or arguments[0] not in _RENDERERS:
        sys.stderr.write("usage: python -m relay.settings toml|markdown\n")
        return 2
    sys.stdout.buffer.write(_RENDERERS[arguments[0]]().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
