"""The executors that ship with the embedded cluster, one entry each.

To add one: write it beside this file (or in a room of its own), declare the type of its `run` in
`waypost/workflow/run_types.py`, and add an entry here. The cluster builds what is listed and takes only tasks
that these executors run; the gateway checks documents against the same entries.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.interface import Executor
from clusters.embedded.executors.process.executor import ProcessExecutor
from waypost.workflow.run_types import DeclaredExecutors, DelayRun, ProcessRun


class ExecutorContext(Struct, frozen=True, kw_only=True):
    """The arguments of an executor's factory: the region of its cluster, and the folder of all workspaces."""

    region: str
    workspaces: Path
    """The folder below which every shard's workspace lies."""


class RegisteredExecutor(Struct, frozen=True, kw_only=True):
    """The registry entry of an executor: `run` type, permission for exclusive workflows, and factory."""

    run_type: type[Struct]
    """The form of a task's `run`."""
    exclusive: bool
    """Whether it surely ends a task before the task's lease expires: then exclusive workflows may use it."""
    build: Callable[[ExecutorContext], Executor]


EXECUTORS: Final[Mapping[str, RegisteredExecutor]] = {
    "process": RegisteredExecutor(
        run_type=ProcessRun,
        exclusive=True,
        build=lambda context: ProcessExecutor(context.region, context.workspaces),
    ),
    "delay": RegisteredExecutor(run_type=DelayRun, exclusive=True, build=lambda _: DelayExecutor()),
}
"""The executors, by the task type that each of them runs."""

DECLARED: Final = DeclaredExecutors(
    run_types={name: entry.run_type for name, entry in EXECUTORS.items()},
    exclusive=frozenset(name for name, entry in EXECUTORS.items() if entry.exclusive),
)
"""The executors of an embedded cluster, as the gateway's checks of documents see them."""
