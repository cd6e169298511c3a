"""The types of `tasks[].run` for the executors that ship with Waypost (`process`, `delay`).

Documents are checked against them. An executor that is added has its own type in its own room (package).
"""

from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

Argument: TypeAlias = str | int | float | bool
"""The type of one word of a command: text, or the number or boolean that `${shard.index}` renders to."""

VariableName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[^=\0]+$", description="the name of a variable: it has no = in it, and is not empty")
]


WorkspacePath: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?!/)(?!(?:.*/)?\.\.(?:/|$))",
        description="a folder in the workspace: relative, and without ..",
    ),
]


OWN_VARIABLES: Final = frozenset(
    f"WAYPOST_{name}"
    for name in ("INPUT", "OUTPUT", "WORKSPACE", "REGION", "RUN", "SHARD", "EPOCH", "TASK", "TRY")
)
"""The environment variables that Waypost sets for a process, whatever its `env` says."""


class ProcessRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The `run` of a `process` task: a command that is started without a shell, and its environment.

    The environment is `env` and the variables that Waypost sets, nothing of the cluster's.
    """

    command: Annotated[tuple[Argument, ...], Meta(min_length=1)]
    env: dict[VariableName, Argument] = {}
    working_directory: WorkspacePath | None = None
    """The folder that the command runs in, relative to the shard's workspace."""

    def __post_init__(self) -> None:
        if self.command[0] == "":
            raise ValueError("the first word of the command is the program: it must not be empty")


def argument_text(argument: Argument) -> str:
    """Converts an argument of a command to the text that the process receives.

    Text stays as it is, anything else becomes JSON.
    """
    return argument if isinstance(argument, str) else msgspec.json.encode(argument).decode()


class DelayRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The `run` of a `delay` task, which waits for `seconds` and succeeds."""

    seconds: Annotated[float, Meta(ge=0, le=31_536_000)]


class DeclaredExecutors(Struct, frozen=True, kw_only=True):
    """The executors that a kind of cluster declares: their types of `run`, and which may run exclusive tasks.

    The gateway checks the tasks of documents against them.
    """

    run_types: Mapping[str, type[Struct]]
    """The type of a task's `run`, by the name of the executor."""
    exclusive: frozenset[str]
    """The executors that are certain to end a task before its run-lease expires."""
    secrets: frozenset[str] = frozenset()
    """The executors that give secrets to their tasks."""
    waiting: frozenset[str] = frozenset()
    """The executors whose tasks only wait, and occupy no processor."""
