"""The part of the conformance suite of clusters about lies: what no cluster may report and be believed.

The honest adapter is put behind a liar, which changes what it returns, as an engine with a fault would, or an
adapter that makes answers out of what its engine reports and checks none of it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Self

import pytest
from msgspec import structs

from clusters.checked_cluster import CheckedCluster
from clusters.errors import ClusterError
from clusters.interface import ClusterAdapter
from clusters.protocol import (
    AttemptEnded,
    AttemptId,
    Batch,
    BatchAnswers,
    ClusterEvent,
    ClusterStatus,
    CreateAnswer,
    CreateOutcome,
    Fence,
    Hello,
    LogChunk,
    RunSpec,
    ShardSpec,
    TaskChanged,
    TombstoneAnswer,
)
from tests.conformance.cluster_calls import CheckedAdapter, attempt, watching
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase

SHANGHAI: Final = {"region": "shanghai"}
STATUSES: Final[dict[str, dict[str, Any]]] = {
    "another region": SHANGHAI,
    "endless uptime": {"uptime": float("inf")},
    "no slots": {"slots": 0},
    "most held": {"held": 2**63 - 1},
    "seq over 63 bits": {"seq": 2**80},
    "no journal": {"incarnation": ""},
    "executors": {"executors": ("delay",) * 5_000},
    "a word for a number": {"slots": "many"},
}
ENDED: Final = AttemptEnded(seq=5, attempt=attempt(), end="Succeeded")  # type: ignore[arg-type]
TASK: Final = TaskChanged(
    seq=5, attempt=attempt(), task="a", phase=TaskPhase.SUCCEEDED, tries=1, started_at=1.8e9
)
EVENTS: Final[dict[str, Any]] = {
    "the same seq again": [TASK, ENDED],
    "seq over 63 bits": [structs.replace(ENDED, seq=2**80)],
    "no run": [structs.replace(ENDED, attempt=attempt(""))],
    "unknown end": [structs.replace(ENDED, end="Won")],
    "retry without a time": [structs.replace(TASK, phase=TaskPhase.RETRYING)],
    "far future": [structs.replace(TASK, started_at=1e18)],
    "large output": [structs.replace(TASK, output="x" * 65_537)],
    "large integer": [structs.replace(TASK, output=[2**53 + 1])],
    "integer over 64 bits": [structs.replace(TASK, output=[2**70])],
    "output that is no JSON": [structs.replace(TASK, output=object())],
    "nothing": [None],
}
LIE_OF_A_CREATE: Final[dict[str, Sequence[CreateAnswer]]] = {
    "no answer": (),
    "another attempt": (CreateAnswer(attempt=attempt("other"), outcome=CreateOutcome.CREATED),),
    "the gateway's word": (CreateAnswer(attempt=attempt(), outcome=CreateOutcome.UNKNOWN),),
    "an unheard-of outcome": (CreateAnswer(attempt=attempt(), outcome="Perhaps"),),  # type: ignore[arg-type]
}


class Liar:
    """A `ClusterAdapter` that changes what another one returns: by default nothing.

    After the first event of each stream come `events`.
    """

    def __init__(self, honest: ClusterAdapter) -> None:
        self._honest = honest
        self.status: Callable[[ClusterStatus], ClusterStatus] = lambda status: status
        self.answers: Callable[[BatchAnswers], BatchAnswers] = lambda answers: answers
        self.hello: Callable[[Hello], Any] = lambda hello: hello
        self.events: Sequence[Any] = ()
        self.chunk: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def apply(self, batch: Batch) -> BatchAnswers:
        answers = await self._honest.apply(batch)
        return self.answers(structs.replace(answers, status=self.status(answers.status)))

    async def attempts(self) -> Hello:
        hello = await self._honest.attempts()
        said: Hello = self.hello(structs.replace(hello, status=self.status(hello.status)))
        return said

    async def probe(self) -> ClusterStatus:
        return self.status(await self._honest.probe())

    async def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        async with watching(self._honest, cursor, incarnation) as stream:
            hello = await anext(stream)
            assert isinstance(hello, Hello)
            yield self.hello(structs.replace(hello, status=self.status(hello.status)))
            for event in self.events:
                yield event
            async for event in stream:
                yield event

    async def logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        yield self.chunk


async def believed(cluster: ClusterAdapter, events: int) -> None:
    """Reads the first `events` events of a new stream."""
    async with watching(cluster) as stream:
        for _ in range(events):
            await anext(stream)


class LyingClusterConformance(CheckedAdapter):
    """The conformance tests about lies: each is a `BadAnswer`, and the gateway hears nothing of it."""

    @pytest.fixture
    def liar(self, adapter: ClusterAdapter) -> Liar:
        return Liar(adapter)

    @pytest.fixture
    def lied_to(self, liar: Liar) -> ClusterAdapter:
        """Returns the adapter that the gateway calls, behind which is the liar."""
        return CheckedCluster(liar, region="beijing")

    async def test_who_changes_nothing_is_believed(self, lied_to: ClusterAdapter) -> None:
        """So that the other tests show the lie, and nothing else."""
        await lied_to.probe()
        await lied_to.apply(Batch(tombstones=(attempt(),)))
        await lied_to.attempts()
        await believed(lied_to, 2)

    @pytest.mark.parametrize("lie", STATUSES.values(), ids=STATUSES.keys())
    async def test_a_false_status_is_refused_wherever_it_stands(
        self, liar: Liar, lied_to: ClusterAdapter, lie: dict[str, Any]
    ) -> None:
        """In the answer to a probe, to a batch and to a listing, and in a stream."""
        liar.status = lambda status: structs.replace(status, **lie)
        for call in (
            lied_to.probe(),
            lied_to.apply(Batch(tombstones=(attempt(),))),
            lied_to.attempts(),
            believed(lied_to, 1),
        ):
            with pytest.raises(ClusterError) as raised:
                await call
            assert raised.value.reason == "BadAnswer"

    @pytest.mark.parametrize("events", EVENTS.values(), ids=EVENTS.keys())
    async def test_a_false_event_is_refused(
        self, liar: Liar, lied_to: ClusterAdapter, events: Sequence[Any]
    ) -> None:
        """What came before it is believed."""
        liar.events = events
        async with watching(lied_to) as stream:
            for _ in events:
                await anext(stream)
            with pytest.raises(ClusterError) as raised:
                await anext(stream)
        assert raised.value.reason == "BadAnswer"

    @pytest.mark.parametrize("creates", LIE_OF_A_CREATE.values(), ids=LIE_OF_A_CREATE.keys())
    async def test_a_false_answer_to_a_create_is_refused(
        self, liar: Liar, lied_to: ClusterAdapter, creates: Sequence[CreateAnswer]
    ) -> None:
        """An answer about another attempt must not start or end one."""
        liar.answers = lambda answers: structs.replace(answers, creates=tuple(creates))
        status = await lied_to.probe()
        run = RunSpec(run="run", tasks=(TaskSpec(name="a", type="delay", run={"seconds": 0}),))
        spec = ShardSpec(attempt=attempt(), fence=Fence(boot=status.boot, not_after=status.uptime + 60))
        with pytest.raises(ClusterError, match="BadAnswer"):
            await lied_to.apply(Batch(runs=(run,), creates=(spec,)))

    async def test_a_false_answer_to_a_tombstone_is_refused(
        self, liar: Liar, lied_to: ClusterAdapter
    ) -> None:
        other = TombstoneAnswer(attempt=attempt("other"), gone=True)
        liar.answers = lambda answers: structs.replace(answers, tombstones=(other,))
        with pytest.raises(ClusterError, match="BadAnswer"):
            await lied_to.apply(Batch(tombstones=(attempt(),)))

    async def test_a_listing_of_very_many_attempts_is_refused(
        self, liar: Liar, lied_to: ClusterAdapter
    ) -> None:
        liar.hello = lambda hello: structs.replace(hello, attempts=((attempt(), True),) * 50_001)
        with pytest.raises(ClusterError, match="BadAnswer"):
            await lied_to.attempts()

    @pytest.mark.parametrize("end", [-1, 6, 7])
    async def test_a_piece_of_a_log_that_ends_where_it_began_is_refused(
        self, liar: Liar, lied_to: ClusterAdapter, end: int
    ) -> None:
        liar.chunk = LogChunk(text="x", offset=end)
        with pytest.raises(ClusterError, match="BadAnswer"):
            await anext(lied_to.logs(attempt(), "a", offset=7, follow=False))
