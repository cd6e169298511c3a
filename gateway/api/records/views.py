"""The API's response types for recorded policy decisions."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, Raw, Struct, UnsetType, structs

from gateway.core.decision import Action, Obligations, Reason
from gateway.policy.question import QuestionError, encode_question
from gateway.store.decisions import RecordedDecision

OPERATED: Final = ("policy", "routing", "release", "exception")
"""The parts of a policy query's context that name a change."""
OPERATION_FIELDS: Final = ("operation", "sequence", "revision", "workflow", "version", "rule")


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
    """The id of the run that the decision is about; empty if none, as for a refused submission."""
    name: str
    """The name of the workflow that the decision is about; empty if none."""
    operation: str
    """The change that was asked for of policy, routing, a release or an exception, as `activate 7`.

    It is empty for other actions.
    """
    trace_id: str
    rules: tuple[str, ...]
    reasons: tuple[Reason, ...]
    fault: str
    """The reason why policy could not answer; empty if it could."""
    revision: str
    engine: str
    obligations: Obligations
    duration_seconds: float
    digest: str
    """The SHA-256 of the document, if an exception may name it."""
    opa: Raw | UnsetType = UNSET
    """The decision log event of OPA for the evaluation, without input and result.

    It is absent in lists, and where OPA has logged nothing.
    """
    input: Raw | UnsetType = UNSET
    """The input of the rules, as far as policy lets it be recorded; in lists only on request."""


class DecisionPage(Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """A page of policy decisions, newest first. `continue` is for the next page, null on the last.

    With filters or inputs a page may have fewer entries than `limit`, or none, and still not be the last.
    """

    items: tuple[DecisionRecord, ...]
    next: str | None


def record_of(recorded: RecordedDecision) -> DecisionRecord:
    """Converts a policy decision to a `DecisionRecord` for lists, without the input of the rules."""
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
        operation=_operation_of(question.context) if question else "",
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


def _operation_of(context: Mapping[str, Any]) -> str:
    """Formats the change that the context of a policy query names: its operation, and of what it is."""
    found: Mapping[str, Any] = next(
        (context[name] for name in OPERATED if isinstance(context.get(name), Mapping)), {}
    )
    return " ".join(str(found[name]) for name in OPERATION_FIELDS if found.get(name) not in (None, ""))


def full_record(recorded: RecordedDecision) -> DecisionRecord:
    """Converts a policy decision to a `DecisionRecord` with the input of the rules, if that was recorded."""
    record, question = record_of(recorded), recorded.decision.question
    if not question:
        return record
    try:
        return structs.replace(record, input=Raw(encode_question(question)))
    except QuestionError:
        return record  # the very reason why policy could not answer: the fault says so
