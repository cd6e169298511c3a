"""The registry of the embedded cluster's executors, with one entry for each type of task.

To add one: write it in a room (package) of its own, with the types of its `run` and of its settings, and add
an entry here; or, in a package of one's own, name the entry as an entry point of the group
`waypost.executors`. The cluster takes only tasks that these executors run; the gateway checks documents
against the same entries.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Generic

from msgspec import Struct

from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.docker.container import DockerSettings
from clusters.embedded.executors.docker.executor import DockerExecutor
from clusters.embedded.executors.docker.executor import unavailable as docker_unavailable
from clusters.embedded.executors.docker.run_type import DockerRun
from clusters.embedded.executors.http.executor import HttpExecutor, HttpSettings
from clusters.embedded.executors.http.executor import unavailable as http_unavailable
from clusters.embedded.executors.http.run_type import HttpRun
from clusters.embedded.executors.interface import Executor, ExecutorContext
from clusters.embedded.executors.process.executor import ProcessExecutor
from clusters.embedded.executors.process.sandbox.probe import why_unavailable
from clusters.embedded.executors.process.settings import ProcessSettings
from clusters.embedded.executors.python.executor import PythonExecutor
from clusters.embedded.executors.python.run_type import PythonRun
from clusters.embedded.executors.python.settings import PythonSettings
from clusters.embedded.executors.python.settings import unavailable as python_unavailable
from clusters.entry_points import PluginsFound, find_plugins
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
    secrets: bool = False
    """Whether it gives secrets to its tasks (`Launch.secrets`)."""
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
        secrets=True,
        settings=ProcessSettings,
        build=lambda context, settings: ProcessExecutor(
            context.region, context.workspaces, settings, context.hidden
        ),
        unavailable=lambda context, settings: why_unavailable(
            settings, context.workspaces, [str(folder) for folder in context.hidden]
        ),
    ),
    "delay": RegisteredExecutor(
        run_type=DelayRun, exclusive=True, settings=NoSettings, waits=True, build=lambda *_: DelayExecutor()
    ),
    "http": RegisteredExecutor(
        run_type=HttpRun,
        exclusive=False,  # a request that is under way when its lease ends cannot be called back
        settings=HttpSettings,
        secrets=True,
        build=lambda _, settings: HttpExecutor(settings),
        unavailable=http_unavailable,
    ),
    "docker": RegisteredExecutor(
        run_type=DockerRun,
        exclusive=False,  # nothing ends a container in time while its engine hangs
        settings=DockerSettings,
        secrets=True,
        build=DockerExecutor,
        unavailable=docker_unavailable,
    ),
    "python": RegisteredExecutor(
        run_type=PythonRun,
        exclusive=False,  # nothing kills a worker process in time while the cluster's process hangs
        settings=PythonSettings,
        build=PythonExecutor,
        unavailable=python_unavailable,
    ),
}
"""The executors that ship with us, by the task type that each of them runs."""


def declare(executors: Mapping[str, RegisteredExecutor[Any]]) -> DeclaredExecutors:
    """Converts registry entries to the declaration of executors that documents are checked against."""
    return DeclaredExecutors(
        run_types={name: entry.run_type for name, entry in executors.items()},
        exclusive=frozenset(name for name, entry in executors.items() if entry.exclusive),
        secrets=frozenset(name for name, entry in executors.items() if entry.secrets),
        waiting=frozenset(name for name, entry in executors.items() if entry.waits),
    )


@cache
def third_party_executors() -> PluginsFound[RegisteredExecutor[Any]]:
    """Returns the executors that other packages bring by entry points of the group `waypost.executors`.

    They are loaded by the first call, once for each process.
    """
    return find_plugins("waypost.executors", RegisteredExecutor, taken=EXECUTORS)


def registered_executors() -> Mapping[str, RegisteredExecutor[Any]]:
    """Returns all executors of this installation: those of `EXECUTORS`, and those of other packages."""
    return {**EXECUTORS, **third_party_executors().entries}


def declared_executors() -> DeclaredExecutors:
    """Returns the executors of an embedded cluster, in the form that the gateway checks documents against."""
    return declare(registered_executors())


def executor_settings(tables: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Struct]:
    """Returns the settings of every executor: the values in its table in `tables`, else the defaults.

    `tables` and the result are by the executor's name; a table of a broken executor is not read.
    Raises `ValueError` for an unknown executor, an unknown setting, and a value that a setting cannot have.
    """
    settings, known = {}, registered_executors()
    for name in (*known, *tables):
        if name in third_party_executors().broken:
            continue
        if name not in known:
            raise ValueError(f"there is no executor {name}; there are: {', '.join(sorted(known))}")
        try:
            settings[name] = plugin_settings(tables.get(name, {}), known[name].settings)
        except ValueError as error:
            raise ValueError(f"the executor {name}: {error}") from error
    return settings


DECLARED: Final = declare(EXECUTORS)
"""The executors that ship with us, in the form that the gateway checks documents against."""
