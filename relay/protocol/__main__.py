"""`python -m relay.protocol javascript`: write relay/web/sdk/protocol.js to standard output."""

from __future__ import annotations

import sys

from relay.protocol.javascript import render_javascript


def main(arguments: list[str]) -> int:
    """Write the file that the one argument names, and return the exit status."""
    if arguments != ["javascript"]:
        sys.stderr.write("usage: python -m relay.protocol javascript\n")
        return 2
    sys.stdout.buffer.write(render_javascript().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
