"""The flags that every component's command line has."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path


def add_common_flags(parser: ArgumentParser, *, table: str, listen: str, stores: str) -> None:
    """Add them. table: of the file. listen: by default. stores: what --data-dir is for."""
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help=f"uaitools.toml; see its [{table}] table")
    add("--listen", metavar="HOST:PORT", help=f"{listen} by default; port 0: any free one")
    add("--data-dir", type=Path, metavar="DIR", help=stores)
    add("--check", action="store_true", help="validate the configuration and exit")
    add("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    add(
        "--insecure",
        action="store_true",
        help="listen on an address that others can reach, although everyone is accepted",
    )
