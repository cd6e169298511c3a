"""`tasks[].when`: a CEL expression over `tasks["name"].output`, `params` and `shard`. False means the task is skipped."""

from collections.abc import Mapping
from typing import Any

import cel

NAMES = frozenset({"tasks", "params", "shard"})


class ConditionError(Exception):
    """The expression does not compile, asks for what there is not, or is neither true nor false."""


def compile_condition(text: str) -> cel.Program:
    """Raises `ConditionError` with what is wrong."""
    try:
        program = cel.compile(text)
    except (ValueError, RuntimeError, TypeError) as error:
        raise ConditionError(f"not a CEL expression: {error}") from error
    unknown = sorted(set(program.variables()) - NAMES)
    if unknown:
        raise ConditionError(f"unknown name {', '.join(unknown)}: a condition sees tasks, params and shard")
    return program


def holds(text: str, *, outputs: Mapping[str, Any], params: Mapping[str, Any], shard: Mapping[str, Any]) -> bool:
    """Is the condition true? `outputs`: what the tasks that this one needs have left, by name. Raises `ConditionError`."""
    program = compile_condition(text)
    tasks = {name: {"output": output} for name, output in outputs.items()}
    try:
        answer = program.execute({"tasks": tasks, "params": dict(params), "shard": dict(shard)})
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ConditionError(f"cannot be evaluated: {error}") from error
    if not isinstance(answer, bool):
        raise ConditionError(f"gives {type(answer).__name__}, not true or false")
    return answer
