"""`tasks[].when`: a CEL expression over `tasks["name"].output`, `params` and `shard`. False means the task is skipped.

Whoever may submit may write a condition, and a cluster evaluates it among everybody's work. CEL has no endless loops, but the library
overflows the machine's stack on a long expression, copies whatever is read at each mention, and nested loops over long lists take hours:
all of that is bounded here.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import cel
from msgspec import Struct

from waypost.workflow.condition_cost import Text, take_apart

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
"""What a condition may call, beside operators, `has` and the loops: a misspelt function would show only when the task is about to run."""

MAXIMUM_CHARACTERS: Final = 2_048
"""The parser goes one frame deeper for each `+` or `.`: ten times as many end the process."""

MAXIMUM_STEPS: Final = 1_500_000
"""About 30 ms: a step is the copy of one number, 20 ns. The figures below are measured in it."""

PER_QUESTION: Final = 1_000
PER_VALUE: Final = 10
PER_NAME: Final = 8
"""A field of an object takes so many times what an item of a list does."""
PER_TURN: Final = 12
CACHED: Final = 128
"""Compiled conditions that are kept: a long one takes 230 KiB."""

PLACE: Final = re.compile(
    r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*?)(?: expecting \{.*)?$", re.MULTILINE
)

T = TypeVar("T")


class ConditionError(Exception):
    """The expression does not compile, asks for what there is not, would take too long, or is neither true nor false."""


class Condition(Struct, frozen=True, kw_only=True):
    """A condition that compiles. It may be evaluated in any thread."""

    program: cel.Program
    text: Text
    names: frozenset[str]
    """Those of `tasks`, `params` and `shard` that it reads."""
    wary: bool
    """Does it ask whether something is there, with `has` or `in`?"""

    @property
    def tasks_read(self) -> tuple[str, ...]:
        """The tasks that it names, in order. One that it works out as it goes is not among them."""
        return self.read("tasks")

    def read(self, root: str) -> tuple[str, ...]:
        """What it reads of `tasks`, `params` or `shard`, as far as it is written out."""
        return tuple(name for holder, name in self.text.reads if holder == root and name is not None)


class Question(Struct, frozen=True, kw_only=True):
    """A condition and what it sees: ready to be answered, with what that takes at most."""

    condition: Condition
    given: dict[str, Any]
    steps: int

    def answer(self) -> bool:
        """Raises `ConditionError`."""
        try:
            answer = _guarded("cannot be evaluated", lambda: self.condition.program.execute(self.given))
        except ConditionError as error:  # the library's words do not tell what most often is behind them
            empty = [name for name, task in self.given.get("tasks", {}).items() if task["output"] is None]
            if not empty:
                raise
            raise ConditionError(f"the output of {', '.join(empty)} is null: {error}") from error
        if not isinstance(answer, bool):
            raise ConditionError(f"gives {type(answer).__name__}, not true or false")
        return answer


@lru_cache(CACHED)
def compile_condition(text: str) -> Condition:
    """Raises `ConditionError` with what is wrong."""
    if len(text) > MAXIMUM_CHARACTERS:
        raise ConditionError(f"has {len(text)} characters; {MAXIMUM_CHARACTERS} are allowed")
    if "${" in text:
        raise ConditionError("placeholders are not filled in here: write params.name for ${params.name}")
    program = _guarded("not a CEL expression", lambda: cel.compile(text))
    parts = take_apart(text)
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
    wary = "@in" in functions or re.search(r"\bhas\s*\(", text) is not None
    return Condition(program=program, text=parts, names=frozenset(variables) & NAMES, wary=wary)


def ask(
    text: str, *, outputs: Mapping[str, Any], params: Mapping[str, Any], shard: Mapping[str, Any]
) -> Question:
    """The condition with what it sees. `outputs`: what the tasks that its own needs have left, by name. Raises `ConditionError`."""
    condition = compile_condition(text)
    if ("tasks", None) not in condition.text.reads:
        outputs = {name: outputs[name] for name in condition.tasks_read if name in outputs}
    seen = {
        "tasks": {name: {"output": output} for name, output in outputs.items()},
        "params": dict(params),
        "shard": dict(shard),
    }
    given = {name: seen[name] for name in condition.names}
    return Question(condition=condition, given=given, steps=_steps(condition.text, given))


def holds(
    text: str, *, outputs: Mapping[str, Any], params: Mapping[str, Any], shard: Mapping[str, Any]
) -> bool:
    """Is the condition true? Raises `ConditionError`."""
    return ask(text, outputs=outputs, params=params, shard=shard).answer()


def _guarded(trouble: str, work: Callable[[], T]) -> T:
    """The library says what went wrong with whatever exception of Python is nearest, and with Rust's own for a panic."""
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


def _steps(text: Text, given: Mapping[str, Any]) -> int:
    """How much work there is at most: what is handed over, what each mention copies, and what each turn of a loop does.

    Loops in one another multiply, those beside one another do not, but for `map`: what it makes may be as large as all that it goes over
    times all that is read. Raises `ConditionError` where it is too much.
    """
    size, width = _size(given.values())
    size, width = (size + text.commas + 1) * (text.sums + 1), max(width, text.commas + 1) * (text.sums + 1)
    steps = PER_QUESTION + text.compiling + size * (PER_VALUE + text.mentions)
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
    """How much there is at any depth, up to what is too much anyway, and how long the longest list or object is."""
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
