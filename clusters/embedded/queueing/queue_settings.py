"""The settings of a cluster's queue, which `waypost cluster` takes as `--queue-NAME`."""

import math
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from clusters.embedded.queueing.policies import QueuePolicy


class QueueSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a cluster's queue: policy, aging, rates, bound.

    Creating them raises `ValueError` for a value that is out of range.
    """

    policy: QueuePolicy = QueuePolicy.PRIORITY
    """The order of one tenant's tasks. Between tenants turns are fair under every policy."""
    aging_seconds: float = 60.0
    """The wait after which a task is overdue: each tenth start of a tenant goes to its oldest such task."""
    rates: Mapping[str, float] = {}
    """The most starts a second of one tenant's tasks, by executor; executors without one are not limited."""
    tasks: int = 100_000
    """The most tasks that may wait before the cluster takes no further attempt.

    Tasks of attempts that it holds already are queued nevertheless.
    """

    def __post_init__(self) -> None:
        if not self.aging_seconds >= 0:
            raise ValueError(f"--queue-aging-seconds is 0 or more, not {self.aging_seconds:g}")
        for executor, rate in self.rates.items():
            if not (math.isfinite(rate) and rate > 0):
                raise ValueError(f"--queue-rate.{executor} is more than 0 starts a second, not {rate:g}")
        if self.tasks < 1:
            raise ValueError(f"--queue-tasks is 1 or more, not {self.tasks}")


DEFAULT_QUEUE: Final = QueueSettings()
