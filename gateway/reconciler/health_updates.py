"""What the road to a region tells of its health: probes, calls, the stream and its beats."""

from collections.abc import Callable

from clusters.protocol import Beat, ClusterStatus, Hello
from gateway.reconciler.links.reports import Applied, Compared, Heard, Probed, Report, StreamEnded
from gateway.reconciler.working_set import Region
from gateway.regions.health_after_calls import after_call
from gateway.regions.health_after_probes import after_probe, after_restart, after_stream_end
from gateway.settings import HealthSettings


def observe(region: Region, report: Report, *, settings: HealthSettings, dice: Callable[[], float]) -> None:
    """Takes into the region's health what `report` says of the road; what it says of attempts is for `watch` and `dispatch`."""
    match report:
        case Probed():
            if report.status is not None:
                _status(region, report.status, report.ended)
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
                _status(region, report.answers.status, report.ended)
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
            _status(region, event.status, report.at)
        case Compared():
            _status(region, report.hello.status, report.at)
        case Heard():
            pass


def _status(region: Region, status: ClusterStatus, at: float) -> None:
    """The newest word of the journal that the region's name is bound to. Another journal's word is kept out."""
    if region.incarnation and status.incarnation != region.incarnation:
        region.stranger = status.incarnation
        return
    region.stranger = ""
    newer = (
        region.status is None or status.boot != region.status.boot or status.uptime >= region.status.uptime
    )
    if region.status is not None and status.boot != region.status.boot:
        region.health = after_restart(region.health)
    if newer:
        region.status, region.heard_at = status, at
