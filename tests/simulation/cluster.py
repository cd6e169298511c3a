"""A model of a cluster in virtual time: its journal survives a crash, its processes do not."""

import random
from collections.abc import Callable

from clusters.errors import ClusterError
from clusters.features import FEATURES
from clusters.protocol import (
    ERA_BITS,
    AttemptEnded,
    AttemptId,
    Batch,
    BatchAnswers,
    ClusterEvent,
    ClusterStatus,
    CreateAnswer,
    CreateOutcome,
    Hello,
    LeaseAsked,
    RunSpec,
    ShardSpec,
    TombstoneAnswer,
)
from tests.simulation.attempt_runner import LEASE_SECONDS, AttemptRunner
from tests.simulation.failing_attempts import new_attempt
from tests.simulation.journal import Attempt, Journal, Start
from waypost.workflow.task import SideEffects


class ModelCluster(AttemptRunner):
    """A model of one region's cluster, in virtual time.

    `on_start` is called for every start of a task, `on_batch` for every batch that arrives. Journals and
    boots are numbered from `after` on.
    """

    slots = 100
    features: tuple[str, ...] = FEATURES
    linger_seconds = 0.0
    """The most seconds that a process takes to end; it may still finish its task meanwhile."""

    def __init__(
        self,
        region: str,
        rng: random.Random,
        *,
        on_start: Callable[[Start], None],
        on_batch: Callable[[str, Batch], None] = lambda region, batch: None,
        now: float,
        after: int = 0,
    ) -> None:
        self.region, self._rng, self._on_start, self._on_batch = region, rng, on_start, on_batch
        self.journals = self.boots = after
        self.lingering: dict[AttemptId, tuple[float, Attempt]] = {}
        self.up = False
        self.asks: list[LeaseAsked] = []
        self._ask = 0
        self.lose_journal()
        self.restart(now)

    # What happens to it

    def lose_journal(self) -> None:
        self.journals += 1
        self.journal = Journal(incarnation=f"{self.region}-journal-{self.journals}")

    def crash(self, now: float) -> None:
        """Simulates a SIGKILL: tasks end with the process, the journal stays."""
        self.up = False
        self.asks.clear()
        for attempt in self.journal.attempts.values():
            self._stop(attempt, now)
            attempt.awake, attempt.lease_until = False, float("-inf")
            attempt.fan_outs.clear()
        for _, attempt in self.lingering.values():
            self._stop(attempt, now)
        self.lingering.clear()

    def restart(self, now: float) -> None:
        self.up = True
        self.boots += 1
        self.boot, self.booted_at = f"{self.region}-boot-{self.boots}", now

    def _end(self, identity: AttemptId, now: float) -> None:
        """Ends an attempt that the gateway ended or replaced: at once, or with its last process."""
        attempt = self.journal.attempts.pop(identity)
        if attempt.running and self._rng.random() < 0.5:
            self.lingering[identity] = (now + self._rng.uniform(0.0, self.linger_seconds), attempt)
        else:
            self._stop(attempt, now)

    def alive(self) -> list[AttemptId]:
        """Returns the attempts that have a process, or may still start one."""
        held = self.journal.attempts.items()
        return [
            *self.lingering,
            *(identity for identity, attempt in held if attempt.awake and not attempt.ended),
        ]

    # What it answers

    def claim(self, era: int) -> None:
        """Accepts a newer era of the store, which drops what the older one had acknowledged."""
        if era > self.journal.era:
            self.journal.era, self.journal.acknowledged = era, 0

    def status(self, now: float) -> ClusterStatus:
        held = sum(not attempt.ended for attempt in self.journal.attempts.values())
        return ClusterStatus(
            region=self.region,
            incarnation=self.journal.incarnation,
            boot=self.boot,
            uptime=now - self.booted_at,
            slots=self.slots,
            held=held,
            seq=self.journal.seq,
            executors=("delay",),
            features=self.features,
        )

    def hello(self, now: float) -> Hello:
        known = tuple(
            (identity, attempt.awake)
            for identity, attempt in self.journal.attempts.items()
            if not attempt.ended
        )
        waiting = {event.attempt for event in self.journal.events if isinstance(event, AttemptEnded)}
        return Hello(
            status=self.status(now), attempts=known + tuple((identity, True) for identity in sorted(waiting))
        )

    def events(self, after: int) -> list[ClusterEvent]:
        return [event for event in self.journal.events if event.seq > after]

    def apply(self, batch: Batch, now: float) -> BatchAnswers:
        journal = self.journal
        if batch.incarnation not in ("", journal.incarnation):
            raise ClusterError("OtherJournal")
        self._on_batch(self.region, batch)
        journal.events = [event for event in journal.events if event.seq > batch.acknowledged]
        journal.acknowledged = max(journal.acknowledged, batch.acknowledged)
        tombstones = tuple(self._tombstone(attempt, now) for attempt in batch.tombstones)
        runs = {run.run: run for run in batch.runs}
        creates = tuple(self._create(spec, runs[spec.attempt.run], now) for spec in batch.creates)
        for renewal in batch.renewals:
            attempt = journal.attempts.get(renewal.attempt)
            if attempt is not None and renewal.ask in attempt.asked:
                attempt.lease_until = max(attempt.lease_until, attempt.asked.pop(renewal.ask) + LEASE_SECONDS)
        return BatchAnswers(status=self.status(now), creates=creates, tombstones=tombstones)

    def _tombstone(self, identity: AttemptId, now: float) -> TombstoneAnswer:
        self.journal.tombstones.add(identity)
        if identity in self.lingering:
            return TombstoneAnswer(attempt=identity, gone=False)
        if identity in self.journal.attempts:
            self._end(identity, now)
            self.journal.events = [event for event in self.journal.events if event.attempt != identity]
            return TombstoneAnswer(attempt=identity, gone=False)
        return TombstoneAnswer(attempt=identity, gone=True)

    def _create(self, spec: ShardSpec, run: RunSpec, now: float) -> CreateAnswer:
        identity, journal = spec.attempt, self.journal
        shard = (identity.run, identity.shard)

        def refuse(reason: str) -> CreateAnswer:
            return CreateAnswer(attempt=identity, outcome=CreateOutcome.REFUSED, reason=reason)

        if spec.fence.boot != self.boot:
            return refuse("OtherBoot")
        if now - self.booted_at > spec.fence.not_after:
            return refuse("Late")
        if identity in journal.tombstones:
            return refuse("Tombstoned")
        if (
            identity.epoch < journal.highest.get(shard, 0)
            or identity.epoch >> ERA_BITS < max(journal.highest.values(), default=0) >> ERA_BITS
        ):
            return refuse("OldEpoch")
        if identity in journal.attempts:
            journal.attempts[identity].awake = True
            return CreateAnswer(attempt=identity, outcome=CreateOutcome.EXISTS)
        if self.status(now).held >= self.slots:
            return refuse("Full")
        for other in [a for a in journal.attempts if (a.run, a.shard) == shard]:
            self._end(other, now)
        journal.highest[shard] = identity.epoch
        journal.attempts[identity] = new_attempt(spec, run)
        return CreateAnswer(attempt=identity, outcome=CreateOutcome.CREATED)

    # What it does meanwhile

    def advance(self, now: float) -> None:
        if not self.up:
            return
        for identity, (until, attempt) in list(self.lingering.items()):
            if until <= now or (
                attempt.run.side_effects is SideEffects.EXCLUSIVE and attempt.lease_until <= now
            ):
                self._stop(attempt, now)
                del self.lingering[identity]
            else:
                self._finish_due_tasks(identity, attempt, now)
        for identity, attempt in list(self.journal.attempts.items()):
            if attempt.awake and not attempt.ended:
                self._advance(identity, attempt, now)
