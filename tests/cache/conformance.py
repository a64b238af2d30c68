"""What every backend promises (uaitools.cache.port.Backend)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from uaitools.cache.port import Backend, Lease

TTL: Final = 60.0
HOSTILE: Final = ("", " ", "a\nb\r\n", "{x}:k:", "\x00", "ключ", "\ud800", "k" * 10_000)

Promise = Callable[[Backend], Awaitable[None]]


async def leased(backend: Backend, key: str) -> Lease:
    lease = await backend.ask(key)
    assert isinstance(lease, Lease)
    return lease


async def renewed(backend: Backend, key: str) -> Lease:
    lease = await backend.renew(key)
    assert lease is not None
    return lease


async def a_value_that_was_set_is_found(backend: Backend) -> None:
    assert await backend.get("k") is None
    assert not await backend.exists("k")
    for value in (b"", b"1", bytes(range(256)), b"v" * 100_000):
        await backend.set("k", value, TTL)
        assert await backend.get("k") == value
        assert await backend.ask("k") == value
        assert await backend.exists("k")
    assert await backend.get("K") is None


async def a_value_that_was_deleted_is_not_found(backend: Backend) -> None:
    await backend.set("a", b"1", TTL)
    await backend.set("b", b"2", TTL)
    await backend.set("c", b"3", TTL)
    assert await backend.delete("a", "b", "nothing")
    assert await backend.delete()
    assert [await backend.get(key) for key in "abc"] == [None, None, b"3"]


async def a_value_ends_with_its_time(backend: Backend) -> None:
    await backend.set("k", b"1", 0.02)
    await backend.store("l", await leased(backend, "l"), b"1", 0.02)
    await asyncio.sleep(0.05)
    assert [await backend.get(key) for key in "kl"] == [None, None]
    assert not await backend.exists("k")


async def what_was_loaded_is_kept_by_its_lease(backend: Backend) -> None:
    lease = await leased(backend, "k")
    assert await backend.get("k") is None
    assert not await backend.exists("k")
    assert await backend.store("k", lease, b"1", TTL)
    assert await backend.get("k") == b"1"
    assert not await backend.store("k", lease, b"2", TTL)
    assert await backend.get("k") == b"1"


async def what_was_loaded_before_a_delete_is_not_kept(backend: Backend) -> None:
    old = await leased(backend, "k")
    await backend.delete("k")
    assert not await backend.store("k", old, b"old", TTL)
    new = await leased(backend, "k")
    assert new.token != old.token
    assert not await backend.store("k", old, b"old", TTL)
    assert await backend.get("k") is None
    assert await backend.store("k", new, b"new", TTL)
    assert not await backend.store("k", old, b"old", TTL)
    assert await backend.get("k") == b"new"


async def what_was_loaded_before_a_set_is_not_kept(backend: Backend) -> None:
    lease = await leased(backend, "k")
    await backend.set("k", b"set", TTL)
    assert not await backend.store("k", lease, b"loaded", TTL)
    assert await backend.get("k") == b"set"
    await backend.delete("k")
    assert not await backend.store("k", lease, b"loaded", TTL)


async def who_loads_the_same_shares_the_lease_and_the_first_is_kept(backend: Backend) -> None:
    one, other = await leased(backend, "k"), await leased(backend, "k")
    assert one.token == other.token != b""
    assert await backend.store("k", other, b"other", TTL)
    assert not await backend.store("k", one, b"one", TTL)
    assert await backend.get("k") == b"other"


async def a_value_is_replaced_by_a_lease_beside_it(backend: Backend) -> None:
    await backend.set("k", b"1", TTL)
    lease = await renewed(backend, "k")
    assert lease.first
    assert await backend.get("k") == b"1"
    assert await backend.store("k", lease, b"2", TTL)
    assert await backend.get("k") == b"2"
    assert not await backend.store("k", lease, b"3", TTL)


async def a_lease_beside_a_value_goes_with_it(backend: Backend) -> None:
    for gone in ("s\nk", "s\n"):
        await backend.set("s\nk", b"1", TTL)
        lease = await renewed(backend, "s\nk")
        await backend.delete(gone)
        assert not await backend.store("s\nk", lease, b"2", TTL)
        assert await backend.get("s\nk") is None
    await backend.set("k", b"1", TTL)
    lease = await renewed(backend, "k")
    await backend.set("k", b"set", TTL)
    assert not await backend.store("k", lease, b"2", TTL)
    assert await backend.get("k") == b"set"


async def a_lease_that_was_given_back_is_another_s(backend: Backend) -> None:
    old = await leased(backend, "k")
    await backend.release("k", Lease(b"another"))
    await backend.release("k", old)
    new = await leased(backend, "k")
    assert new.first
    assert new.token != old.token
    await backend.release("k", old)
    assert not await backend.store("k", old, b"1", TTL)
    assert await backend.store("k", new, b"2", TTL)


async def the_lease_of_one_key_stores_no_other(backend: Backend) -> None:
    lease = await leased(backend, "a")
    await leased(backend, "b")
    assert not await backend.store("b", lease, b"1", TTL)
    assert not await backend.store("a", Lease(b"1"), b"1", TTL)
    assert not await backend.store("nobody asked", lease, b"1", TTL)


async def a_scope_is_deleted_with_all_its_keys(backend: Backend) -> None:
    within, without = ("a\nk", "a\nl\n", "a\n"), ("ak", "k", "b\nk", "a", " a\nk", "\n")
    for key in (*within, *without):
        await backend.set(key, b"1", TTL)
        assert await backend.get(key) == b"1"
    lease = await leased(backend, "a\nm")
    other = await leased(backend, "b\nm")
    assert await backend.delete("a\n")
    assert [await backend.get(key) for key in within] == [None] * 3
    assert not await backend.exists("a\nk")
    assert not await backend.store("a\nm", lease, b"old", TTL)
    new = await leased(backend, "a\nm")
    assert new.token != lease.token
    assert await backend.store("a\nm", new, b"new", TTL)
    assert not await backend.store("a\nm", lease, b"old", TTL)
    assert await backend.get("a\nm") == b"new"
    assert await backend.store("b\nm", other, b"1", TTL)
    assert [await backend.get(key) for key in without] == [b"1"] * 6


async def a_key_within_a_scope_is_deleted_alone(backend: Backend) -> None:
    for key in ("a\nk", "a\nl"):
        await backend.set(key, b"1", TTL)
    assert await backend.delete("a\nk", "a", "a\nnothing")
    assert [await backend.get(key) for key in ("a\nk", "a\nl")] == [None, b"1"]


async def any_text_is_a_key_of_its_own(backend: Backend) -> None:
    for number, key in enumerate(HOSTILE):
        await backend.set(key, b"%d" % number, TTL)
    for number, key in enumerate(HOSTILE):
        assert await backend.get(key) == b"%d" % number
        assert await backend.delete(key)
        assert await backend.get(key) is None


PROMISES: Final[tuple[Promise, ...]] = (
    a_value_that_was_set_is_found,
    a_value_that_was_deleted_is_not_found,
    a_value_ends_with_its_time,
    what_was_loaded_is_kept_by_its_lease,
    what_was_loaded_before_a_delete_is_not_kept,
    what_was_loaded_before_a_set_is_not_kept,
    who_loads_the_same_shares_the_lease_and_the_first_is_kept,
    a_value_is_replaced_by_a_lease_beside_it,
    a_lease_beside_a_value_goes_with_it,
    a_lease_that_was_given_back_is_another_s,
    the_lease_of_one_key_stores_no_other,
    a_scope_is_deleted_with_all_its_keys,
    a_key_within_a_scope_is_deleted_alone,
    any_text_is_a_key_of_its_own,
)
