"""What a model cluster does in an attempt after the failure of a task."""

from clusters.features import goes_on_after_failure
from clusters.protocol import RunSpec, ShardSpec
from tests.simulation.journal import Attempt
from tests.simulation.results import unrun_phase
from waypost.workflow.instances import task_of
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase


def new_attempt(spec: ShardSpec, run: RunSpec) -> Attempt:
    """Returns an attempt that starts from the results of earlier ones."""
    finished = {result.task: result.phase for result in spec.results}
    tolerated = tolerated_tasks(run)
    # A failed instance fails its task, and that the attempt.
    bad = [task for task, phase in finished.items() if phase is TaskPhase.FAILED and task_of(task) == task]
    return Attempt(
        spec=spec,
        run=run,
        finished=finished,
        tries=dict(spec.tries),
        outputs={result.task: result.output for result in spec.results if result.output is not None},
        failed=not tolerated.issuperset(bad),
    )


def tolerated_tasks(run: RunSpec) -> set[str]:
    return {task.name for task in run.tasks if task.continue_on_failure}


def goes_on(attempt: Attempt) -> bool:
    """Returns whether the attempt goes on after a failure."""
    return goes_on_after_failure(attempt.run.tasks, fail_fast=attempt.run.fail_fast)


def stopped_tasks(attempt: Attempt) -> list[str]:
    """Returns the running tasks that end with the first failure of their attempt."""
    names = {task.name for task in attempt.run.tasks if task.runs in (None, "onSuccess")}
    return [task for task in attempt.running if task_of(task) in names]


def phase_without_run(attempt: Attempt, task: TaskSpec) -> TaskPhase | None:
    """Returns how a task ends that never runs; None if it may run, or still waits."""
    if not goes_on(attempt) or not all(need in attempt.finished for need in task.needs):
        return None
    needed = {need: attempt.finished[need] for need in task.needs}
    stops = attempt.failed and attempt.run.fail_fast
    return unrun_phase(task, needed, tolerated_tasks(attempt.run), stops=stops)
