"""What changes leave behind for those who have copies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from uaitools.memory.model import Draft
from uaitools.memory.store.creating import Creating
from uaitools.memory.store.debts import Debts
from uaitools.memory.store.deletions import Deletions
from uaitools.memory.store.memories import Memories
from uaitools.memory.store.scope import Scopes
from uaitools.memory.touches import Touches


async def owed(scopes: Scopes) -> list[tuple[str, object]]:
    """What is owed, which is then paid."""
    debts = await Debts(scopes).owed(100)
    await Debts(scopes).paid(debts)
    return [(one.user_id, one.memory_id) for one in debts]


async def test_a_change_that_copies_show_is_owed_with_its_commit(scopes: Scopes) -> None:
    creating, memories = Creating(scopes), Memories(scopes)
    tea = (await creating.create(Draft("ann", "tea"))).memory.id
    assert await owed(scopes) == []
    await memories.change("ann", tea, {"pinned": True})
    assert await owed(scopes) == [("ann", tea)]
    await creating.create(Draft("ann", "coffee", supersedes=tea))
    assert await owed(scopes) == [("ann", tea)]
    await memories.delete("ann", tea)
    assert await owed(scopes) == [("ann", tea)]
    await Deletions(scopes).begin("ann")
    assert [user for user, _ in await owed(scopes)] == ["ann"]


async def test_of_several_that_go_together_a_user_is_owed_all(scopes: Scopes) -> None:
    for content in ("tea", "coffee", "cake"):
        await Creating(scopes).create(Draft("ann", content))
    await Deletions(scopes).begin("ann")
    assert await owed(scopes) == [("ann", None)]


async def test_what_copies_do_not_show_is_not_owed(scopes: Scopes) -> None:
    soon = datetime.now(UTC) - timedelta(seconds=1)
    memories = Memories(scopes)
    tea = (await Creating(scopes).create(Draft("ann", "tea"))).memory.id
    await Creating(scopes).create(Draft("ann", "cake", expires_at=soon))
    touches = Touches(scopes)
    touches.add("ann", (tea,))
    await touches.flush()
    assert (await memories.get("ann", tea)).access_count == 1
    assert await memories.remove_expired(10) == 1
    assert await owed(scopes) == []


async def test_what_is_rolled_back_is_not_owed(scopes: Scopes) -> None:
    tea = (await Creating(scopes).create(Draft("ann", "tea"))).memory.id
    async with scopes.of("ann") as connection:
        turn = connection.transaction()
        await turn.start()
        await connection.execute("DELETE FROM memories WHERE user_id = 'ann' AND id = $1", tea)
        await turn.rollback()
    assert await owed(scopes) == []


async def test_what_is_older_than_any_copy_is_owed_no_more(scopes: Scopes) -> None:
    tea = (await Creating(scopes).create(Draft("ann", "tea"))).memory.id
    await Memories(scopes).delete("ann", tea)
    await Debts(scopes).write_off(timedelta(hours=1))
    assert len(await Debts(scopes).owed(100)) == 1
    await Debts(scopes).write_off(timedelta(0))
    assert await owed(scopes) == []
