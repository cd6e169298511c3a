"""Checks a document's conditions before the run: their texts here, and what is to be asked of a process that
compiles them, and evaluates those whose inputs are known.

Only errors that are certain are reported: what fails here would fail in the run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.documents.placeholder_checks import distinct_shards
from gateway.documents.workflow import Workflow
from waypost.condition_evaluation.messages import ConditionAnswer, ConditionQuestion
from waypost.json_pointer import FieldError
from waypost.workflow.conditions import condition_text, text_error

NO_SHARD: Final[Mapping[str, Any]] = {}


def condition_text_errors(workflow: Workflow) -> Iterator[FieldError]:
    """The errors that the texts show: what they name that is not there, and what their tasks do not need."""
    errors: dict[str, str | None] = {}
    for index, task in enumerate(workflow.spec.tasks):
        if (text := task.when) is None:
            continue
        at = f"/spec/tasks/{index}/when"
        if text not in errors:
            errors[text] = text_error(text) or _absent_param(text, workflow.spec.params)
        if (error := errors[text]) is not None:
            yield FieldError(at, error)
            continue
        for name in condition_text(text).tasks_read:
            if name not in task.needs:
                yield FieldError(at, f"reads what {name[:128]} left: put it among the needs")


def _absent_param(text: str, params: Mapping[str, Any]) -> str | None:
    # One that asks with `has` or `in` whether a name is there may name what is not.
    if condition_text(text).tests_presence:
        return None
    absent = (name for name in condition_text(text).names_read("params") if name not in params)
    return next((f"there is no params.{name[:80]}" for name in absent), None)


class ConditionTrial:
    """What a process is asked about the conditions of one workflow, and what its answers mean.

    Each text is asked about once, and once for each form of item where it reads the shard. `first` is the
    questions without which the document cannot be accepted: they compile each text.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.params = params = workflow.spec.params
        self._tasks = workflow.spec.tasks
        self._roots = {
            text: condition_text(text).roots
            for text in dict.fromkeys(task.when for task in self._tasks if task.when is not None)
            if text_error(text) is None and _absent_param(text, params) is None
        }
        """By text, for the conditions that are asked about."""
        self._of_shards = [text for text in self._roots if self._varies(text)]
        self._shards = distinct_shards(workflow) if self._of_shards else [{}]
        self._single = workflow.shard_count == 1
        self.first = [self._question(text, self._shards[0]) for text in self._roots]

    def further(self) -> Iterator[ConditionQuestion]:
        """The same conditions for the other forms of item; what they would find shows in the run at last."""
        for shard in self._shards[1:]:
            yield from (self._question(text, shard) for text in self._of_shards)

    def errors(
        self, first: Sequence[ConditionAnswer], further: Iterable[ConditionAnswer]
    ) -> Iterator[FieldError]:
        """Yields the errors in the answers, one for each condition. Some questions may have no answer."""
        found: dict[str, str] = {}
        for text, answer in zip(self._roots, first, strict=False):
            if answer.error:
                found[text] = answer.error + self._where(text, self._shards[0])
        asked = ((text, shard) for shard in self._shards[1:] for text in self._of_shards)
        for (text, shard), answer in zip(asked, further, strict=False):
            if answer.error:
                found.setdefault(text, answer.error + self._where(text, shard))
        for index, task in enumerate(self._tasks):
            if task.when in found:
                yield FieldError(f"/spec/tasks/{index}/when", found[task.when])

    def _question(self, text: str, shard: Mapping[str, Any]) -> ConditionQuestion:
        mentions = self._roots[text]
        return ConditionQuestion(
            text=text,
            shard=shard if "shard" in mentions else NO_SHARD,
            # The outputs of tasks are not known before the run.
            compile_only="tasks" in mentions,
        )

    def _varies(self, text: str) -> bool:
        return "shard" in self._roots[text] and "tasks" not in self._roots[text]

    def _where(self, text: str, shard: Mapping[str, Any]) -> str:
        return f" in shard {shard['index']}" if self._varies(text) and not self._single else ""
