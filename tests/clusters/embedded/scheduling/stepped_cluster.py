"""A cluster scheduler over a real journal, without a clock: tests call it step by step."""

import sqlite3
from typing import Any

from clusters.embedded.capabilities import Capabilities
from clusters.embedded.executors.registry import DECLARED
from clusters.embedded.queueing.queue_settings import DEFAULT_QUEUE, QueueSettings
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.scheduling.scheduler_step import Step
from clusters.embedded.storage.journal import open_journal, write_steps
from clusters.protocol import (
    AttemptEndKind,
    AttemptId,
    Batch,
    BatchAnswers,
    CreateOutcome,
    Fence,
    RunSpec,
    ShardSpec,
)
from waypost.condition_evaluation.expressions import answer
from waypost.tracing.context import TraceContext
from waypost.workflow.task import SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase

CAPABILITIES = Capabilities(
    cpu=4.0, memory_mib=4_096, executors=DECLARED.run_types, exclusive=DECLARED.exclusive
)
DONE = Outcome(succeeded=True)
BROKEN = Outcome(succeeded=False, reason="exit code 1")


def task(name: str, *needs: str, **more: Any) -> TaskSpec:
    return TaskSpec(name=name, type="delay", run={"seconds": 0}, needs=needs, **more)


class SteppedCluster:
    """A cluster scheduler whose steps are journalled; `crash` restarts it from the journal."""

    def __init__(self, queue: QueueSettings = DEFAULT_QUEUE) -> None:
        self.queue = queue
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.now, self.boots, self.launched = 0.0, 0, list[tuple[AttemptId, str]]()
        self.spans: list[TraceContext | None] = []
        self.inputs: dict[str, dict[str, Any]] = {}
        self.events: list[Any] = []
        self.crash()

    def crash(self) -> None:
        self.boots += 1
        recovered = open_journal(self.db)
        self.scheduler = Scheduler(
            recovered,
            region="r",
            boot=f"boot-{self.boots}",
            slots=3,
            capabilities=CAPABILITIES,
            queue=self.queue,
        )
        self.running: list[tuple[AttemptId, str]] = []
        self.asked: list[tuple[AttemptId, str]] = []

    def act(self, step: Step) -> Step:
        """Journals a scheduler step; its condition requests stay in `asked` until `answer_conditions`."""
        write_steps(self.db, [step], step.wall)
        self.running += [(launch.attempt, launch.task.name) for launch in step.launches]
        self.launched += [(launch.attempt, launch.task.name) for launch in step.launches]
        self.spans += [launch.span for launch in step.launches]
        self.inputs |= {launch.task.name: launch.input for launch in step.launches}
        self.events += step.events
        self.asked += step.evaluations
        return step

    def answer_conditions(self) -> None:
        """Evaluates the requested conditions, and those that become due by the answers."""
        while self.asked:
            asked, self.asked = self.asked, []
            found = [(*key, self.scheduler.condition(*key)) for key in asked]
            answers = [
                (identity, name, answer(question[1], question[0].params))
                for identity, name, question in found
                if question is not None
            ]
            self.act(self.scheduler.record_conditions(answers, self.now, 0.0))

    def apply(self, **batch: Any) -> BatchAnswers:
        answers, step = self.scheduler.apply(Batch(**batch), self.now, 0.0)
        self.act(step)
        return answers

    def create(
        self, *tasks: TaskSpec, epoch: int = 1, run: str = "run", after: float = 5.0, **spec: Any
    ) -> CreateOutcome | str:
        whole = RunSpec(
            run=run,
            tasks=tasks,
            side_effects=spec.pop("side_effects", SideEffects.IDEMPOTENT),
            priority=spec.pop("priority", 5),
            fairness_key=spec.pop("key", ""),
            fairness_weight=spec.pop("weight", 1.0),
            span=spec.pop("span", None),
            fail_fast=spec.pop("fail_fast", True),
            ending=spec.pop("ending", None),
        )
        fence = spec.pop("fence", Fence(boot=f"boot-{self.boots}", not_after=self.now + after))
        create = ShardSpec(attempt=AttemptId(run=run, shard=0, epoch=epoch), fence=fence, **spec)
        (answer,) = self.apply(runs=(whole,), creates=(create,)).creates
        self.refusal = answer.detail
        return answer.reason or answer.outcome

    def end(self, name: str, outcome: Outcome = DONE) -> Step:
        identity = next(attempt for attempt, task in self.running if task == name)
        self.running.remove((identity, name))
        return self.act(self.scheduler.record_outcome(identity, name, outcome, self.now, 0.0))

    def tick(self, seconds: float) -> Step:
        self.now += seconds
        return self.act(self.scheduler.tick(self.now, 0.0))

    def remove_expired(self, wall: float) -> list[AttemptId]:
        """Removes what has expired and checks that a restart from the journal would remove the same."""
        copy = Scheduler(
            open_journal(self.db),
            region="r",
            boot="b",
            slots=1,
            capabilities=CAPABILITIES,
        )
        step = self.act(self.scheduler.remove_expired(self.now, wall))
        assert sorted(copy.remove_expired(0.0, wall).expired) == sorted(step.expired)
        return step.expired

    def rows(self) -> int:
        tables = ("run", "attempt", "task", "tombstone")
        return sum(int(self.db.execute(f"select count(*) from {table}").fetchone()[0]) for table in tables)

    @property
    def phases(self) -> dict[str, TaskPhase]:
        """Returns the last phase that the cluster has reported of each task."""
        return {event.task: event.phase for event in self.events if hasattr(event, "task")}

    @property
    def end_of_attempt(self) -> tuple[AttemptEndKind, str]:
        """Returns how the attempt has ended that the newest event is about, and the reason."""
        return self.events[-1].end, self.events[-1].reason

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.running]


def attempt(epoch: int) -> AttemptId:
    return AttemptId(run="run", shard=0, epoch=epoch)
