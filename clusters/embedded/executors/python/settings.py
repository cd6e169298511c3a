"""The settings of the executor of `python` tasks."""

import os
import shutil
import sys
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from clusters.embedded.executors.interface import ExecutorContext

PackageName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$")]


class PythonSettings(Struct, frozen=True, kw_only=True):
    """The settings of the executor of `python` tasks: what may be called, and in how much memory."""

    packages: tuple[PackageName, ...] = ()
    """The packages or modules whose functions tasks may call, with all below them; none by default."""
    interpreter: str = ""
    """The Python interpreter of the environment that has the packages; empty: that of the cluster."""
    workers: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """The most worker processes; 0: twice the machine's processors. A try waits until one is free."""
    memory_mib: Annotated[int, Meta(ge=64, le=1_048_576)] = 1_024
    """The memory of a worker process, of which a task may ask for less by `resources.memoryMiB`."""
    calls: Annotated[int, Meta(ge=1, le=1_000_000)] = 500
    """The calls after which a worker process is replaced: what a package leaks ends with it."""
    idle_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """The seconds without a call after which a worker process is ended."""

    @property
    def most_workers(self) -> int:
        return self.workers or 2 * (os.cpu_count() or 1)

    @property
    def program(self) -> str:
        return self.interpreter or sys.executable

    def permits(self, module: str) -> bool:
        """Returns whether functions of a module may be called."""
        return any(module == package or module.startswith(f"{package}.") for package in self.packages)


def unavailable(_: ExecutorContext, settings: PythonSettings) -> str:
    """Returns why a cluster with these settings runs no `python` tasks; empty if it does."""
    if not settings.packages:
        return "its setting packages lists no package whose functions tasks may call"
    if shutil.which(settings.program) is None:
        return f"its setting interpreter: there is no program {settings.program}"
    return ""
