import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest
from structlog.testing import capture_logs

from uaitools.errors import ServiceError
from uaitools.tasks import PoolClosed, QueueFull, WorkerPool, spawn, to_its_end


class Job:
    """A job that tells when it runs and ends when it is told to."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = False

    async def __call__(self, result: str = "done") -> str:
        self.running.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return result


async def fail() -> None:
    raise LookupError("lost")


async def turns(count: int = 5) -> None:
    """Let the loop run its callbacks; a step of the loop, not a span of time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_spawned_task_is_kept_until_it_ends() -> None:
    job = Job()
    name = spawn(job(), name="kept").get_name()
    await job.running.wait()
    gc.collect()

    kept = [task for task in asyncio.all_tasks() if task.get_name() == name]
    job.release.set()

    assert [await task for task in kept] == ["done"]


async def test_a_failure_nobody_awaits_is_logged_once() -> None:
    with capture_logs() as logged:
        spawn(fail(), name="orphan")
        await turns()
        gc.collect()

    assert [(line["event"], line["task"]) for line in logged] == [("task failed", "orphan")]
    assert isinstance(logged[0]["exc_info"], LookupError)


async def with_a_limit(task: asyncio.Task[None]) -> None:
    await asyncio.wait_for(task, 60)


async def with_others(task: asyncio.Task[None]) -> None:
    (done,), _ = await asyncio.wait([task])
    done.result()


@pytest.mark.parametrize(
    "wait", [asyncio.shield, asyncio.gather, with_a_limit, with_others], ids=lambda f: f.__name__
)
async def test_a_failure_somebody_awaits_is_not_logged(
    wait: Callable[[asyncio.Task[None]], Awaitable[object]],
) -> None:
    with capture_logs() as logged:
        with pytest.raises(LookupError):
            await wait(spawn(fail(), name="awaited"))
        await turns()

    assert logged == []


async def test_a_cancelled_task_is_not_logged() -> None:
    with capture_logs() as logged:
        task = spawn(Job()(), name="cancelled")
        task.cancel()
        await turns()

    assert task.cancelled()
    assert logged == []


async def test_a_result_and_an_error_reach_who_submitted() -> None:
    async with WorkerPool(1, 1, name="pool") as pool:
        job = Job()
        job.release.set()

        assert await pool.submit(job, result="mine") == "mine"
        with pytest.raises(LookupError, match="lost"):
            await pool.submit(fail)
        assert await pool.submit(job) == "done"  # the worker has survived


async def test_a_call_that_fails_before_it_runs_reaches_who_submitted() -> None:
    async with WorkerPool(1, 0, name="pool") as pool:
        with pytest.raises(TypeError):
            await pool.submit(fail, "surplus")  # type: ignore[call-arg]


async def test_no_more_jobs_run_than_there_are_workers() -> None:
    first, second, third = Job(), Job(), Job()
    async with WorkerPool(2, 1, name="pool") as pool:
        results = [pool.try_submit(job) for job in (first, second, third)]
        await first.running.wait()
        await second.running.wait()
        assert not third.running.is_set()
        assert repr(pool) == "<WorkerPool pool running=2/2 queued=1/1>"

        first.release.set()
        await third.running.wait()
        for job in (second, third):
            job.release.set()

        assert await asyncio.gather(*results) == ["done"] * 3
    assert repr(pool) == "<WorkerPool pool closed running=0/2 queued=0/1>"


async def test_a_full_queue_refuses_at_once_and_says_when_to_retry() -> None:
    running, queued = Job(), Job()
    async with WorkerPool(1, 1, name="embed") as pool:
        pool.try_submit(running)
        pool.try_submit(queued)

        with pytest.raises(QueueFull) as refused:
            pool.try_submit(Job())

        running.release.set()
        queued.release.set()
    assert isinstance(refused.value, ServiceError)
    assert (refused.value.code, refused.value.service) == (503, "embed")
    assert refused.value.retry_after == 1


async def test_submit_waits_where_the_queue_is_full() -> None:
    running, queued, late = Job(), Job(), Job()
    async with WorkerPool(1, 1, name="pool") as pool:
        pool.try_submit(running)
        pool.try_submit(queued)
        waiting = spawn(pool.submit(late, result="late"), name="submitter")
        await turns()
        assert not waiting.done()

        for job in (running, queued, late):
            job.release.set()

        assert await waiting == "late"


async def test_jobs_run_in_the_order_of_submission() -> None:
    order: list[int] = []

    async def note(number: int) -> None:
        order.append(number)

    async with WorkerPool(1, 0, name="pool") as pool:
        await asyncio.gather(*(pool.submit(note, number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]


async def test_cancelling_the_submitter_cancels_its_running_job() -> None:
    job = Job()
    async with WorkerPool(1, 0, name="pool") as pool:
        submitter = spawn(pool.submit(job), name="submitter")
        await job.running.wait()
        submitter.cancel()
        await asyncio.wait([submitter])

    assert submitter.cancelled()
    assert job.cancelled


async def test_cancelling_the_submitter_takes_its_job_out_of_the_queue() -> None:
    running, queued = Job(), Job()
    async with WorkerPool(1, 1, name="pool") as pool:
        pool.try_submit(running)
        submitter = spawn(pool.submit(queued), name="submitter")
        await turns()
        submitter.cancel()
        await asyncio.wait([submitter])
        assert repr(pool) == "<WorkerPool pool running=1/1 queued=0/1>"
        running.release.set()

    assert not queued.running.is_set()


async def test_a_worker_is_free_again_after_a_job_was_cancelled_before_its_first_step() -> None:
    async with WorkerPool(1, 0, name="pool") as pool:
        pool.try_submit(Job()).cancel()
        await turns()

        job = Job()
        job.release.set()
        assert await pool.submit(job) == "done"


async def test_a_job_runs_in_the_context_of_its_submitter() -> None:
    tenant: ContextVar[str] = ContextVar("tenant")

    async def read() -> str:
        return tenant.get()

    async with WorkerPool(1, 0, name="pool") as pool:
        tenant.set("acme")
        assert await pool.submit(read) == "acme"


async def test_leaving_waits_for_running_and_queued_jobs() -> None:
    running, queued = Job(), Job()
    queued.release.set()
    async with WorkerPool(1, 1, name="pool") as pool:
        results = [pool.try_submit(running), pool.try_submit(queued)]
        asyncio.get_running_loop().call_soon(running.release.set)

    assert [result.result() for result in results] == ["done", "done"]


async def test_leaving_by_an_exception_cancels_every_job_and_tells_its_submitter() -> None:
    running, queued = Job(), Job()
    submitters: list[asyncio.Task[str]] = []

    async def leave() -> None:
        async with WorkerPool(1, 1, name="pool") as pool:
            submitters.extend(spawn(pool.submit(j), name="submitter") for j in (running, queued))
            await running.running.wait()
            await fail()

    with pytest.raises(LookupError):
        await leave()
    for submitter in submitters:
        with pytest.raises(PoolClosed, match="closed before the job was done"):
            await submitter
    assert running.cancelled
    assert not queued.running.is_set()


async def test_a_cancellation_while_leaving_cancels_the_jobs() -> None:
    job = Job()

    async def leave() -> None:
        async with WorkerPool(1, 0, name="pool") as pool:
            spawn(pool.submit(job), name="submitter").add_done_callback(
                lambda submitter: submitter.exception()
            )
            await job.running.wait()

    leaving = spawn(leave(), name="leaving")
    await job.running.wait()
    await turns()
    leaving.cancel()
    await asyncio.wait([leaving])

    assert leaving.cancelled()
    assert job.cancelled


async def test_a_closed_pool_takes_no_job() -> None:
    async with WorkerPool(1, 0, name="pool") as pool:
        pass

    with pytest.raises(PoolClosed):
        await pool.submit(fail)
    with pytest.raises(PoolClosed):
        pool.try_submit(fail)


async def test_a_job_that_fails_after_its_submitter_has_gone_is_logged() -> None:
    job = Job()

    async def cleanup_fails() -> None:
        try:
            await job()
        finally:
            raise LookupError("cleanup")

    with capture_logs() as logged:
        async with WorkerPool(1, 0, name="pool") as pool:
            result = pool.try_submit(cleanup_fails)
            await job.running.wait()
            result.cancel()
        await turns()

    assert [line["event"] for line in logged] == ["task failed"]


@pytest.mark.parametrize(("workers", "queue"), [(0, 1), (1, -1)])
async def test_a_pool_without_workers_is_refused(workers: int, queue: int) -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        WorkerPool(workers, queue, name="pool")


@pytest.mark.parametrize("failure", [None, LookupError("lost")])
async def test_who_waits_for_what_cannot_be_cut_short_is_cancelled_when_it_is_done(
    failure: Exception | None,
) -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = spawn(to_its_end(future), name="waiting")
    for _ in range(3):
        await turns()
        waiting.cancel()
    await turns()
    assert not waiting.done()
    if failure is None:
        future.set_result("done")
    else:
        future.set_exception(failure)
    with pytest.raises(asyncio.CancelledError) as raised:
        await waiting
    assert raised.value.__cause__ is failure
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "done")
    assert await to_its_end(future) == "done"
