"""Tests worker pools: each request gets its own answer, whatever happens to another."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from waypost.worker_pool import WorkerBusy, WorkerEnded, WorkerError, WorkerPool, WorkerTimeout
from waypost.worker_process import NICENESS

pytestmark = pytest.mark.integration

HERE = "tests.waypost.echoing_worker"


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(
        HERE, size=2, budget_seconds=5.0, greeting=b"hello ", maximum_waiting=12, maximum_waiting_of_caller=6
    )
    yield pool
    await pool.close()


def pids(pool: WorkerPool) -> list[int]:
    return [worker.pid for worker in pool._workers if worker.pid is not None]


def workers() -> list[str]:
    """Returns the pids of this process's children that run this pool's module."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in children if HERE in Path(f"/proc/{pid}/cmdline").read_text()]


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def autogroup(pid: int) -> int | None:
    """Returns the priority of a process's session, where the kernel has one."""
    try:
        return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])
    except OSError:
        return None


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_each_request_gets_its_own_answer(pool: WorkerPool) -> None:
    calls = [pool.call(f"{index}".encode(), caller=f"c{index % 3}") for index in range(12)]

    assert await asyncio.gather(*calls) == [f"hello {index}".encode() for index in range(12)]
    assert len(pids(pool)) == 2


async def test_the_processes_give_way_to_their_parent_also_as_sessions(pool: WorkerPool) -> None:
    """Each is alone in its session: where the kernel shares between sessions, its own niceness is nothing."""
    lowered = {(NICENESS, NICENESS), (NICENESS, None)}
    for _ in range(3):
        await pool.call(b"x", caller="a")

    assert pids(pool)
    for pid in pids(pool):
        while (os.getpriority(os.PRIO_PROCESS, pid), autogroup(pid)) not in lowered:
            await pool.call(b"x", caller="a")


async def test_all_processes_start_with_the_first_request(pool: WorkerPool) -> None:
    """Most gateways never need one; who comes second should not wait for a start."""
    assert pids(pool) == []
    await pool.call(b"x", caller="a")
    await pool.call(b"y", caller="b")
    while len(pids(pool)) < 2:
        await asyncio.sleep(0)


async def test_processes_can_be_there_before_the_first_request(pool: WorkerPool) -> None:
    """It takes a third of a second to start one."""
    pool.start()
    while len(pids(pool)) < 2:
        await asyncio.sleep(0)
    started = pids(pool)

    assert await pool.call(b"x", caller="a") == b"hello x"
    assert pids(pool) == started


async def test_what_starts_is_gone_when_it_is_closed(pool: WorkerPool) -> None:
    """Whether its process was there already or not."""
    pool.start()
    await asyncio.sleep(0)
    await pool.close()

    assert workers() == []


async def test_what_exceeds_its_budget_is_killed_and_replaced() -> None:
    pool = WorkerPool(HERE, size=1, budget_seconds=0.3)
    try:
        await pool.call(b"x", caller="a")
        (before,) = pids(pool)
        with pytest.raises(WorkerTimeout, match=r"no answer within 0\.3 s"):
            await pool.call(b"sleep", caller="a")
        assert await pool.call(b"y", caller="b") == b"y"
        assert pids(pool) != [before]
    finally:
        await pool.close()


async def test_a_process_that_ends_says_how_far_it_was(pool: WorkerPool) -> None:
    """Its caller learns which part of the request ended it."""
    with pytest.raises(WorkerEnded) as ended:
        await pool.call(b"die", caller="a")

    assert (ended.value.signal, ended.value.progress) == (signal.SIGABRT, 7)
    assert await pool.call(b"x", caller="a") == b"hello x"


async def test_a_caller_occupies_one_process_until_its_replacement_is_ready(pool: WorkerPool) -> None:
    """Who kills one process after the other must not take those of other callers."""
    await pool.call(b"x", caller="loud")
    while len(pool._idle) < 2:
        await asyncio.sleep(0)
    dying = [asyncio.create_task(pool.call(b"die", caller="loud")) for _ in range(4)]
    for index in range(10):
        assert await pool.call(b"%d" % index, caller="quiet") == b"hello %d" % index
    assert not dying[-1].done()
    await asyncio.gather(*dying, return_exceptions=True)


async def test_callers_take_turns() -> None:
    """One that asks a lot does not go before those that ask a little."""
    pool = WorkerPool(HERE, size=1, budget_seconds=5.0)
    order: list[str] = []

    async def ask(caller: str) -> None:
        await pool.call(b"x", caller=caller)
        order.append(caller)

    try:
        await asyncio.gather(*(ask(caller) for caller in ("a", "a", "a", "a", "b", "c")))
    finally:
        await pool.close()
    assert order == ["a", "b", "c", "a", "a", "a"] or order == ["a", "a", "b", "c", "a", "a"]


async def test_the_line_is_bounded(pool: WorkerPool) -> None:
    """In a queue that only grows, all would wait too long."""
    calls = [asyncio.create_task(pool.call(b"x", caller="ab"[index % 2])) for index in range(12)]
    await asyncio.sleep(0)
    with pytest.raises(WorkerBusy, match="12 requests are waiting already") as busy:
        await pool.call(b"x", caller="c")
    assert not busy.value.caller
    await asyncio.gather(*calls)
    calls = [asyncio.create_task(pool.call(b"x", caller="a")) for index in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(WorkerBusy, match="6 requests of a are waiting already") as busy:
        await pool.call(b"x", caller="a")
    assert busy.value.caller
    await asyncio.gather(*calls)


async def test_a_caller_who_leaves_does_not_shift_the_answers(pool: WorkerPool) -> None:
    """Neither while it waits for its turn nor while it is served."""
    served, waiting = (asyncio.create_task(pool.call(b"sleep", caller="a")) for _ in range(2))
    await pool.call(b"x", caller="b")
    waiting.cancel()
    await asyncio.sleep(0)
    served.cancel()
    await asyncio.gather(served, waiting, return_exceptions=True)

    assert await pool.call(b"y", caller="a") == b"hello y"
    assert await asyncio.gather(*(pool.call(b"z", caller=c) for c in "abc")) == [b"hello z"] * 3


async def test_a_process_inherits_no_secrets(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYPOST_STORE", "postgresql://u:hunter2@db")
    await pool.call(b"x", caller="a")

    assert b"hunter2" not in environment(pids(pool)[0])


async def test_nothing_is_left_when_it_is_closed(pool: WorkerPool) -> None:
    """Neither processes nor descriptors."""
    before = len(os.listdir("/proc/self/fd"))
    await pool.call(b"x", caller="a")
    with pytest.raises(WorkerEnded):
        await pool.call(b"die", caller="b")
    left = pids(pool)
    await pool.close()

    assert [pid for pid in left if exists(pid)] == []
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_process_that_cannot_run_is_an_error_of_the_pool() -> None:
    """On the event loop of a gateway too, which has errors of its own for a pipe that is closed."""

    async def ask() -> None:
        pool = WorkerPool(
            "tests.waypost.no_such_module",
            size=1,
            budget_seconds=5.0,
            greeting=b"",
            maximum_waiting=2,
            maximum_waiting_of_caller=2,
        )
        for _ in range(20):
            with pytest.raises(WorkerError):
                await pool.call(b"x", caller="c")
        await pool.close()

    uvloop.run(ask())
