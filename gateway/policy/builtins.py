"""The builtins that rules may call, each with the number of its arguments, and what is asked of patterns and formats that are written out.

One is here where the evaluator passes its conformance cases, and its answer depends on its arguments alone. Left out for answers that
differ from OPA's at some edge: `upper` (of ß), `to_number` (of " 1"), `indexof` and `indexof_n` (of ""), `glob.match`, `json.marshal`,
`object.subset` (which panics), `regex.split`, `regex.is_valid`, `semver.is_valid`, `strings.replace_n`, `base64.decode`. `lower` stays,
although it differs for İ and for Σ at the end of a word: names are compared by it, and the rules that ship refuse what is not ASCII before.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.policy.syntax import Node, items, literal

BUILTINS: Final[Mapping[str, int]] = {
    name: arity
    for arity, names in (
        (1, "count sum product max min sort array.reverse object.keys object.union_n intersection union lower strings.reverse"),
        (1, "trim_space is_array is_boolean is_null is_number is_object is_set is_string type_name abs ceil floor round"),
        (1, "base64.encode hex.decode hex.encode"),
        (2, "array.concat object.filter object.remove object.union concat contains endswith format_int split sprintf startswith"),
        (2, "strings.any_prefix_match strings.any_suffix_match trim trim_left trim_prefix trim_right trim_suffix"),
        (2, "regex.match semver.compare"),
        (3, "array.slice object.get replace substring regex.replace"),
    )
    for name in names.split()
}
TOTAL: Final = frozenset(name for name in BUILTINS if name.startswith("is_")) | {"type_name"}
"""These have a value for every argument that has one."""

WHY: Final = {
    "http.send": "it answers nothing here, so its negation would be true",
    "opa.runtime": "a decision must depend on its input alone",
    "time.now_ns": "a decision must depend on its input alone: the time is input.at",
}

PATTERN: Final = {"regex.match": 0, "regex.replace": 1}
"""Which argument is a regular expression."""
VERBS: Final = re.compile(r"%[svd%]")

_CLASS = r"\[\^?(?:\\[^\sA-Za-z0-9]|(?!&&|~~|--)[^\\\[\]])+\]"
_ONE = rf"(?:{_CLASS}|\\[^\sA-Za-z0-9]|[^\\\[\](){{}}*+?|^$]|\))"
_TAKEN: Final = re.compile(rf"(?:\(\?i\))?(?:{_ONE}(?:[*+?]\??|\{{\d{{1,3}}(?:,(?:\d{{1,3}})?)?\}}\??)?|\(\?:|\((?!\?)|[|^$])*")
"""The part of the regular expressions that both libraries read alike: `\\d` is ASCII in one and Unicode in the other, and `&&` in brackets,
flags, names and `\\Q` are known to one alone."""


def sound(name: str, arguments: list[Node]) -> Iterator[str]:
    """What is wrong with a pattern or a format that the builtin `name` is called with."""
    if name in PATTERN and len(arguments) > PATTERN[name]:
        pattern = literal(arguments[PATTERN[name]])
        if pattern is None:
            yield f"the pattern of {name} must be written out: one that is computed cannot be examined"
        elif not _compiles(pattern):
            yield f"{name}: this pattern may be read differently elsewhere: write [0-9] for \\d, and no flags or names"
    if name == "sprintf" and len(arguments) == 2:
        form, values = literal(arguments[0]), items(arguments[1])
        if form is None or values is None:
            yield "sprintf wants its format and its list of values written out"
        elif "%" in VERBS.sub("", form) or len(VERBS.findall(form.replace("%%", ""))) != len(values):
            yield "sprintf: as many values as there are verbs, and no verbs but %s, %v and %d"


def _compiles(pattern: str) -> bool:
    if _TAKEN.fullmatch(pattern) is None:
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
