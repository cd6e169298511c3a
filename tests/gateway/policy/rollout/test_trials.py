"""Tests canary and shadow bundles beside the active one, with the embedded engine."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType

import pytest
from msgspec import structs

from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import Conflict
from gateway.core.principal import Principal
from gateway.policy.rollout.bundle_states import Share, Step
from gateway.policy.rollout.shadow import LATEST_MAXIMUM, OTHER_RULE, RULES_MAXIMUM, WAITING_MAXIMUM, Shadow
from tests.conformance.policy_engine import PRINCIPAL, submission
from tests.gateway.policy.rollout.releases import ADA, Opened, archive, opened, quick_shadow, rules


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened(tmp_path) as gateway:
        yield gateway


def of(tenant: str, action: Action = Action.RUNS_SUBMIT) -> Question:
    principal = structs.replace(PRINCIPAL, tenant=tenant)
    return structs.replace(submission(), principal=principal, action=action)


async def decided(gateway: Opened, tenant: str, action: Action = Action.RUNS_SUBMIT) -> str:
    decision = await gateway.chosen.decide(of(tenant, action))
    assert not decision.fault
    return decision.rules[0]


async def compared(gateway: Opened, sequence: int, count: int) -> None:
    """Waits until `count` decisions were compared in shadow."""
    async with asyncio.timeout(30):
        while (counts := gateway.rollout.shadow_counts(sequence)) is None or counts.compared < count:
            await asyncio.sleep(0.001)


async def test_a_canary_decides_for_its_tenants_alone(tmp_path: Path) -> None:
    """Submissions and placements alike, also after a restart; then it is taken back, or activated."""
    async with opened(tmp_path) as gateway:
        release = await gateway.rollout.upload(archive(1), ADA)
        await gateway.step(Step.CANARY, 1, share=Share(tenants=("payments",)))
        decision = await gateway.chosen.decide(of("payments"))
        assert (decision.rules, decision.revision) == (("b1",), release.revision)
        assert await decided(gateway, "research") == "base"
    async with opened(tmp_path) as gateway:
        for action in (Action.RUNS_SUBMIT, Action.RUNS_PLACE, Action.RUNS_READ):
            assert await decided(gateway, "payments", action) == "b1"
            assert await decided(gateway, "research", action) == "base"
        await gateway.step(Step.CANARY, 1, share=Share(percent=100))
        assert await decided(gateway, "research") == "b1"
        await gateway.step(Step.ROLL_BACK, 1)
        assert await decided(gateway, "payments") == "base"
        await gateway.rollout.upload(archive(2), ADA)
        await gateway.step(Step.CANARY, 2, share=Share(tenants=("payments",)))
        await gateway.step(Step.ACTIVATE, 2)
        assert await decided(gateway, "research") == await decided(gateway, "payments") == "b2"


async def test_a_canary_has_no_say_about_policy(gateway: Opened) -> None:
    """Else it could permit its own promotion."""
    await gateway.rollout.upload(archive(1), ADA)
    await gateway.step(Step.CANARY, 1, share=Share(tenants=("payments",)))
    for action in (Action.POLICY_OPERATE, Action.POLICY_READ):
        assert await decided(gateway, "payments", action) == "base"


async def test_a_bundle_in_shadow_changes_no_answer_and_its_flips_are_kept(gateway: Opened) -> None:
    """With the ids of the decisions."""
    await gateway.rollout.upload(archive(1, rules("strict", allow=False)), ADA)
    await gateway.step(Step.SHADOW, 1)
    decisions = [await gateway.chosen.decide(of("payments")) for _ in range(3)]
    assert all(decision.allow and decision.rules == ("base",) for decision in decisions)
    await compared(gateway, 1, 3)

    counts = gateway.rollout.shadow_counts(1)
    assert counts is not None and (counts.flips, counts.skipped) == ({"refused": 3}, 0)
    assert [(flip.id, flip.rules, flip.tenant) for flip in counts.latest] == [
        (decision.id, ("strict",), "payments") for decision in decisions
    ]
    await gateway.step(Step.ROLL_BACK, 1)
    await gateway.chosen.decide(of("payments"))
    assert counts.compared == 3


async def test_the_same_rules_in_shadow_flip_nothing(gateway: Opened) -> None:
    """Else nobody would look at the flips."""
    await gateway.rollout.upload(archive(1, rules("base")), ADA)
    await gateway.step(Step.SHADOW, 1)
    for action in (Action.RUNS_SUBMIT, Action.RUNS_PLACE, Action.RUNS_LIST):
        await gateway.chosen.decide(of("payments", action))
    await compared(gateway, 1, 3)
    counts = gateway.rollout.shadow_counts(1)
    assert counts is not None and not counts.flips


class Slow:
    """A fake policy engine that answers only when the test lets it."""

    revision = "slow"

    def __init__(self, gateway: Opened) -> None:
        self.asked, self._gateway, self.let = 0, gateway, asyncio.Event()

    async def __aenter__(self) -> "Slow":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def check(self) -> None: ...

    async def decide(self, question: Question) -> Decision:
        self.asked += 1
        await self.let.wait()
        decision = await self._gateway.chosen.decide(question)
        return structs.replace(decision, allow=False, rules=(f"rule-{self.asked}",))


async def test_what_comes_too_fast_is_skipped_and_counted(gateway: Opened) -> None:
    """Memory, the list of flips and the labels are bounded; what decides waits for nothing."""
    skipped, labels = list[int](), set[tuple[str, str]]()
    slow = Slow(gateway)
    shadow = Shadow(
        slow,
        per_second=1e6,
        on_flip=lambda kind, rule: labels.add((kind, rule)),
        on_skipped=lambda: skipped.append(1),
    )
    question = of("payments")
    decision = await gateway.chosen.decide(question)
    for _ in range(WAITING_MAXIMUM + 7):
        shadow.offer(question, decision)
    large = structs.replace(question, workflow=b"x" * 17_000_000)
    shadow.offer(large, decision)
    shadow.offer(question, structs.replace(decision, fault="no answer"))
    assert (len(skipped), shadow.counts.skipped) == (9, 9)
    slow.let.set()
    async with asyncio.timeout(60):
        while shadow.counts.compared < WAITING_MAXIMUM:
            await asyncio.sleep(0.01)
    assert len(shadow.counts.latest) == LATEST_MAXIMUM
    assert len(labels) == RULES_MAXIMUM + 1 and ("refused", OTHER_RULE) in labels
    await shadow.close()


async def test_who_decides_does_next_to_nothing_for_a_bundle_in_shadow(gateway: Opened) -> None:
    """It calls nothing but the queue, whatever the document: `bench/policy.py` measures the rest."""
    shadow = quick_shadow(Slow(gateway))
    decision = await gateway.chosen.decide(of("payments"))
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "asyncio" not in frame.f_code.co_filename:
            called.append(frame.f_code.co_name)

    for tasks in (1, 1_000):
        question = structs.replace(of("payments"), workflow=b'{"tasks":[%b]}' % (b"1," * tasks))
        sys.setprofile(note)
        shadow.offer(question, decision)
        sys.setprofile(None)
        assert called == ["offer"]
        called.clear()
    await shadow.close()


async def test_a_bundle_that_could_not_be_rolled_back_is_not_activated(gateway: Opened) -> None:
    """It would keep everybody out, for good: its own rules are asked before."""
    await gateway.rollout.upload(archive(1, rules("locked", allow=False)), ADA)
    act = structs.replace(ADA, principal=Principal(subject="ada", issuer="i", tenant="security"))
    with pytest.raises(Conflict, match="by its own rules you could not roll it back: no"):
        await gateway.rollout.take(Step.ACTIVATE, 1, act, expected=1)
    assert await decided(gateway, "payments") == "base"
    await gateway.rollout.upload(archive(2), ADA)
    await gateway.rollout.take(Step.ACTIVATE, 2, act, expected=2)
    assert await decided(gateway, "payments") == "b2"
