"""The check by a connection: it opens, and is closed."""

from __future__ import annotations

import asyncio

from uaitools.registry.address import valid_address, valid_port
from uaitools.registry.checks.answer import GOOD, Answer
from uaitools.registry.model import Instance


async def ask_tcp(instance: Instance) -> Answer:
    """Open a connection and close it. No TLS, whatever the scheme: a handshake is http's matter.

    Raises OSError, and ValueError for an address or a port that is none.
    """
    transport, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, valid_address(instance.address), valid_port(instance.port)
    )
    transport.close()
    return GOOD
