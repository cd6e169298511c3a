"""The arguments that several commands take, with their help texts."""

from enum import StrEnum
from typing import Annotated

from cyclopts import Parameter


class Format(StrEnum):
    """The form in which a command prints its result."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, Parameter(name=["--output", "-o"], help="table, json or yaml")]
RunId = Annotated[str, Parameter(help="The run's id, as `submit` and `runs` print it.")]
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
