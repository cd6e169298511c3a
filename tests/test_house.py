"""The limits of the house that no linter holds."""

import ast
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("waypost", "gateway", "clusters", "observability", "tests", "bench", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
PRODUCT = [path for path in SOURCES if path.relative_to(ROOT).parts[0] not in ("tests", "bench", "examples")]
ROOMS = sorted({path.parent for path in PRODUCT})
RIDDLES = re.compile(
    r"\b(road|told|tells of|stray|anew|whoever|what came of|greeted|excused|is taken up|so long as it)\b",
    re.I,
)
"""Words that read as riddles: docs/glossary.md has the words that are ours."""
BANNED_NAMES = re.compile(r"util|helper|manager|common|misc|(^|_)base(_|$)", re.IGNORECASE)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_is_short_enough_to_hold_in_mind(path: Path) -> None:
    """Under 300 lines: a longer file is two."""
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_function_is_short_enough_to_see_at_once(path: Path) -> None:
    """Under 50 lines: a longer function decides and acts."""
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [f.name for f in functions if (f.end_lineno or f.lineno) - f.lineno >= 50] == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_names_say_what_a_thing_is(path: Path) -> None:
    """A name that fits everything says nothing."""
    tree = ast.parse(path.read_text())
    defined = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [name for name in (path.stem, *defined) if BANNED_NAMES.search(name)] == []


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_our_own_modules_are_imported_at_the_top(path: Path) -> None:
    """A cycle that an import inside a function hides is a cycle all the same."""
    inner = (
        node
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    )
    assert [
        ast.unparse(node)
        for node in inner
        if re.search(r"\b(waypost|gateway|clusters|observability)\b", ast.unparse(node))
    ] == []


@pytest.mark.parametrize("room", ROOMS, ids=relative)
def test_a_room_holds_one_idea(room: Path) -> None:
    """A room of more than fifteen files is usually two."""
    files = [path for path in room.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= 15


@pytest.mark.parametrize("room", ROOMS, ids=relative)
def test_a_room_says_what_it_is(room: Path) -> None:
    """A stranger reads the paragraph of the package before its files."""
    assert ast.get_docstring(ast.parse((room / "__init__.py").read_text()))


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_docstrings_and_comments_use_plain_words(path: Path) -> None:
    """Who knows the field understands at once."""
    with path.open("rb") as file:
        tokens = [
            (token.start[0], token.string)
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.COMMENT
            or (token.type == tokenize.STRING and token.string.startswith('"""'))
        ]
    assert [(line, found[0]) for line, text in tokens if (found := RIDDLES.search(text))] == []


def test_no_file_names_a_machine() -> None:
    """What is committed holds on every machine: no home folders, no registry hosts."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    pattern = re.compile(r"/(root|home/\w+|work)/|pypi\.org|files\.pythonhosted", re.IGNORECASE)
    texts = ((name, (ROOT / name).read_text(errors="ignore")) for name in tracked if (ROOT / name).is_file())
    assert [name for name, text in texts if name != "tests/test_house.py" and pattern.search(text)] == []
