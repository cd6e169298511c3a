"""The syntax tree of a compiled condition: finds the values it reads, and adds checks the library lacks.

The layout is that of `cel.expr.CheckedExpr` (google/cel-spec, proto/cel/expr).
"""

import math
import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from waypost.condition_evaluation.messages import ConditionRead, ConditionReads
from waypost.condition_evaluation.protobuf_messages import Layout, Message, decode, encode, every, first
from waypost.condition_evaluation.strict_texts import CONVERSIONS, OF_A_ZONE, zone_text

ROOTS: Final = frozenset({"tasks", "params", "shard", "status", "failed"})
NO_NAMES: Final[frozenset[str]] = frozenset()

# the kinds of an expression, by the number of their field
CONSTANT, IDENTIFIER, SELECT, CALL, LIST, STRUCT, LOOP = 3, 4, 5, 6, 7, 8, 9
ID: Final = 2
# fields of a selection, a call, an entry of a map, and a loop (which macros become)
OPERAND, FIELD, TESTS_PRESENCE = 1, 2, 3
TARGET, FUNCTION, ARGUMENT = 1, 2, 3
ENTRY, KEY, VALUE = 2, 3, 4
ITEM_NAME, RANGE, TOTAL_NAME, START, GOES_ON, STEP, RESULT, SECOND_NAME = range(1, 9)
# kinds of a constant
FALSE, INT, UINT, DOUBLE, TEXT = range(2, 7)
# fields of a type, and primitive types
DYNAMIC, PRIMITIVE = 1, 3
INT_TYPE, UINT_TYPE, STRING_TYPE = 2, 3, 5
UNKNOWN: Final[Message] = [(DYNAMIC, b"")]
# fields of the whole
TYPES, TREE = 3, 4
CHECK: Final = "@{}_text"
"""The template of the name of a function that checks a conversion's argument; no condition can call it."""
TEXT_CHECKS: Final = {CHECK.format(name): check for name, check in {**CONVERSIONS, "zone": zone_text}.items()}
"""The functions that check string arguments, by the name under which an expression calls them."""

_EXPRESSION: Final[Layout] = {}
_EXPRESSION.update(
    {
        IDENTIFIER: {},
        SELECT: {OPERAND: _EXPRESSION},
        CALL: {TARGET: _EXPRESSION, ARGUMENT: _EXPRESSION},
        LIST: {1: _EXPRESSION},
        STRUCT: {ENTRY: {KEY: _EXPRESSION, VALUE: _EXPRESSION}},
        LOOP: dict.fromkeys((RANGE, START, GOES_ON, STEP, RESULT), _EXPRESSION),
    }
)


class Refused(Exception):
    """Raised for an expression that the CEL library accepts although CEL does not permit it."""


class SyntaxTree:
    """The syntax tree of a compiled CEL expression, decoded from the CEL library's serialized form."""

    def __init__(self, serialized: bytes) -> None:
        self._envelope = decode(serialized, {})
        self._checked = decode(first(self._envelope, 2), {TREE: _EXPRESSION})
        self._tree: Message = first(self._checked, TREE)
        self._nodes = list(_inner(self._tree))
        """Every expression in the tree, nested ones before those that contain them."""

    def reads(self) -> ConditionReads:
        """Returns which variables the expression reads, and which members of them it names (`params.day`)."""
        found = tuple(dict.fromkeys(_reads(self._tree, NO_NAMES)))
        return ConditionReads(mentions=found, tests_presence=any(map(_tests_presence, self._nodes)))

    @cached_property
    def _types(self) -> dict[int, Message]:
        """Returns the type of each expression in the tree, by the expression's id."""
        entries = [decode(entry, {2: {}}) for entry in every(self._checked, TYPES)]
        return {first(entry, 1): first(entry, 2) for entry in entries}

    def check(self) -> None:
        """Raises `Refused` for a number that no double can represent, or map keys that may be equal.

        Keys may be equal where some are int and others uint.
        """
        for node in self._nodes:
            kind, content = node[-1]
            if kind == CONSTANT and _is_infinite(content):
                raise Refused("a number is beyond what a double holds")
            if kind == STRUCT:
                self._check_keys([first(entry, KEY) for entry in every(content, ENTRY)])

    def _check_keys(self, keys: list[Message | None]) -> None:
        # The library takes 0 and 0u for different keys. Those of one type it compares itself.
        if not any(_is(type_, UINT_TYPE) for type_ in self._types.values()):
            return
        numbers = [key for key in keys if key is not None and self._may_be_number(key)]
        written = [_whole_number(key) for key in numbers]
        kinds = {first(self._types.get(first(key, ID), UNKNOWN), PRIMITIVE) for key in numbers}
        # None is the kind of what is known at evaluation only
        mixed = len(kinds) > 1 or (None in kinds and len(numbers) > 1)
        if mixed and (None in written or len(set(written)) < len(written)):
            raise Refused("a map has keys of int and uint, which may be equal: write them as one type")

    def _may_be_number(self, key: Message) -> bool:
        type_ = self._types.get(first(key, ID), UNKNOWN)
        return first(type_, DYNAMIC) is not None or first(type_, PRIMITIVE) in (INT_TYPE, UINT_TYPE)

    def checked(self) -> bytes | None:
        """Returns the serialized expression, with a check added around each string that CEL converts.

        CEL converts strings to other types, and reads some as the name of a time zone; the checks are those
        of `strict_texts`. Returns None where no check is needed. Raises `Refused` for a literal that breaks a
        check.
        """
        changed = sum(self._with_checks(node) for node in self._nodes)
        return self._encoded() if changed else None

    def _encoded(self) -> bytes:
        inner = encode(self._checked)
        return encode([(number, inner if number == 2 else value) for number, value in self._envelope])

    def _with_checks(self, node: Message) -> bool:
        """Wraps the argument of a call in a check, if it may be a string to be converted or a time zone.

        Returns whether the call was changed. A literal is checked here; raises `Refused` if it fails.
        """
        kind, call = node[-1]
        if kind != CALL:
            return False
        function = first(call, FUNCTION).decode()
        name = "zone" if function in OF_A_ZONE else function
        place = next((index for index, (number, _) in enumerate(call) if number == ARGUMENT), None)
        check = TEXT_CHECKS.get(CHECK.format(name))
        if check is None or place is None:
            return False
        argument: Message = call[place][1]
        type_ = self._types.get(first(argument, ID), UNKNOWN)
        if (text := _text(argument)) is not None:
            try:
                check(text)
            except ValueError as error:
                raise Refused(str(error)) from error
        elif _is(type_, STRING_TYPE):
            call[place] = (ARGUMENT, _call(CHECK.format(name), argument))
            return True
        elif first(type_, DYNAMIC) is not None:
            call[place] = (ARGUMENT, _checked_if_text(CHECK.format(name), argument))
            return True
        return False


def _checked_if_text(check: str, argument: Message) -> Message:
    """Builds an expression that evaluates `argument` once, and checks the value if it is a string.

    The expression is a loop without iterations, the form that the macro `cel.bind` becomes.
    """
    value = _name("@value")
    is_text = _call("_==_", _call("type", value), _name("string"))
    parts: list[tuple[int, Any]] = [
        (ITEM_NAME, b"#unused"),
        (RANGE, _node((LIST, []))),
        (TOTAL_NAME, b"@value"),
        (START, argument),
        (GOES_ON, _node((CONSTANT, encode([(FALSE, 0)])))),
        (STEP, value),
        (RESULT, _call("_?_:_", is_text, _call(check, value), value)),
    ]
    return _node((LOOP, parts))


def _node(field: tuple[int, Any]) -> Message:
    return [(ID, 1 << 20), field]


def _name(name: str) -> Message:
    return _node((IDENTIFIER, [(1, name.encode())]))


def _call(function: str, *arguments: Message) -> Message:
    call = [(FUNCTION, function.encode()), *((ARGUMENT, argument) for argument in arguments)]
    return _node((CALL, call))


def _inner(node: Message) -> Iterator[Message]:
    """Yields the expression and all expressions inside it, innermost first."""
    for child in _children(node):
        yield from _inner(child)
    yield node


def _children(node: Message) -> list[Message]:
    found: list[Message] = []
    for number, content in node:
        if number == STRUCT:
            found += [
                value for entry in every(content, ENTRY) for part, value in entry if part in (KEY, VALUE)
            ]
        elif number in _EXPRESSION:
            found += [value for part, value in content if part in _EXPRESSION[number]]
    return found


def _reads(node: Message, hidden: frozenset[str]) -> Iterator[ConditionRead]:
    """Yields the values that an expression reads; `hidden` are names shadowed by a loop's variable."""
    path: list[str | None] = []
    while (step := _step(node)) is not None:
        node, name, key = step
        path.insert(0, name)
        if key is not None:
            yield from _reads(key, hidden)
    root = _identifier(node)
    # A leading dot stays in the name where a variable of the same name is in scope.
    if root.removeprefix(".") in ROOTS and root not in hidden:
        name, member = [*path, None, None][:2]
        yield ConditionRead(root.removeprefix("."), name, member)
    elif (loop := first(node, LOOP)) is not None:
        inner = hidden | {value.decode() for part, value in loop if part in (ITEM_NAME, SECOND_NAME)}
        for part, value in loop:
            if part in _EXPRESSION[LOOP]:
                yield from _reads(value, hidden if part in (RANGE, START) else inner)
    else:
        for child in _children(node):
            yield from _reads(child, hidden)


def _step(node: Message) -> tuple[Message, str | None, Message | None] | None:
    """Splits `operand.name` or `operand[index]` into the operand, the name and the index.

    The name is None where the index is computed; the index is None for `.name`. Returns None for any other
    expression.
    """
    if (selection := first(node, SELECT)) is not None:
        return first(selection, OPERAND), first(selection, FIELD).decode(), None
    call = first(node, CALL)
    if call is not None and first(call, FUNCTION) == b"_[_]":
        operand, key = every(call, ARGUMENT)
        return operand, _text(key), key
    return None


def _identifier(node: Message) -> str:
    """Returns the name if an expression is an identifier; an empty text for any other expression."""
    found: str = first(first(node, IDENTIFIER, []), 1, b"").decode()
    return found


def _tests_presence(node: Message) -> bool:
    kind, content = node[-1]
    if kind == SELECT:
        return bool(first(content, TESTS_PRESENCE))
    return bool(kind == CALL and first(content, FUNCTION) == b"@in")


def _is(type_: Message, primitive: int) -> bool:
    return bool(first(type_, PRIMITIVE) == primitive)


def _text(node: Message) -> str | None:
    """Returns the value if an expression is a string literal; None for any other expression."""
    constant: bytes | None = first(node, CONSTANT)
    text: bytes | None = None if constant is None else first(decode(constant, {}), TEXT)
    return None if text is None else text.decode()


def _whole_number(node: Message) -> int | None:
    """Returns the value if an expression is an integer literal; None for any other expression."""
    constant: bytes | None = first(node, CONSTANT)
    if constant is None:
        return None
    kind, number = decode(constant, {})[-1]
    if kind == INT and isinstance(number, int):
        return number - (number >> 63 << 64)  # it is written in two's complement
    return int(number) if kind == UINT else None


def _is_infinite(constant: bytes) -> bool:
    kind, number = decode(constant, {})[-1]
    if kind != DOUBLE:
        return False
    return math.isinf(struct.unpack("<d", number)[0])
