"""The command-line options and arguments that several commands share, with their help texts."""

import re
import time
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from cyclopts import Parameter

from gateway.cli.errors import CliError, Exit

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""The seconds of each unit in which a time ago is written."""


class Format(StrEnum):
    """The output format of a command's result: a table, JSON, YAML, or names alone."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"
    """The ids or names of the result alone, one per line, for scripts."""


Output = Annotated[Format, Parameter(name=["--output", "-o"], help="table, json, yaml or name")]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", help="The same as -o name.")]
RunId = Annotated[
    str,
    Parameter(help="The run's id, the beginning of it that no other has, or @latest: your newest one."),
]
RunIds = Annotated[str, Parameter(help="More runs, each in the same way.")]
Since = Annotated[
    str | None,
    Parameter(
        help="Only what is not older: 90s, 30m, 2h, 7d, 2026-01-31T09:00Z, or a number: seconds since 1970."
    ),
]
Limit = Annotated[int, Parameter(help="So many at most.")]
Continued = Annotated[
    str | None, Parameter(name="--continue", help="Go on where the page before ended, which tells how.")
]
RegionName = Annotated[str, Parameter(help="Its name.")]
Url = Annotated[
    str | None,
    Parameter(
        name="--url",
        env_var="WAYPOST_URL",
        help="The gateway. Default: the one that `waypost up` started here.",
    ),
]
Token = Annotated[
    str | None,
    Parameter(
        name="--token",
        env_var="WAYPOST_TOKEN",
        help="A bearer token. Default: a development token, where there is such a gateway.",
    ),
]


def parse_since(text: str) -> int:
    """Converts the option `--since` to seconds since 1970: a time ago, such as `2h`, such seconds, or a date.

    A date without an offset from UTC is one of this machine's time zone. Raises `CliError` for other text.
    """
    if found := re.fullmatch(r"([0-9]{1,11})([smhd]?)", text):
        number = int(found[1])
        return max(0, int(time.time()) - number * UNITS[found[2]]) if found[2] else number
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError, OSError):
        pass
    raise CliError(
        f"--since is a time like 90s, 30m, 2h, 7d or 2026-01-31T09:00Z, not {text!r}", code=Exit.USAGE
    )
