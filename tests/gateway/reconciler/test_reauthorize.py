"""Tests the query to policy before an accepted run is placed again."""

from dataclasses import replace
from typing import cast

from msgspec import structs

from gateway.core.decision import Action, Decision, Question
from gateway.core.principal import Principal
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.reauthorize import reauthorize
from gateway.store.interface import Store
from tests.gateway.reconciler.under_way import NOW, loaded_run

ADA = Principal(
    subject="ada",
    issuer="https://i.test",
    tenant="ops",
    client="ci",
    scopes=("workflows:submit",),
    groups=("/sre",),
)


class Asked:
    """A fake policy engine that records the queries and fails to answer."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    async def decide(self, question: Question) -> Decision:
        self.questions.append(question)
        return Decision(
            id="d", at=1.0, action=question.action, allow=False, revision="r", engine="e", fault="not now"
        )


async def asked_for(principal: Principal | None) -> Question:
    run, policy = loaded_run(), Asked()
    stored = structs.replace(run.stored, principal=principal, decided_at=NOW.wall - 100)
    found = await reauthorize(
        replace(run, stored=stored),
        store=cast(Store, None),
        policy=cast(PolicyEngine, policy),
        now=NOW,
    )
    assert found is None
    (question,) = policy.questions
    assert question.action is Action.RUNS_PLACE
    return question


async def test_policy_knows_at_placement_what_it_knew_at_submission() -> None:
    """Groups and scopes as decided then: a rule that let the run in must not hold its failover up."""
    assert (await asked_for(ADA)).principal == ADA


async def test_a_run_of_an_older_gateway_is_asked_about_with_the_little_that_is_known() -> None:
    """It was stored without its caller's groups and scopes."""
    assert (await asked_for(None)).principal == Principal(subject="s", issuer="i", tenant="t")
