"""Tests that the commands in the pages of `docs/operations` exist, with their arguments and options."""

import shlex
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from gateway.__main__ import app
from tests.gateway.cli.test_runbooks import shell_blocks

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations"


@pytest.mark.parametrize("page", sorted(OPERATIONS.glob("*.md")), ids=lambda page: page.stem)
def test_the_commands_of_a_page_about_operations_exist(page: Path) -> None:
    """What is typed with a lost disk in one's hand must work."""
    blocks = "".join(shell_blocks(page.read_text()))
    lines = [line for line in blocks.splitlines() if line.startswith("waypost ")]
    assert lines
    for line in lines:
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        try:
            app.parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            raise AssertionError(f"{line}: {error}") from error
