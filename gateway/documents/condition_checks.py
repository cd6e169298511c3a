"""Checks a document's `when` conditions: compiles all, and evaluates those whose inputs are known.

A child process compiles and evaluates the conditions. A condition that reads a name that does not exist, or a
task that its own task does not need, is an error too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.documents.placeholder_checks import distinct_shards
from gateway.documents.workflow import Workflow
from waypost.condition_evaluation.messages import ConditionAnswer, ConditionQuestion, ConditionReads
from waypost.json_pointer import FieldError
from waypost.workflow.conditions import text_error
from waypost.workflow.stages import Stage
from waypost.workflow.task import TaskSpec

SHARD_FIELDS: Final = ("count", "index", "item")


def condition_text_errors(workflow: Workflow) -> Iterator[FieldError]:
    """Yields an error for each `when` condition that is too long or has placeholders; compiles none."""
    if all(task.when is None for task in workflow.spec.all_tasks):
        return  # as most documents
    for at, task in workflow.spec.located_tasks:
        if task.when is not None and (error := text_error(task.when)) is not None:
            yield FieldError(f"{at}/when", error)


class ConditionTrial:
    """Makes the requests to evaluate a workflow's `when` conditions, and reads errors from the answers.

    Each condition's text is evaluated once, and once for each form of item where it reads the shard. `first`
    holds the requests without which the document cannot be accepted: they compile each text.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.params = workflow.spec.params
        spec = workflow.spec
        self._tasks = [(stage, *located) for stage in Stage for located in spec.located_tasks_of(stage)]
        texts = dict.fromkeys(task.when for _, _, task in self._tasks if task.when is not None)
        self._texts = [text for text in texts if text_error(text) is None]
        of_shards = any("shard" in text for text in self._texts)
        self._shards = distinct_shards(workflow) if of_shards else [{}]
        self._single = workflow.shard_count == 1
        self.first = [
            ConditionQuestion(text=text, shard=self._shards[0], before_run=True) for text in self._texts
        ]

    def further(self, first: Sequence[ConditionAnswer]) -> Iterator[ConditionQuestion]:
        """Yields requests to evaluate conditions that read the shard with each further form of item.

        Which conditions read the shard is known from `first`, the answers to the first requests.
        """
        texts = self._of_shards(first)
        for shard in self._shards[1:]:
            yield from (ConditionQuestion(text=text, shard=shard) for text in texts)

    def errors(
        self, first: Sequence[ConditionAnswer], further: Iterable[ConditionAnswer]
    ) -> Iterator[FieldError]:
        """Yields the errors that the answers to `first` and `further` show, at most one for each condition.

        The last answers may be missing.
        """
        found: dict[str, str] = {}
        reads = {text: answer.reads for text, answer in zip(self._texts, first, strict=False) if answer.reads}
        for text, answer in zip(self._texts, first, strict=False):
            # That a name is not there is said better than by the evaluation. One that was evaluated all the
            # same, as `params.none || true` is, is none.
            wrong = _names_error(answer.reads, self.params) if answer.reads and answer.holds is None else None
            if error := wrong or (answer.error and answer.error + self._where(answer.reads, self._shards[0])):
                found[text] = error
        asked = ((text, shard) for shard in self._shards[1:] for text in self._of_shards(first))
        for (text, shard), answer in zip(asked, further, strict=False):
            if answer.error:
                found.setdefault(text, answer.error + self._where(reads[text], shard))
        for stage, pointer, task in self._tasks:
            if task.when in found:
                yield FieldError(f"{pointer}/when", found[task.when])
            elif task.when in reads:
                for fault in _faults_of_task(reads[task.when], task, stage):
                    yield FieldError(f"{pointer}/when", fault)

    def _of_shards(self, first: Sequence[ConditionAnswer]) -> list[str]:
        return [
            text for text, answer in zip(self._texts, first, strict=False) if _depends_on_shard(answer.reads)
        ]

    def _where(self, reads: ConditionReads | None, shard: Mapping[str, Any]) -> str:
        return f" in shard {shard['index']}" if _depends_on_shard(reads) and not self._single else ""


def _depends_on_shard(reads: ConditionReads | None) -> bool:
    """Returns whether a condition reads the shard, but no task's output.

    Its value is then known when the document is submitted, for each shard by itself.
    """
    return reads is not None and "shard" in reads.roots and "tasks" not in reads.roots


def _faults_of_task(reads: ConditionReads, task: TaskSpec, stage: Stage) -> Iterator[str]:
    """Yields what is wrong with what the condition of `task` reads."""
    if fault := _stage_error(reads, stage):
        yield fault
    for name in reads.names("tasks"):
        if name not in task.needs:
            yield f"reads what {name[:128]} left: put it among the needs"


def _stage_error(reads: ConditionReads, stage: Stage) -> str | None:
    """Returns why a condition that reads this cannot be one of a task of `stage`; None if it can."""
    if stage is not Stage.FINALLY and (ending := reads.roots & {"status", "failed"}):
        return f"reads {min(ending)}, which only tasks of finally can"
    names = {mention.name for mention in reads.mentions if mention.root == "shard"}
    if stage is not Stage.MAIN and names - {"count"}:
        return f"reads a shard, and {stage} is for all shards: there is shard.count"
    return None


def _names_error(reads: ConditionReads, params: Mapping[str, Any]) -> str | None:
    for mention in reads.mentions:
        name = None if mention.name is None else mention.name[:80]
        if mention.root == "shard" and name is not None and name not in SHARD_FIELDS:
            return f"there is no shard.{name}: a shard has {', '.join(SHARD_FIELDS)}"
        if mention.root == "tasks" and mention.member not in (None, "output", "phase"):
            task = "tasks[...]" if name is None else f'tasks["{name}"]'
            return f"there is no {task}.{mention.member}: a task has output and phase"[:300]
    # One that asks with `has` or `in` whether a name is there may name what is not.
    absent = () if reads.tests_presence else (name for name in reads.names("params") if name not in params)
    return next((f"there is no params.{name[:80]}" for name in absent), None)
