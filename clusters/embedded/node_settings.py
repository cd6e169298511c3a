"""The settings of a node (an embedded cluster in one process)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from clusters.embedded.artifacts.settings import ArtifactSettings
from clusters.embedded.executors.registry import executor_settings
from clusters.embedded.machine_memory import machine_memory_mib
from clusters.embedded.queueing.queue_settings import DEFAULT_QUEUE, QueueSettings
from clusters.embedded.secrets.providers import SecretSettings
from clusters.protocol_bounds import CPU_MAXIMUM, MEMORY_MAXIMUM, SLOTS_MAXIMUM


class ClusterNodeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a node: region, state folder, limits, owner, executors.

    Creating them raises `ValueError` for executor settings that are unknown or wrong, and for numbers of
    processors, slots or MiB of memory out of range.
    """

    region: str
    state: str
    """The folder of the journal, the workspaces and the logs."""
    cpu: float = float(os.cpu_count() or 1)
    """The number of processors that tasks may occupy at once."""
    memory_mib: int = machine_memory_mib()
    """The memory that tasks may ask for at once (`resources.memoryMiB`), in MiB."""
    slots: int = 2_000
    """The most attempts that the cluster holds."""
    condition_seconds: float = 0.1
    """The processor time that evaluating one condition may take; its task fails if it takes more."""
    queue: QueueSettings = DEFAULT_QUEUE
    adopt: bool = False
    """Whether the first calling gateway becomes the owner, although the journal names another.

    For when the owner's store is lost for good.
    """
    secrets: SecretSettings = SecretSettings()
    """Where the secrets of tasks are."""
    artifacts: ArtifactSettings = ArtifactSettings()
    """Where the artifacts of tasks may come from and go to."""
    trusted_tenants: bool = False
    """Whether the cluster takes tasks of many tenants although it cannot isolate them from each other."""
    executors: Mapping[str, Mapping[str, Any]] = {}
    """The settings of each executor, by its name, in the types that `EXECUTORS` declares."""

    @property
    def has_secrets(self) -> bool:
        """Returns whether the settings say where secrets are."""
        return self.secrets != SecretSettings()

    @property
    def own_folders(self) -> tuple[Path, ...]:
        """Returns the folders that no task may see: journal, secrets, storages, and in a subclass keys."""
        values = () if self.secrets.files is None else (Path(self.secrets.files).resolve(),)
        return (Path(self.state).resolve(), *values, *self.artifacts.folders)

    def __post_init__(self) -> None:
        executor_settings(self.executors)
        # A gateway takes a cluster that reports more for one that lies.
        if not 0.001 <= self.cpu <= CPU_MAXIMUM or not 1 <= self.slots <= SLOTS_MAXIMUM:
            raise ValueError(
                f"a cluster needs processors and slots, {SLOTS_MAXIMUM} slots at most:"
                f" it has {self.cpu:g} and {self.slots}"
            )
        if not 1 <= self.memory_mib <= MEMORY_MAXIMUM:
            raise ValueError(f"a cluster has from 1 to {MEMORY_MAXIMUM} MiB of memory, not {self.memory_mib}")
