"""What `run` holds for each executor that ships with us. Types only: the gateway checks documents against them."""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

Argument: TypeAlias = str | int | float | bool
"""A word of a command: `${shard.index}` alone is a number, and may stand there like one inside a longer text."""

Variable: TypeAlias = Annotated[
    str, Meta(pattern=r"^[^=\0]+$", description="the name of a variable: it has no = in it, and is not empty")
]


Inside: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?!/)(?!(?:.*/)?\.\.(?:/|$))",
        description="a folder in the workspace: relative, and without ..",
    ),
]


class ProcessRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A command, without a shell. Its environment is `env` and what Waypost sets, nothing of the cluster's own."""

    command: Annotated[tuple[Argument, ...], Meta(min_length=1)]
    env: dict[Variable, Argument] = {}
    working_directory: Inside | None = None
    """Relative to the shard's workspace."""


def text_of(argument: Argument) -> str:
    """The argument as a process gets it: what is no text as JSON writes it."""
    return argument if isinstance(argument, str) else msgspec.json.encode(argument).decode()


class DelayRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Does nothing for so long."""

    seconds: Annotated[float, Meta(ge=0, le=31_536_000)]
