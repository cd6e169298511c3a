"""Tests the forming of log lines that come in pieces."""

import pytest

from gateway.api.logs.line_forms import LinePrefixes, format_written_at


@pytest.mark.parametrize(
    ("pieces", "formed"),
    [
        (["on", "e\r\u2028x\ntw", "o"], "> one\r\u2028x\n> two"),
        (["a\n", "", "\n", "b\n"], "> a\n> \n> b\n"),
        (["\n\n"], "> \n> \n"),
        ([], ""),
    ],
)
def test_pieces_are_no_lines(pieces: list[str], formed: str) -> None:
    """A line that comes in two pieces is one, and other line ends are part of it."""
    prefixes = LinePrefixes()
    assert "".join(prefixes.add(piece, "> ") for piece in pieces) == formed
    assert prefixes.within_line == (formed != "" and not formed.endswith("\n"))


def test_times_are_of_one_width_and_zone() -> None:
    """As kubectl writes them, to the millisecond; one that is not known is no time."""
    assert format_written_at(1_769_850_000.0625) == "2026-01-31T09:00:00.062Z"
    assert format_written_at(0.0) == "1970-01-01T00:00:00.000Z"
    assert format_written_at(253_402_300_799.0) == "9999-12-31T23:59:59.000Z"
    assert format_written_at(None) == "-"
