"""The text of `tasks[].when`: a CEL expression over `tasks["name"].output`, `params` and `shard`.

False means that the task is skipped. What can be known of a condition without compiling it is found here; it
is compiled and evaluated in a process that can be killed (`waypost.condition_evaluation`).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

NAMES: Final = ("tasks", "params", "shard")
SHARD_FIELDS: Final = ("count", "index", "item")
MAXIMUM_CHARACTERS: Final = 2_048
"""Longest expression."""
CACHED: Final = 4_096

_QUOTED: Final = (
    r'"""(?:\\[\s\S]|[^\\])*?(?:"""|\Z)|'
    + r"'''(?:\\[\s\S]|[^\\])*?(?:'''|\Z)|"
    + r'"(?:\\.|[^"\\\n\r])*"?|'
    + r"'(?:\\.|[^'\\\n\r])*'?"
)
"""A literal that is not closed is matched too: searching for its end from each quote would take long."""
_RAW: Final = (
    r'(?<![A-Za-z0-9_])[bB]?[rR](?:"""[\s\S]*?(?:"""|\Z)|'
    + r"'''[\s\S]*?(?:'''|\Z)|"
    + r'"[^"\n\r]*"?|'
    + r"'[^'\n\r]*'?)"
)
_ASIDE: Final = rf"{_RAW}|{_QUOTED}|//[^\n\r]*"
"""Matches a literal or a comment: words inside them are not names."""
_MEMBER: Final = r"""\s*(?:\[\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\]|\.\s*([A-Za-z_]\w*))"""
READS: Final = re.compile(rf"(?<![\w.])(tasks|params|shard)\b(?:{_MEMBER}(?:{_MEMBER})?)?|{_ASIDE}")
ASIDE: Final = re.compile(_ASIDE)
TIME_LITERAL: Final = re.compile(rf"""\btimestamp\s*\(\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\)|{_ASIDE}""")
RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
TESTS_PRESENCE: Final = re.compile(r"\bhas\s*\(|\bin\b")


class ConditionRead(Struct, frozen=True, gc=False):
    """One mention of a value in a condition's text, such as `tasks["fetch"].output`."""

    root: str
    """The object that is read: `tasks`, `params` or `shard`."""
    name: str | None
    """The name read below `root`, such as `fetch`; None: it is computed, or all of `root` is read."""
    member: str | None
    """The name read below `name`, such as `output`; None where there is none."""


class ConditionText(Struct, frozen=True, kw_only=True):
    """The values that a condition's text mentions: those alone are sent to where it is evaluated."""

    reads: tuple[ConditionRead, ...]
    """Every mention, each once, in order."""
    tests_presence: bool
    """Whether it tests that a value exists, with `has` or `in`."""

    @property
    def roots(self) -> frozenset[str]:
        """Which of `tasks`, `params` and `shard` it mentions."""
        return frozenset(read.root for read in self.reads)

    @property
    def tasks_read(self) -> tuple[str, ...]:
        """The tasks that it names, in order; a computed name is not among them."""
        return self.names_read("tasks")

    def names_read(self, root: str) -> tuple[str, ...]:
        """The names below `root`, each once, in order."""
        names = (read.name for read in self.reads if read.root == root and read.name is not None)
        return tuple(dict.fromkeys(names))

    def selected(self, root: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the `values` below `root` that it may read: all of them where a name is computed."""
        if any(read.root == root and read.name is None for read in self.reads):
            return dict(values)
        return {name: values[name] for name in self.names_read(root) if name in values}


@lru_cache(CACHED)
def condition_text(text: str) -> ConditionText:
    """What `text` mentions. Never raises: a text that is no expression is refused where it is compiled."""
    found = (
        ConditionRead(match[1], _one_of(match.groups()[1:4]), _one_of(match.groups()[4:7]))
        for match in READS.finditer(text)
        if match[1]
    )
    bare = ASIDE.sub(" ", text)
    return ConditionText(
        reads=tuple(dict.fromkeys(found)), tests_presence=TESTS_PRESENCE.search(bare) is not None
    )


def text_error(text: str) -> str | None:
    """What is wrong with a condition whatever it is evaluated with, as far as its text shows it."""
    if len(text) > MAXIMUM_CHARACTERS:
        return f"has {len(text)} characters; {MAXIMUM_CHARACTERS} are allowed"
    if "${" in text:
        return "placeholders are not filled in here: write params.name for ${params.name}"
    for read in condition_text(text).reads:
        if read.root == "shard" and read.name is not None and read.name not in SHARD_FIELDS:
            return f"there is no shard.{read.name[:80]}: a shard has {', '.join(SHARD_FIELDS)}"
        if read.root == "tasks" and read.member not in (None, "output"):
            return f'there is no tasks["{read.name}"].{read.member}: a task has output'[:300]
    # The specification names RFC 3339; cel-expr-python 0.1.3 takes more: " 2026-1-31T10:00:00+0800".
    for literal in TIME_LITERAL.finditer(text) if "timestamp" in text else ():
        value = _one_of(literal.groups())
        if value is not None and not RFC3339.fullmatch(value):
            return f"{value[:80]} is no time as RFC 3339 writes it: 2026-01-31T10:00:00Z"
    return None


def _one_of(groups: tuple[str | Any, ...]) -> str | None:
    return next((group for group in groups if group is not None), None)
