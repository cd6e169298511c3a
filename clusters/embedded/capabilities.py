"""Checks whether a cluster has the executors, the processors and the memory that a run's tasks need."""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from clusters.cluster_status import TENANTS_REPORTED, Isolation
from clusters.embedded.queueing.capacity import Capacity
from clusters.features import FEATURES, SECRETS
from clusters.protocol import OTHER_TENANT, RunSpec
from waypost.workflow.graph import find_cycle
from waypost.workflow.task import SideEffects, TaskSpec

SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
"""Matches a run's name that is safe as the name of a folder: it must not lead out of it."""


class Mismatch(Struct, frozen=True, kw_only=True):
    """The reason why a cluster cannot run any shard of a run."""

    reason: str
    """The kind of reason. `Invalid`: no cluster could run it. `Unsupported`: this one cannot.

    `OtherTenant`: not beside what is here.
    """
    detail: str = ""
    """A sentence that explains the reason; empty where the reason is enough."""


class Tenants:
    """The tenants (fairness keys) that a cluster has tasks or files of, and whether it may take one more.

    `sharing` are the executors whose tasks could reach each other's files, since nothing isolates them. Where
    `one` is set, they run tasks of one tenant only.
    """

    def __init__(self, known: Iterable[str] = (), *, sharing: Container[str] = (), one: bool = False) -> None:
        self._known, self._sharing, self._one = set(known), sharing, one

    def __repr__(self) -> str:
        return f"Tenants({sorted(self._known)}, one={self._one})"

    @property
    def reported(self) -> tuple[str, ...] | None:
        """Returns the keys that the cluster reports, since it takes no other; None where it takes any."""
        return tuple(sorted(self._known)[:TENANTS_REPORTED]) if self._one else None

    def refusal(self, run: RunSpec) -> str:
        """Returns a sentence that says why the run may not come to those that are here; empty if it may."""
        if self._one and self._shares(run) and self._known - {run.fairness_key}:
            return (
                "this cluster has no sandbox, and has files of another tenant; it takes tasks of many tenants"
                " only with --trusted-tenants"
            )
        return ""

    def add(self, run: RunSpec) -> bool:
        """Records the key of a run that is created; returns whether it was not known."""
        if not self._shares(run) or run.fairness_key in self._known:
            return False
        self._known.add(run.fairness_key)
        return True

    def clear(self) -> bool:
        """Forgets all keys, since no file of theirs is left; returns whether there was any."""
        known, self._known = self._known, set()
        return bool(known)

    def _shares(self, run: RunSpec) -> bool:
        return any(task.type in self._sharing for task in run.tasks)


class Capabilities:
    """The capabilities of a cluster: processors, memory, and its executors with the types of their `run`.

    `exclusive`: the executors that may run tasks of exclusive runs; `waiting`: those whose tasks only wait,
    and occupy no processor. `memory_mib` None: memory is not counted. `secrets`: whether tasks get secrets.
    """

    def __init__(
        self,
        *,
        cpu: float,
        memory_mib: int | None = None,
        executors: Mapping[str, type[Struct]],
        exclusive: Container[str],
        waiting: Container[str] = (),
        tenants: Tenants | None = None,
        isolation: Isolation | None = None,
        trusted_tenants: bool = False,
        secrets: bool = True,
    ) -> None:
        self.cpu, self.memory_mib, self.waiting = cpu, memory_mib, waiting
        self.tenants = tenants or Tenants()
        self._isolation, self._trusted_tenants = isolation, trusted_tenants
        self._executors, self._exclusive = executors, exclusive
        self._features = tuple(name for name in FEATURES if secrets or name != SECRETS)

    def __repr__(self) -> str:
        return f"Capabilities({self.capacity()}, executors {self.executors})"

    def capacity(self) -> Capacity:
        """Returns a count of the processors and the memory, of which nothing is taken yet."""
        return Capacity(self.cpu, memory_mib=self.memory_mib, waiting=self.waiting)

    @property
    def executors(self) -> tuple[str, ...]:
        """Returns the types of tasks that the cluster runs, sorted."""
        return tuple(sorted(self._executors))

    @property
    def exclusive(self) -> tuple[str, ...]:
        """Returns those of `executors` that exclusive tasks may use, sorted."""
        return tuple(name for name in self.executors if name in self._exclusive)

    @property
    def reported(self) -> dict[str, Any]:
        """Returns the fields of a `ClusterStatus` that say what the cluster can run."""
        return {
            "executors": self.executors,
            "exclusive": self.exclusive,
            "cpu": self.cpu,
            "memory_mib": self.memory_mib,
            "isolation": self._isolation,
            "trusted_tenants": self._trusted_tenants,
            "tenants": self.tenants.reported,
            "features": self._features,
        }

    def mismatch(self, run: RunSpec | None) -> Mismatch | None:
        """Returns the reason why a run cannot run on this cluster, or None if it can.

        `run` is None where the gateway's batch did not contain it; that and a malformed run are `Invalid`.
        """
        if run is None or not SAFE_NAME.fullmatch(run.run) or not _is_well_formed(run):
            return Mismatch(reason="Invalid")
        if lack := self._lack(run):
            return Mismatch(reason="Unsupported", detail=lack)
        if not all(_has_form(task, self._executors[task.type]) for task in run.tasks):
            return Mismatch(reason="Invalid")
        if refused := self.tenants.refusal(run):
            return Mismatch(reason=OTHER_TENANT, detail=refused)
        return None

    def _lack(self, run: RunSpec) -> str:
        """Returns a sentence that names the capability that this cluster lacks for `run`; empty if none."""
        exclusive = run.side_effects is SideEffects.EXCLUSIVE
        for task in run.tasks:
            if task.type not in self._executors:
                return f"task {task.name} wants the executor {task.type}, which this cluster has not"
            if task.resources.cpu > self.cpu:
                asked = task.resources.cpu
                return f"task {task.name} asks for {asked:g} processors; this cluster has {self.cpu:g}"
            if self.memory_mib is not None and (task.resources.memory_mib or 0) > self.memory_mib:
                mib = task.resources.memory_mib
                return f"task {task.name} asks for {mib} MiB of memory; this cluster has {self.memory_mib}"
            if exclusive and task.type not in self._exclusive:
                return f"task {task.name} is exclusive, which the executor {task.type} cannot promise"
        return ""


def _is_well_formed(run: RunSpec) -> bool:
    """Returns whether a run's tasks form a DAG: unique names, known dependencies, no cycle."""
    names = {task.name for task in run.tasks}
    known = all(need in names for task in run.tasks for need in task.needs)
    return known and len(names) == len(run.tasks) and find_cycle(run.tasks) is None


def _has_form(task: TaskSpec, run_type: type[Struct]) -> bool:
    """Returns whether a task's `run` can be decoded as the `run` type of its executor."""
    try:
        msgspec.convert(task.run, run_type)
    except msgspec.ValidationError:
        # A placeholder of the shard may stand for a number, which shows only when it is filled in.
        return b"${" in msgspec.json.encode(task.run)
    return True
