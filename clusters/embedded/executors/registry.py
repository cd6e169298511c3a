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
    """What an executor is built with: facts about the cluster that it runs tasks for."""

    region: str
    workspaces: Path
    """The folder below which every shard's workspace lies."""


class RegisteredExecutor(Struct, frozen=True, kw_only=True):
    """An executor's entry: what it accepts and promises, and how to build it."""

    run_type: type[Struct]
    """The form of a task's `run`."""
    exclusive: bool
    """It ends a task for sure before the task's lease expires, so that exclusive workflows may use it."""
    build: Callable[[ExecutorContext], Executor]


EXECUTORS: Final[Mapping[str, RegisteredExecutor]] = {
    "process": RegisteredExecutor(
        run_type=ProcessRun,
        exclusive=True,
        build=lambda context: ProcessExecutor(context.region, context.workspaces),
    ),
    "delay": RegisteredExecutor(run_type=DelayRun, exclusive=True, build=lambda _: DelayExecutor()),
}
"""By the task type that each of them runs."""

DECLARED: Final = DeclaredExecutors(
    run_types={name: entry.run_type for name, entry in EXECUTORS.items()},
    exclusive=frozenset(name for name, entry in EXECUTORS.items() if entry.exclusive),
)
"""What tasks and documents may ask of an embedded cluster."""
