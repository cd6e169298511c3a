"""Compiles and evaluates one CEL condition; translates every error of the CEL library into a sentence.

cel-expr-python 0.1.3 bounds iterations and nesting, but not what one `matches` takes, and it holds the
interpreter lock: so it is used in a process that can be killed, and in tests. Where it accepts more than CEL
permits, `syntax_tree` refuses the condition or adds a check.
"""

import os
import re
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from waypost.condition_evaluation.messages import ConditionAnswer, ConditionQuestion, ConditionReads
from waypost.condition_evaluation.strict_texts import zone_folder
from waypost.condition_evaluation.syntax_tree import TEXT_CHECKS, Refused, SyntaxTree

CACHED: Final = 1_024
"""The number of compiled conditions that the cache holds."""

_VALUES: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_TEXT: Final = cel.Type.STRING
_ENVIRONMENT: Final = cel.NewEnv(
    variables={
        "params": _VALUES,
        "shard": _VALUES,
        "tasks": cel.Type.Map(_TEXT, _VALUES),
        "status": _TEXT,
        "failed": cel.Type.List(_VALUES),
    },
    functions=[
        cel.FunctionDecl(name, [cel.Overload(name, _TEXT, [_TEXT], False, check)])
        for name, check in TEXT_CHECKS.items()
    ],
)
# Without it the library reads the rules of the machine, of another year or not there at all.
os.environ["TZDIR"] = zone_folder()

KNOWN_LATER: Final = frozenset({"tasks", "status", "failed"})
"""The variables whose values are not known before the run."""
PLACE: Final = re.compile(
    r"ERROR: <input>:(-?\d+):(-?\d+): (?:Syntax error: )?(.*?)(?: expecting \{.*)?$", re.M
)
UNDECLARED: Final = re.compile(r"undeclared reference to '([^']*)'")
STATUS: Final = re.compile(r"^(?:[A-Z_]+: )?(.*?)(?: \[[A-Z_]+\])?$", re.S)
MISSING: Final = re.compile(r'Key not found in map : "?(.*?)"?$', re.S)


class ConditionError(Exception):
    """Raised for an expression that does not compile or does not yield a boolean."""


def answer(question: ConditionQuestion, params: dict[str, Any]) -> ConditionAnswer:
    """Compiles the condition in `question` and, unless only that is asked for, evaluates the condition.

    Every error is part of the answer.
    """
    reads: ConditionReads | None = None
    try:
        expression, found = _compile(question.text)
        reads = found if question.before_run else None
        if question.compile_only or (question.before_run and found.roots & KNOWN_LATER):
            return ConditionAnswer(reads=reads)
        tasks = {
            name: {"output": output, "phase": question.phases.get(name, "")}
            for name, output in question.outputs.items()
        }
        given = {"params": params, "shard": question.shard, "tasks": tasks, **question.ending}
        return ConditionAnswer(holds=_evaluate(expression, given), reads=reads)
    except ConditionError as error:
        return ConditionAnswer(error=str(error), reads=reads)


@lru_cache(CACHED)
def _compile(text: str) -> tuple[cel.Expression, ConditionReads]:
    try:
        expression = _ENVIRONMENT.compile(text)
        # raises for a map whose keys have a type that no map may have
        kind = _kind(expression.return_type())
    except Exception as error:
        raise ConditionError(f"not a CEL expression: {_compilation_error(text, str(error))}") from error
    if kind not in ("bool", "dyn"):
        raise ConditionError(f"gives {kind}, not true or false")
    tree = SyntaxTree(expression.serialize())
    try:
        tree.check()
        checked = tree.checked()
    except Refused as error:
        raise ConditionError(str(error)) from error
    return (expression if checked is None else _ENVIRONMENT.deserialize(checked)), tree.reads()


def _evaluate(expression: cel.Expression, given: dict[str, Any]) -> bool:
    try:
        value = expression.eval(data=given)
        kind, result = _kind(value.type()), value.value()
    except Exception as error:
        raise ConditionError(f"cannot be evaluated: {_evaluation_error(str(error))}") from error
    if kind == "bool":
        return bool(result)
    if kind != "error":
        raise ConditionError(f"gives {kind}, not true or false")
    # The library names a type; what most often causes the error is a task that left no output.
    empty = [name for name, task in given["tasks"].items() if task["output"] is None]
    cause = f"the output of {', '.join(empty)} is null: " if empty else ""
    raise ConditionError(f"{cause}cannot be evaluated: {_evaluation_error(str(result))}")


def _kind(type_: cel.Type) -> str:
    """Returns the name of a CEL type without its parameters: `map` for `MAP<DYN, DYN>`."""
    name: str = type_.name()
    return name.partition("<")[0].lower()


def _compilation_error(text: str, message: str) -> str:
    place = PLACE.search(message)
    if place is None or int(place[1]) < 1:
        return "it is nested too deeply" if "recursion" in message else _first_line(message)
    where = f"at line {place[1]}, column {place[2]}"
    if undeclared := UNDECLARED.match(place[3]):
        # A call is placed at its parenthesis.
        line = text.splitlines()[int(place[1]) - 1]
        if line[int(place[2]) - 1 : int(place[2])] == "(":
            return f"there is no function {undeclared[1]} {where}"
        return f"unknown name {undeclared[1]} {where}: a condition sees tasks, params and shard"
    return f"{place[3][:200]} {where}"


def _evaluation_error(message: str) -> str:
    detail = _first_line(message)
    if missing := MISSING.match(detail):
        return f"there is no {missing[1]!r:.80}"
    if "Iteration budget exceeded" in detail:
        return "its loops take more than 10,000 turns"
    return detail


def _first_line(message: str) -> str:
    status = STATUS.match(message.strip())
    return (status[1] if status else message).partition("\n")[0][:200]
