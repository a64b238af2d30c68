"""What the proxies ask of requests in the scenarios with policies, and the files that say so.

nginx maps the credential to a client and limits its rate; uaitools verifies an API key, limits its
caller's rate, and tells both sides. The key opens nothing but a benchmark.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from uaitools.auth.keys import KeyRecord, render

KEY: Final = "uai_benchmark000_" + "opensnothingbutabenchmark".ljust(43, "0")
SECRET: Final = "a benchmark's secret, of more than 32 bytes"  # noqa: S105 - see the module
_ROUTES: Final = 1000


def write_keys(folder: Path) -> Path:
    """The file of keys that accepts KEY."""
    record = KeyRecord(
        id="benchmark000",
        name="bench",
        sha256=sha256(KEY.encode()).hexdigest(),
        scopes=("chat",),
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )
    path = folder / "keys.json"
    path.write_bytes(render([record]))
    return path


def token() -> str:
    """A JWT that the variant with tokens accepts, for an hour."""
    import jwt  # noqa: PLC0415 - for this scenario only

    claims = {"sub": "bench", "exp": int(time.time()) + 3600, "scope": "chat"}
    return jwt.encode(claims, SECRET, "HS256")


def many_routes() -> str:
    """Routes beside the one that is used."""
    return "".join(
        f'[[proxy.routes]]\npath = "/team/{number}/api"\nservice = "service"\n'
        for number in range(_ROUTES)
    )


async def hook(request: object, forward: object) -> None:
    """A hook that only looks: what running one costs."""
    del request, forward
