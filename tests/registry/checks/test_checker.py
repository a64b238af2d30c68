"""Many instances checked at once: real servers, and questions that wait until they are let go."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.peers.checked import application, instance, raw
from tests.peers.servers import free_port
from tests.peers.stopwatch import stopwatch
from uaitools.registry.checks.answer import GOOD, Answer
from uaitools.registry.checks.ask import ask
from uaitools.registry.checks.checker import PAUSED, Ask, Checker
from uaitools.registry.checks.finding import PASSES, TOLD_LESS
from uaitools.registry.evidence import Word
from uaitools.registry.model import Check, Instance

QUICK = Check("http", "/", interval=0.05, timeout=1.0, jitter=0.1)
RARE = replace(QUICK, interval=3600.0)
Told = tuple[str, int, int, Word, str]


class Listener:
    """Whom a checker tells."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._more = asyncio.Event()

    def __call__(self, one: Instance, number: int, word: Word, reason: str) -> None:
        self.told.append((one.id, one.generation, number, word, reason))
        self._more.set()

    async def until(self, enough: Callable[[list[Told]], bool]) -> None:
        async with asyncio.timeout(10):
            while not enough(self.told):
                self._more.clear()
                await self._more.wait()

    async def count(self, number: int) -> list[Told]:
        await self.until(lambda told: len(told) >= number)
        return self.told


class Asked:
    """Answers questions when it is told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[str, int, asyncio.Future[Answer]]] = asyncio.Queue()
        self.running = 0
        self.most = 0

    async def __call__(self, _: Check, one: Instance, __: aiohttp.ClientSession) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait((one.id, one.generation, answer))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await answer
        finally:
            self.running -= 1

    async def next(self) -> tuple[str, int, asyncio.Future[Answer]]:
        async with asyncio.timeout(10):
            return await self.asked.get()


@asynccontextmanager
async def checking(
    listener: Listener, workers: int = 64, asking: Ask = ask
) -> AsyncIterator[Checker]:
    checker = Checker(listener, workers, asking=asking)
    checker.start()
    try:
        yield checker
    finally:
        await checker.stop()


class Moody:
    """A server whose health is what we say."""

    def __init__(self) -> None:
        self.status = 200

    async def answer(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=self.status)


# -- with real servers ------------------------------------------------------------------------


async def test_what_a_check_says_is_told_when_it_changes() -> None:
    listener, server = Listener(), Moody()
    async with application(server.answer) as port, checking(listener) as checker:
        checker.follow(instance(port, QUICK))
        await listener.count(1)
        server.status = 500
        await listener.count(2)
        server.status = 429
        await listener.count(3)
        server.status = 200
        await listener.count(4)

    assert listener.told == [
        ("a-1", 1, 0, Word.GOOD, PASSES),
        ("a-1", 1, 0, Word.BAD, "fails: status 500"),
        ("a-1", 1, 0, Word.WEAK, TOLD_LESS),
        ("a-1", 1, 0, Word.GOOD, PASSES),
    ]


async def test_each_check_of_an_instance_speaks_for_itself() -> None:
    async def plain(_: web.Request) -> web.StreamResponse:
        return web.Response()

    checks = (QUICK, replace(QUICK, kind="tcp"), replace(QUICK, kind="websocket"))
    listener = Listener()
    async with application(plain) as port, checking(listener) as checker:
        checker.follow(instance(port, *checks))
        await listener.count(3)

    assert {told[2:] for told in listener.told} == {
        (0, Word.GOOD, PASSES),
        (1, Word.GOOD, PASSES),
        (2, Word.BAD, "fails: no WebSocket handshake: status 200"),
    }


async def test_one_that_hangs_holds_up_nobody_else() -> None:
    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def plain(_: web.Request) -> web.StreamResponse:
        return web.Response()

    listener = Listener()
    slow = replace(QUICK, timeout=0.4)
    async with raw(hang) as hanging, application(plain) as port, checking(listener) as checker:
        for number in range(8):
            checker.follow(instance(hanging, slow, id=f"slow-{number}"))
        await asyncio.sleep(0)
        checker.follow(instance(port, QUICK, id="quick"))
        await listener.count(9)

    assert listener.told[0][0] == "quick"
    assert {told[4] for told in listener.told[1:]} == {"fails: not done within 0.4 s"}


async def test_500_instances_are_all_checked_by_8_workers() -> None:
    async def plain(_: web.Request) -> web.StreamResponse:
        return web.Response()

    listener = Listener()
    dead = free_port()
    async with application(plain) as port, checking(listener, 8) as checker:
        for number in range(500):
            alive = number % 2 == 0
            checker.follow(
                instance(port if alive else dead, replace(QUICK, interval=0.5), id=str(number))
            )
        await listener.count(500)

    words = {told[0]: told[3] for told in listener.told}
    assert words == {str(n): Word.GOOD if n % 2 == 0 else Word.BAD for n in range(500)}
    assert len(listener.told) == 500


# -- with questions that wait -----------------------------------------------------------------


async def test_no_more_are_under_way_than_there_are_workers() -> None:
    listener, asked = Listener(), Asked()
    async with checking(listener, 4, asked) as checker:
        for number in range(20):
            checker.follow(instance(1, replace(RARE, interval=1.0), id=str(number)))
        first = [await asked.next() for _ in range(4)]
        await asyncio.sleep(0.3)
        assert asked.asked.empty()
        assert checker.late > 0
        names = []
        for name, _, answer in first:
            answer.set_result(GOOD)
            names.append(name)
        for _ in range(16):
            name, _, answer = await asked.next()
            answer.set_result(GOOD)
            names.append(name)
        await listener.count(20)
    assert sorted(names) == sorted(map(str, range(20)))
    assert asked.most == 4


async def test_the_same_generation_again_changes_nothing() -> None:
    listener, asked = Listener(), Asked()
    async with checking(listener, asking=asked) as checker:
        checker.follow(instance(1, RARE))
        _, _, answer = await asked.next()
        checker.follow(instance(1, RARE, weight=5))
        answer.set_result(GOOD)
        assert await listener.count(1) == [("a-1", 1, 0, Word.GOOD, PASSES)]
        checker.follow(instance(1, RARE))
        await asyncio.sleep(0.1)
        assert asked.asked.empty()


@pytest.mark.parametrize("when", ["under way", "just done"])
async def test_a_replaced_instance_is_checked_anew_and_its_late_answer_dropped(when: str) -> None:
    listener, asked = Listener(), Asked()
    async with checking(listener, asking=asked) as checker:
        checker.follow(instance(1, RARE))
        _, generation, late = await asked.next()
        assert generation == 1
        if when == "just done":
            late.set_result(GOOD)
        checker.follow(instance(1, RARE, generation=2))
        _, generation, answer = await asked.next()
        assert generation == 2
        assert late.done()
        answer.set_result(Answer(weak=True))
        await listener.count(1)

    assert listener.told == [("a-1", 2, 0, Word.WEAK, TOLD_LESS)]


async def test_a_forgotten_instance_is_not_checked_and_its_late_answer_dropped() -> None:
    listener, asked = Listener(), Asked()
    async with checking(listener, 1, asked) as checker:
        checker.follow(instance(1, QUICK))
        _, _, late = await asked.next()
        checker.follow(instance(1, RARE, id="waits"))
        checker.forget("a-1")
        checker.forget("nobody")
        name, _, answer = await asked.next()  # its worker is free again
        assert (name, late.cancelled()) == ("waits", True)
        answer.set_result(GOOD)
        await listener.count(1)
        await asyncio.sleep(0.2)
        assert asked.asked.empty()

    assert [told[0] for told in listener.told] == ["waits"]


async def test_the_interval_runs_from_the_end_of_one_check_to_the_next() -> None:
    listener, asked = Listener(), Asked()
    async with checking(listener, asking=asked) as checker:
        checker.follow(instance(1, replace(QUICK, interval=0.3, jitter=0.1)))
        _, _, answer = await asked.next()
        for _ in range(2):
            await asyncio.sleep(0.05)
            answer.set_result(GOOD)
            ended = time.monotonic()
            with stopwatch() as watch:
                _, _, answer = await asked.next()
            assert time.monotonic() - ended > 0.26
            assert watch.seconds < 0.5


async def test_intervals_differ_so_that_checks_do_not_stay_in_step() -> None:
    listener, asked = Listener(), Asked()
    async with checking(listener, asking=asked) as checker:
        checker.follow(instance(1, replace(QUICK, interval=0.05, jitter=0.9)))
        pauses = []
        _, _, answer = await asked.next()
        for _ in range(24):
            answer.set_result(GOOD)
            ended = time.monotonic()
            _, _, answer = await asked.next()
            pauses.append(time.monotonic() - ended)

    assert min(pauses) < 0.045
    assert max(pauses) > 0.06


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_only_the_latest_registration_speaks(seed: int) -> None:
    dice = random.Random(seed)
    asked, current = Asked(), dict[str, int]()
    pending: list[tuple[str, int, asyncio.Future[Answer]]] = []

    def listen(one: Instance, _: int, __: Word, ___: str) -> None:
        told.append(one)
        assert current.get(one.id) == one.generation

    told: list[Instance] = []
    answers = [GOOD, Answer(weak=True), Answer("status 500")]
    checks = (replace(RARE, rise=1, fall=1), replace(QUICK, interval=0.01, rise=1, fall=1))
    with capture_logs() as logs:
        checker = Checker(listen, 3, asking=asked)
        checker.start()
        for generation in range(1, 30_000):
            if generation > 1500 and len(told) > 20:
                break
            name = dice.choice("abcdefgh")
            match dice.randrange(8):
                case 0:
                    current[name] = generation
                    checker.follow(instance(1, *checks, id=name, generation=generation))
                case 1 if dice.random() < 0.5:
                    current.pop(name, None)
                    checker.forget(name)
                case 2:
                    await asyncio.sleep(0.001)
                case _ if pending:
                    _, _, answer = pending.pop(dice.randrange(len(pending)))
                    if not answer.done():
                        answer.set_result(dice.choice(answers))
                case _:
                    await asyncio.sleep(0)
            while not asked.asked.empty():
                pending.append(asked.asked.get_nowait())
        await checker.stop()

    assert not logs  # a failed assertion of the listener would be there
    assert len(told) > 20
    assert asked.most <= 3
    assert asked.running == 0


async def test_a_check_during_which_this_process_was_stopped_says_nothing() -> None:
    seen = []

    async def asking(check: Check, _: Instance, __: aiohttp.ClientSession) -> Answer:
        seen.append(check)
        if len(seen) == 1:
            time.sleep(check.timeout + PAUSED + 0.1)  # noqa: ASYNC251 - as SIGSTOP would
            return Answer("not done")
        return Answer("status 500")

    listener = Listener()
    async with checking(listener, asking=asking) as checker:
        checker.follow(instance(1, replace(RARE, timeout=0.1, fall=1)))
        await listener.count(1)

    assert listener.told == [("a-1", 1, 0, Word.BAD, "fails: status 500")]
    assert len(seen) == 2


# -- its life ---------------------------------------------------------------------------------


async def test_stopping_cancels_what_is_under_way_and_tells_nothing_more() -> None:
    listener, asked = Listener(), Asked()
    checker = Checker(listener, 2, asking=asked)
    checker.start()
    for number in range(5):
        checker.follow(instance(1, QUICK, id=str(number)))
    answers = [(await asked.next())[2] for _ in range(2)]
    with stopwatch() as watch:
        await checker.stop()
        await checker.stop()

    assert watch.seconds < 1
    assert all(answer.cancelled() for answer in answers)
    await asyncio.sleep(0.1)
    assert asked.asked.empty()
    assert listener.told == []


async def test_it_may_be_filled_before_it_starts_and_started_again() -> None:
    listener, asked = Listener(), Asked()
    checker = Checker(listener, asking=asked)
    checker.follow(instance(1, QUICK))
    for _ in range(2):
        checker.start()
        await asked.next()
        await checker.stop()
    checker.start()
    (await asked.next())[2].set_result(GOOD)
    await listener.count(1)
    await checker.stop()


async def test_a_listener_that_fails_is_logged_and_stops_nothing() -> None:
    told = asyncio.Event()
    answers = iter([GOOD, Answer(weak=True)])

    def listen(_: Instance, __: int, word: Word, ___: str) -> None:
        if word is Word.GOOD:
            raise RuntimeError("no")
        told.set()

    async def asking(_: Check, __: Instance, ___: aiohttp.ClientSession) -> Answer:
        return next(answers, GOOD)

    with capture_logs() as logs:
        checker = Checker(listen, asking=asking)
        checker.start()
        checker.follow(instance(1, QUICK))
        async with asyncio.timeout(10):
            await told.wait()
        await checker.stop()
    assert "what a check says was not taken" in [line["event"] for line in logs]


async def test_a_check_that_fails_by_itself_is_logged_and_counts() -> None:
    async def asking(_: Check, __: Instance, ___: aiohttp.ClientSession) -> Answer:
        raise RuntimeError("a bug")

    listener = Listener()
    with capture_logs() as logs:
        async with checking(listener, asking=asking) as checker:
            checker.follow(instance(1, QUICK))
            await listener.count(1)

    assert listener.told[0][3:] == (Word.BAD, "fails: the check itself failed; see the log")
    assert "a check failed by itself" in [line["event"] for line in logs]
