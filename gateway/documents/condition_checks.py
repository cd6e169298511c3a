"""Checks a document's conditions before the run: compiles them, and evaluates those whose inputs are known.

Only errors that are certain are reported: what fails here would fail in the run.
"""

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
"""The steps that all conditions of one document may take together, about 10 ms.

Conditions beyond that are only compiled.
"""


class ConditionChecks:
    """Checks the conditions of one workflow. Each text is checked once, however many tasks have it."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._params = workflow.spec.params
        self._steps_left = TRIED_STEPS
        self._errors: dict[str, str | None] = {}

    def errors(self, task: TaskSpec, at: str) -> Iterator[FieldError]:
        """The errors in the condition of `task`, which is at the pointer `at`."""
        text = task.when
        if text is None:
            return
        if text not in self._errors:
            self._errors[text] = self._find_error(text)
        if (error := self._errors[text]) is not None:
            yield FieldError(f"{at}/when", error)
            return
        for name in compile_condition(text).tasks_read:
            if name not in task.needs:
                yield FieldError(f"{at}/when", f"reads what {name[:128]} left: put it among the needs")

    def _find_error(self, text: str) -> str | None:
        try:
            condition = compile_condition(text)
            # The outputs of tasks are unknown before the run, so such a condition cannot be evaluated now.
            if "tasks" in condition.names:
                self._check_names(condition, text)
                return None
        except ConditionError as error:
            return str(error)
        for shard in distinct_shards(self._workflow) if "shard" in condition.names else (None,):
            if self._steps_left <= 0:
                break  # an error that is left undiscovered shows when the condition is evaluated
            if (detail := self._evaluation_error(text, shard or {})) is not None:
                if shard is None or self._workflow.shard_count == 1:
                    return detail
                return f"{detail} in shard {shard['index']}"
        return None

    def _check_names(self, condition: Condition, text: str) -> None:
        """Checks a condition that reads task outputs: its params must exist, and loops over them be short.

        Raises `ConditionError`.
        """
        # A condition that asks with `has` or `in` whether a name is there may name what is not.
        absent = [name for name in condition.names_read("params") if name not in self._params]
        if absent and not condition.tests_presence:
            raise ConditionError(f"there is no params.{absent[0][:80]}")
        if self._steps_left > 0:
            self._bind(text, {})

    def _evaluation_error(self, text: str, shard: Mapping[str, Any]) -> str | None:
        """Evaluates a condition that reads params and the shard alone; returns its error's text, or None."""
        try:
            self._bind(text, shard).evaluate()
        except ConditionError as error:
            return str(error)
        return None

    def _bind(self, text: str, shard: Mapping[str, Any]) -> BoundCondition:
        """Binds the known values and takes the most steps that evaluating needs from those that are left.

        Raises `ConditionError` if one condition needs too many.
        """
        # `bind` raises before it gives the steps: such a condition is charged with the maximum.
        before, self._steps_left = self._steps_left, self._steps_left - MAXIMUM_STEPS
        bound = bind(text, outputs={}, params=self._params, shard=shard)
        self._steps_left = before - bound.steps
        return bound
