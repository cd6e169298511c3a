"""Tests which decisions are recorded, also in a flood or when the store takes no writes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec import structs

from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import Unavailable
from gateway.core.principal import Principal
from gateway.settings import PolicySettings
from gateway.store.decisions import DecisionQuery
from gateway.store.interface import Store
from gateway.submission.recorded_policy import DOCUMENT_MAXIMUM, WAITING_OF_TENANT, RecordedPolicy
from tests.gateway.store.sqlite.new_store import store_at


class Engine:
    """A fake policy engine that permits or refuses everything."""

    revision = "r"

    def __init__(self, *, allow: bool) -> None:
        self._allow, self._count = allow, 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def check(self) -> None: ...

    async def decide(self, question: Question) -> Decision:
        self._count += 1
        return Decision(
            id=f"d{self._count:04}",
            at=question.at,
            action=question.action,
            allow=self._allow,
            revision=self.revision,
            engine="test",
            question=question,
        )


class Full:
    """A fake store that takes no writes."""

    async def record_decision(self, decision: Decision) -> None:
        raise Unavailable(f"no room for {decision.id}")

    async def record_passing(self, decisions: Any, **_: int) -> int:
        raise Unavailable(f"no room for {len(decisions)}")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with store_at(tmp_path / "gateway.db") as store:
        yield store


@pytest.fixture
def unrecorded() -> list[int]:
    return []


def recorded(
    store: Any, unrecorded: list[int], *, allow: bool, settings: PolicySettings | None = None
) -> RecordedPolicy:
    return RecordedPolicy(
        Engine(allow=allow),
        store,
        settings or PolicySettings(),
        on_decision=lambda _: None,
        on_unrecorded=unrecorded.append,
    )


def question(action: Action = Action.RUNS_READ, *, tenant: str = "payments", **changes: Any) -> Question:
    who = Principal(subject="ada", issuer="https://issuer.test", tenant=tenant)
    return structs.replace(Question(action=action, principal=who, at=1.0), **changes)


async def ids(store: Store) -> list[str]:
    found = await store.decisions(DecisionQuery(tenants=None, limit=1_000))
    return [entry.decision.id for entry in found.decisions]


@pytest.mark.parametrize("action", [Action.RUNS_CANCEL, Action.REGIONS_OPERATE])
async def test_an_act_is_recorded_before_it_is_permitted(
    store: Store, unrecorded: list[int], action: Action
) -> None:
    """It is there when `decide` returns."""
    policy = recorded(store, unrecorded, allow=True)
    assert (await policy.decide(question(action))).allow
    assert await ids(store) == ["d0001"]


async def test_what_cannot_be_recorded_is_not_permitted(unrecorded: list[int]) -> None:
    """No record, no act: a full disk must not make acts that nobody can find later."""
    policy = recorded(Full(), unrecorded, allow=True)
    decision = await policy.decide(question(Action.REGIONS_OPERATE))
    assert (decision.allow, "no room for d0001" in decision.fault, unrecorded) == (False, True, [1])


async def test_refusals_are_recorded_behind_the_answer(store: Store, unrecorded: list[int]) -> None:
    """Of any action; the last ones when the gateway stops."""
    async with recorded(store, unrecorded, allow=False) as policy:
        for action in Action:
            assert not (await policy.decide(question(action))).allow
        assert await ids(store) == []
    assert len(await ids(store)) == len(Action)
    assert unrecorded == []


async def test_permitted_reads_are_recorded_where_that_is_set(store: Store, unrecorded: list[int]) -> None:
    """Not by default: there are thousands a second. What is stored with its run is not stored twice."""
    for settings, expected in ((PolicySettings(), 0), (PolicySettings(record_permitted_reads=True), 1)):
        async with recorded(store, unrecorded, allow=True, settings=settings) as policy:
            for action in (Action.RUNS_READ, Action.RUNS_SUBMIT, Action.RUNS_RETRY, Action.RUNS_PLACE):
                await policy.decide(question(action))
        assert len(await ids(store)) == expected


async def test_a_flood_of_one_tenant_leaves_room_for_others(store: Store, unrecorded: list[int]) -> None:
    """What is too much is counted."""
    async with recorded(store, unrecorded, allow=False) as policy:
        for _ in range(WAITING_OF_TENANT + 7):
            await policy.decide(question())
        await policy.decide(question(tenant="research"))
    assert len(await ids(store)) == WAITING_OF_TENANT + 1
    assert sum(unrecorded) == 7


async def test_a_large_document_is_not_kept_with_its_refusal(store: Store, unrecorded: list[int]) -> None:
    """Or 10,000 refusals of a MiB each would fill the disk."""
    async with recorded(store, unrecorded, allow=False) as policy:
        await policy.decide(question(workflow=b'"' + b"x" * DOCUMENT_MAXIMUM + b'"'))
        await policy.decide(question(workflow=b"{}"))
    found = [await store.recorded_decision(name) for name in ("d0001", "d0002")]
    assert [entry and entry.decision.question and entry.decision.question.workflow for entry in found] == [
        None,
        b"{}",
    ]


async def test_a_store_that_takes_no_refusals_changes_no_answer(unrecorded: list[int]) -> None:
    """They are counted as lost."""
    policy = recorded(Full(), unrecorded, allow=False)
    assert (await policy.decide(question())).fault == ""
    await policy.flush()
    assert unrecorded == [1]
