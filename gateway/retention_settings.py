"""The settings of retention: which ended runs are archived and deleted, and where to."""

from typing import Annotated

from msgspec import Meta, Struct


class RetentionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of retention: which ended runs are archived and deleted. By default none is."""

    archive: str | None = None
    """Path of the folder that records of ended runs are written to before they are deleted.

    Needed where runs are to be deleted. It holds documents and results; the gateway alone may read it.
    """
    runs_days: Annotated[float, Meta(ge=3)] | None = None
    """The days after its end for which a run is kept, at least 3, since its idempotency key lives so long.

    None: age deletes no run.
    """
    runs_maximum: Annotated[int, Meta(ge=1)] | None = None
    """The number of ended runs that are kept: beyond it the first to end are deleted, after 3 days.

    None: their number deletes no run.
    """
    pass_seconds: Annotated[float, Meta(gt=0)] = 60.0
    """The pause between two looks for runs to delete."""
