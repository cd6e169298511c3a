"""Prints the results of commands (tables for people, JSON or YAML for programs) and their errors.

All text from outside is printed through this module, which escapes what a terminal would obey or reorder
(`visible`).
"""

import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, ParamSpec

import msgspec
import yaml
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from gateway.cli.arguments import Format
from gateway.cli.errors import CliError, Exit
from waypost.workflow.ijson_limits import NUMBER

P = ParamSpec("P")

UNLIMITED: Final = 10_000
"""A width in columns at which rich neither cuts nor folds a line."""

COLORS: Final[Mapping[str, str]] = {
    "Succeeded": "green",
    "Healthy": "green",
    "Running": "cyan",
    "Dispatching": "cyan",
    "Warming": "cyan",
    "Pending": "dim",
    "Waiting": "dim",
    "Retrying": "yellow",
    "Suspect": "yellow",
    "Degraded": "yellow",
    "Cancelling": "yellow",
    "Failed": "red",
    "Quarantined": "red",
    "Unreachable": "red",
    "Ejected": "red",
}
"""The color of each phase of a run, shard or task, and of each condition of a region."""


UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Matches control characters, those that change the direction of text, and other invisible ones.

Not the joiners (U+200C, U+200D), which some scripts are written with.
"""


class Markup(str):
    """A text with markup of the library rich, made by this program; all other text is printed literally."""

    __slots__ = ()


class Screen(Console):
    """A rich console that escapes control characters, in texts and in cells of tables.

    Rich's own console ends the process at a broken pipe; this one raises the error, for `command` to handle.
    """

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that rich is handling

    def render_str(self, text: str, **options: Any) -> Text:
        # Newlines too: a text is one line or one cell, or else it could look like several.
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        # A second time, for what does not come as a string; here a newline is the end of a line.
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or not UNSEEN.search(segment.text):
                yield segment
            else:
                lines = segment.text.split("\n")
                yield segment._replace(text="\n".join(map(visible, lines)))


class PortableDumper(yaml.CSafeDumper):
    """A YAML dumper whose output has the same meaning for parsers of YAML 1.1 and of YAML 1.2.

    PyYAML follows 1.1, where 1e5 is text, and would write the text "1e5" without quotes; YAML 1.2 takes that
    for a number.
    """


def _represent_text(dumper: PortableDumper, text: str) -> yaml.ScalarNode:
    # In quotes `serialize` can escape it.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if UNSEEN.search(text) else None)


PortableDumper.add_representer(str, _represent_text)
PortableDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"(?:{NUMBER.pattern})$"), list("-0123456789")
)


def console(*, stderr: bool = False, width: int | None = UNLIMITED) -> Screen:
    """Returns a rich console of `width` columns; None: as wide as the terminal, for a redrawn view."""
    return Screen(stderr=stderr, highlight=False, soft_wrap=True, width=width)


def visible(text: str) -> str:
    """Returns `text` on one line, control and bidirectional characters escaped as in Python (`\\x1b`)."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def colored(word: str) -> Markup:
    """Returns `word`, a phase or condition, with rich's markup for its color, if it has one."""
    color = COLORS.get(word)
    return Markup(f"[{color}]{word}[/]" if color else escape(word))


def print_value(value: Any, output: Format) -> None:
    """Prints `value` for a program: as YAML or as names if `output` says so, else as JSON."""
    if output is Format.NAME:
        items = value if isinstance(value, list) else [value]
        print_names(item.get("id") or item["name"] for item in items)
    else:
        sys.stdout.write(serialize(value, output))


def print_more(page: Mapping[str, Any]) -> None:
    """Prints on standard error the option that shows the next page of a list, if there is one.

    It goes to standard error, so that a program reads one list whether there is a next page or not.
    """
    if more := page.get("continue"):
        console(stderr=True).print(f"there are more: go on with --continue {more}", markup=False)


def print_names(names: Iterable[str]) -> None:
    """Prints `names`, one per line, for scripts."""
    sys.stdout.writelines(f"{visible(name)}\n" for name in names)


def serialize(value: Any, output: Format) -> str:
    """Encodes `value` as YAML if `output` says so, else as JSON.

    Control characters are escaped as JSON and YAML do it, so that programs read the same text.
    """
    if output is Format.YAML:
        text = yaml.dump(value, Dumper=PortableDumper, sort_keys=False, allow_unicode=True, width=140)
    else:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
    # Such a character stands in a string alone (the newlines between lines aside), in quotes, where both
    # languages have `\\u`.
    return UNSEEN.sub(_escape_in_quotes, text)


def _escape_in_quotes(found: re.Match[str]) -> str:
    # One beyond U+FFFF becomes two halves, as JSON has it; in YAML libyaml has escaped it already.
    character = found[0]
    return character if character == "\n" else json.dumps(character)[1:-1]


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Builds a rich table without lines, for people and `grep`. None is a dash; `Markup` keeps its colors."""
    grid = Table(
        *(Column(name, overflow="fold") for name in columns),
        box=None,
        pad_edge=False,
        header_style="bold",
        show_edge=False,
    )
    for row in rows:
        grid.add_row(*("-" if cell is None else _cell(cell) for cell in row))
    return grid


def _cell(cell: object) -> str:
    return cell if isinstance(cell, Markup) else escape(str(cell))


def format_time(at: float) -> str:
    """Formats `at`, in seconds since 1970, as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def format_duration(seconds: float) -> str:
    """Formats a duration as `0.4s`, `42s`, `3m12s` or `2h05m`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def format_count(count: int, noun: str) -> str:
    """Formats a count with its noun: `1 shard`, `3 shards`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def command(function: Callable[P, int | None]) -> Callable[P, int]:
    """Wraps `function` as a command: prints its errors as sentences, and returns the exit code."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            code = function(*args, **kwargs) or Exit.DONE
            # Flushed here, where a full disk is still reported as a sentence.
            sys.stdout.flush()
        except CliError as error:
            return print_error(error)
        except BrokenPipeError:
            _discard_output()
            return Exit.BROKEN_PIPE
        except OSError as error:
            return print_error(_os_error(error))
        except UnicodeEncodeError as error:
            message = f"{error.object[:80]!r} is not text that can be written: {error.reason}"
            return print_error(CliError(message, code=Exit.USAGE))
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        return code

    return run


def _os_error(error: OSError) -> CliError:
    """Converts an `OSError` to a `CliError` about the file that it names, or else about standard output.

    What standard output still buffers is then discarded.
    """
    if error.filename is not None:
        return CliError(f"{os.fsdecode(error.filename)}: {error.strerror}", code=Exit.USAGE)
    _discard_output()
    return CliError(f"stopped: {error.strerror or error}")


def _discard_output() -> None:
    """Discards what standard output still buffers, as Python's attempt to write it at exit would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: CliError) -> Exit:
    """Prints `error` on standard error, and returns its exit code."""
    screen = console(stderr=True)
    screen.print(f"[red]error:[/] {escape(error.message)}", markup=True)
    for line in error.lines:
        screen.print(f"  {line}", markup=False)
    return error.code
