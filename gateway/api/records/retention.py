"""The API handlers for retention: what of ended runs is due to be archived, and a pass at once."""

from msgspec import Struct
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.core.decision import Action
from gateway.core.errors import Conflict
from gateway.retention.retention import Retention
from gateway.store.trail import ArchivedTrail
from gateway.submission.authorize import authorize


class RetentionStatus(Struct, frozen=True, kw_only=True):
    """What of ended runs and of the audit trail is in the store, and what is due to be archived."""

    runs_days: float | None
    """The days for which a run is kept after its end; None: age deletes no run."""
    runs_maximum: int | None
    """The number of ended runs that are kept; None: their number deletes no run."""
    audit_days: float | None
    """The days for which the audit trail is kept; None: age deletes nothing of it."""
    audit_maximum: int | None
    """The number of sealed entries of the audit trail that are kept; None: their number deletes nothing."""
    behind_seconds: float
    """By how much the time of which ages are counted is behind the clock: it catches up after a jump."""
    before: float | None
    """The time before which runs have ended that are due, in seconds since 1970; None: no run is."""
    due: int
    """The number of runs that are due. Those with an orphan that may still run wait for its end."""
    ended: int
    """The number of ended runs in the store."""
    oldest_finished_at: float | None
    """The end of the run in the store that ended first, in seconds since 1970; None if there is none."""
    archived: int
    """The number of runs that were archived and are no longer in the store."""
    sealed_entries: int
    """The number of sealed entries of the audit trail in the store."""
    archived_trail: ArchivedTrail | None
    """The part of the audit trail that was archived last, and how far it has left; None if none was."""
    passing: bool
    """Whether runs are being archived or deleted now."""


async def retention(call: Call) -> Response:
    """Show how many ended runs are in the store, and how many are due to be archived and deleted."""
    await authorize(call.question(Action.RETENTION_OPERATE), policy=call.services.policy)
    return JsonResponse(await _status(call))


async def begin_retention(call: Call) -> Response:
    """Archive and delete now what is due, in place of waiting for the next pass. `dryRun` only shows it.

    Refused (409) where no setting says what is to be deleted.
    """
    decision = await authorize(call.question(Action.RETENTION_OPERATE), policy=call.services.policy)
    if call.query.flag("dryRun"):
        return JsonResponse(await _status(call))
    retention = call.services.retention
    if retention is None:
        raise Conflict("no setting under [retention] says what is to be deleted")
    status = await _status(call)
    retention.ask_for_pass()
    call.log_act("Retention", decision.id)
    return JsonResponse(status, status=202)


async def _status(call: Call) -> RetentionStatus:
    services = call.services
    retention: Retention | None = services.retention
    before = None if retention is None else await retention.cutoff()
    counts = await services.store.retention_counts(before=before)
    settings = services.settings.retention
    return RetentionStatus(
        runs_days=settings.runs_days,
        runs_maximum=settings.runs_maximum,
        audit_days=settings.audit_days,
        audit_maximum=settings.audit_maximum,
        behind_seconds=0.0 if retention is None else await retention.seconds_behind(),
        before=before,
        due=counts.due,
        ended=counts.ended,
        oldest_finished_at=counts.oldest_finished_at,
        archived=counts.archived,
        sealed_entries=await services.store.sealed_entries(),
        archived_trail=await services.store.archived_trail(),
        passing=retention is not None and retention.passing,
    )
