"""Records approvals refused by the four-eyes rule: by the requester, or a second one by the same person."""

from msgspec import structs

from gateway.api.http.call import Call
from gateway.core.errors import Denied
from gateway.core.history import Detail, HistoryEntry, HistoryKind


async def record_refused_approval(call: Call, refusal: Denied, kind: HistoryKind, detail: Detail) -> None:
    """Stores a refused approval: as a refusing policy decision, and as an entry of the audit trail.

    Raises `Unavailable` if the store cannot be written.
    """
    if refusal.decision is None:
        return
    # Policy permitted the act, and was recorded before what is asked for was looked at: nothing was done.
    rules = tuple(reason.rule for reason in refusal.reasons)
    decision = structs.replace(refusal.decision, allow=False, rules=rules, reasons=refusal.reasons)
    entry = HistoryEntry(run="", kind=kind, at=call.at, actor=call.principal.subject, detail=detail)
    await call.services.store.record_refused_act(decision, entry=entry)
    refusal.decision = decision
