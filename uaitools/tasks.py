"""The only place where tasks are made: `spawn`, and `WorkerPool` for bounded concurrency.

A task made by `asyncio.create_task` can be collected while it runs, and its failure is reported
when the garbage collector gets to it. A task made here is kept until it ends, has a name, and its
failure is logged at once unless somebody awaits it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

from uaitools import log
from uaitools.errors import ServiceError

_log = log.get_logger(__name__)
_kept: set[asyncio.Task[Any]] = set()

T = TypeVar("T")
P = ParamSpec("P")


def spawn(
    coroutine: Coroutine[Any, Any, T], *, name: str, context: Context | None = None
) -> asyncio.Task[T]:
    """Run a coroutine as a task that is kept until it ends and whose failure is never lost.

    A failure that no one is waiting for when it happens is logged, once. context: the context
    variables that the task sees, a copy of the caller's unless given.
    """
    task = asyncio.create_task(coroutine, name=name, context=context)
    _kept.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _kept.discard(task)
    # Private, but the flag by which asyncio itself decides the same question when it collects a
    # task: there is an exception that nobody has taken.
    if task._log_traceback:  # noqa: SLF001
        # Who awaits the task takes its exception in the next turn of the loop, and who awaits it
        # through wait or wait_for one turn later.
        loop = task.get_loop()
        loop.call_soon(loop.call_soon, _report, task)


def _report(task: asyncio.Task[Any]) -> None:
    # Reading the exception clears the flag, so that asyncio does not report it again.
    if task._log_traceback:  # noqa: SLF001
        _log.error("task failed", task=task.get_name(), exc_info=task.exception())


async def to_its_end(future: asyncio.Future[T]) -> T:
    """What a thread does, which cannot be cut short.

    Who is cancelled, however often, is so when it is done: what the thread uses may go then.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return future.result()
    raise cancelled from future.exception()


class QueueFull(ServiceError):
    """The pool runs and queues as many jobs as it may; the client may try again (503)."""

    def __init__(self, pool: str) -> None:
        super().__init__(503, "too many jobs are waiting; try again later", pool, retry_after=1)


class PoolClosed(ServiceError):
    """The pool takes no more jobs, or ended before this one did (503)."""

    def __init__(self, pool: str) -> None:
        super().__init__(503, "closed before the job was done", pool)


class WorkerPool:
    """Runs jobs, at most `workers` at once, and hands each result to who submitted the job.

        async with WorkerPool(8, 64, name="embed") as pool:
            vector = await pool.submit(embed, text)

    queue: how many jobs may wait for a worker. A caller of `submit` is suspended until its job is
    done, and so is held back when the queue is full; `try_submit` is refused then. A job is a task
    of its own, in the submitter's context; whatever it raises reaches the submitter and no worker.

    Leaving the block waits for every job; leaving it by an exception or a cancellation cancels
    them, and who still waits for one gets `PoolClosed`.
    """

    def __init__(self, workers: int, queue: int, *, name: str) -> None:
        if workers < 1 or queue < 0:
            raise ValueError("a pool needs at least one worker and no negative queue")
        self.name = name
        self._workers = workers
        self._room = queue
        # May exceed `_room` by the callers that `submit` has suspended, one job each.
        self._queue: deque[_Job[Any]] = deque()
        self._running: dict[_Job[Any], asyncio.Task[Any]] = {}
        self._closed = False
        self._aborted = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        running, queued = len(self._running), len(self._queue)
        return (
            f"<WorkerPool {self.name}{state}"
            f" running={running}/{self._workers} queued={queued}/{self._room}>"
        )

    async def submit(
        self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(*args, **kwargs)` and return its result or raise its exception.

        Waits for room. Cancelled, it cancels the job, queued or running. Raises `PoolClosed`.
        """
        return await self._add(partial(function, *args, **kwargs))

    def try_submit(
        self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """As `submit`, but raise `QueueFull` at once where that would wait for room.

        Cancelling the future cancels the job.
        """
        if len(self._running) == self._workers and len(self._queue) >= self._room:
            raise QueueFull(self.name)
        return self._add(partial(function, *args, **kwargs))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True
        if error is not None:
            self._abort()
        try:
            await self._idle.wait()
        except asyncio.CancelledError:
            self._abort()
            await self._idle.wait()  # what is cancelled still has to end
            raise

    def _add(self, function: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        if self._closed:
            raise PoolClosed(self.name)
        job = _Job(function, copy_context(), asyncio.get_running_loop().create_future())
        job.result.add_done_callback(partial(self._withdrawn, job))
        self._idle.clear()
        self._queue.append(job)
        self._advance()
        return job.result

    def _advance(self) -> None:
        """Start queued jobs while there are free workers."""
        while self._queue and len(self._running) < self._workers:
            job = self._queue.popleft()
            task = spawn(job.run(), name=f"{self.name} job", context=job.context)
            self._running[job] = task
            task.add_done_callback(partial(self._finished, job))
        if not self._running and not self._queue:
            self._idle.set()

    def _finished(self, job: "_Job[T]", task: asyncio.Task[T]) -> None:
        del self._running[job]
        if job.result.done():
            pass  # the submitter has gone; `spawn` reports a failure that is not taken here
        elif not task.cancelled() and (error := task.exception()) is not None:
            job.result.set_exception(error)
        elif not task.cancelled():
            job.result.set_result(task.result())
        elif self._aborted:
            job.result.set_exception(PoolClosed(self.name))
        else:
            job.result.cancel()  # the job cancelled itself
        self._advance()

    def _withdrawn(self, job: "_Job[T]", result: asyncio.Future[T]) -> None:
        """Cancel the job of a submitter that has gone."""
        if not result.cancelled():
            return
        if job in self._running:
            self._running[job].cancel()
        elif job in self._queue:
            self._queue.remove(job)
            self._advance()

    def _abort(self) -> None:
        self._aborted = True
        while self._queue:
            job = self._queue.popleft()
            if not job.result.done():
                job.result.set_exception(PoolClosed(self.name))
        for task in self._running.values():
            task.cancel()
        self._advance()


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[T]):
    function: Callable[[], Awaitable[T]]
    context: Context
    result: asyncio.Future[T]

    async def run(self) -> T:
        return await self.function()
