"""Tests bundles in a running gateway: uploaded, activated, rolled back, with the embedded engine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from gateway.core.decision import Question
from gateway.core.errors import Conflict, Invalid, PreconditionFailed
from gateway.policy.rollout.acts import Act
from gateway.policy.rollout.bundle_states import BundleState, Step
from gateway.policy.source import BundleError
from tests.conformance.policy_engine import submission
from tests.gateway.policy.opa.keys import OTHER_KEY
from tests.gateway.policy.opa.keys import SIGNS as KEY
from tests.gateway.policy.rollout.releases import ADA, Opened, archive, opened, rules

QUESTION: Question = submission()
PERSON = structs.replace(ADA, principal=QUESTION.principal)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened(tmp_path) as gateway:
        yield gateway


async def decided_by(gateway: Opened) -> str:
    decision = await gateway.chosen.decide(QUESTION)
    assert not decision.fault
    return decision.rules[0]


async def test_an_upload_decides_nothing_until_it_is_activated(gateway: Opened) -> None:
    """Then the next question is answered by it, under its revision."""
    release = await gateway.rollout.upload(archive(1), ADA)
    assert (release.state, await decided_by(gateway)) == (BundleState.GATED, "base")

    assert (await gateway.step(Step.ACTIVATE, 1)).state is BundleState.ACTIVE
    decision = await gateway.chosen.decide(QUESTION)
    assert (decision.rules, decision.revision) == (("b1",), release.revision)


async def test_a_rollback_returns_to_the_one_before_at_once(gateway: Opened) -> None:
    """And never to one that was rolled back before; at the end to what the gateway was started with."""
    for sequence in (1, 2, 3):
        await gateway.rollout.upload(archive(sequence), ADA)
        await gateway.step(Step.ACTIVATE, sequence)
    await gateway.step(Step.ROLL_BACK, 3)
    assert await decided_by(gateway) == "b2"
    await gateway.rollout.upload(archive(4), ADA)
    await gateway.step(Step.ACTIVATE, 4)
    await gateway.step(Step.ROLL_BACK, 4)
    assert await decided_by(gateway) == "b2"
    await gateway.step(Step.ROLL_BACK, 2)
    await gateway.step(Step.ROLL_BACK, 1)
    assert await decided_by(gateway) == "base"


@pytest.mark.parametrize("by", [PERSON, ADA], ids=["a person", "the gateway itself"])
async def test_what_was_rolled_back_goes_on_to_ask_for_a_second_person(tmp_path: Path, by: Act) -> None:
    """Else one person could switch four eyes off: back to rules without them, and then on to anything."""
    modules = {
        name: text.replace('"obligations": {}', '"obligations": {"approvals": 1}')
        for name, text in rules("b1").items()
    }
    async with opened(tmp_path) as gateway:
        await gateway.rollout.upload(archive(1, modules), ADA)
        for sequence in (2, 3):
            await gateway.rollout.upload(archive(sequence), ADA)
        await gateway.take(Step.ACTIVATE, 1, PERSON)
        assert (await gateway.take(Step.ROLL_BACK, 1, by)).pending is None
        assert await decided_by(gateway) == "base"
    async with opened(tmp_path) as gateway:
        for step in (Step.CANARY, Step.ACTIVATE):
            assert (await gateway.take(step, 2, PERSON)).pending is not None
        generation = gateway.rollout.current.generation
        bob = structs.replace(PERSON, by="bob")
        assert (await gateway.rollout.approve(2, bob, expected=generation)).pending is None
        assert await decided_by(gateway) == "b2"
        # Two people have let in rules that ask for nobody else.
        assert (await gateway.take(Step.ACTIVATE, 3, PERSON)).pending is None


async def test_a_restart_decides_by_the_active_bundle(tmp_path: Path) -> None:
    """The store has it, with what it may be rolled back to."""
    async with opened(tmp_path) as gateway:
        for sequence in (1, 2):
            await gateway.rollout.upload(archive(sequence), ADA)
            await gateway.step(Step.ACTIVATE, sequence)
        before = gateway.rollout.current
    async with opened(tmp_path) as gateway:
        assert (gateway.rollout.current, await decided_by(gateway)) == (before, "b2")
        await gateway.step(Step.ROLL_BACK, 2)
        assert await decided_by(gateway) == "b1"


async def test_a_damaged_bundle_stops_the_start(tmp_path: Path) -> None:
    """Other rules in its place would be rules that nobody has activated."""
    async with opened(tmp_path) as gateway:
        await gateway.rollout.upload(archive(1), ADA)
        await gateway.step(Step.ACTIVATE, 1)
        await gateway.store._database.write(lambda db: db.execute("update policy_bundle set archive = x'00'"))
    with pytest.raises(BundleError, match="bundle 1 is damaged in the store"):
        async with opened(tmp_path):
            pass


BROKEN = rules("broken") | {"access.rego": "package waypost.access\n\ndecision := {\n"}
BAD = {
    "not signed": (archive(1, key=None), "it is not signed"),
    "by another key": (archive(1, key=type(KEY)(key=OTHER_KEY, key_id="waypost")), "signature"),
    "garbage": (b"garbage", "it is no archive"),
    "for an OPA": (archive(1, engine="opa"), "rules cannot be used"),
    "no Rego": (archive(1, BROKEN), "rules cannot be used"),
}


@pytest.mark.parametrize(("bad", "why"), BAD.values(), ids=BAD)
async def test_what_is_not_good_is_not_taken(gateway: Opened, bad: bytes, why: str) -> None:
    """What decided goes on deciding."""
    with pytest.raises(Invalid, match=why):
        await gateway.rollout.upload(bad, ADA)
    assert (gateway.rollout.current.releases, await decided_by(gateway)) == ((), "base")


async def test_every_problem_is_said_at_once_with_file_and_line(gateway: Opened) -> None:
    """As `waypost policy check` does."""
    modules = rules("r") | {
        "a.rego": "package waypost.house\n\nx if {\n\tinput.y\n",
        "b.rego": "package waypost.house\n\nx := := 1\n",
    }
    with pytest.raises(Invalid) as refused:
        await gateway.rollout.upload(archive(1, modules), ADA)
    found = [error.detail for error in refused.value.errors]
    assert [detail.split(" ")[0] for detail in found] == ["a.rego:5:", "b.rego:3:"], found


async def test_only_a_newer_bundle_is_taken_and_the_same_again_changes_nothing(gateway: Opened) -> None:
    """An older one, well signed, may be one that was mended since."""
    five = archive(5)
    first = await gateway.rollout.upload(five, ADA)
    assert await gateway.rollout.upload(five, ADA) == first
    assert gateway.rollout.current.generation == 1
    for sequence in (4, 5):
        with pytest.raises(Conflict, match=f"its sequence {sequence} is not newer than 5"):
            await gateway.rollout.upload(archive(sequence, rules("other")), ADA)


async def test_a_step_is_about_a_state_that_was_seen(gateway: Opened) -> None:
    """Of two who look at the same state and act, one is refused."""
    await gateway.rollout.upload(archive(1), ADA)
    await gateway.rollout.upload(archive(2), ADA)
    seen = gateway.rollout.current.generation
    found = await asyncio.gather(
        *(gateway.rollout.take(Step.ACTIVATE, sequence, ADA, expected=seen) for sequence in (1, 2)),
        return_exceptions=True,
    )
    assert [type(one) for one in found[1:]] == [PreconditionFailed]
    assert await decided_by(gateway) == "b1"


async def test_what_is_under_way_is_answered_by_whom_it_was_asked(gateway: Opened) -> None:
    """A change of engines is no fault for anybody."""
    await gateway.rollout.upload(archive(1), ADA)
    await gateway.step(Step.ACTIVATE, 1)
    large = submission(b'{"metadata":{},"spec":{},"x":"%s"}' % (b"a" * 20_000))
    asked = [asyncio.create_task(gateway.chosen.decide(large)) for _ in range(4)]
    await asyncio.sleep(0)
    await gateway.step(Step.ROLL_BACK, 1)
    assert [(one.rules, one.fault) for one in await asyncio.gather(*asked)] == [(("b1",), "")] * 4
