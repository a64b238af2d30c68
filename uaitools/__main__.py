"""The program: `python -m uaitools keys`, what is common to all components."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_USAGE = """\
usage: python -m uaitools keys {new,list,revoke} ...   API keys
       python -m uaitools.proxy ...                    the gateway
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name == "keys":
        from uaitools.auth import command  # noqa: PLC0415 - what is not asked for is not loaded

        return command.main(rest)
    asked = name in ("-h", "--help")
    (sys.stdout if asked else sys.stderr).write(_USAGE)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main())
