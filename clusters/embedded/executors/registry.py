"""The executors that ship with the embedded cluster, one entry each.

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
    unavailable: Callable[[], str] = lambda: ""
    """Says in a sentence why the host cannot run it, such as without a daemon; empty: it can."""


EXECUTORS: Final[Mapping[str, RegisteredExecutor]] = {
    "process": RegisteredExecutor(
        run_type=ProcessRun,
        exclusive=True,
        build=lambda context: ProcessExecutor(context.region, context.workspaces),
    ),
    "delay": RegisteredExecutor(run_type=DelayRun, exclusive=True, build=lambda _: DelayExecutor()),
}
"""The executors, by the task type that each of them runs."""


def declare(executors: Mapping[str, RegisteredExecutor]) -> DeclaredExecutors:
    """These executors as documents are checked against them."""
    return DeclaredExecutors(
        run_types={name: entry.run_type for name, entry in executors.items()},
        exclusive=frozenset(name for name, entry in executors.items() if entry.exclusive),
    )


def executors_of_this_host() -> Mapping[str, RegisteredExecutor]:
    """The executors that this host can run: a cluster advertises no others. Logs why it cannot run one."""
    found = {}
    for name, entry in EXECUTORS.items():
        if why := entry.unavailable():
            logger.warning("this cluster runs no {} tasks: {}", name, why)
        else:
            found[name] = entry
    return found


DECLARED: Final = declare(EXECUTORS)
"""The executors of an embedded cluster, as the gateway's checks of documents see them."""
