"""May they? A question to policy, and what its answer means to the caller."""

from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import Denied, NotFound, Unavailable
from gateway.core.principal import Principal
from gateway.core.run import Run
from gateway.policy.interface import PolicyEngine


class PolicyFault(Exception):
    """What kept policy from answering: for the log, not for the caller."""


async def authorize(question: Question, *, policy: PolicyEngine) -> Decision:
    """The decision that allows it. Raises `Denied` (403, with every reason) or `Unavailable` (503: nothing was decided)."""
    decision = await policy.decide(question)
    if decision.fault:
        raise Unavailable("policy could not answer", decision_id=decision.id) from PolicyFault(decision.fault)
    if decision.allow is not True:
        detail = "; ".join(reason.message for reason in decision.reasons) or "policy does not permit it"
        raise Denied(detail, reasons=decision.reasons, decision_id=decision.id)
    return decision


async def see(run: Run | None, *, principal: Principal, at: float, policy: PolicyEngine) -> Run:
    """`run`, if the caller may know of it. Raises `NotFound` where there is none or policy says no; `Unavailable`."""
    if run is not None:
        try:
            await authorize(question_about(run, Action.RUNS_READ, principal=principal, at=at), policy=policy)
        except Denied:
            run = None
    if run is None:
        raise NotFound("there is no such run")
    return run


def question_about(run: Run, action: Action, *, principal: Principal, at: float) -> Question:
    """What policy is asked about a run that is there. A retry sends its document along: it is a new decision about it."""
    return Question(
        action=action,
        principal=principal,
        at=at,
        workflow=run.workflow if action is Action.RUNS_RETRY else None,
        context={"run": {"id": run.id, "tenant": run.tenant, "subject": run.subject, "labels": run.labels}},
    )
