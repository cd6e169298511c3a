"""May this cluster take a create? The rules that keep a late, doubled or superseded one from ever running."""

import re
from collections.abc import Container, Mapping

import msgspec
from msgspec import Struct

from clusters.protocol import ERA_BITS, AttemptId, RunSpec, ShardSpec
from waypost.workflow.graph import find_cycle
from waypost.workflow.task import SideEffects, TaskSpec

SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
"""Runs name folders."""


class Admission:
    """The newest epoch of each shard and the newest era, and what this cluster is able to run."""

    def __init__(
        self,
        *,
        boot: str,
        cpu: float,
        executors: Mapping[str, type[Struct]],
        exclusive: Container[str],
        highest: Mapping[tuple[str, int], int],
    ) -> None:
        self._boot, self._cpu, self._executors, self._exclusive = boot, cpu, executors, exclusive
        self._highest = dict(highest)
        self._era = max(self._highest.values(), default=0) >> ERA_BITS

    def seen(self, identity: AttemptId) -> None:
        """An epoch that was created or tombstoned here: nothing older of its shard is taken any more."""
        shard = (identity.run, identity.shard)
        self._highest[shard] = max(self._highest.get(shard, 0), identity.epoch)
        self._era = max(self._era, identity.epoch >> ERA_BITS)

    def forget(self, held: Container[tuple[str, int]]) -> None:
        """Shards of which nothing is held any more: a create of theirs that is still on its way is past its fence since long."""
        self._highest = {shard: epoch for shard, epoch in self._highest.items() if shard in held}

    def refusal(self, spec: ShardSpec, now: float) -> str:
        """The reason of a refusal, as in `clusters.protocol.CreateAnswer`; empty where it comes in time and in order at uptime `now`."""
        identity = spec.attempt
        if spec.fence.boot != self._boot:
            return "OtherBoot"
        if now > spec.fence.not_after:
            return "Late"
        if identity.epoch >> ERA_BITS < self._era:
            return "OldEra"
        if identity.epoch < self._highest.get((identity.run, identity.shard), 0):
            return "OldEpoch"
        return ""

    def misfit(self, run: RunSpec | None) -> tuple[str, str]:
        """`Invalid` for what no cluster could run, `Unsupported` for what this one cannot, with a sentence."""
        if run is None or not SAFE_NAME.fullmatch(run.run) or not _well_formed(run):
            return "Invalid", ""
        if lack := self._lack(run):
            return "Unsupported", lack
        return ("" if all(_fits(task, self._executors[task.type]) for task in run.tasks) else "Invalid"), ""

    def _lack(self, run: RunSpec) -> str:
        """What this cluster lacks for `run`, in a sentence; empty where it has all."""
        exclusive = run.side_effects is SideEffects.EXCLUSIVE
        for task in run.tasks:
            if task.type not in self._executors:
                return f"task {task.name} wants the executor {task.type}, which this cluster has not"
            if task.resources.cpu > self._cpu:
                return f"task {task.name} asks for {task.resources.cpu:g} processors; this cluster has {self._cpu:g}"
            if exclusive and task.type not in self._exclusive:
                return f"task {task.name} is exclusive, which the executor {task.type} cannot promise"
        return ""


def _well_formed(run: RunSpec) -> bool:
    names = {task.name for task in run.tasks}
    known = all(need in names for task in run.tasks for need in task.needs)
    return known and len(names) == len(run.tasks) and find_cycle(run.tasks) is None


def _fits(task: TaskSpec, type_: type[Struct]) -> bool:
    """Does `run` have its executor's form? What has placeholders of the shard shows that only once they are filled in."""
    try:
        msgspec.convert(task.run, type_)
    except msgspec.ValidationError:
        return b"${" in msgspec.json.encode(task.run)
    return True
