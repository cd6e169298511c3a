"""Conformance tests of what every cluster promises about batches: creates, tombstones, fences, epochs."""

import asyncio

import pytest

from clusters.errors import ClusterError
from clusters.features import FOR_EACH
from clusters.interface import ClusterAdapter
from clusters.protocol import Batch, CreateOutcome, Fence, RunSpec, ShardSpec, TaskChanged
from tests.conformance.cluster_calls import CheckedAdapter, attempt, create, delay, until_end, watching
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase


class BatchConformance(CheckedAdapter):
    """The conformance tests about batches. Each test starts with an empty cluster."""

    async def test_a_probe_shows_the_status_of_the_cluster(self, cluster: ClusterAdapter) -> None:
        """Placement needs the region, the journal, the clock of this boot, and the free slots."""
        first, second = await cluster.probe(), await cluster.probe()

        assert (first.region, first.incarnation, first.boot) == ("beijing", second.incarnation, second.boot)
        assert 0 <= first.uptime <= second.uptime
        assert first.slots > first.held == 0
        assert {"delay", "process"} <= set(first.executors)

    async def test_a_create_may_be_repeated(self, cluster: ClusterAdapter) -> None:
        """After a lost answer the same create comes again: it is the same attempt, not another."""
        outcomes = [await create(cluster, attempt(), delay("a", seconds=60)) for _ in range(3)]

        assert outcomes == [CreateOutcome.CREATED, CreateOutcome.EXISTS, CreateOutcome.EXISTS]
        assert (await cluster.attempts()).attempts == ((attempt(), True),)
        assert (await cluster.probe()).held == 1

    async def test_each_item_has_its_own_answer_in_its_place(self, cluster: ClusterAdapter) -> None:
        """One bad create must not spoil a batch; the order says which answer belongs to which create."""
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
        """After its fence the gateway has moved the shard; an uptime of another boot means nothing here."""
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
        """It also lasts: a copy of the create that was delayed in the network must never run."""
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
        """`gone` only when no process is left: until then the gateway repeats it."""
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
        """A shard has one attempt at a time, and epochs never go back."""
        await create(cluster, attempt(epoch=4), delay("a", seconds=60))
        newer = await create(cluster, attempt(epoch=5), delay("a", seconds=60))
        older = await create(cluster, attempt(epoch=3), delay("a", seconds=60))

        assert (newer, older) == (CreateOutcome.CREATED, CreateOutcome.REFUSED)
        assert (await cluster.attempts()).attempts == ((attempt(epoch=5), True),)

    async def test_a_batch_for_another_journal_is_refused(self, cluster: ClusterAdapter) -> None:
        """It was decided for the journal that is gone: nothing of it applies to this one."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"))
            events = await until_end(stream, attempt())
        with pytest.raises(ClusterError, match="OtherJournal"):
            await cluster.apply(
                Batch(incarnation="another", acknowledged=events[-1].seq, tombstones=(attempt(),))
            )
        async with watching(cluster) as stream:
            assert await until_end(stream, attempt()) == events

    async def test_a_cluster_with_the_feature_runs_a_task_once_for_each_item(
        self, cluster: ClusterAdapter
    ) -> None:
        """Reported one by one, then their task with their number; one that lacks it says so in its status."""
        if FOR_EACH not in (await cluster.probe()).features:
            pytest.skip("this cluster does not run tasks for each item of a list")
        each = TaskSpec(name="m", type="delay", run={"seconds": "${item}"}, for_each=(0, 0.01))
        async with watching(cluster) as stream:
            await create(cluster, attempt(), each)
            events = await until_end(stream, attempt())

        changes = [event for event in events if isinstance(event, TaskChanged)]
        ends = [(event.task, event.instances) for event in changes if event.phase is TaskPhase.SUCCEEDED]
        assert sorted(ends[:2]) == [("m[0]", None), ("m[1]", None)]
        assert ends[2:] == [("m", 2)]
