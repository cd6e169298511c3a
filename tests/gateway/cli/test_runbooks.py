"""Tests that the commands that runbooks tell people to type exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from gateway.__main__ import app

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks"


def commands(text: str) -> Iterator[str]:
    """Yields the `waypost` commands of a page, from its shell blocks and its backticks."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from (line for line in block.splitlines() if line.startswith("waypost "))
    yield from (found for found in re.findall(r"`(waypost [^`]+)`", text) if "=" not in found)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_the_commands_of_a_runbook_exist(page: Path) -> None:
    """At 3 a.m. what is to be typed must work: the command, its arguments, its options."""
    for line in commands(page.read_text()):
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        # Placeholders of numbers.
        words = ["42" if word in ("PORT", "SEQUENCE", "VERSION") else word for word in words if word != "..."]
        try:
            app.parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            raise AssertionError(f"{line}: {error}") from error
