"""Updates a region's health and its cluster's status by each report of the region's link."""

from collections.abc import Callable
from typing import Final, assert_never

from clusters.protocol import Beat, ClusterStatus, Hello
from gateway.reconciler.links.reports import (
    AttemptListing,
    BadAnswer,
    BatchResult,
    ProbeResult,
    Report,
    StreamEnded,
    StreamEvent,
)
from gateway.reconciler.working_set.region import Region
from gateway.regions.health_after_calls import after_call
from gateway.regions.health_after_probes import after_probe, after_restart, after_stream_end
from gateway.settings import HealthSettings

BAD_ANSWER_SECONDS: Final = 10.0
"""The time after a bad answer in which probes count as failed.

A stream that has ended with one is opened again meanwhile, several times: a cluster that goes on lying is
never taken for well in between.
"""


CLOCK_SECONDS: Final = 3_600.0
"""The largest error of a cluster's uptime against the gateway's clock, within one boot, that is believed.

That is far more than an answer can be late.
"""


def update_health(
    region: Region, report: Report, *, settings: HealthSettings, dice: Callable[[], float]
) -> None:
    """Applies `report` to the region's health and status. `dice` gives a random number in 0..1, for jitter.

    The attempts in the report are not applied here: `inbox.py` does that once the journal is admitted.
    """
    match report:
        case ProbeResult():
            if report.status is not None:
                _update_status(region, report.status, report.ended)
            failure, detail = _failure_of(region, report)
            region.health = after_probe(
                region.health,
                began=report.began,
                ended=report.ended,
                failure=failure,
                detail=detail,
                settings=settings,
                dice=dice,
            )
        case BatchResult():
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
        case BadAnswer():
            region.bad_answer, region.bad_answer_at = report.detail, report.at
            # Probes soon find out whether it goes on like that.
            region.health = after_stream_end(region.health, report.at)
        case StreamEnded():
            region.says_restored |= report.reason == "Restored"
            region.health = after_stream_end(region.health, report.at)
        case StreamEvent(event=event):
            # The other events carry no status, and may have been written before the cluster's last restart.
            if isinstance(event, Hello | Beat):
                region.stream_opened = True
                _update_status(region, event.status, report.at)
        case AttemptListing():
            _update_status(region, report.hello.status, report.at)
        case _:
            assert_never(report)


def _failure_of(region: Region, probe: ProbeResult) -> tuple[str | None, str]:
    """Returns the reason and detail for which a probe counts as failed; None as the reason if it does not.

    An answered probe fails if another journal answered, or within `BAD_ANSWER_SECONDS` of an answer or event
    that breaks the protocol or cannot be true.
    """
    if probe.failure is not None:
        return probe.failure, probe.detail
    # Another journal's answer is no sign of life of the region.
    if region.unknown_journal:
        return "NotAdmitted", ""
    # Nor is that of a cluster whose other answers or events cannot be believed: its work does not get on.
    if probe.ended - region.bad_answer_at < BAD_ANSWER_SECONDS:
        return "BadAnswer", region.bad_answer
    return None, ""


def _update_status(region: Region, status: ClusterStatus, at: float) -> None:
    """Stores `status`, received at `at`, in the region, unless it is older or comes from another journal.

    A restart, another journal and a clock that jumped within one boot are recorded in the region.
    """
    if region.incarnation and status.incarnation != region.incarnation:
        # Its slots, boot and clock are those of another cluster: fences and placement must not use them.
        region.unknown_journal = status.incarnation
        return
    region.unknown_journal = ""
    known = region.status
    if known is not None and status.boot != known.boot:
        region.health = after_restart(region.health)
    elif known is not None and abs(status.uptime - known.uptime - (at - region.status_at)) > CLOCK_SECONDS:
        # Fences would count on that clock. It is taken from here on: an honest one goes on from where it is.
        region.bad_answer = f"its uptime went from {known.uptime:g} s to {status.uptime:g} s within one boot"
        region.bad_answer_at = at
        region.status, region.status_at = status, at
    # Answers overtake each other on different connections: an older one must not take the clock back.
    if known is None or status.boot != known.boot or status.uptime >= known.uptime:
        region.status, region.status_at = status, at
