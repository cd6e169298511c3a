"""Updates what is known of a region from its link's reports: health, the cluster's status, its journal.

Only what reports show of the connection and the cluster is taken here. What they say of attempts is taken by
`inbox.py`, and only while the region's own journal answers.
"""

from collections.abc import Callable
from typing import assert_never

from clusters.protocol import Beat, ClusterStatus, Hello
from gateway.reconciler.links.reports import Applied, Compared, Heard, Probed, Report, StreamEnded
from gateway.reconciler.working_set import Region
from gateway.regions.health_after_calls import after_call
from gateway.regions.health_after_probes import after_probe, after_restart, after_stream_end
from gateway.settings import HealthSettings


def update_health(
    region: Region, report: Report, *, settings: HealthSettings, dice: Callable[[], float]
) -> None:
    """Updates the region's health and status from one report. `dice` gives a random number in 0..1."""
    match report:
        case Probed():
            if report.status is not None:
                _update_status(region, report.status, report.ended)
            # another journal that answers under this name is not the region: that probe has failed
            failure = report.failure or ("NotAdmitted" if region.stranger else None)
            region.health = after_probe(
                region.health,
                began=report.began,
                ended=report.ended,
                failure=failure,
                detail=report.detail,
                settings=settings,
                dice=dice,
            )
        case Applied():
            if report.answers is not None:
                _update_status(region, report.answers.status, report.ended)
            region.health = after_call(
                region.health,
                ended=report.ended,
                seconds=report.ended - report.began,
                failure=report.failure,
                settings=settings,
                dice=dice,
                items=len(report.batch.creates) + len(report.batch.tombstones) + len(report.batch.renewals),
            )
        case StreamEnded():
            region.health = after_stream_end(region.health, report.at)
        case Heard(event=Hello() | Beat() as event):
            region.greeted = True
            _update_status(region, event.status, report.at)
        case Compared():
            _update_status(region, report.hello.status, report.at)
        case Heard():
            pass  # events of attempts say nothing of the connection
        case _:
            assert_never(report)


def _update_status(region: Region, status: ClusterStatus, at: float) -> None:
    """Keeps the newest status of the journal that the region's name is bound to, heard at `at`."""
    if region.incarnation and status.incarnation != region.incarnation:
        region.stranger = status.incarnation  # another journal: nothing it says is of this region
        return
    region.stranger = ""
    known = region.status
    restarted = known is not None and status.boot != known.boot
    if restarted:
        region.health = after_restart(region.health)
    # reports overtake each other: within one boot only a later uptime is news
    if known is None or restarted or status.uptime >= known.uptime:
        region.status, region.heard_at = status, at
