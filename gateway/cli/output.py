"""What the command line prints: tables for people, JSON or YAML for programs, colour only at a terminal."""

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, ParamSpec

import msgspec
import yaml
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from gateway.cli.client import CliError, Exit
from waypost.workflow.ijson import NUMBER

P = ParamSpec("P")

WIDE: Final = 10_000
"""Columns of a screen on which nothing is cut or folded: what is too long for a terminal, the terminal breaks."""

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


class Screen(Console):
    """Leaves a broken pipe to `command`."""

    def on_broken_pipe(self) -> None:
        raise  # what is being handled


class Plain(yaml.CSafeDumper):
    """YAML that all read alike: 1e5 as text gets quotes, since YAML 1.2 takes it for a number."""


Plain.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"(?:{NUMBER.pattern})$"), list("-0123456789")
)


def console(*, stderr: bool = False, width: int | None = WIDE) -> Screen:
    """`width` None: as wide as the terminal, for what is drawn anew in place."""
    return Screen(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def painted(word: str) -> str:
    """A phase or condition in its colour; rich drops the markup where there is no terminal."""
    colour = COLOURS.get(word)
    return f"[{colour}]{word}[/]" if colour else word


def show(value: Any, output: Format) -> None:
    """Prints `value` for a program."""
    sys.stdout.write(written(value, output))


def written(value: Any, output: Format) -> str:
    """`value` as YAML where that is asked for, else as JSON."""
    if output is Format.YAML:
        return yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=140)
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table that greps well."""
    grid = Table(
        *(Column(name, overflow="fold") for name in columns),
        box=None,
        pad_edge=False,
        header_style="bold",
        show_edge=False,
    )
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


def counted(count: int, noun: str) -> str:
    """`1 shard`, `3 shards`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def command(function: Callable[P, int | None]) -> Callable[P, int]:
    """A command that says what went wrong in words, and ends with the code that belongs to it."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            code = function(*args, **kwargs) or Exit.DONE
            sys.stdout.flush()
        except CliError as error:
            return _told(error)
        except BrokenPipeError:
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # what is left must not meet the pipe at the interpreter's end
            return Exit.BROKEN_PIPE
        except OSError as error:
            return _told(_of_system(error))
        except UnicodeEncodeError as error:
            return _told(
                CliError(
                    f"{error.object[:80]!r} is not text that can be written: {error.reason}", code=Exit.USAGE
                )
            )
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        return code

    return run


def _of_system(error: OSError) -> CliError:
    """A file that somebody named, or the output itself."""
    if error.filename is not None:
        return CliError(f"{os.fsdecode(error.filename)}: {error.strerror}", code=Exit.USAGE)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CliError(f"stopped: {error.strerror or error}")


def _told(error: CliError) -> Exit:
    screen = console(stderr=True)
    screen.print(f"[red]error:[/] {escape(error.message)}", markup=True)
    for line in error.lines:
        screen.print(f"  {line}", markup=False)
    return error.code
