"""What a document's conditions are certain to do wrong, found before anything runs: they are compiled, and tried on what is known."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.documents.placeholder_checks import distinct_shards
from gateway.documents.workflow import Workflow
from waypost.json_pointer import FieldError
from waypost.workflow.conditions import (
    MAXIMUM_STEPS,
    BoundCondition,
    Condition,
    ConditionError,
    bind,
    compile_condition,
)
from waypost.workflow.task import TaskSpec

TRIED_STEPS: Final = 500_000
"""About 10 ms for one document: what would take longer shows when it runs."""


class ConditionChecks:
    """The conditions of one workflow. Each text is looked at once, however many tasks have it."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._params = workflow.spec.params
        self._left = TRIED_STEPS
        self._known: dict[str, str | None] = {}

    def errors(self, task: TaskSpec, at: str) -> Iterator[FieldError]:
        """What is wrong with the condition of `task`, which is at the pointer `at`."""
        text = task.when
        if text is None:
            return
        if text not in self._known:
            self._known[text] = self._fault(text)
        if (fault := self._known[text]) is not None:
            yield FieldError(f"{at}/when", fault)
            return
        for name in compile_condition(text).tasks_read:
            if name not in task.needs:
                yield FieldError(f"{at}/when", f"reads what {name[:128]} left: put it among the needs")

    def _fault(self, text: str) -> str | None:
        try:
            condition = compile_condition(text)
            if "tasks" in condition.names:
                self._look(condition, text)
                return None
        except ConditionError as error:
            return str(error)
        for shard in distinct_shards(self._workflow) if "shard" in condition.names else (None,):
            if self._left <= 0:
                break
            if (fault := self._try(text, shard or {})) is not None:
                return (
                    fault
                    if shard is None or self._workflow.shard_count == 1
                    else f"{fault} in shard {shard['index']}"
                )
        return None

    def _look(self, condition: Condition, text: str) -> None:
        """What the tasks will leave is not known yet; the names of params are, and how long it takes to loop over them."""
        absent = [name for name in condition.names_read("params") if name not in self._params]
        if absent and not condition.tests_presence:
            raise ConditionError(f"there is no params.{absent[0][:80]}")
        if self._left > 0:
            self._ask(text, {})

    def _try(self, text: str, shard: Mapping[str, Any]) -> str | None:
        """It sees only what is known already, so that what goes wrong now would go wrong later."""
        try:
            self._ask(text, shard).evaluate()
        except ConditionError as error:
            return str(error)
        return None

    def _ask(self, text: str, shard: Mapping[str, Any]) -> BoundCondition:
        """Raises `ConditionError` where it would take too long: to find that out takes a while too."""
        before, self._left = self._left, self._left - MAXIMUM_STEPS
        question = bind(text, outputs={}, params=self._params, shard=shard)
        self._left = before - question.steps
        return question
