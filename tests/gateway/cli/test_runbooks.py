"""Tests that the commands that runbooks tell people to type exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from gateway.__main__ import app
from tests.observability.prometheus_files import RUNBOOKS

PAGES = pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
NUMBERS = {"CPU", "ID", "METRICS_PORT", "PORT", "REVISION", "SEQUENCE", "VERSION"}
"""The placeholders that stand for a number."""


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[str]:
    """Yields the `waypost` commands of a page, from its shell blocks, its backticks and `$(...)`."""
    for block in shell_blocks(text):
        yield from (line for line in block.splitlines() if line.startswith("waypost "))
    yield from (found for found in re.findall(r"`(waypost [^`]+)`", text) if "=" not in found)
    yield from re.findall(r"\$\((waypost [^)]+)\)", text)


@PAGES
def test_the_commands_of_a_runbook_exist(page: Path) -> None:
    """At 3 a.m. what is to be typed must work: the command, its arguments, its options."""
    for line in commands(page.read_text()):
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        words = ["42" if word in NUMBERS else word for word in words if word != "..."]
        try:
            app.parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            raise AssertionError(f"{line}: {error}") from error


@PAGES
def test_no_command_of_a_runbook_has_the_number_of_something(page: Path) -> None:
    """Typed as it stands it would take back another revision than the bad one, for good."""
    acts = [line for line in commands(page.read_text()) if re.search(r"(rollback|show|describe)\b", line)]
    assert [line for line in acts if re.search(r" \d", line.partition("#")[0])] == []


@PAGES
def test_a_runbook_shows_what_its_first_command_prints(page: Path) -> None:
    """Who has never seen it cannot tell a good answer from a bad one: lines with `#>` are the good one."""
    assert "\n#> " in shell_blocks(page.read_text())[0]


@PAGES
def test_no_command_of_a_runbook_waits_for_an_answer_for_good(page: Path) -> None:
    """A process that hangs takes the connection and does not answer."""
    calls = re.findall(r"^curl .*$|`curl [^`]+`", page.read_text(), re.MULTILINE)
    assert [call for call in calls if "-m 5" not in call] == []
