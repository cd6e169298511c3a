"""The part of the conformance suite of clusters about exclusive attempts, which run only under a lease."""

from clusters.interface import ClusterAdapter
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    Batch,
    CreateOutcome,
    Fence,
    LeaseAsked,
    Renewal,
    RunSpec,
    ShardSpec,
    TaskChanged,
)
from tests.conformance.cluster_calls import CheckedAdapter, attempt, delay, until_end, watching
from waypost.workflow.task import SideEffects


class LeaseConformance(CheckedAdapter):
    """The conformance tests about exclusive attempts. Each test starts with an empty cluster."""

    async def test_an_exclusive_attempt_starts_nothing_without_a_lease(self, cluster: ClusterAdapter) -> None:
        """The gateway may have moved the shard, and grants no lease then: nothing may run twice.

        A cluster that cannot hold to leases says so, which keeps such shards away, and refuses the create.
        """
        status = await cluster.probe()
        run = RunSpec(run="run", tasks=(delay("a"),), side_effects=SideEffects.EXCLUSIVE)
        spec = ShardSpec(attempt=attempt(), fence=Fence(boot=status.boot, not_after=status.uptime + 60))
        async with watching(cluster) as stream:
            (answer,) = (await cluster.apply(Batch(runs=(run,), creates=(spec,)))).creates
            if answer.outcome is CreateOutcome.REFUSED:
                assert answer.reason == "Unsupported"
                assert status.exclusive is not None
                assert "delay" not in status.exclusive
                return
            assert "delay" in (status.exclusive or ())
            async for event in stream:
                # The first event about the attempt.
                if isinstance(event, LeaseAsked | TaskChanged | AttemptEnded):
                    assert isinstance(event, LeaseAsked)
                    grant = Renewal(attempt=event.attempt, ask=event.ask)
                    break
            await cluster.apply(Batch(renewals=(grant,)))
            ended = (await until_end(stream, attempt()))[-1]
        assert isinstance(ended, AttemptEnded)
        assert ended.end is AttemptEndKind.SUCCEEDED
