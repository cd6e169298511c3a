"""The API's response types for recorded policy decisions."""

from msgspec import UNSET, Raw, Struct, UnsetType, structs

from gateway.core.decision import Action, Obligations, Reason
from gateway.policy.question import QuestionError, encode_question
from gateway.store.decisions import RecordedDecision


class DecisionRecord(Struct, frozen=True, kw_only=True):
    """A recorded policy decision, with its caller. Times are in seconds since 1970, durations in seconds."""

    id: str
    at: float
    action: Action
    allow: bool
    subject: str
    tenant: str
    issuer: str
    client: str
    run: str
    """The run that it is about; empty: none, as for a submission that was refused."""
    name: str
    """The name of the workflow; empty: it is about none."""
    trace_id: str
    rules: tuple[str, ...]
    reasons: tuple[Reason, ...]
    fault: str
    """Why policy could not answer; empty where it could."""
    revision: str
    engine: str
    obligations: Obligations
    duration_seconds: float
    digest: str
    """SHA-256 of the document, where an exception could let it in: what the exception may name."""
    opa: Raw | UnsetType = UNSET
    """What OPA has logged of the evaluation itself, without input and result; absent in lists, and where it
    has logged nothing.
    """
    input: Raw | UnsetType = UNSET
    """What the rules were asked, as far as policy lets it be recorded; in lists only where asked for."""


class DecisionPage(Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """Decisions, newest first. `continue` is for the next page, null on the last.

    With filters or inputs a page may have fewer entries than `limit`, or none, and still not be the last.
    """

    items: tuple[DecisionRecord, ...]
    next: str | None


def record_of(recorded: RecordedDecision) -> DecisionRecord:
    """The `DecisionRecord` of a decision for lists, without the input of the rules."""
    decision, question = recorded.decision, recorded.decision.question
    principal = question.principal if question else None
    return DecisionRecord(
        id=decision.id,
        at=decision.at,
        action=decision.action,
        allow=decision.allow,
        subject=principal.subject if principal else "",
        tenant=principal.tenant if principal else "",
        issuer=principal.issuer if principal else "",
        client=principal.client if principal else "",
        run=recorded.run,
        name=recorded.name,
        trace_id=question.trace_id if question else "",
        rules=decision.rules,
        reasons=decision.reasons,
        fault=decision.fault,
        revision=decision.revision,
        engine=decision.engine,
        obligations=decision.obligations,
        duration_seconds=decision.duration_seconds,
        digest=question.digest if question else "",
    )


def full_record(recorded: RecordedDecision) -> DecisionRecord:
    """The `DecisionRecord` of a decision with the input of the rules, where that was recorded."""
    record, question = record_of(recorded), recorded.decision.question
    if not question:
        return record
    try:
        return structs.replace(record, input=Raw(encode_question(question)))
    except QuestionError:
        return record  # the very reason why policy could not answer: the fault says so
