"""What the double does wrong when it is told to."""

from __future__ import annotations

import asyncio
import enum
from collections import defaultdict, deque
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Fault(enum.Enum):
    """What happens to one request."""

    REFUSED = "nothing is done, and the answer is that it is not available"
    BROKEN = "nothing is done, and the answer is an error"
    LATE = "it is done when `release` is called, whoever still waits for it"
    CUT = "nothing is done, and all connections are cut"
    LOST = "it is done, and all connections are cut before the answer"
    SILENT = "it is done, and the answer comes when `release` is called"


class Failed(Exception):
    """The answer is an error. available: whether the server says that it is there."""

    def __init__(self, *, available: bool) -> None:
        super().__init__("it broke" if available else "not available")
        self.available = available


class Faults:
    """Faults by the name of the call, each for one of them, in turn."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self.calls: list[str] = []  # which came
        self.done: list[str] = []  # which were done
        self._planned: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._cut = cut
        self._released = asyncio.Event()

    def plan(self, call: str, *faults: Fault) -> None:
        """Have the next such calls fail."""
        self._planned[call].extend(faults)

    def release(self) -> None:
        """Have those go on that wait."""
        self._released.set()
        self._released = asyncio.Event()

    async def handle(self, call: str, act: Callable[[], T]) -> T:
        """Do what a call asks for, or what was planned for it."""
        self.calls.append(call)
        planned = self._planned[call]
        fault = planned.popleft() if planned else None
        await self._before(fault)
        answer = act()
        self.done.append(call)
        if fault is Fault.LOST:
            self._cut()
        if fault is Fault.SILENT:
            await self._released.wait()
        return answer

    async def _before(self, fault: Fault | None) -> None:
        match fault:
            case Fault.REFUSED:
                raise Failed(available=False)
            case Fault.BROKEN:
                raise Failed(available=True)
            case Fault.CUT:
                self._cut()
                raise Failed(available=False)
            case Fault.LATE:
                await self._released.wait()
