"""What can be told from the text of a condition alone: what it reads, how its loops are nested, and what its patterns cost."""

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
"""A literal or a comment: what stands in it names nothing."""

_MEMBER: Final = r"""\s*(?:\[\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\]|\.\s*([A-Za-z_]\w*))"""
READS: Final = re.compile(rf"(?<![\w.])(tasks|params|shard)\b(?:{_MEMBER})?|{_ASIDE}")
ASIDE: Final = re.compile(_ASIDE)
LOOP: Final = re.compile(r"\b(all|exists|exists_one|existsOne|filter|map)\s*\((?:\s*([A-Za-z_]\w*)\s*,)?")
PART: Final = re.compile(rf"{LOOP.pattern}|(?<![\w.])(tasks|params|shard)\b|[(\[{{]|[)\]}}]")
MATCHES: Final = re.compile(r"\bmatches\s*\(")
PATTERN: Final = re.compile(rf"\bmatches\s*\(\s*({_RAW}|{_QUOTED})\s*\)|{_ASIDE}")
ATOM: Final = re.compile(r"([)\]]?)\{(\d{1,6})?,?(\d{1,6})?\}|\\{1,2}(?:[pP](?:\{\w*\}|\w)|[wWbB])|[\s\S]")
UNBOUNDED: Final = 10**12


class Text(Struct, frozen=True, kw_only=True):
    """A condition's text, taken apart. Work is counted in steps of about 20 ns."""

    reads: tuple[tuple[str, str | None], ...]
    """(tasks, params or shard, what of it) in order; None where that is worked out as it goes, or all of it is read."""
    mentions: int
    variables: frozenset[str]
    """Names that its loops give to what they go over."""
    depth: int
    """How many loops are in one another at most."""
    copying: bool
    """Does a loop copy something long at each turn: what it has gathered, or what the condition reads?"""
    maps: int
    """Loops whose result may be larger than what they go over."""
    sums: int
    commas: int
    compiling: int
    """Steps that it takes to compile it, and its patterns at each evaluation."""


def take_apart(text: str) -> Text:
    """Never raises: a text that does not compile is refused by whoever compiles it."""
    bare = ASIDE.sub(lambda aside: " " if aside[0].startswith("//") else '""', text)
    found = [
        (match[1], "".join(filter(None, match.groups()[1:])) or None)
        for match in READS.finditer(text)
        if match[1]
    ]
    loops = LOOP.findall(bare)
    depth, inside = _nesting(bare)
    return Text(
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
    """How deep loops are nested, and whether something is read within one."""
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
    """What each pattern costs. One that is not written out may be any, so its cost has no bound."""
    literal = [match[1] for match in PATTERN.finditer(text) if match[1]]
    yield from map(_pattern, literal)
    if len(literal) < calls:
        yield UNBOUNDED


def _pattern(pattern: str) -> int:
    """A class of Unicode takes a hundred times as long as a character, and a repetition is written out. At most what the library takes."""
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
