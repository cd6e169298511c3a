"""Conformance tests of what every cluster promises about its event stream and its logs."""

import asyncio

import pytest
from msgspec import structs

from clusters.checked_cluster import CheckedCluster
from clusters.errors import ClusterError
from clusters.features import AFTER_FAILURE
from clusters.interface import ClusterAdapter, TimesLogs
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    Batch,
    Beat,
    Hello,
    TaskChanged,
    TaskResult,
)
from tests.conformance.cluster_calls import (
    PATIENCE_SECONDS,
    CheckedAdapter,
    attempt,
    create,
    delay,
    until_end,
    watching,
)
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase


class EventStreamConformance(CheckedAdapter):
    """The conformance tests about event streams. Each test starts with an empty cluster."""

    async def test_a_stream_opens_with_the_journal_and_its_attempts(self, cluster: ClusterAdapter) -> None:
        """The gateway compares them with its store before it takes any event."""
        await create(cluster, attempt(), delay("a", seconds=60))
        async with watching(cluster) as stream:
            hello = await anext(stream)

        assert isinstance(hello, Hello)
        assert hello.attempts == ((attempt(), True),)
        assert hello.status.incarnation == (await cluster.probe()).incarnation

    async def test_a_silent_stream_beats(self, cluster: ClusterAdapter) -> None:
        """Once a second, so that a dead stream is known from one without events."""
        async with watching(cluster) as stream, asyncio.timeout(3.0):
            events = [await anext(stream), await anext(stream)]

        assert [type(event) for event in events] == [Hello, Beat]

    async def test_events_come_in_the_order_of_the_needs(self, cluster: ClusterAdapter) -> None:
        """A result is recorded only with or after those that it needs; the end comes last."""
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
        """After a lost connection the gateway gets the events that it missed, once."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"), delay("b", "a"))
            events = await until_end(stream, attempt())
        incarnation = (await cluster.probe()).incarnation
        async with watching(cluster, events[1].seq, incarnation) as stream:
            rest = await until_end(stream, attempt())

        assert rest == events[2:]

    async def test_acknowledged_events_are_gone(self, cluster: ClusterAdapter) -> None:
        """The gateway has stored them; a journal must not grow for ever."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"))
            events = await until_end(stream, attempt())
        status = (await cluster.apply(Batch(acknowledged=events[-2].seq))).status
        async with watching(cluster, events[-2].seq, status.incarnation) as stream:
            rest = await until_end(stream, attempt())

        assert rest == events[-1:]
        assert status.seq == events[-1].seq

    async def test_a_cursor_before_what_was_acknowledged_means_another_store(
        self, cluster: ClusterAdapter
    ) -> None:
        """The gateway's store was restored from a copy: it would take finished work for unfinished."""
        async with watching(cluster) as stream:
            await create(cluster, attempt(), delay("a"))
            events = await until_end(stream, attempt())
        status = (await cluster.apply(Batch(acknowledged=events[-1].seq))).status
        async with watching(cluster, events[0].seq, status.incarnation) as stream:
            with pytest.raises(ClusterError, match="Restored"):
                await anext(stream)

    async def test_a_cursor_from_the_future_means_another_journal(self, cluster: ClusterAdapter) -> None:
        """The journal was restored from a copy: under its old incarnation it would claim lost events."""
        before = (await cluster.probe()).incarnation
        async with watching(cluster, 1_000, before) as stream:
            hello = await anext(stream)

        assert isinstance(hello, Hello)
        assert hello.status.incarnation != before

    async def test_finished_tasks_are_not_run_again(self, cluster: ClusterAdapter) -> None:
        """The create brings the results of earlier epochs."""
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
        """No task that needs it runs."""
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

    async def test_what_runs_after_a_failure_runs(self, cluster: ClusterAdapter) -> None:
        """Each task ends once, and the attempt with the first failure that is not tolerated."""
        if AFTER_FAILURE not in (await cluster.probe()).features:
            pytest.skip("the cluster does not go on after a failure, and gets no such run")
        failing = TaskSpec(name="a", type="process", run={"command": ["false"]})
        async with watching(cluster) as stream:
            await create(
                cluster,
                attempt(),
                structs.replace(failing, name="t", continue_on_failure=True),
                structs.replace(failing, needs=("t",)),
                delay("b", "a"),
                structs.replace(delay("c", "a", "b"), runs="always"),
                structs.replace(delay("d", "c"), runs="onFailure"),
            )
            events = await until_end(stream, attempt())

        ends = {event.task: event.phase for event in events if isinstance(event, TaskChanged)}
        assert ends == {
            "t": TaskPhase.FAILED,
            "a": TaskPhase.FAILED,
            "b": TaskPhase.OMITTED,
            "c": TaskPhase.SUCCEEDED,
            "d": TaskPhase.SKIPPED,
        }
        assert isinstance(events[-1], AttemptEnded)
        assert (events[-1].end, events[-1].reason) == (AttemptEndKind.FAILED, "task a: exit code 1")

    async def test_failed_results_are_results(self, cluster: ClusterAdapter) -> None:
        """The create brings them from earlier epochs: their tasks do not run again."""
        if AFTER_FAILURE not in (await cluster.probe()).features:
            pytest.skip("the cluster does not know failed results, and gets none")
        async with watching(cluster) as stream:
            await create(
                cluster,
                attempt(epoch=2),
                delay("a", seconds=60),
                structs.replace(delay("b", "a"), runs="always"),
                results=[TaskResult(task="a", failure=TaskPhase.FAILED, reason="exit code 1")],
            )
            events = await until_end(stream, attempt(epoch=2))

        assert {event.task for event in events if isinstance(event, TaskChanged)} == {"b"}
        assert isinstance(events[-1], AttemptEnded)
        assert (events[-1].end, events[-1].reason) == (AttemptEndKind.FAILED, "task a: exit code 1")


class LogConformance(CheckedAdapter):
    """The conformance tests about logs. Each test starts with an empty cluster."""

    async def test_followed_logs_end_with_the_task(self, cluster: ClusterAdapter) -> None:
        """They begin at the byte asked for and go on with what is written meanwhile."""
        command = ["sh", "-c", "echo one; sleep 0.4; echo two >&2"]
        await create(cluster, attempt(), TaskSpec(name="a", type="process", run={"command": command}))
        async with asyncio.timeout(PATIENCE_SECONDS):
            chunks = [chunk async for chunk in cluster.logs(attempt(), "a", offset=0, follow=True)]
            rest = [chunk.text async for chunk in cluster.logs(attempt(), "a", offset=4, follow=False)]

        assert "".join(chunk.text for chunk in chunks) == "one\ntwo\n"
        assert chunks[-1].offset == 8
        assert "".join(rest) == "two\n"

    async def test_timed_logs_say_when_each_line_was_written(self, adapter: ClusterAdapter) -> None:
        """The same text, in pieces whose times only grow; a log that is not there is no log at any time."""
        if not isinstance(adapter, TimesLogs):
            pytest.skip("this cluster does not say when logs were written")
        cluster = CheckedCluster(adapter, region="beijing")
        command = ["sh", "-c", "echo one; sleep 1; echo two"]
        await create(cluster, attempt(), TaskSpec(name="a", type="process", run={"command": command}))
        async with asyncio.timeout(PATIENCE_SECONDS):
            for follow in (True, False):
                chunks = [
                    chunk async for chunk in cluster.timed_logs(attempt(), "a", offset=0, follow=follow)
                ]
                times = [chunk.written_at or 0.0 for chunk in chunks]
                assert [chunk.text for chunk in chunks] == ["one\n", "two\n"]
                assert times[1] - times[0] > 0.5
        with pytest.raises(ClusterError, match="NotFound"):
            await anext(cluster.timed_logs(attempt("nowhere"), "a", offset=0, follow=True))

    async def test_a_missing_log_is_not_found(self, cluster: ClusterAdapter) -> None:
        """The reason is `NotFound`: it must not count as a failure of the region."""
        with pytest.raises(ClusterError) as raised:
            await anext(cluster.logs(attempt("nowhere"), "a", offset=0, follow=True))

        assert (raised.value.reason, raised.value.retryable) == ("NotFound", False)
