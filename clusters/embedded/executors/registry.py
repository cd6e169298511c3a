"""The registry of the embedded cluster's executors, with one entry for each type of task.

To add one: write it in a room (package) of its own, with the types of its `run` and of its settings, and add
an entry here. The cluster takes only tasks that these executors run; the gateway checks documents against the
same entries.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic

from loguru import logger
from msgspec import Struct

from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.interface import Executor, ExecutorContext
from clusters.embedded.executors.process.executor import ProcessExecutor
from clusters.embedded.executors.process.settings import ProcessSettings
from clusters.plugin_settings import NoSettings, S, plugin_settings
from waypost.workflow.run_types import DeclaredExecutors, DelayRun, ProcessRun


class RegisteredExecutor(Struct, Generic[S], frozen=True, kw_only=True):
    """The registry entry of an executor: its type of `run`, use in exclusive workflows, settings, factory."""

    run_type: type[Struct]
    """The type of a task's `run` for this executor."""
    exclusive: bool
    """Whether exclusive workflows may use it, since it ends a task before the task's lease expires."""
    settings: type[S]
    """The type of the executor's settings, which a cluster gets as `--executor.NAME.SETTING=VALUE`."""
    waits: bool = False
    """Whether its tasks only wait: they occupy no processor, whatever their `resources` say."""
    build: Callable[[ExecutorContext, S], Executor]
    unavailable: Callable[[ExecutorContext, S], str] = lambda *_: ""
    """Returns a sentence that says why this host cannot run the executor; empty if it can.

    It may block, for seconds at most: the cluster waits for it at its start.
    """


EXECUTORS: Final[Mapping[str, RegisteredExecutor[Any]]] = {
    "process": RegisteredExecutor(
        run_type=ProcessRun,
        exclusive=True,
        settings=ProcessSettings,
        build=lambda context, settings: ProcessExecutor(
            context.region, context.workspaces, settings, context.hidden
        ),
    ),
    "delay": RegisteredExecutor(
        run_type=DelayRun, exclusive=True, settings=NoSettings, waits=True, build=lambda *_: DelayExecutor()
    ),
}
"""The registered executors, by the task type that each of them runs."""


def declare(executors: Mapping[str, RegisteredExecutor[Any]]) -> DeclaredExecutors:
    """Converts registry entries to the declaration of executors that documents are checked against."""
    return DeclaredExecutors(
        run_types={name: entry.run_type for name, entry in executors.items()},
        exclusive=frozenset(name for name, entry in executors.items() if entry.exclusive),
        waiting=frozenset(name for name, entry in executors.items() if entry.waits),
    )


def executor_settings(tables: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Struct]:
    """Returns the settings of every executor: the values in its table in `tables`, else the defaults.

    `tables` and the result are by the executor's name.
    Raises `ValueError` for an unknown executor, an unknown setting, and a value that a setting cannot have.
    """
    settings = {}
    for name in (*EXECUTORS, *tables):
        if name not in EXECUTORS:
            raise ValueError(f"there is no executor {name}; there are: {', '.join(sorted(EXECUTORS))}")
        try:
            settings[name] = plugin_settings(tables.get(name, {}), EXECUTORS[name].settings)
        except ValueError as error:
            raise ValueError(f"the executor {name}: {error}") from error
    return settings


async def executors_of_this_host(
    context: ExecutorContext, settings: Mapping[str, Struct]
) -> Mapping[str, RegisteredExecutor[Any]]:
    """Returns the executors that this host can run, with their entries; logs why it cannot run others.

    A cluster advertises no others.
    """
    found = {}
    for name, entry in EXECUTORS.items():
        # In a thread: it may ask a daemon, and wait for it.
        if why := await asyncio.to_thread(entry.unavailable, context, settings[name]):
            logger.warning("this cluster runs no {} tasks: {}", name, why)
        else:
            found[name] = entry
    return found


DECLARED: Final = declare(EXECUTORS)
"""The executors of an embedded cluster, in the form that the gateway checks documents against."""
