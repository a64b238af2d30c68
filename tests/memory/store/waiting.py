"""Sessions that wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.peers.gateways import settled

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection


async def somebody_waits(connection: Connection) -> None:
    """Until a session of this database waits for a lock of another one."""

    async def waits() -> bool:
        found: bool = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return found

    await settled(waits)
