"""Decides about a task once all that it needs have ended: may it run, or in which phase does it end unrun?

The embedded cluster runs tasks by this rule, and the gateway checks clusters' reports by it.
"""

from collections.abc import Container, Mapping
from typing import Final

from msgspec import Struct

from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import FINAL, TaskPhase

FINISHED: Final = frozenset({TaskPhase.SUCCEEDED, TaskPhase.SKIPPED})
"""The phases of a task that needs no further run."""
_UNRUN: Final = frozenset({TaskPhase.OMITTED, TaskPhase.STOPPED})
NOTHING_FAILED: Final = "nothing that it needs has failed"
"""The reason of a task that runs `onFailure` and is skipped."""
_WORDS: Final = {
    TaskPhase.FAILED: "failed",
    TaskPhase.OMITTED: "was omitted",
    TaskPhase.STOPPED: "was stopped",
    TaskPhase.SKIPPED: "was skipped",
}


class Unrun(Struct, frozen=True, gc=False):
    """The decision that a task never runs: its phase (Skipped, Omitted or Stopped), and why."""

    phase: TaskPhase
    reason: str


def decide(
    task: TaskSpec, needed: Mapping[str, TaskPhase], *, tolerated: Container[str], failure: str
) -> Unrun | None:
    """Decides about `task`, all of whose needs have ended: None if it may run, if its `when` holds.

    `needed` has at least the phases of the tasks that it needs. `tolerated` are the tasks of its workflow
    with `continueOnFailure`. `failure`: the first failure of its shard, if that ends the others (`failFast`);
    else empty.
    """
    runs = task.runs or "onSuccess"
    skipped = failed = ended_badly = ""
    for name in task.needs:
        phase = needed[name]
        if phase is TaskPhase.SUCCEEDED:
            continue
        if phase is TaskPhase.SKIPPED:
            skipped = skipped or name
        else:
            ended_badly = ended_badly or name
            if phase is not TaskPhase.FAILED or name not in tolerated:
                failed = failed or name
    if runs == "onSuccess" and failed:
        return Unrun(TaskPhase.OMITTED, f"{failed} {_WORDS[needed[failed]]}")
    if runs == "onFailure" and not ended_badly:
        return Unrun(TaskPhase.SKIPPED, NOTHING_FAILED)
    if skipped and task.when_skipped == "skip":
        return Unrun(TaskPhase.SKIPPED, f"{skipped} was skipped")
    if runs == "onSuccess" and failure:
        return Unrun(TaskPhase.STOPPED, failure)
    return None


def is_well(task: TaskSpec, phase: TaskPhase | None) -> bool:
    """Returns whether a task in `phase` lets its shard succeed."""
    return phase in FINISHED or (phase is TaskPhase.FAILED and task.continue_on_failure)


def fails_shard(task: TaskSpec, phase: TaskPhase) -> bool:
    """Returns whether a task in `phase` makes its shard fail."""
    return phase is TaskPhase.FAILED and not task.continue_on_failure


def may_be_in(
    phase: TaskPhase,
    task: TaskSpec,
    phases: Mapping[str, TaskPhase],
    tasks: Mapping[str, TaskSpec],
    *,
    stops: bool,
) -> bool:
    """Returns whether `task` may be in `phase`, by the `phases` of the tasks of its shard.

    `tasks` are those of the workflow. `stops`: whether a failure in the shard ends its other tasks.
    """
    if phase not in _UNRUN and all(phases.get(need) in FINISHED for need in task.needs):
        return True
    if not all(phases.get(need) in FINAL for need in task.needs):
        return False
    if phase is TaskPhase.STOPPED:
        return stops and task.runs in (None, "onSuccess")
    tolerated = [need for need in task.needs if tasks[need].continue_on_failure]
    unrun = decide(task, phases, tolerated=tolerated, failure="")
    if unrun is None:
        return phase is not TaskPhase.OMITTED and (phase is not TaskPhase.SKIPPED or task.when is not None)
    return phase is unrun.phase
