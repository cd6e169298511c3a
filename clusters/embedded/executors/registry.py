"""The registry of executors that ship with the embedded cluster, with one entry each.

To add one: write it beside this file (or in a room of its own), declare the type of its `run` in
`waypost/workflow/run_types.py`, and add an entry here. The cluster builds what is listed and takes only tasks
that these executors run; the gateway checks documents against the same entries.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from loguru import logger
from msgspec import Struct

from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.interface import Executor
from clusters.embedded.executors.process.executor import ProcessExecutor
from waypost.workflow.run_types import DeclaredExecutors, DelayRun, ProcessRun


class ExecutorContext(Struct, frozen=True, kw_only=True):
    """The arguments of an executor's factory: the cluster's region and the folder of all workspaces."""

    region: str
    workspaces: Path
    """The folder below which every shard's workspace lies."""


class RegisteredExecutor(Struct, frozen=True, kw_only=True):
    """The registry entry of an executor: `run` type, permission for exclusive workflows, factory."""

    run_type: type[Struct]
    """The type of a task's `run` for this executor."""
    exclusive: bool
    """Whether exclusive workflows may use it, since it ends a task before the task's lease expires."""
    build: Callable[[ExecutorContext], Executor]
    unavailable: Callable[[], str] = lambda: ""
    """Returns a sentence that says why this host cannot run the executor; empty if it can."""


EXECUTORS: Final[Mapping[str, RegisteredExecutor]] = {
    "process": RegisteredExecutor(
        run_type=ProcessRun,
        exclusive=True,
        build=lambda context: ProcessExecutor(context.region, context.workspaces),
    ),
    "delay": RegisteredExecutor(run_type=DelayRun, exclusive=True, build=lambda _: DelayExecutor()),
}
"""The registered executors, by the task type that each of them runs."""


def declare(executors: Mapping[str, RegisteredExecutor]) -> DeclaredExecutors:
    """Returns the executors in the form that documents are checked against."""
    return DeclaredExecutors(
        run_types={name: entry.run_type for name, entry in executors.items()},
        exclusive=frozenset(name for name, entry in executors.items() if entry.exclusive),
    )


def executors_of_this_host() -> Mapping[str, RegisteredExecutor]:
    """Returns the executors that this host can run, and logs why it cannot run the others.

    A cluster advertises no others.
    """
    found = {}
    for name, entry in EXECUTORS.items():
        if why := entry.unavailable():
            logger.warning("this cluster runs no {} tasks: {}", name, why)
        else:
            found[name] = entry
    return found


DECLARED: Final = declare(EXECUTORS)
"""The executors of an embedded cluster, in the form that the gateway checks documents against."""
