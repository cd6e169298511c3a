"""Simulates the network between a gateway and its regions: delay, loss, duplicates, partitions."""

import heapq
import itertools
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from clusters.errors import ClusterError
from clusters.protocol import AttemptEnded, Batch, BatchAnswers, Beat, ClusterEvent, Hello, TaskChanged
from gateway.reconciler.links.region_link import BATCHES_AT_ONCE
from gateway.reconciler.links.reports import (
    AttemptListing,
    BatchResult,
    ProbeResult,
    Report,
    StreamEnded,
    StreamEvent,
)
from gateway.store.interface import Cursor
from tests.simulation.cluster import ModelCluster

TIMEOUT_SECONDS = 1.0
SILENCE_SECONDS = 3.0


class Timeline:
    """A clock of virtual time, with the actions that are due at later times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + seconds, next(self._order), action))

    def advance(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = now


@dataclass
class NetworkPath:
    """The state of the network path to one region: cuts, delay, loss and duplicates."""

    requests_cut: bool = False
    answers_cut: bool = False
    delay_seconds: float = 0.02
    loss: float = 0.0
    """The probability that a request, or its answer, does not arrive though the path is not cut."""
    answers_end: bool = False
    """Whether the answers and events that are on their way from a cluster are lost when it ends."""
    duplicates: float = 0.0
    """The probability that a batch arrives a second time, up to half a minute later."""


@dataclass
class SimulatedLink:
    """The simulated I/O of one region; satisfies `gateway.reconciler.links.interface.Link`.

    It ends with its gateway (`alive`): what is still on its way to it does not arrive.
    """

    name: str
    cluster: ModelCluster
    path: NetworkPath
    timeline: Timeline
    rng: random.Random
    era: Callable[[], int]
    inbox: list[Report] = field(default_factory=list)
    alive: bool = True
    sending: int = 0
    probing: bool = False
    stream: int = 0
    cursor: Cursor = field(default_factory=Cursor)
    heard_at: float = 0.0
    arrives: float = 0.0
    opened: bool = False
    boot: str = ""
    began: float = 0.0
    sent: int = 0

    @property
    def can_send(self) -> bool:
        return self.sending < BATCHES_AT_ONCE

    def drain(self) -> list[Report]:
        reports, self.inbox = self.inbox, []
        return reports

    def _put(self, report: Report) -> None:
        if self.alive:
            self.inbox.append(report)

    def _delay(self) -> float:
        return self.path.delay_seconds * self.rng.uniform(0.5, 2.0)

    def _lost(self) -> bool:
        return self.rng.random() < self.path.loss

    def _ended_since(self, boot: str) -> bool:
        """Returns whether what `boot` of the cluster has sent is lost, since that has ended meanwhile."""
        return self.path.answers_end and not (self.cluster.up and self.cluster.boot == boot)

    def _call(self, ask: Callable[[], object], on_result: Callable[[object, str | None], None]) -> None:
        """Simulates a request and its answer, each of which may get lost; calls `on_result` exactly once."""
        finished = False

        def finish(answer: object, failure: str | None) -> None:
            nonlocal finished
            if not finished:
                finished = True
                on_result(answer, failure)

        def arrive() -> None:
            if not self.cluster.up:
                self.timeline.after(self._delay(), lambda: finish(None, "Unreachable"))
                return
            try:
                answer, failure = ask(), None
            except ClusterError as error:
                answer, failure = None, error.reason
            boot = self.cluster.boot

            def deliver() -> None:
                if self._ended_since(boot):
                    finish(None, "Unreachable")
                else:
                    finish(answer, failure)

            if not self.path.answers_cut and not self._lost():
                self.timeline.after(self._delay(), deliver)

        self.timeline.after(TIMEOUT_SECONDS, lambda: finish(None, "Timeout"))
        if not self.path.requests_cut and not self._lost():
            self.timeline.after(self._delay(), arrive)

    def probe(self) -> None:
        if self.probing:
            return
        self.probing, began = True, self.timeline.now

        def answered(answer: object, failure: str | None) -> None:
            self.probing = False
            status = answer.status if isinstance(answer, BatchAnswers) else None
            self._put(ProbeResult(began=began, ended=self.timeline.now, failure=failure, status=status))

        self._call(lambda: self.cluster.apply(Batch(), self.timeline.now), answered)

    def send(self, batch: Batch) -> None:
        began = self.timeline.now
        self.sending += 1

        def answered(answer: object, failure: str | None) -> None:
            self.sending -= 1
            answers = answer if isinstance(answer, BatchAnswers) else None
            self._put(
                BatchResult(
                    began=began, ended=self.timeline.now, batch=batch, answers=answers, failure=failure
                )
            )

        self._call(lambda: self.cluster.apply(batch, self.timeline.now), answered)
        if self.rng.random() < self.path.duplicates:
            late = Batch(
                incarnation=batch.incarnation,
                runs=batch.runs,
                creates=batch.creates,
                tombstones=batch.tombstones,
            )
            self.timeline.after(self.rng.uniform(0, 30), lambda: self._late(late))

    def _late(self, batch: Batch) -> None:
        if self.cluster.up and not self.path.requests_cut:
            with suppress(ClusterError):
                self.cluster.apply(batch, self.timeline.now)

    def list_attempts(self) -> None:
        began = self.timeline.now

        def answered(answer: object, failure: str | None) -> None:
            if isinstance(answer, Hello):
                self._put(AttemptListing(began=began, at=self.timeline.now, hello=answer))

        self._call(lambda: self.cluster.hello(self.timeline.now), answered)

    def reopen_stream(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.inbox = [report for report in self.inbox if not isinstance(report, StreamEvent)]
        self._reopen()

    def _reopen(self) -> None:
        self.opened = False
        self.stream += 1
        stream, began = self.stream, self.timeline.now
        self.heard_at = began
        self.timeline.after(self._delay(), lambda: self._open(stream, began))

    def _open(self, stream: int, began: float) -> None:
        if stream != self.stream or not self.alive or self.path.requests_cut or not self.cluster.up:
            return
        self.cluster.claim(self.era())
        journal = self.cluster.journal
        if self.cursor.incarnation == journal.incarnation and self.cursor.seq < journal.acknowledged:
            self._put(StreamEnded(at=self.timeline.now, reason="Restored"))
            return
        hello = self.cluster.hello(self.timeline.now)
        if hello.status.incarnation != self.cursor.incarnation:
            self.cursor = Cursor(incarnation=hello.status.incarnation)
        self.opened, self.boot, self.began, self.sent = True, self.cluster.boot, began, self.cursor.seq
        self._deliver(stream, [hello])

    def _deliver(self, stream: int, events: list[ClusterEvent]) -> None:
        """Sends events from the region to the gateway.

        What is lost is not sent again on this stream: after a gap nothing more arrives, until the stream has
        been silent for too long and is opened again.
        """
        if self.path.answers_cut:
            self.opened = False
            return

        boot = self.cluster.boot

        def arrive() -> None:
            if stream != self.stream or not self.alive or self._ended_since(boot):
                return
            self.heard_at = self.timeline.now
            for event in events:
                if isinstance(event, TaskChanged | AttemptEnded):
                    self.cursor = Cursor(incarnation=self.cursor.incarnation, seq=event.seq)
                self._put(StreamEvent(began=self.began, at=self.timeline.now, event=event))

        # a path that becomes faster does not reorder a stream
        self.arrives = max(self.arrives, self.timeline.now + self.path.delay_seconds)
        self.timeline.after(self.arrives - self.timeline.now, arrive)

    def pump(self) -> None:
        """Sends new events and lease requests, and reopens a stream that ended or is silent.

        Called once a tick.
        """
        now = self.timeline.now
        if self.opened and (not self.cluster.up or self.cluster.boot != self.boot):
            self._put(StreamEnded(at=now, reason="Ended"))
            self._reopen()
        if self.opened:
            events = self.cluster.events(self.sent)
            self.sent = max(
                (event.seq for event in events if isinstance(event, TaskChanged | AttemptEnded)),
                default=self.sent,
            )
            asks, self.cluster.asks = self.cluster.asks, []
            self._deliver(self.stream, [*events, *asks, Beat(status=self.cluster.status(now))])
        if now - self.heard_at > SILENCE_SECONDS:
            self._put(StreamEnded(at=now, reason="Silent"))
            self._reopen()
