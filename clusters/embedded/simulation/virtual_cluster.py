"""A cluster under a virtual clock: the real scheduler and its queue, with tasks that only take time."""

import heapq
import itertools
from collections.abc import Iterable

from clusters.embedded.capabilities import Capabilities
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.scheduling.scheduler_step import RecoveredState, Step
from clusters.embedded.simulation.loads import SIMULATED, Arrival
from clusters.embedded.simulation.measures import Measures
from clusters.protocol import AttemptEnded, AttemptEndKind, AttemptId, Batch, Fence, ShardSpec
from waypost.workflow.run_types import DelayRun

BOOT = "simulated"
ALWAYS = 1e18
ACKNOWLEDGED_EVERY = 16
"""The number of events after which the gateway acknowledges them: it is at hand, and holds up nothing."""
FORGOTTEN_EVERY = 1_000
"""The number of ended runs after which their records are dropped, for the memory of a long simulation."""
DONE, KILLED = Outcome(succeeded=True), Outcome(succeeded=False, killed=True)


class VirtualCluster:
    """Runs a load on a cluster of `workers` processors, and measures what happens.

    `memory_mib` is the memory of the cluster; None is any amount. Each decision is made by the scheduler of a
    real cluster, in the order in which a real one would have it made; a decision takes no time, and neither
    does the journal.
    """

    def __init__(self, workers: int, queue: QueueSettings, *, memory_mib: int | None = None) -> None:
        capabilities = Capabilities(
            cpu=float(workers), memory_mib=memory_mib, executors={SIMULATED: DelayRun}, exclusive=()
        )
        self._scheduler = Scheduler(
            RecoveredState(incarnation="simulated"),
            region="simulated",
            boot=BOOT,
            slots=1_000_000,
            capabilities=capabilities,
            queue=queue,
        )
        self.measures = Measures(workers)
        self._order = itertools.count()
        self._ends: list[tuple[float, int, Launch]] = []
        """The running tasks as a heap by their end."""
        self._running: dict[tuple[AttemptId, str], int] = {}
        """The place in the order of each running task: one that was killed and begun again has another."""
        self._acknowledged = self._forgotten = 0

    def run(self, load: Iterable[Arrival]) -> Measures:
        """Runs the load to its end."""
        for arrival in load:
            self._advance(arrival.at)
            self._arrive(arrival)
        self._advance(ALWAYS)
        return self.measures

    def _advance(self, until: float) -> None:
        """Lets happen all that comes before the time `until`, or at it."""
        while True:
            timer = self._scheduler.next_timer
            end = self._ends[0][0] if self._ends else ALWAYS
            at = min(end, ALWAYS if timer is None else timer)
            if at > until or at == ALWAYS:
                return
            if end <= at:
                _, number, launch = heapq.heappop(self._ends)
                # Its deadline may have ended it before.
                if self._running.get((launch.attempt, launch.task.name)) == number:
                    self._end(launch.attempt, launch.task.name, DONE, at)
            else:
                self._act(self._scheduler.tick(at, at))

    def _arrive(self, arrival: Arrival) -> None:
        identity = AttemptId(run=arrival.run.run, shard=0, epoch=1)
        create = ShardSpec(
            attempt=identity, fence=Fence(boot=BOOT, not_after=ALWAYS), expires_at=arrival.deadline
        )
        self.measures.arrive(arrival)
        _, step = self._scheduler.apply(Batch(runs=(arrival.run,), creates=(create,)), arrival.at, arrival.at)
        self._act(step)

    def _end(self, attempt: AttemptId, task: str, outcome: Outcome, now: float) -> None:
        del self._running[attempt, task]
        self.measures.end_task(attempt.run, task, now)
        self._act(self._scheduler.record_outcome(attempt, task, outcome, now, now))

    def _act(self, step: Step) -> None:
        """Carries out a decision of the scheduler."""
        for launch in step.launches:
            number = next(self._order)
            self._running[launch.attempt, launch.task.name] = number
            self.measures.start_task(launch, step.now)
            heapq.heappush(self._ends, (step.now + launch.task.run["seconds"], number, launch))
        for event in step.events:
            if isinstance(event, AttemptEnded):
                succeeded = event.end is AttemptEndKind.SUCCEEDED
                self.measures.end_run(event.attempt.run, step.now, succeeded=succeeded)
        for attempt, task in step.kills:
            if (attempt, task) in self._running:
                self._end(attempt, task, KILLED, step.now)
        self._acknowledge(step.now)

    def _acknowledge(self, now: float) -> None:
        if self._scheduler.seq - self._acknowledged < ACKNOWLEDGED_EVERY:
            return
        self._acknowledged = self._scheduler.seq
        _, step = self._scheduler.apply(Batch(acknowledged=self._acknowledged), now, now)
        if self.measures.ended - self._forgotten >= FORGOTTEN_EVERY:
            self._forgotten = self.measures.ended
            # Long after: what a real cluster keeps for weeks would fill the memory.
            self._scheduler.remove_expired(now, ALWAYS)
        self._act(step)
