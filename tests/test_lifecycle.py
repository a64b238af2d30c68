"""Real processes, real signals: a program says what it does, line by line, and is signalled."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO

import pytest

from uaitools.lifecycle import new_event_loop, run

PROGRAM = """
import asyncio
from uaitools import log
from uaitools.lifecycle import run, run_main

def say(text):
    print(text, flush=True)

class Speaking:
    def __init__(self, name, drain="", start=""):
        self.name, self.how_to_drain, self.how_to_start = name, drain, start

    async def start(self):
        say(f"{self.name} starts")
        if self.how_to_start == "fails":
            raise LookupError("no port")
        if self.how_to_start == "hangs":
            await asyncio.Event().wait()

    async def drain(self, deadline):
        say(f"{self.name} drains")
        if self.how_to_drain == "fails":
            raise LookupError("drain")
        if self.how_to_drain == "hangs":
            await asyncio.Event().wait()

    async def stop(self):
        say(f"{self.name} stops")
        if self.how_to_drain == "hangs in stop":
            await asyncio.Event().wait()

async def main():
    log.configure("error", "test")
    await run([MAIN])

run_main(main, loop_factory=LOOP)
say("ended")
"""


class Program:
    """A running program and what it says."""

    def __init__(self, process: "subprocess.Popen[str]", output: IO[str]) -> None:
        self.process = process
        self._output = output

    def says(self, *lines: str) -> None:
        assert [self._output.readline().rstrip() for _ in lines] == list(lines)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self, status: int) -> None:
        assert (self._output.read(), self.process.wait()) == ("", status)


Start = Callable[..., Program]


@pytest.fixture(params=["asyncio.new_event_loop", "uvloop.new_event_loop"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(main: str) -> Program:
            factory = f"__import__('{request.param.split('.')[0]}').new_event_loop"
            text = PROGRAM.replace("[MAIN]", main).replace("LOOP", factory)
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", text],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return Program(process, process.stdout)

        yield start


TWO = "[Speaking('a'), Speaking('b')], ready=lambda: say('ready')"
UP = ("a starts", "b starts", "ready")
DOWN = ("b stops", "a stops", "ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_stops_in_reverse_order(start: Start, number: signal.Signals) -> None:
    program = start(TWO)
    program.says(*UP)

    program.send(number)

    program.says("a drains", "b drains", *DOWN)
    program.ends(0)


def test_when_nobody_is_left_to_serve_it_drains_and_stops(start: Start) -> None:
    program = start("[Speaking('a')], ready=lambda: say('ready'), ended=lambda: asyncio.sleep(0)")
    program.says("a starts", "ready", "a drains", "a stops", "ended")
    program.ends(0)


def test_a_signal_after_nobody_is_left_is_the_second(start: Start) -> None:
    main = "[Speaking('a', drain='hangs')], ended=lambda: asyncio.sleep(0), grace=1000"
    program = start(main)
    program.says("a starts", "a drains")

    program.send(signal.SIGTERM)

    program.says("a stops", "ended")
    program.ends(0)


def test_draining_ends_at_its_deadline(start: Start) -> None:
    program = start("[Speaking('a', drain='hangs')], ready=lambda: say('ready'), grace=0.01")
    program.says("a starts", "ready")

    program.send(signal.SIGTERM)

    program.says("a drains", "a stops", "ended")
    program.ends(0)


def test_a_second_signal_stops_at_once(start: Start) -> None:
    program = start("[Speaking('a', drain='hangs')], ready=lambda: say('ready')")
    program.says("a starts", "ready")

    program.send(signal.SIGTERM)
    program.says("a drains")
    program.send(signal.SIGINT)

    program.says("a stops", "ended")
    program.ends(0)


def test_two_signals_at_the_same_time_are_two(start: Start) -> None:
    both = "say('ready') or [*map(__import__('signal').raise_signal, (15, 2))]"
    program = start(f"[Speaking('a', drain='hangs')], ready=lambda: {both}")

    program.says("a starts", "ready", "a stops", "ended")
    program.ends(0)


def test_a_third_signal_kills_what_does_not_stop(start: Start) -> None:
    program = start("[Speaking('a', drain='hangs in stop')], ready=lambda: say('ready')")
    program.says("a starts", "ready")

    program.send(signal.SIGTERM)
    program.says("a drains", "a stops")
    while program.process.poll() is None:  # the second is only seen when the loop comes to it
        program.send(signal.SIGTERM)
        # Not at once: asyncio warns of each for which its pipe is full, and nobody reads that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.process.wait(0.02)

    program.ends(-signal.SIGTERM)


def test_one_that_fails_to_drain_keeps_no_other_from_draining_and_stopping(start: Start) -> None:
    program = start("[Speaking('a', drain='fails'), Speaking('b')], ready=lambda: say('ready')")
    program.says(*UP)

    program.send(signal.SIGTERM)

    program.says("a drains", "b drains", *DOWN)
    program.ends(0)


def test_a_start_that_fails_stops_those_that_had_started(start: Start) -> None:
    program = start("[Speaking('a'), Speaking('b'), Speaking('c', start='fails')]")

    program.says("a starts", "b starts", "c starts", "b stops", "a stops")
    program.ends(1)


def test_a_signal_during_the_start_ends_it(start: Start) -> None:
    program = start("[Speaking('a'), Speaking('b', start='hangs')]")
    program.says("a starts", "b starts")

    program.send(signal.SIGTERM)

    program.says("a drains", "a stops", "ended")
    program.ends(0)


def test_hangup_reloads_and_goes_on(start: Start) -> None:
    program = start("[Speaking('a')], ready=lambda: say('ready'), on_reload=lambda: say('reloads')")
    program.says("a starts", "ready")

    program.send(signal.SIGHUP)
    program.says("reloads")
    program.send(signal.SIGHUP)
    program.says("reloads")

    program.send(signal.SIGTERM)
    program.says("a drains", "a stops", "ended")
    program.ends(0)


def test_a_reload_that_fails_ends_nothing(start: Start) -> None:
    program = start(
        "[Speaking('a')], ready=lambda: say('ready'), on_reload=lambda: say('reloads') or 1 / 0"
    )
    program.says("a starts", "ready")

    program.send(signal.SIGHUP)
    program.says("reloads")
    program.send(signal.SIGTERM)

    program.says("a drains", "a stops", "ended")
    program.ends(0)


def test_hangup_is_ignored_where_there_is_nothing_to_reload(start: Start) -> None:
    program = start(TWO)
    program.says(*UP)

    program.send(signal.SIGHUP)
    program.send(signal.SIGTERM)

    program.says("a drains", "b drains", *DOWN)
    program.ends(0)


def test_hangup_is_ignored_before_it_is_handled(start: Start) -> None:
    early = "(__import__('os').kill(__import__('os').getpid(), 1), say('alive'))[1] or []"
    program = start(f"{early}, ready=lambda: say('ready')")

    program.says("alive", "ready")
    program.send(signal.SIGTERM)
    program.says("ended")
    program.ends(0)


def test_an_interrupt_before_the_services_handle_it_exits_with_130(start: Start) -> None:
    program = start("say('up') or await asyncio.Event().wait()")
    program.says("up")

    program.send(signal.SIGINT)

    program.ends(130)


async def test_a_cancelled_run_stops_what_it_started_and_lets_go_of_the_signals() -> None:
    steps: list[str] = []

    class Quiet:
        async def start(self) -> None:
            steps.append("start")

        async def drain(self, deadline: float) -> None:
            steps.append(f"drain until {deadline}")

        async def stop(self) -> None:
            steps.append("stop")

    before = signal.getsignal(signal.SIGTERM)
    hangup = signal.getsignal(signal.SIGHUP)
    ready = asyncio.Event()
    running = asyncio.gather(run([Quiet()], ready=ready.set))
    await ready.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    signal.signal(signal.SIGHUP, hangup)

    assert steps == ["start", "stop"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_loop_is_uvloops_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")
    loop = new_event_loop()
    try:
        assert isinstance(loop, uvloop.Loop)
    finally:
        loop.close()
