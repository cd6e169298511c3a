"""Applies the enforcement levels of policy rules: turns reasons that do not refuse into warnings.

Advisory rules never refuse; a soft rule does not refuse work for which a policy exception is in force.
Performs no I/O. It is the one check for the gateway's decisions, dry runs, `waypost policy eval` and replays.
A refusal that no rule names (a rule is missing, an engine does not answer) stays a refusal.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct, structs

from gateway.core.decision import ActionKind, Decision, Level, Obligations, Question, Reason, kind_of
from gateway.core.policy_exception import ExceptionState, PolicyException
from gateway.policy.answer import MORE

LIFTED: Final[Mapping[str, Mapping[str, None]]] = {
    "deadline.maximum": {"max_deadline_seconds": None},
    "priority.cap": {"max_priority": None},
    "shards.maximum": {"max_shards": None},
}
"""The limits that are removed when a rule is overridden, by rule, as they would refuse the work again."""


class WorkScope(Struct, frozen=True, kw_only=True):
    """The tenant, workflow and document of a policy query, to be compared with a policy exception's scope."""

    tenant: str
    workflow: str
    document: str
    """The SHA-256 of the document as it was submitted."""


class _Metadata(Struct, frozen=True):
    name: str = ""
    tenant: str | None = None


class _Document(Struct, frozen=True):
    metadata: _Metadata = _Metadata()


_decode = msgspec.json.Decoder(_Document).decode


def scope_of(question: Question) -> WorkScope | None:
    """Returns a policy query's tenant, workflow and document; None if no policy exception can apply.

    Exceptions apply only to actions of the kind `WORK`, and only where the query has a document.
    """
    if question.workflow is None or kind_of(question.action) is not ActionKind.WORK:
        return None
    metadata = _decode(question.workflow).metadata
    return WorkScope(
        tenant=metadata.tenant or question.principal.tenant,
        workflow=metadata.name,
        document=question.digest or hashlib.sha256(question.workflow).hexdigest(),
    )


def granted_to(
    scope: WorkScope | None, exceptions: Iterable[PolicyException], *, now: float
) -> Mapping[str, str]:
    """Returns the ids of the policy exceptions in force at `now` for this work, by the rule they override."""
    if scope is None:
        return {}
    return {
        one.rule: one.id
        for one in exceptions
        if one.state_at(now) is ExceptionState.ACTIVE and one.covers(**structs.asdict(scope))
    }


def enforce(decision: Decision, granted: Mapping[str, str]) -> Decision:
    """Applies the rules' levels, and the policy exceptions `granted` (rule to id), to a policy decision.

    The result is allowed where nothing refuses: each reason is advisory, or soft and overridden by a policy
    exception. Such reasons become warnings.
    """
    if decision.allow is True or decision.fault or not decision.reasons:
        return decision
    if kind_of(decision.action) is not ActionKind.WORK:
        granted = {}
    reasons = tuple(_with_exception(reason, granted) for reason in decision.reasons)
    named = {reason.rule for reason in reasons}
    if any(map(refuses, reasons)) or (MORE not in named and not named.issuperset(decision.rules)):
        return decision
    return structs.replace(
        decision, allow=True, reasons=reasons, obligations=_as_allowed(decision.obligations, reasons)
    )


def refuses(reason: Reason) -> bool:
    """Returns whether a reason refuses: it is hard, or soft and no policy exception overrides it."""
    return reason.level is Level.HARD or (reason.level is Level.SOFT and not reason.exception)


def can_be_excepted(decision: Decision) -> bool:
    """Returns whether policy exceptions could turn this refusal into a permission."""
    levels = {reason.level for reason in decision.reasons}
    is_work = kind_of(decision.action) is ActionKind.WORK
    return is_work and Level.SOFT in levels and Level.HARD not in levels


def _with_exception(reason: Reason, granted: Mapping[str, str]) -> Reason:
    if reason.level is Level.SOFT and (exception := granted.get(reason.rule)):
        return structs.replace(reason, exception=exception)
    return reason


def _as_allowed(obligations: Obligations, reasons: Iterable[Reason]) -> Obligations:
    """Returns the obligations of a refusal that becomes a permission: each reason is added as a warning.

    Limits of the overridden rules (`LIFTED`) are removed, since they would refuse the work again.
    """
    warnings, lifted = list(obligations.warnings), dict[str, None]()
    for reason in reasons:
        by = f" (exception {reason.exception})" if reason.exception else ""
        warnings.append(f"{reason.rule}: {reason.message}{by}")
        lifted |= LIFTED.get(reason.rule, {})
    return structs.replace(obligations, warnings=tuple(warnings), **lifted)
