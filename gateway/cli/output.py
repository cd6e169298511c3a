"""What the command line prints: tables for people, JSON or YAML for programs, colour only at a terminal."""

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, ParamSpec

import msgspec
import yaml
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.client import CliError, Exit

P = ParamSpec("P")

COLOURS: Mapping[str, str] = {
    "Succeeded": "green",
    "Healthy": "green",
    "Running": "cyan",
    "Dispatching": "cyan",
    "Warming": "cyan",
    "Pending": "dim",
    "Suspect": "yellow",
    "Degraded": "yellow",
    "Cancelling": "yellow",
    "Failed": "red",
    "Quarantined": "red",
    "Unreachable": "red",
    "Ejected": "red",
}


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, Parameter(name=["--output", "-o"], help="table, json or yaml")]


def console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def painted(word: str) -> str:
    """A phase or condition in its colour; rich drops the markup where there is no terminal."""
    colour = COLOURS.get(word)
    return f"[{colour}]{word}[/]" if colour else word


def show(value: Any, output: Format) -> None:
    """Prints `value` for a program."""
    if output is Format.YAML:
        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table that greps well."""
    grid = Table(*columns, box=None, pad_edge=False, header_style="bold", show_edge=False)
    for row in rows:
        grid.add_row(*("-" if cell is None else str(cell) for cell in row))
    return grid


def seconds(value: float) -> str:
    """`0.4s`, `42s`, `3m12s`, `2h05m`."""
    if value < 10:
        return f"{value:.1f}s"
    if value < 60:
        return f"{value:.0f}s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def command(function: Callable[P, int | None]) -> Callable[P, int]:
    """A command that says what went wrong in words, and ends with the code that belongs to it."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return function(*args, **kwargs) or Exit.DONE
        except CliError as error:
            screen = console(stderr=True)
            screen.print(f"[red]error:[/] {escape(error.message)}", markup=True)
            for line in error.lines:
                screen.print(f"  {line}", markup=False)
            return error.code
        except KeyboardInterrupt:
            return 130

    return run
