"""The builtins and operators that rules may use: their types, and which arguments must be literals.

A builtin is listed if the evaluator passes its conformance cases and its result depends on its arguments
alone. Left out because results differ from OPA's at some edge: `upper` (of ß), `to_number` (of " 1"),
`indexof` and `indexof_n` (of ""), `glob.match`, `json.marshal`, `object.subset` (which panics),
`regex.split`, `regex.is_valid`, `semver.is_valid`, `strings.replace_n`, `base64.decode`. Left out because
they fail on some strings: `hex.decode` and `semver.compare`.

`lower` stays, although it differs for İ and for Σ at the end of a word: names are compared by it, and the
rules that ship refuse what is not ASCII before.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.policy.embedded.subset.syntax_tree import SyntaxNode, items, literal, number
from gateway.policy.embedded.subset.types import ANY, ValueType


class Signature(Struct, frozen=True, kw_only=True):
    """The types of the arguments and the result of a builtin. It never fails on arguments of these types."""

    arguments: tuple[ValueType, ...]
    result: ValueType


_TYPES: Final[Mapping[str, ValueType]] = {
    "any": ANY,
    "array": {"title": "an array", "type": "array"},
    "boolean": {"title": "a boolean", "type": "boolean"},
    "integer": {
        "title": "a whole number",
        "type": "integer",
        "description": "use what the schemas call an integer, count or round",
    },
    "keys": {"title": "an array, an object or a set", "type": ["array", "object", "set"]},
    "list": {"title": "an array or a set", "type": ["array", "set"]},
    "many": {"title": "an array, an object, a set or a string", "type": ["array", "object", "set", "string"]},
    "number": {"title": "a number", "type": "number"},
    "numbers": {
        "title": "an array or a set of numbers",
        "type": ["array", "set"],
        "items": {"type": "number"},
    },
    "object": {"title": "an object", "type": "object"},
    "objects": {"title": "an array of objects", "type": "array", "items": {"type": "object"}},
    "set": {"title": "a set", "type": "set", "description": "collect it, with {x | some x in ...}"},
    "sets": {"title": "a set of sets", "type": "set", "items": {"type": "set"}},
    "string": {"title": "a string", "type": "string"},
    "strings": {
        "title": "an array or a set of strings",
        "type": ["array", "set"],
        "items": {"type": "string"},
    },
    "texts": {
        "title": "a string, or an array or a set of strings",
        "type": ["array", "set", "string"],
        "items": {"type": "string"},
    },
    "words": {"type": "array", "items": {"type": "string"}},
}
_SIGNATURES: Final[Mapping[str, str]] = {
    "any -> boolean": "is_array is_boolean is_null is_number is_object is_set is_string",
    "any -> string": "type_name",
    "string -> string": "lower strings.reverse trim_space base64.encode hex.encode",
    "string string -> string": "trim trim_left trim_prefix trim_right trim_suffix",
    "string string -> boolean": "contains endswith startswith regex.match",
    "string string -> words": "split",
    "string string string -> string": "replace regex.replace",
    "texts texts -> boolean": "strings.any_prefix_match strings.any_suffix_match",
    "string strings -> string": "concat",
    "string array -> string": "sprintf",
    "string integer integer -> string": "substring",
    "number integer -> string": "format_int",
    "number -> number": "abs",
    "number -> integer": "ceil floor round",
    "many -> integer": "count",
    "numbers -> number": "sum product",
    "list -> any": "max min",
    "list -> array": "sort",
    "array -> array": "array.reverse",
    "array array -> array": "array.concat",
    "array integer integer -> array": "array.slice",
    "object -> set": "object.keys",
    "objects -> object": "object.union_n",
    "object object -> object": "object.union",
    "object keys -> object": "object.filter object.remove",
    "object any any -> any": "object.get",
    "sets -> set": "intersection union",
    "number number -> number": "+ - * /",
    "set set -> set": "| & \\",
    "integer integer -> integer": "%",
    "keys -> any": "in",
}


def _signature(text: str) -> Signature:
    arguments, _, result = text.partition(" -> ")
    return Signature(arguments=tuple(_TYPES[word] for word in arguments.split()), result=_TYPES[result])


SIGNATURES: Final[Mapping[str, Signature]] = {
    name: _signature(text) for text, names in _SIGNATURES.items() for name in names.split()
}
"""The signatures of builtins, of operators and of `in`, by the name they are written with.

`\\` stands for the minus between two sets.
"""
OPERATORS: Final = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "Mod": "%",
    "Union": "|",
    "Intersection": "&",
}
"""The operators by their names in the syntax tree."""
BUILTINS: Final[Mapping[str, int]] = {
    name: len(signature.arguments)
    for name, signature in SIGNATURES.items()
    if name[0].isalpha() and name != "in"
}
"""The number of arguments of each builtin."""
TOTAL_BUILTINS: Final = frozenset(name for name in BUILTINS if name.startswith("is_")) | {"type_name"}
"""Builtins that have a value for every defined argument."""

REASONS: Final = {
    "http.send": "it answers nothing here, so its negation would be true",
    "opa.runtime": "a decision must depend on its input alone",
    "hex.decode": "it fails on what is not hexadecimal",
    "semver.compare": "it fails on what is not a version",
    "time.now_ns": "a decision must depend on its input alone: the time is input.at",
}
"""The reasons why builtins are not permitted, where they are not obvious."""

BASES: Final = frozenset({2, 8, 10, 16})
PATTERN_ARGUMENT: Final = {"regex.match": 0, "regex.replace": 1}
"""The index of the argument that is a regular expression."""
FORMAT_VERBS: Final = re.compile(r"%[svd%]")

_CLASS = r"\[\^?(?:\\[^\sA-Za-z0-9]|(?!&&|~~|--)[^\\\[\]])+\]"
_ATOM = rf"(?:{_CLASS}|\\[^\sA-Za-z0-9]|[^\\\[\](){{}}*+?|^$]|\))"
_SUPPORTED_PATTERN: Final = re.compile(
    rf"(?:\(\?i\))?(?:{_ATOM}(?:[*+?]\??|\{{\d{{1,3}}(?:,(?:\d{{1,3}})?)?\}}\??)?|\(\?:|\((?!\?)|[|^$])*"
)
"""Matches regular expressions that the libraries of regorus (Rust) and OPA (Go) read alike.

`\\d` is ASCII in one and Unicode in the other; `&&` in brackets, flags, names and `\\Q` are known to one
alone.
"""


def format_errors(name: str, arguments: list[SyntaxNode]) -> Iterator[str]:
    """Errors in the pattern or format string among the `arguments` of the builtin `name`."""
    if name in PATTERN_ARGUMENT and len(arguments) > PATTERN_ARGUMENT[name]:
        pattern = literal(arguments[PATTERN_ARGUMENT[name]])
        if pattern is None:
            yield f"the pattern of {name} must be written out: one that is computed cannot be examined"
        elif not _compiles(pattern):
            yield (
                f"{name}: this pattern may be read differently elsewhere: "
                "write [0-9] for \\d, and no flags or names"
            )
    if name == "sprintf" and len(arguments) == 2:
        form, values = literal(arguments[0]), items(arguments[1])
        if form is None or values is None:
            yield "sprintf wants its format and its list of values written out"
        elif "%" in FORMAT_VERBS.sub("", form) or len(FORMAT_VERBS.findall(form.replace("%%", ""))) != len(
            values
        ):
            yield "sprintf: as many values as there are verbs, and no verbs but %s, %v and %d"


def literal_argument_errors(name: str, arguments: Sequence[SyntaxNode]) -> Iterator[str]:
    """Errors for arguments of the builtin or operator `name` that must be literals, and are not.

    With a computed value of the right type a call could still fail.
    """
    if name in ("/", "%") and not number(arguments[1]):
        yield f"what {name} divides by must be a number that is written out, and not 0: it would fail on 0"
    if name == "substring" and ((start := number(arguments[1])) is None or start < 0):
        yield "where substring begins must be written out, and not below 0: it would fail there"
    if name == "format_int" and number(arguments[1]) not in BASES:
        yield "the base of format_int must be written out: 2, 8, 10 or 16"


def _compiles(pattern: str) -> bool:
    if _SUPPORTED_PATTERN.fullmatch(pattern) is None:
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
