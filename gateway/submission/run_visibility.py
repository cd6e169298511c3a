"""Decides whether a caller may see a run: one that policy hides is reported as not found."""

from gateway.core.decision import Action, Question
from gateway.core.errors import Denied, NotFound
from gateway.core.principal import Principal
from gateway.core.run import Run
from gateway.policy.interface import PolicyEngine
from gateway.submission.authorize import authorize


async def readable_run(
    run: Run | None, *, principal: Principal, at: float, policy: PolicyEngine, trace_id: str = ""
) -> Run:
    """Returns `run` if it exists and policy lets the caller read it; else raises `NotFound`.

    Raises `NotFound` for a run that policy hides as for a run that does not exist, so that nobody learns
    which runs exist; `Unavailable` if policy gives no answer. `at` is in seconds since 1970.
    """
    if run is not None:
        try:
            await authorize(
                question_about(run, Action.RUNS_READ, principal=principal, at=at, trace_id=trace_id),
                policy=policy,
            )
        except Denied:
            run = None
    if run is None:
        raise NotFound("there is no such run")
    return run


def question_about(
    run: Run, action: Action, *, principal: Principal, at: float, trace_id: str = ""
) -> Question:
    """Builds the policy query about an action on a run. `at` is in seconds since 1970."""
    return Question(
        action=action,
        principal=principal,
        at=at,
        trace_id=trace_id,
        # A retry is a new decision about the document; the other actions are about the run.
        workflow=run.workflow if action is Action.RUNS_RETRY else None,
        digest=run.fingerprint.hex() if action is Action.RUNS_RETRY else "",
        context={"run": {"id": run.id, "tenant": run.tenant, "subject": run.subject, "labels": run.labels}},
    )
