"""Tests the printing of output, also where it cannot be written."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.arguments import Format
from gateway.cli.output import command, console, format_count, serialize, table
from gateway.documents.strict_yaml import read_yaml

RUN = "01a21051513d764e64a3d1414f5f"
PRINTS = (
    "import sys; from gateway.cli.output import *;"
    " sys.exit(command(lambda: [{}('x' * 70) for _ in range({})] and None)())"
)
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("terminal", ["0", "1"])
def test_nothing_is_cut(
    terminal: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run's id is whole, in a pipe and at a narrow terminal, which breaks lines by itself."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    console().print(
        table(["RUN", "REASON"], [[RUN, "the region was lost, and another one, and yet another one"]] * 2)
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert f"{RUN}  the region was lost, and another one, and yet another one" in lines[1]


def test_a_view_that_is_redrawn_fits_its_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It could not be drawn over otherwise; still no letter is lost."""
    monkeypatch.setenv("COLUMNS", "30")
    console(width=None).print(table(["SHARD", "RUNNING"], [[0, "a" * 40]]), soft_wrap=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 30 and sum(line.count("a") for line in lines) == 40


@pytest.mark.parametrize(
    "text", ["1e5", "12e03", "-1E+3", "1.0", "0x1f", "null", "yes", "2026-01-01", "", "12:30", "a: b", "é"]
)
def test_text_stays_text_in_yaml(text: str) -> None:
    """For every reader: YAML 1.2 takes 1e5 for a number, 1.1 does not."""
    value: dict[str, Any] = {"name": text, text: [text], "number": 1e5}
    printed = serialize(value, Format.YAML)
    assert yaml.safe_load(printed) == value
    assert read_yaml(printed, maximum_nesting=9, maximum_expansion=0, maximum_values=1_000) == (value, [])


@pytest.mark.integration
@pytest.mark.parametrize("prints", ["print", "console().print"])
def test_a_reader_that_has_seen_enough_is_no_error(prints: str) -> None:
    """`waypost runs | head -1` says nothing on standard error; the code is the one that shells know."""
    script = PRINTS.format(prints, 5_000)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=BUFFERED
    )
    assert process.stdout and process.stdout.readline() == b"x" * 70 + b"\n"
    process.stdout.close()
    assert (process.stderr and process.stderr.read(), process.wait()) == (b"", 141)
    if process.stderr:
        process.stderr.close()


@pytest.mark.integration
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("count", [5_000, 1])
def test_a_full_disk_is_reported(count: int) -> None:
    """Also where all of it is still in the buffer when the command is done."""
    with Path("/dev/full").open("wb") as full:
        script = PRINTS.format("print", count)
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=BUFFERED,
        )
    assert (done.returncode, done.stderr) == (1, "error: stopped: No space left on device\n")


def test_a_file_that_cannot_be_had_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever command was given its name."""

    @command
    def look() -> None:
        Path("/nowhere/at/all").read_bytes()

    assert look() == 2
    assert capsys.readouterr().err == "error: /nowhere/at/all: No such file or directory\n"


def test_one_is_not_many() -> None:
    """`1 shard`."""
    assert [format_count(number, "shard") for number in (0, 1, 2)] == ["0 shards", "1 shard", "2 shards"]
