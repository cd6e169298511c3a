"""Compiles and evaluates `tasks[].when`: a CEL expression over `tasks["name"].output`, `params` and `shard`.

False means that the task is skipped. Anybody who may submit may write a condition, and a cluster evaluates it
in the process that runs everybody's work. CEL has no endless loops, but common-expression-language 0.10
overflows the stack on a long expression, copies what is read at each mention, and takes hours for nested
loops over long lists. So the length of an expression and the work it may cause are bounded here.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import cel
from msgspec import Struct

from waypost.workflow.condition_cost import ConditionText, analyze

NAMES: Final = frozenset({"tasks", "params", "shard"})
SHARD_FIELDS: Final = ("count", "index", "item")
TYPES: Final = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"})
FUNCTIONS: Final = frozenset(
    {
        "bytes",
        "contains",
        "double",
        "duration",
        "dyn",
        "endsWith",
        "int",
        "matches",
        "size",
        "startsWith",
        "string",
        "timestamp",
        "type",
    }
    | {
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
    }
    | {"getMonth", "getSeconds", "uint"}
)
"""Functions that a condition may call, beside operators, `has` and the loops.

The library reports an unknown function only when it is called, which would be when the task is about to run.
"""

MAXIMUM_CHARACTERS: Final = 2_048
"""Longest expression. The parser recurses once for each `+` or `.`; ten times as many overflow the stack."""

MAXIMUM_STEPS: Final = 1_500_000
"""Bound of the work of one evaluation, about 30 ms.

A step is the copy of one number, 20 ns; the costs below count in steps.
"""

PER_EVALUATION: Final = 1_000
PER_VALUE: Final = 10
PER_NAME: Final = 8
"""Cost of a field of an object, in items of a list."""
PER_TURN: Final = 12
CACHED: Final = 128
"""Compiled conditions kept in memory: a long one takes 230 KiB."""

PLACE: Final = re.compile(
    r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*?)(?: expecting \{.*)?$", re.MULTILINE
)

T = TypeVar("T")


class ConditionError(Exception):
    """The expression does not compile, names what does not exist, would take too long, or does not give a
    boolean.
    """


class Condition(Struct, frozen=True, kw_only=True):
    """A compiled condition. It may be evaluated in any thread."""

    program: cel.Program
    text: ConditionText
    names: frozenset[str]
    """Those of `tasks`, `params` and `shard` that it reads."""
    tests_presence: bool
    """Whether it tests that a value exists, with `has` or `in`."""

    @property
    def tasks_read(self) -> tuple[str, ...]:
        """The tasks that it names literally, in order; a computed name is not among them."""
        return self.names_read("tasks")

    def names_read(self, root: str) -> tuple[str, ...]:
        """The names below `root` (`tasks`, `params` or `shard`) that it reads literally."""
        return tuple(name for holder, name in self.text.reads if holder == root and name is not None)


class BoundCondition(Struct, frozen=True, kw_only=True):
    """A condition with the values it sees; `steps` bounds the work of evaluating it (see `MAXIMUM_STEPS`)."""

    condition: Condition
    given: dict[str, Any]
    steps: int

    def evaluate(self) -> bool:
        """Whether the condition is true. Raises `ConditionError`."""
        try:
            result = _guarded("cannot be evaluated", lambda: self.condition.program.execute(self.given))
        except ConditionError as error:
            # The library names a type error; what most often causes it is a task that left no output.
            empty = [name for name, task in self.given.get("tasks", {}).items() if task["output"] is None]
            if not empty:
                raise
            raise ConditionError(f"the output of {', '.join(empty)} is null: {error}") from error
        if not isinstance(result, bool):
            raise ConditionError(f"gives {type(result).__name__}, not true or false")
        return result


@lru_cache(CACHED)
def compile_condition(text: str) -> Condition:
    """Compiles `text` and checks every name and function in it. Raises `ConditionError`."""
    if len(text) > MAXIMUM_CHARACTERS:
        raise ConditionError(f"has {len(text)} characters; {MAXIMUM_CHARACTERS} are allowed")
    if "${" in text:
        raise ConditionError("placeholders are not filled in here: write params.name for ${params.name}")
    program = _guarded("not a CEL expression", lambda: cel.compile(text))
    parts = analyze(text)
    functions, variables = program.functions(), program.variables()
    if unknown := sorted(set(variables) - NAMES - TYPES - parts.variables):
        raise ConditionError(f"unknown name {', '.join(unknown)}: a condition sees tasks, params and shard")
    if missing := sorted(name for name in functions if name.isidentifier() and name not in FUNCTIONS):
        raise ConditionError(f"there is no function {', '.join(missing)}")
    if absent := [
        name
        for holder, name in parts.reads
        if holder == "shard" and name is not None and name not in SHARD_FIELDS
    ]:
        raise ConditionError(f"there is no shard.{absent[0][:80]}: a shard has {', '.join(SHARD_FIELDS)}")
    if parts.compiling > MAXIMUM_STEPS:
        raise ConditionError(
            "would take too long: matches takes its pattern as a literal text, and a short one"
        )
    tests_presence = "@in" in functions or re.search(r"\bhas\s*\(", text) is not None
    return Condition(
        program=program, text=parts, names=frozenset(variables) & NAMES, tests_presence=tests_presence
    )


def bind(
    text: str, *, outputs: Mapping[str, Any], params: Mapping[str, Any], shard: Mapping[str, Any]
) -> BoundCondition:
    """Binds the condition `text` to the values it sees.

    `outputs` are those of the tasks its task needs, by name.

    Raises `ConditionError`, also where evaluating it would take more than `MAXIMUM_STEPS`.
    """
    condition = compile_condition(text)
    if ("tasks", None) not in condition.text.reads:
        outputs = {name: outputs[name] for name in condition.tasks_read if name in outputs}
    seen = {
        "tasks": {name: {"output": output} for name, output in outputs.items()},
        "params": dict(params),
        "shard": dict(shard),
    }
    given = {name: seen[name] for name in condition.names}
    return BoundCondition(condition=condition, given=given, steps=_steps(condition.text, given))


def holds(
    text: str, *, outputs: Mapping[str, Any], params: Mapping[str, Any], shard: Mapping[str, Any]
) -> bool:
    """Compiles, binds and evaluates the condition `text`. Raises `ConditionError`."""
    return bind(text, outputs=outputs, params=params, shard=shard).evaluate()


def _guarded(trouble: str, work: Callable[[], T]) -> T:
    """Calls `work` and turns every error of the library into a `ConditionError` that begins with `trouble`.

    common-expression-language 0.10 raises KeyError, TypeError, ValueError or RuntimeError, whichever is
    nearest, and pyo3's PanicException, a BaseException, where its Rust code panics.
    """
    try:
        return work()
    except KeyError as error:
        raise ConditionError(f"{trouble}: there is no {error.args[0]!r:.80}") from error
    except Exception as error:
        place = PLACE.search(str(error))
        detail = (
            f"{place[3]} at line {place[1]}, column {place[2]}" if place else str(error).partition("\n")[0]
        )
        raise ConditionError(f"{trouble}: {detail.partition('. ')[0][:200]}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ConditionError(f"{trouble}: it is more than the evaluator can bear") from error


def _steps(text: ConditionText, given: Mapping[str, Any]) -> int:
    """An upper bound of the work, in steps: handing over the values, copying them at each mention, turning
    loops.

    Nested loops multiply; loops beside one another do not, except `map`, whose result may be as large as all
    that it iterates over times all that is read. Raises `ConditionError` where the bound is over
    `MAXIMUM_STEPS`.
    """
    size, width = _size(given.values())
    size, width = (size + text.commas + 1) * (text.sums + 1), max(width, text.commas + 1) * (text.sums + 1)
    steps = PER_EVALUATION + text.compiling + size * (PER_VALUE + text.mentions)
    if text.depth:
        turns = width ** (text.depth * (text.maps + 1))
        steps += turns * (PER_TURN + size ** (text.maps + 1) * text.copying)
    if steps > MAXIMUM_STEPS:
        loops = {0: "it reads", 1: "a loop over"}.get(
            text.depth, f"{text.depth} loops within one another over"
        )
        raise ConditionError(f"would take too long: {loops} up to {size} values")
    return steps


def _size(values: Iterable[Any]) -> tuple[int, int]:
    """The number of values at any depth, and the length of the longest list or object.

    Counts no further than what is too much anyway. Long texts and objects count as several values.
    """
    waiting, size, width = list(values), 0, 0
    while waiting and size * PER_VALUE <= MAXIMUM_STEPS:
        value = waiting.pop()
        size += 1
        if isinstance(value, str):
            size += len(value) // 256
        elif isinstance(value, Mapping):
            size += PER_NAME * len(value) + sum(map(len, value)) // 256
            width = max(width, len(value))
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            width = max(width, len(value))
            waiting.extend(value)
    return size, width
