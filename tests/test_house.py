"""Tests the limits of the source code that no linter checks."""

import ast
import re
import subprocess
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("waypost", "gateway", "clusters", "observability", "helm", "tests", "bench", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
PRODUCT = [
    path for path in SOURCES if path.relative_to(ROOT).parts[0] not in ("helm", "tests", "bench", "examples")
]
ROOMS = sorted({path.parent for path in PRODUCT})
RIDDLES = re.compile(
    r"\b(road|told|tells of|stray|anew|whoever|what came of|greeted|excused|is taken up|so long as it)\b",
    re.I,
)
"""The words that must not be used in docstrings and comments, since they read as riddles."""
BANNED_NAMES = re.compile(r"util|helper|manager|common|misc|(^|_)base(_|$)", re.IGNORECASE)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def definitions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Returns the functions and classes of a file."""
    found, waiting = [], list(parsed(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node)
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())
    return found


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in definitions_of(path) if not isinstance(node, ast.ClassDef)]


def test_a_file_is_short_enough_to_hold_in_mind() -> None:
    """Under 300 lines: a longer file is two."""
    assert [relative(path) for path in SOURCES if len(path.read_text().splitlines()) > 300] == []


def test_a_function_is_short_enough_to_see_at_once() -> None:
    """Under 50 lines: a longer function decides and acts."""
    assert [
        f"{relative(path)}:{function.lineno}"
        for path in SOURCES
        for function in functions_of(path)
        if (function.end_lineno or function.lineno) - function.lineno >= 50
    ] == []


def test_names_say_what_a_thing_is() -> None:
    """A name that fits everything says nothing."""
    assert [
        f"{relative(path)}: {name}"
        for path in SOURCES
        for name in (
            path.stem,
            *(node.name for node in definitions_of(path)),
        )
        if BANNED_NAMES.search(name)
    ] == []


def test_our_own_modules_are_imported_at_the_top() -> None:
    """A cycle that an import inside a function hides is a cycle all the same."""
    assert [
        f"{relative(path)}:{node.lineno}"
        for path in PRODUCT
        for function in functions_of(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and re.search(r"\b(waypost|gateway|clusters|observability)\b", ast.unparse(node))
    ] == []


def test_a_room_holds_one_idea() -> None:
    """A room of more than fifteen files is usually two."""
    assert [
        relative(room)
        for room in ROOMS
        if len([path for path in room.glob("*.py") if path.name != "__init__.py"]) > 15
    ] == []


def test_a_room_says_what_it_is() -> None:
    """A stranger reads the paragraph of the package before its files."""
    assert [relative(room) for room in ROOMS if not ast.get_docstring(parsed(room / "__init__.py"))] == []


def test_docstrings_and_comments_use_plain_words() -> None:
    """Who knows the field understands at once."""
    assert [
        f"{relative(path)}:{line}: {found[0]}"
        for path in PRODUCT
        for line, text in prose_of(path)
        if (found := RIDDLES.search(text))
    ] == []


def prose_of(path: Path) -> list[tuple[int, str]]:
    """Returns the comments and docstrings of a file, with their lines."""
    with path.open("rb") as file:
        return [
            (token.start[0], token.string)
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.COMMENT
            or (token.type == tokenize.STRING and token.string.startswith('"""'))
        ]


def test_no_file_names_a_machine() -> None:
    """What is committed holds on every machine: no home folders, no registry hosts."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    pattern = re.compile(r"/(root|home/\w+|work)/|pypi\.org|files\.pythonhosted", re.IGNORECASE)
    texts = ((name, (ROOT / name).read_text(errors="ignore")) for name in tracked if (ROOT / name).is_file())
    assert [name for name, text in texts if name != "tests/test_house.py" and pattern.search(text)] == []


def test_no_file_holds_both_sides_of_a_merge() -> None:
    pattern = r"^(<{7}|>{7}) "
    found = subprocess.run(
        ["git", "grep", "--extended-regexp", "--files-with-matches", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
