"""Ask policy again where a run may be, once its decision is no longer fresh."""

import msgspec

from gateway.core.decision import Action, Question
from gateway.core.instant import Instant
from gateway.core.principal import Principal
from gateway.core.shard_states import Event, Phase
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.loading import work_of
from gateway.reconciler.working_set import Work, WorkingSet
from gateway.store.interface import Store


async def permit(
    work: Work, *, store: Store, policy: PolicyEngine, now: Instant, fresh_seconds: float
) -> Work | None:
    """The work under a fresh decision, stored; None where policy could not answer: then nothing is placed.

    A refusal is an answer: the run may be nowhere, and says so, until policy thinks better of it.
    """
    run = work.run
    if now.wall - run.decided_at < fresh_seconds:
        return work
    decision = await policy.decide(
        Question(
            action=Action.RUNS_PLACE,
            principal=Principal(subject=run.subject, issuer=run.issuer, tenant=run.tenant),
            at=now.wall,
            workflow=run.workflow,
            context={"run": {"id": run.id, "tenant": run.tenant, "subject": run.subject}},
        )
    )
    if decision.fault:
        return None
    await store.replace_decision(run.id, decision=decision)
    permitted = decision.obligations.regions if decision.allow else ()
    return work_of(
        msgspec.structs.replace(run, decision_id=decision.id, decided_at=decision.at, permitted=permitted)
    )


def take_back(ws: WorkingSet, work: Work, now: Instant) -> None:
    """T3: what is still on its way to a region that policy no longer permits waits for another place. What runs there may finish."""
    for tracked in ws.shards.values():
        shard = tracked.shard
        if (
            shard.run == work.run.id
            and shard.phase is Phase.DISPATCHING
            and shard.region not in work.run.permitted
        ):
            tracked.change(now, Event.REFUSED, reason="NotPermitted")
