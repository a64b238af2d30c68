"""Copies by themselves: whose they are, and until when."""

from __future__ import annotations

import asyncio
from time import time
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.cache.local import LocalCache
from uaitools.cache.service import CacheService
from uaitools.memory.copies import Copies
from uaitools.memory.errors import Unknown
from uaitools.memory.rendering import Rendered

users = st.from_regex(r"[!-~]([ -~]{0,10}[!-~])?", fullmatch=True)
places = st.sampled_from(("", "1/1", "1/11", "1"))
names = st.sampled_from((UUID(int=1), UUID(int=11)))


def cache() -> CacheService:
    return CacheService(LocalCache(1 << 20, 1000), "c")


def copy(version: int, ends: float = float("inf")) -> Rendered:
    return Rendered(version, ends, b'{"says": "one two"}')


class Rows:
    """What is read, in turn."""

    def __init__(self, *copies: Rendered) -> None:
        self.left = list(copies)

    async def __call__(self) -> Rendered:
        if not self.left:
            raise Unknown
        return self.left.pop(0)


@given(st.integers(1, 1 << 60), st.floats(allow_nan=False), st.binary())
def test_a_copy_says_what_it_is_of(version: int, ends: float, document: bytes) -> None:
    one = Rendered(version, ends, document)
    assert Rendered.read(one.written) == one


@given(st.lists(st.tuples(places, users, names), unique=True, max_size=8))
def test_no_two_memories_have_one_copy(of: list[tuple[str, str, UUID]]) -> None:
    async def check() -> None:
        shared = cache()
        for number, (place, user, name) in enumerate(of, 1):
            await Copies(shared, 60, place).get(user, name, Rows(copy(number)))
        for number, (place, user, name) in enumerate(of, 1):
            found = await Copies(shared, 60, place).get(user, name, Rows())
            assert found.version == number

    asyncio.run(check())


@given(st.lists(st.tuples(places, users, names), unique=True, min_size=1, max_size=8))
def test_what_is_forgotten_of_a_user_is_his_and_all(of: list[tuple[str, str, UUID]]) -> None:
    async def check() -> None:
        shared = cache()
        for place, user, name in of:
            await Copies(shared, 60, place).get(user, name, Rows(copy(1)))
        gone = of[0][:2]
        await Copies(shared, 60, gone[0]).forget_all(gone[1])
        for place, user, name in of:
            found = await Copies(shared, 60, place).get(user, name, Rows(copy(2)))
            assert found.version == (2 if (place, user) == gone else 1)

    asyncio.run(check())


async def test_a_copy_of_what_has_expired_is_not_believed() -> None:
    copies, name = Copies(cache(), 60), uuid4()
    late, gone = copy(1, time() + 3600), copy(2, time() - 1)
    assert await copies.get("ann", name, Rows(late)) == late
    assert await copies.get("ann", name, Rows()) == late
    await copies.forget("ann", name)
    # The database says that it is there still, and then that it is not.
    assert await copies.get("ann", name, Rows(gone, gone)) == gone
    with pytest.raises(Unknown):
        await copies.get("ann", name, Rows())


async def test_what_is_not_there_is_not_kept() -> None:
    copies, name = Copies(cache(), 60), uuid4()
    with pytest.raises(Unknown):
        await copies.get("ann", name, Rows())
    assert await copies.get("ann", name, Rows(copy(1))) == copy(1)
