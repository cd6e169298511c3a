"""Tests that the commands in the runbooks are commands that `waypost` takes."""

import re
import shlex
from collections.abc import Iterator

import pytest

from gateway.__main__ import app
from tests.observability.prometheus_files import RUNBOOKS

STANDS_FOR_A_NUMBER = ("SEQUENCE", "VERSION", "PORT")


def commands() -> Iterator[tuple[str, str]]:
    """Yields each command in the runbooks, with the page that has it."""
    for page in sorted(RUNBOOKS.glob("*.md")):
        found = re.findall(r"^waypost (.+)$|`waypost ([^`]+)`", page.read_text(), re.MULTILINE)
        for line, inline in found:
            yield page.stem, re.sub(r" +#.*| > .*| \.\.\.$", "", line or inline)


@pytest.mark.parametrize("command", sorted({command for _, command in commands()}))
def test_each_command_in_a_runbook_can_be_typed(command: str) -> None:
    """At night nobody guesses how a command is called now; what stands for a number is one here."""
    words = ["1" if word in STANDS_FOR_A_NUMBER else word for word in shlex.split(command)]
    call, _, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert callable(call)
