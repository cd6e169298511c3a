"""Authorizes an action: asks policy, and turns a refusal into the error that the caller gets."""

from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import Denied, NotFound, Unavailable
from gateway.core.principal import Principal
from gateway.core.run import Run
from gateway.policy.interface import PolicyEngine


class PolicyFault(Exception):
    """Policy could not answer; the text says why.

    It is logged as the cause of an `Unavailable`, and not shown to the caller.
    """


async def authorize(question: Question, *, policy: PolicyEngine) -> Decision:
    """Returns the decision that allows the action.

    Raises `Denied` (403, with every reason) or `Unavailable` (503: policy could not answer, so nothing is
    decided).
    """
    decision = await policy.decide(question)
    # A fault also has `allow` False: it is looked at first, so that the caller tries again instead of giving
    # up.
    if decision.fault:
        raise Unavailable("policy could not answer", decision_id=decision.id) from PolicyFault(decision.fault)
    if decision.allow is not True:
        detail = "; ".join(reason.message for reason in decision.reasons) or "policy does not permit it"
        raise Denied(detail, reasons=decision.reasons, decision_id=decision.id)
    return decision


async def readable_run(run: Run | None, *, principal: Principal, at: float, policy: PolicyEngine) -> Run:
    """Returns `run` if there is one and policy lets the caller read it.

    Raises `NotFound` in both other cases, so that nobody learns which runs exist, or `Unavailable`. `at` is
    in seconds since 1970.
    """
    if run is not None:
        try:
            await authorize(question_about(run, Action.RUNS_READ, principal=principal, at=at), policy=policy)
        except Denied:
            run = None
    if run is None:
        raise NotFound("there is no such run")
    return run


def question_about(run: Run, action: Action, *, principal: Principal, at: float) -> Question:
    """The question to policy about an action on an existing run. `at` is in seconds since 1970."""
    return Question(
        action=action,
        principal=principal,
        at=at,
        # A retry is a new decision about the document; the other actions are about the run.
        workflow=run.workflow if action is Action.RUNS_RETRY else None,
        context={"run": {"id": run.id, "tenant": run.tenant, "subject": run.subject, "labels": run.labels}},
    )
