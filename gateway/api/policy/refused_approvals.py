"""Records what policy permits and the gateway refuses: approvals of own requests, and bad policy bundles."""

import hashlib
from typing import Final

from msgspec import structs

from gateway.api.http.call import Call
from gateway.core.decision import Reason
from gateway.core.errors import Denied, GatewayError
from gateway.core.history import BundleRefusedDetail, Detail, HistoryEntry, HistoryKind
from gateway.policy.rollout.acts import Act

BUNDLE_RULE: Final = "bundle.refused"
REASON_MAXIMUM: Final = 1_000


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


async def record_refused_bundle(call: Call, act: Act, archive: bytes, error: GatewayError) -> None:
    """Stores that an uploaded policy bundle was not taken, and why: as a refusal, and in the audit trail.

    Raises `Unavailable` if the store cannot be written.
    """
    if act.decision is None:
        return
    why = "; ".join([error.detail, *(one.detail for one in error.errors)])[:REASON_MAXIMUM]
    decision = structs.replace(
        act.decision, allow=False, rules=(BUNDLE_RULE,), reasons=(Reason(rule=BUNDLE_RULE, message=why),)
    )
    digest = hashlib.sha256(archive).hexdigest()
    detail = BundleRefusedDetail(archive=digest, reason=why, decision_id=act.decision_id)
    entry = HistoryEntry(run="", kind=HistoryKind.BUNDLE_REFUSED, at=act.at, actor=act.by, detail=detail)
    await call.services.store.record_refused_act(decision, entry=entry)
