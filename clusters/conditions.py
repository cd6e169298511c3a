"""`tasks[].when`: a CEL expression over `tasks["name"].output`, `params` and `shard`. False means the task is skipped.

Whoever may submit may write a condition, and a cluster evaluates it among everybody's work. CEL has no endless loops, but the library
overflows the machine's stack on a long expression, and nested loops over long lists take hours: both are bounded here.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import cel

NAMES: Final = frozenset({"tasks", "params", "shard"})
TYPES: Final = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"})
FUNCTIONS: Final = frozenset(
    {"bytes", "contains", "double", "duration", "dyn", "endsWith", "int", "matches", "size", "startsWith", "string", "timestamp", "type"}
    | {"getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes"}
    | {"getMonth", "getSeconds", "uint"}
)
"""What a condition may call, beside operators, `has` and the loops: a misspelt function would show only when the task is about to run."""

MAXIMUM_CHARACTERS: Final = 2_048
"""The parser goes one frame deeper for each `+` or `.`: ten times as many end the process."""

MAXIMUM_STEPS: Final = 1_000_000
"""About 50 ms."""

LOOP: Final = re.compile(r"\b(?:all|exists|exists_one|existsOne|filter|map)\b(?:\s*\(\s*([A-Za-z_]\w*)\s*,)?")
READS: Final = re.compile(r"""(?<![\w.])tasks\s*(?:\[\s*(?:"([^"]*)"|'([^']*)')\s*\]|\.\s*([A-Za-z_]\w*))""")
PLACE: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*?)(?: expecting \{.*)?$", re.MULTILINE)

T = TypeVar("T")


class ConditionError(Exception):
    """The expression does not compile, asks for what there is not, would take too long, or is neither true nor false."""


def compile_condition(text: str) -> cel.Program:
    """Raises `ConditionError` with what is wrong."""
    if len(text) > MAXIMUM_CHARACTERS:
        raise ConditionError(f"has {len(text)} characters; {MAXIMUM_CHARACTERS} are allowed")
    program = _guarded("not a CEL expression", lambda: cel.compile(text))
    loop_variables = {name for name in LOOP.findall(text) if name}
    if unknown := sorted(set(program.variables()) - NAMES - TYPES - loop_variables):
        raise ConditionError(f"unknown name {', '.join(unknown)}: a condition sees tasks, params and shard")
    if missing := sorted(name for name in program.functions() if name.isidentifier() and name not in FUNCTIONS):
        raise ConditionError(f"there is no function {', '.join(missing)}")
    return program


def tasks_read(text: str) -> list[str]:
    """The tasks that the expression names, as `tasks["a"]` or `tasks.a`, in order. One that it works out as it goes is not among them."""
    return list(dict.fromkeys("".join(names) for names in READS.findall(text)))


def holds(text: str, *, outputs: Mapping[str, Any], params: Mapping[str, Any], shard: Mapping[str, Any]) -> bool:
    """Is the condition true? `outputs`: what the tasks that this one needs have left, by name. Raises `ConditionError`."""
    program = compile_condition(text)
    seen = {"tasks": {name: {"output": output} for name, output in outputs.items()}, "params": dict(params), "shard": dict(shard)}
    given = {name: seen[name] for name in program.variables() if name in seen}
    _check_steps(text, given)
    answer = _guarded("cannot be evaluated", lambda: program.execute(given))
    if not isinstance(answer, bool):
        raise ConditionError(f"gives {type(answer).__name__}, not true or false")
    return answer


def _guarded(trouble: str, work: Callable[[], T]) -> T:
    """The library says what went wrong with whatever exception of Python is nearest, and with Rust's own for a panic."""
    try:
        return work()
    except KeyError as error:
        raise ConditionError(f"{trouble}: there is no {error.args[0]!r:.80}") from error
    except Exception as error:
        place = PLACE.search(str(error))
        detail = f"{place[3]} at line {place[1]}, column {place[2]}" if place else str(error).partition("\n")[0]
        raise ConditionError(f"{trouble}: {detail[:200]}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ConditionError(f"{trouble}: it is more than the evaluator can bear") from error


def _check_steps(text: str, given: Mapping[str, Any]) -> None:
    """Each loop may go over everything that the expression sees, and each step may copy it: with n loops, size to the power n + 1."""
    loops = len(LOOP.findall(text))
    if not loops:
        return
    size = (text.count(",") + 1 + _size(given.values())) * (text.count("+") + 1)
    if size ** (loops + 1) > MAXIMUM_STEPS:
        raise ConditionError(f"would take too long: {loops} loops over up to {size} values")


def _size(values: Iterable[Any]) -> int:
    """How many values there are, at any depth; a long text counts as several."""
    waiting, size = list(values), 0
    while waiting:
        value = waiting.pop()
        size += 1
        if isinstance(value, str):
            size += len(value) // 256
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
    return size
