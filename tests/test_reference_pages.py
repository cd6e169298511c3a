"""Tests the reference pages of the documentation's site, which are made from the code."""

import re
from pathlib import Path

import pytest

from clusters.embedded.executors.registry import EXECUTORS
from docs.reference_pages import PAGES, write_reference
from gateway.__main__ import COMMANDS
from gateway.api.routes import OPERATIONS
from gateway.core.errors import GatewayError


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("reference")
    write_reference(folder)
    return {path.stem: path.read_text() for path in sorted(folder.iterdir())}


def test_every_page_is_written(pages: dict[str, str]) -> None:
    assert sorted(PAGES) == sorted(pages)


def test_each_setting_has_its_type_default_and_meaning(pages: dict[str, str]) -> None:
    """Of a list of tables too, and of an executor."""
    rows = {line for line in pages["settings"].splitlines() if line.startswith("| `")}
    assert any(row.startswith("| `page_maximum` | int | `200` | The maximum number of runs") for row in rows)
    assert "### `[rollback.workflow]`" in pages["settings"]
    assert "### `[issuers[]]`" in pages["settings"]
    assert all(f"`[executors.{name}]`" in pages["settings"] for name in EXECUTORS)


def test_no_secret_is_shown(pages: dict[str, str]) -> None:
    assert "| secret | `***` |" in pages["settings"]


def test_each_command_is_there(pages: dict[str, str]) -> None:
    assert [name for name, *_ in COMMANDS if f"## waypost {name}\n" not in pages["command-line"]] == []


def test_each_call_is_there(pages: dict[str, str]) -> None:
    calls = [f"## {method} {path}\n" for path, methods in OPERATIONS.items() for method in methods]
    assert [call for call in calls if call not in pages["api-calls"]] == []


def test_links_within_a_page_lead_to_a_heading(pages: dict[str, str]) -> None:
    """`[rollback.workflow]` is linked from the table of `[rollback]`."""
    for text in pages.values():
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) - anchors == set()


@pytest.mark.parametrize("kind", GatewayError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_each_error_says_what_to_do(kind: type[GatewayError]) -> None:
    """In its docstring, from which the table in docs/api.md is made."""
    assert "What to do: " in (kind.__doc__ or "")


def test_the_pages_are_not_in_git() -> None:
    """Or they would be out of date after each change of a setting."""
    assert "docs/reference/" in (Path(__file__).parent.parent / ".gitignore").read_text().splitlines()
