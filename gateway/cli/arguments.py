"""The command-line options and arguments that several commands share, with their help texts."""

from enum import StrEnum
from typing import Annotated

from cyclopts import Parameter


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
    str | None, Parameter(help="Only what is not older: 90s, 30m, 2h, 7d, or seconds since 1970.")
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
