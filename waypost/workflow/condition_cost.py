"""Analyzes a condition's text: the values it reads, its nested loops, its regular expressions' cost."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

_QUOTED: Final = (
    r'"""(?:\\[\s\S]|[^\\])*?"""|'
    + r"'''(?:\\[\s\S]|[^\\])*?'''|"
    + r'"(?:\\.|[^"\\\n\r])*"|'
    + r"'(?:\\.|[^'\\\n\r])*'"
)
_RAW: Final = (
    r'(?<![A-Za-z0-9_])[bB]?[rR](?:"""[\s\S]*?"""|' + r"'''[\s\S]*?'''|" + r'"[^"\n\r]*"|' + r"'[^'\n\r]*')"
)
_ASIDE: Final = rf"{_RAW}|{_QUOTED}|//[^\n\r]*"
"""Matches a literal or a comment: words inside them are not names."""

_MEMBER: Final = r"""\s*(?:\[\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\]|\.\s*([A-Za-z_]\w*))"""
READS: Final = re.compile(rf"(?<![\w.])(tasks|params|shard)\b(?:{_MEMBER})?|{_ASIDE}")
ASIDE: Final = re.compile(_ASIDE)
LOOP: Final = re.compile(r"\b(all|exists|exists_one|existsOne|filter|map)\s*\((?:\s*([A-Za-z_]\w*)\s*,)?")
PART: Final = re.compile(rf"{LOOP.pattern}|(?<![\w.])(tasks|params|shard)\b|[(\[{{]|[)\]}}]")
MATCHES: Final = re.compile(r"\bmatches\s*\(")
PATTERN: Final = re.compile(rf"\bmatches\s*\(\s*({_RAW}|{_QUOTED})\s*\)|{_ASIDE}")
ATOM: Final = re.compile(r"([)\]]?)\{(\d{1,6})?,?(\d{1,6})?\}|\\{1,2}(?:[pP](?:\{\w*\}|\w)|[wWbB])|[\s\S]")
UNBOUNDED: Final = 10**12


class ConditionText(Struct, frozen=True, kw_only=True):
    """The result of analyzing a condition's text. Work is counted in steps of about 20 ns."""

    reads: tuple[tuple[str, str | None], ...]
    """Pairs of a root (tasks, params or shard) and the name read below it, in order; None for a computed name
    or all.
    """
    mentions: int
    variables: frozenset[str]
    """The loop variables."""
    depth: int
    """The deepest nesting of loops."""
    copying: bool
    """Whether a loop copies its accumulator or a value that is read, at each turn."""
    maps: int
    """Loops whose result may be larger than what they iterate over (`map`)."""
    sums: int
    commas: int
    compiling: int
    """Steps to compile the expression, and its regular expressions at each evaluation."""


def analyze(text: str) -> ConditionText:
    """Finds the reads, the loops and the cost of the condition `text`.

    Never raises: a text that does not compile is refused where it is compiled.
    """
    bare = ASIDE.sub(lambda aside: " " if aside[0].startswith("//") else '""', text)
    found = [
        (match[1], "".join(filter(None, match.groups()[1:])) or None)
        for match in READS.finditer(text)
        if match[1]
    ]
    loops = LOOP.findall(bare)
    depth, inside = _nesting(bare)
    return ConditionText(
        reads=tuple(dict.fromkeys(found)),
        mentions=len(found),
        variables=frozenset(name for _, name in loops if name),
        depth=depth,
        copying=inside or any(kind in ("filter", "map") for kind, _ in loops),
        maps=sum(kind == "map" for kind, _ in loops),
        sums=bare.count("+"),
        commas=bare.count(","),
        compiling=100 * len(text) + sum(_patterns(text, len(MATCHES.findall(bare)))),
    )


def _nesting(bare: str) -> tuple[int, bool]:
    """The deepest nesting of loops, and whether a value is read inside a loop."""
    opened: list[bool] = []
    deepest, inside = 0, False
    for part in PART.finditer(bare):
        if part[1] or part[0] in "([{":
            opened.append(part[1] is not None)
            deepest = max(deepest, sum(opened))
        elif part[3]:
            inside = inside or any(opened)
        elif opened:
            opened.pop()
    return deepest, inside


def _patterns(text: str, calls: int) -> Iterator[int]:
    """The cost of each regular expression, in steps. A computed one may be any, so its cost has no bound."""
    literal = [match[1] for match in PATTERN.finditer(text) if match[1]]
    yield from map(_pattern, literal)
    if len(literal) < calls:
        yield UNBOUNDED


def _pattern(pattern: str) -> int:
    """The cost of one regular expression, in steps, `UNBOUNDED` at most.

    A Unicode class compiles to about 50 times a character, and repetitions multiply.
    """
    steps, groups, last = 0, 1, 0
    for atom in ATOM.finditer(pattern):
        if atom[2] or atom[3]:
            times = max(int(atom[2] or 1), int(atom[3] or 1))
            groups, steps = (groups * times, steps) if atom[1] else (groups, steps + last * times)
        else:
            last = 15_000 if len(atom[0]) > 1 else 300
            steps += last
        if steps * groups > UNBOUNDED:
            return UNBOUNDED
    return steps * groups
