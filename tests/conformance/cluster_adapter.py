"""What every `ClusterAdapter` must show, whatever engine is behind it: inherit, and provide the fixture `cluster`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    AttemptId,
    Batch,
    Beat,
    ClusterEvent,
    CreateOutcome,
    Fence,
    Hello,
    JournalledEvent,
    RunSpec,
    ShardSpec,
    TaskChanged,
    TaskPhase,
    TaskResult,
)
from waypost.workflow.task import TaskSpec

PATIENCE_SECONDS = 10.0


def attempt(run: str = "run", *, shard: int = 0, epoch: int = 1) -> AttemptId:
    return AttemptId(run=run, shard=shard, epoch=epoch)


def delay(name: str, *needs: str, seconds: float = 0.0) -> TaskSpec:
    return TaskSpec(name=name, type="delay", run={"seconds": seconds}, needs=needs)


async def create(
    cluster: ClusterAdapter, identity: AttemptId, *tasks: TaskSpec, results: Sequence[TaskResult] = ()
) -> CreateOutcome:
    """Asks for one attempt, to be taken within the next minute."""
    status = await cluster.probe()
    spec = ShardSpec(
        attempt=identity, fence=Fence(boot=status.boot, not_after=status.uptime + 60), results=tuple(results)
    )
    answers = await cluster.apply(Batch(runs=(RunSpec(run=identity.run, tasks=tasks),), creates=(spec,)))
    return answers.creates[0].outcome


@asynccontextmanager
async def watching(
    cluster: ClusterAdapter, cursor: int = 0, incarnation: str = ""
) -> AsyncIterator[AsyncGenerator[ClusterEvent, None]]:
    stream = cast(AsyncGenerator[ClusterEvent, None], cluster.watch(cursor, incarnation))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield stream
    finally:
        await stream.aclose()


async def until_end(stream: AsyncGenerator[ClusterEvent, None], identity: AttemptId) -> list[JournalledEvent]:
    """The journalled events up to the end of `identity`, without the beats between."""
    events: list[JournalledEvent] = []
    async for event in stream:
        if isinstance(event, TaskChanged | AttemptEnded):
            events.append(event)
        if isinstance(event, AttemptEnded) and event.attempt == identity:
            return events
    raise AssertionError(f"the stream ended before {identity}")


class ClusterAdapterConformance:
    """The facts. Each one starts with an empty cluster that has the executors `delay` and `process`."""

    @pytest.fixture
    def cluster(self) -> ClusterAdapter:
        raise NotImplementedError

    async def test_a_probe_tells_who_answers(self, cluster: ClusterAdapter) -> None:
        """Whoever places work needs the region, the journal, this boot's clock and the room."""
        first, second = await cluster.probe(), await cluster.probe()

        assert (first.region, first.incarnation, first.boot) == ("beijing", second.incarnation, second.boot)
        assert 0 <= first.uptime <= second.uptime
        assert first.slots > first.held == 0
        assert {"delay", "process"} <= set(first.executors)

    async def test_a_create_may_be_repeated(self, cluster: ClusterAdapter) -> None:
        """A lost answer is followed by the same create: it is the same attempt, not another."""
        outcomes = [await create(cluster, attempt(), delay("a", seconds=60)) for _ in range(3)]

        assert outcomes == [CreateOutcome.CREATED, CreateOutcome.EXISTS, CreateOutcome.EXISTS]
        assert (await cluster.attempts()).attempts == ((attempt(), True),)
        assert (await cluster.probe()).held == 1

    async def test_each_item_has_its_own_answer_in_its_place(self, cluster: ClusterAdapter) -> None:
        """One bad create must not spoil a batch, and answers are told apart by their order."""
        status = await cluster.probe()
        fence = Fence(boot=status.boot, not_after=status.uptime + 60)
        identities = [
            attempt("good", shard=0),
            attempt("strange"),
            attempt("unknown"),
            attempt("good", shard=1),
            attempt("cyclic"),
        ]
        strange = TaskSpec(name="a", type="no-such-executor", run={})
        answers = await cluster.apply(
            Batch(
                runs=(
                    RunSpec(run="good", tasks=(delay("a"),), shard_count=2),
                    RunSpec(run="strange", tasks=(strange,)),
                    RunSpec(run="cyclic", tasks=(delay("a", "b"), delay("b", "a"))),
                ),
                creates=tuple(ShardSpec(attempt=identity, fence=fence) for identity in identities),
            )
        )

        assert [answer.attempt for answer in answers.creates] == identities
        assert [(answer.outcome, answer.reason) for answer in answers.creates] == [
            (CreateOutcome.CREATED, ""),
            (CreateOutcome.REFUSED, "Unsupported"),
            (CreateOutcome.REFUSED, "Invalid"),
            (CreateOutcome.CREATED, ""),
            (CreateOutcome.REFUSED, "Invalid"),
        ]

    async def test_a_late_create_is_refused(self, cluster: ClusterAdapter) -> None:
        """Past its fence the gateway has moved on; another boot's uptime says nothing here."""
        status = await cluster.probe()
        fences = (
            Fence(boot=status.boot, not_after=status.uptime - 0.001),
            Fence(boot="another", not_after=status.uptime + 60),
        )
        creates = tuple(
            ShardSpec(attempt=attempt(shard=shard), fence=fence) for shard, fence in enumerate(fences)
        )
        answers = await cluster.apply(Batch(runs=(RunSpec(run="run", tasks=(delay("a"),)),), creates=creates))

        assert [answer.reason for answer in answers.creates] == ["Late", "OtherBoot"]
        assert (await cluster.attempts()).attempts == ()

    async def test_a_tombstone_comes_before_the_creates_of_its_batch(self, cluster: ClusterAdapter) -> None:
        """And for good: a copy of the create that was held up on its way must never run."""
        status = await cluster.probe()
        spec = ShardSpec(attempt=attempt(), fence=Fence(boot=status.boot, not_after=status.uptime + 60))
        run = RunSpec(run="run", tasks=(delay("a"),))
        answers = await cluster.apply(Batch(runs=(run,), creates=(spec,), tombstones=(attempt(),)))
        again = await cluster.apply(Batch(runs=(run,), creates=(spec,)))

        assert [(answer.attempt, answer.gone) for answer in answers.tombstones] == [(attempt(), True)]
        assert [answer.reason for answer in (*answers.creates, *again.creates)] == [
            "Tombstoned",
            "Tombstoned",
        ]

    async def test_a_tombstone_ends_what_runs(self, cluster: ClusterAdapter) -> None:
        """`gone` only when no process is left: until then it is asked again."""
        sleeping = TaskSpec(name="a", type="process", run={"command": ["sleep", "60"]})
        async with watching(cluster) as stream:
            await create(cluster, attempt(), sleeping)
            async for event in stream:
                if isinstance(event, TaskChanged) and event.phase is TaskPhase.RUNNING:
                    break
            while True:
                answers = await cluster.apply(Batch(tombstones=(attempt(),)))
                if answers.tombstones[0].gone:
                    break
                await asyncio.sleep(0.01)

        assert (await cluster.attempts()).attempts == ()

    async def test_an_older_epoch_is_refused_and_a_newer_one_supersedes(
        self, cluster: ClusterAdapter
    ) -> None:
        """One attempt of a shard at a time, and never back."""
        await create(cluster, attempt(epoch=4), delay("a", seconds=60))
        newer = await create(cluster, attempt(epoch=5), delay("a", seconds=60))
        older = await create(cluster, attempt(epoch=3), delay("a", seconds=60))

        assert (newer, older) == (CreateOutcome.CREATED, CreateOutcome.REFUSED)
        assert (await cluster.attempts()).attempts == ((attempt(epoch=5), True),)

    async def test_a_stream_opens_with_who_and_what_is_there(self, cluster: ClusterAdapter) -> None:
        """The gateway compares it with its store before it believes anything else."""
        await create(cluster, attempt(), delay("a", seconds=60))
        async with watching(cluster) as stream:
            hello = await anext(stream)

        assert isinstance(hello, Hello)
        assert hello.attempts == ((attempt(), True),)
        assert hello.status.incarnation == (await cluster.probe()).incarnation

    async def test_a_silent_stream_beats(self, cluster: ClusterAdapter) -> None:
        """Once a second, so that a dead one is known from one without news."""
        async with watching(cluster) as stream, asyncio.timeout(3.0):
            events = [await anext(stream), await anext(stream)]

        assert [type(event) for event in events] == [Hello, Beat]

    async def test_events_come_in_the_order_of_the_needs(self, cluster: ClusterAdapter) -> None:
        """A result is recorded only with or after those it needs; the end comes last."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"), delay("b", "a"), delay("c", "b"))
            events = await until_end(stream, attempt())

        tasks = [(event.task, event.phase) for event in events if isinstance(event, TaskChanged)]
        assert tasks == [
            (task, phase) for task in "abc" for phase in (TaskPhase.RUNNING, TaskPhase.SUCCEEDED)
        ]
        assert [event.seq for event in events] == sorted({event.seq for event in events})
        assert isinstance(events[-1], AttemptEnded)
        assert events[-1].end is AttemptEndKind.SUCCEEDED

    async def test_a_stream_goes_on_after_its_cursor(self, cluster: ClusterAdapter) -> None:
        """Whoever comes back gets what was missed, once."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"), delay("b", "a"))
            events = await until_end(stream, attempt())
        incarnation = (await cluster.probe()).incarnation
        async with watching(cluster, events[1].seq, incarnation) as stream:
            rest = await until_end(stream, attempt())

        assert rest == events[2:]

    async def test_acknowledged_events_are_gone(self, cluster: ClusterAdapter) -> None:
        """They are the gateway's now; a journal must not grow for ever."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"))
            events = await until_end(stream, attempt())
        status = (await cluster.apply(Batch(acknowledged=events[-2].seq))).status
        async with watching(cluster, events[-2].seq, status.incarnation) as stream:
            rest = await until_end(stream, attempt())

        assert rest == events[-1:]
        assert status.seq == events[-1].seq

    async def test_a_batch_for_another_journal_is_not_taken(self, cluster: ClusterAdapter) -> None:
        """It was decided before anybody knew that the old one is gone: nothing of it means this one."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"))
            events = await until_end(stream, attempt())
        with pytest.raises(ClusterError, match="OtherJournal"):
            await cluster.apply(
                Batch(incarnation="another", acknowledged=events[-1].seq, tombstones=(attempt(),))
            )
        async with watching(cluster) as stream:
            assert await until_end(stream, attempt()) == events

    async def test_a_cursor_before_what_was_acknowledged_means_another_store(
        self, cluster: ClusterAdapter
    ) -> None:
        """The gateway's store was restored from a copy: without those events it would take finished work for unfinished."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"))
            events = await until_end(stream, attempt())
        status = (await cluster.apply(Batch(acknowledged=events[-1].seq))).status
        async with watching(cluster, events[0].seq, status.incarnation) as stream:
            with pytest.raises(ClusterError, match="Restored"):
                await anext(stream)

    async def test_a_cursor_from_the_future_means_another_journal(self, cluster: ClusterAdapter) -> None:
        """The journal was restored from a copy: its old name would claim events that it no longer has."""
        before = (await cluster.probe()).incarnation
        async with watching(cluster, 1_000, before) as stream:
            hello = await anext(stream)

        assert isinstance(hello, Hello)
        assert hello.status.incarnation != before

    async def test_finished_tasks_are_not_run_again(self, cluster: ClusterAdapter) -> None:
        """Whatever an earlier epoch finished comes with the create."""
        async with watching(cluster) as stream:
            await create(
                cluster,
                attempt(epoch=2),
                delay("a", seconds=60),
                delay("b", "a"),
                results=[TaskResult(task="a", output=1)],
            )
            events = await until_end(stream, attempt(epoch=2))

        assert {event.task for event in events if isinstance(event, TaskChanged)} == {"b"}

    async def test_a_failed_task_fails_its_attempt(self, cluster: ClusterAdapter) -> None:
        """For good, with a reason, and nothing that needs it runs."""
        failing = TaskSpec(name="a", type="process", run={"command": ["false"]})
        async with watching(cluster) as stream:
            await create(cluster, attempt(), failing, delay("b", "a"))
            events = await until_end(stream, attempt())

        assert [(event.task, event.phase) for event in events if isinstance(event, TaskChanged)] == [
            ("a", TaskPhase.RUNNING),
            ("a", TaskPhase.FAILED),
        ]
        assert isinstance(events[-1], AttemptEnded)
        assert events[-1].end is AttemptEndKind.FAILED

    async def test_followed_logs_end_with_the_task(self, cluster: ClusterAdapter) -> None:
        """From the byte asked for, with what is written meanwhile, and then no more."""
        command = ["sh", "-c", "echo one; sleep 0.4; echo two >&2"]
        await create(cluster, attempt(), TaskSpec(name="a", type="process", run={"command": command}))
        async with asyncio.timeout(PATIENCE_SECONDS):
            chunks = [chunk async for chunk in cluster.logs(attempt(), "a", offset=0, follow=True)]
            rest = [chunk.text async for chunk in cluster.logs(attempt(), "a", offset=4, follow=False)]

        assert "".join(chunk.text for chunk in chunks) == "one\ntwo\n"
        assert chunks[-1].offset == 8
        assert "".join(rest) == "two\n"

    async def test_logs_that_are_not_there_are_not_found(self, cluster: ClusterAdapter) -> None:
        """Which is no fault of the region."""
        with pytest.raises(ClusterError) as raised:
            await anext(cluster.logs(attempt("nowhere"), "a", offset=0, follow=True))

        assert (raised.value.reason, raised.value.retryable) == ("NotFound", False)
