"""Asks policy again where a run may be placed, once the policy decision in force is no longer fresh."""

from dataclasses import replace

from msgspec import structs

from gateway.core.decision import Action, Question
from gateway.core.instant import Instant
from gateway.core.principal import Principal
from gateway.core.shard_states import Event, Phase
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.working_set.tracked_shard import LoadedRun
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.store.interface import Store
from gateway.store.rules import permitted_regions


async def reauthorize(
    run: LoadedRun, *, store: Store, policy: PolicyEngine, now: Instant
) -> LoadedRun | None:
    """Asks policy again about a run and stores its decision; returns the run under the new decision.

    Returns None if policy could not answer. A refusal is an answer too: the run is permitted nowhere until a
    later decision permits it again.
    """
    stored = run.stored
    decision = await policy.decide(
        Question(
            action=Action.RUNS_PLACE,
            # As the submission's decision knew them: a rule that let the run in must not hold its failover up
            # for want of a group or scope. Runs that were stored without have the little that is known.
            principal=stored.principal
            or Principal(subject=stored.subject, issuer=stored.issuer, tenant=stored.tenant),
            at=now.wall,
            workflow=stored.workflow,
            digest=stored.fingerprint.hex(),
            context={"run": {"id": stored.id, "tenant": stored.tenant, "subject": stored.subject}},
        )
    )
    if decision.fault:
        return None
    await store.replace_decision(stored.id, decision=decision)
    return replace(
        run,
        stored=structs.replace(
            stored,
            decision_id=decision.id,
            decided_at=decision.at,
            permitted=permitted_regions(decision),
        ),
    )


def withdraw_forbidden(ws: WorkingSet, run: LoadedRun, now: Instant) -> None:
    """Withdraws unconfirmed (Dispatching) attempts of a run from regions that policy no longer permits.

    Attempts that run there already may finish: the decision that placed them was in force then.
    """
    for tracked in ws.shards.values():
        shard = tracked.shard
        if (
            shard.run == run.stored.id
            and shard.phase is Phase.DISPATCHING
            and shard.region not in run.stored.permitted
        ):
            tracked.apply_event(now, Event.REFUSED, reason="NotPermitted")
