"""The bounds of fields in messages from a cluster (lengths, ranges), as types for msgspec.

A message that exceeds them is a bad answer. The gateway stores what clusters report and sends some of it on
to other clusters, so no cluster may report a value that another one cannot hold.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

TRIES_CARRIED: Final = 10_000
"""The most tries of a task that a create may carry; a cluster refuses more.

No retry limit is near it.
"""

SLOTS_MAXIMUM: Final = 1_000_000
CPU_MAXIMUM: Final = 1e9
MEMORY_MAXIMUM: Final = 1 << 40
WALL_TIME_MAXIMUM: Final = 253_402_300_799

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
"""The type of a name or id that a cluster gives: of a region, journal, boot, run, task or executor."""
Seq: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
"""The type of an event's sequence number, which fits the columns of a journal and of a store."""
Tries: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
"""The type of a number of starts of a task.

Above the number that a create may carry, so that a cluster that goes on fits.
"""
Slots: TypeAlias = Annotated[int, Meta(ge=1, le=SLOTS_MAXIMUM)]
Held: TypeAlias = Annotated[int, Meta(ge=0, le=SLOTS_MAXIMUM)]
"""The type of a number of attempts that a cluster holds."""
Queued: TypeAlias = Annotated[int, Meta(ge=0, le=10_000_000_000)]
"""The type of a number of queued tasks: up to 10,000 of each attempt that a cluster could hold."""
Processors: TypeAlias = Annotated[float, Meta(ge=0, le=CPU_MAXIMUM)]
"""The type of a number of processors."""
Mebibytes: TypeAlias = Annotated[int, Meta(ge=1, le=MEMORY_MAXIMUM)]
"""The type of an amount of memory in MiB."""
Uptime: TypeAlias = Annotated[float, Meta(ge=0, le=1e10)]
"""The type of a time in seconds on a cluster's monotonic clock since its boot."""
WallTime: TypeAlias = Annotated[float, Meta(ge=0, le=WALL_TIME_MAXIMUM)]
"""The type of a time in seconds since 1970, up to the end of the year 9999, the last in dates."""
