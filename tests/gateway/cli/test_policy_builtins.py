"""Tests `waypost policy builtins`, the list of what rules may call."""

import os
import subprocess
import sys

import pytest

from gateway.cli.policy import rules


def test_builtins_are_listed_with_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    """For authors who wonder why one is refused."""
    rules.builtins()
    printed = capsys.readouterr().out
    assert "units.parse_bytes" in printed
    assert "rounds up where OPA cuts off" in printed


@pytest.mark.integration
def test_a_reader_that_goes_away_is_no_accident() -> None:
    """`waypost policy builtins | head` ends with its own exit code and no stack trace."""
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "policy", "builtins"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, b"")
