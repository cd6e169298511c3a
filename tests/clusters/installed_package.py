"""Installs a small package with plug-ins (executors, a kind of cluster) into a folder on `sys.path`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clusters.embedded.executors.registry import third_party_executors
from clusters.registry import third_party_kinds

MODULE = """
from typing import Any
from msgspec import Struct
from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.registry import RegisteredExecutor
from clusters.embedded.scheduling.launch import Outcome
from clusters.registry import CLUSTER_KINDS, ClusterKind
from waypost.workflow.run_types import DeclaredExecutors


class ShoutRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str


class ShoutSettings(Struct, frozen=True, kw_only=True):
    mark: str = "!"


class ShoutExecutor(DelayExecutor):
    def __init__(self, context: Any, settings: ShoutSettings) -> None:
        self.mark = settings.mark

    async def execute(self, launch: Any, folders: Any, lease: Any) -> Outcome:
        return Outcome(succeeded=True, output=launch.task.run["text"].upper() + self.mark)


def fail(*_: Any) -> Any:
    raise RuntimeError("no such device")


def entry(**more: Any) -> RegisteredExecutor:
    values = dict(run_type=ShoutRun, exclusive=False, settings=ShoutSettings, build=ShoutExecutor)
    return RegisteredExecutor(**(values | more))


SHOUT = entry()
UNBUILT = entry(build=fail)
UNASKED = entry(unavailable=fail)
NUMBER = 7
KIND = ClusterKind(
    executors=lambda: DeclaredExecutors(run_types={"shout": ShoutRun}, exclusive=frozenset()),
    settings=CLUSTER_KINDS["embedded+https"].settings,
    adapter=CLUSTER_KINDS["embedded+https"].adapter,
)
"""
ENTRY_POINTS = """
[waypost.executors]
shout = acme_tasks:SHOUT
unbuilt = acme_tasks:UNBUILT
unasked = acme_tasks:UNASKED
missing = acme_tasks.nowhere:SHOUT
number = acme_tasks:NUMBER
leaving = acme_leaving:SHOUT
delay = acme_tasks:SHOUT

[waypost.clusters]
acme+https = acme_tasks:KIND
torn+https = acme_tasks.nowhere:KIND
"""


def write_package(folder: Path) -> None:
    """Writes the package `acme-tasks` as an installer does: modules, and metadata with entry points."""
    (folder / "acme_tasks.py").write_text(MODULE)
    (folder / "acme_leaving.py").write_text("import sys\nsys.exit(3)\n")
    metadata = folder / "acme_tasks-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tasks\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)


@contextmanager
def installed_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes this process find the package; forgets it at the end."""
    folder.mkdir()
    write_package(folder)
    monkeypatch.syspath_prepend(str(folder))
    third_party_executors.cache_clear()
    third_party_kinds.cache_clear()
    try:
        yield
    finally:
        monkeypatch.undo()
        for module in ("acme_tasks", "acme_leaving"):
            sys.modules.pop(module, None)
        third_party_executors.cache_clear()
        third_party_kinds.cache_clear()
