"""What processes tell each other, and whether it is heard."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.peers.gateways import eventually
from tests.peers.pooler import pooler
from tests.peers.postgres import PostgresServer
from uaitools.postgres.access import Access
from uaitools.postgres.database import Database
from uaitools.postgres.notices import LONGEST, Notices, say
from uaitools.postgres.pool import Pool

LISTENERS = "application_name = 'uaitools memory notices' AND datname = current_database()"


class Heard:
    """A subscriber. said: what came; hears: what it was told of that, in turn."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.hears: list[bool] = []

    def hear(self, texts: Sequence[str]) -> None:
        self.said += texts

    def listen(self, *, hears: bool) -> None:
        self.hears.append(hears)


@asynccontextmanager
async def speaking(
    database: Database, heard: Heard | None = None, access: Access | None = None, **times: Any
) -> AsyncIterator[Notices]:
    """One process. heard: who listens on the channel `news`."""
    pool = Pool(database.service, name="memory")
    await pool.start()
    notices = Notices(access or database.service, pool, name="memory", **times)
    if heard is not None:
        notices.subscribe("news", heard)
    await notices.start()
    try:
        if heard is not None and access is None:
            await eventually(lambda: notices.hears)
        yield notices
    finally:
        await notices.stop()
        await pool.stop()


async def test_what_one_says_the_others_hear(database: Database) -> None:
    ann, bob = Heard(), Heard()
    async with speaking(database, ann) as one, speaking(database, bob) as other:
        await one.publish("news", ["a", "b"])
        await one.publish("other news", ["x"])
        await other.publish("news", ["c"])
        await eventually(lambda: ann.said and len(bob.said) == 2)
        assert (ann.said, bob.said) == (["c"], ["a", "b"])
        assert [sample.value for sample in one.samples()] == [1]
        assert ann.hears == [True]
    assert ann.hears == [True, False]


async def test_what_a_transaction_says_is_heard_once_it_is_committed(database: Database) -> None:
    heard = Heard()
    async with speaking(database, heard) as notices:
        connection = await database.service.connect()
        transaction = connection.transaction()
        await transaction.start()
        await say(connection, "memory", "news", "never")
        await transaction.rollback()
        async with connection.transaction():
            await say(connection, "memory", "news", "a")
            await notices.publish("news", ["its own, which it does not hear"])
            await say(connection, "memory", "other news", "x")
        await connection.close()
        await eventually(lambda: heard.said == ["a"])


async def test_who_wants_to_hear_nothing_needs_no_connection(database: Database) -> None:
    heard = Heard()
    async with speaking(database) as quiet, speaking(database, heard):
        await quiet.publish("news", [])
        await quiet.publish("news", ["a"])
        await eventually(lambda: heard.said == ["a"])
        owner = await database.owner.connect()
        assert await owner.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {LISTENERS}") == 1
        await owner.close()
        assert list(quiet.samples()) == []


async def test_many_texts_go_in_as_few_notices_as_hold_them(database: Database) -> None:
    heard = Heard()
    texts = [f"{number:03}" + "ä" * 400 for number in range(100)]
    async with speaking(database, heard), speaking(database) as other:
        await other.publish("news", texts)
        await eventually(lambda: len(heard.said) == 100)
        assert heard.said == texts
        for wrong in ("a\nb", "x" * (LONGEST + 1), "ä" * (LONGEST // 2 + 1)):
            with pytest.raises(ValueError, match="one line"):
                await other.publish("news", ["good", wrong])


async def test_who_was_cut_off_is_told_and_hears_again(database: Database) -> None:
    heard = Heard()
    async with speaking(database, heard), speaking(database) as other:
        for number in range(1, 4):
            await _end_listeners(database)
            await eventually(lambda number=number: len(heard.hears) == 1 + 2 * number)  # type: ignore[misc]
        assert heard.hears == [True, *[False, True] * 3]
        await other.publish("news", ["a"])
        await eventually(lambda: heard.said == ["a"])


async def _end_listeners(database: Database) -> None:
    """As the role that they have, which may."""
    service = await database.service.connect()
    await service.fetch(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {LISTENERS}"
    )
    await service.close()


async def test_behind_a_pooler_that_delivers_nothing_nobody_believes_to_hear(
    database: Database, postgres: PostgresServer
) -> None:
    heard = Heard()
    with tempfile.TemporaryDirectory() as folder:  # a short path: a socket's has 107 bytes
        socket = Path(folder) / postgres.server.socket.name
        access = replace(database.service, arguments={**database.service.arguments, "host": folder})
        async with (
            pooler(postgres.server.socket, socket) as between,
            speaking(database, heard, access, every=0.05, patience=0.2) as notices,
            speaking(database) as other,
        ):
            await eventually(lambda: notices.failures > 1)
            assert not notices.hears
            between.deaf = False
            await eventually(lambda: notices.hears)
            await other.publish("news", ["a"])
            await eventually(lambda: heard.said == ["a"])
            between.deaf = True
            await eventually(lambda: not notices.hears)
    assert heard.hears == [True, False]
