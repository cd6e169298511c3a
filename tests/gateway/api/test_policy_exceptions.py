"""Tests exceptions from soft rules: requested by one person, approved by two, audited, revocable."""

import asyncio
from typing import Any

import httpx
import pytest

from gateway.api.http.services import Services
from gateway.core.decision import Action, Reason
from gateway.policy.rollout.bundle_states import Step
from gateway.store.acts import ActQuery
from gateway.store.decisions import DecisionQuery
from gateway.store.interface import Store
from gateway.submission.known_exceptions import KnownExceptions
from tests.gateway.api.callers import caller
from tests.gateway.api.conftest import Rules
from tests.gateway.policy.embedded.engines import EMPTY_DATA
from tests.gateway.policy.rollout.releases import ADA, archive

PATH = "/v1/policy/exceptions"


def asked(services: Services, **changes: Any) -> dict[str, Any]:
    return {
        "rule": "image.banned",
        "reason": "the mirror is down",
        "ticket": "OPS-7",
        "expires_at": services.clock() + 3_600,
    } | changes


def by(subject: str, tenant: str = "payments") -> dict[str, str]:
    return {"authorization": f"Bearer {tenant}.{subject}"}


async def ask(client: httpx.AsyncClient, services: Services, **changes: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json=asked(services, **changes), headers=by("ada"))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{PATH}/{found['id']}"
    return found


async def test_two_others_make_it_active(client: httpx.AsyncClient, services: Services) -> None:
    one = await ask(client, services)
    path = f"{PATH}/{one['id']}/approve"

    states = [(await client.post(path, headers=by(name))).json()["state"] for name in ("bob", "eve")]

    assert [one["state"], *states] == ["Pending", "Pending", "Active"]
    (listed,) = (await client.get(PATH, headers=by("ada"))).json()["items"]
    assert [approval["subject"] for approval in listed["approvals"]] == ["bob", "eve"]
    assert (await client.get(f"{PATH}/{one['id']}", headers=by("ada"))).json() == listed


async def test_who_asks_does_not_approve(client: httpx.AsyncClient, services: Services, store: Store) -> None:
    """The attempt is recorded: its decision as a refusal, and itself among the acts and in the trail."""
    one = await ask(client, services)

    answer = await client.post(f"{PATH}/{one['id']}/approve", headers=by("ada"))

    assert (answer.status_code, answer.json()["reasons"][0]["rule"]) == (403, "approval.own")
    (refused,) = (await store.decisions(DecisionQuery(tenants=None, refused=True))).decisions
    assert refused.decision.id == answer.json()["decision_id"]
    assert (refused.decision.allow, refused.decision.rules) == (False, ("approval.own",))
    act = (await store.acts(ActQuery(tenants=None))).entries[0]
    assert (act.kind, act.actor, act.decision_id) == ("ExceptionApprovalRefused", "ada", refused.decision.id)
    *_, sealed = (await store.trail(after=0)).entries.values()
    assert (sealed["kind"], sealed["decision"]["allow"]) == ("ExceptionApprovalRefused", False)


async def test_a_person_counts_once_and_may_repeat_a_lost_call(
    client: httpx.AsyncClient, services: Services
) -> None:
    one = await ask(client, services)
    path = f"{PATH}/{one['id']}/approve"

    answers = [await client.post(path, headers=by("bob")) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [len(answer.json()["approvals"]) for answer in answers] == [1, 1, 1]


async def test_approvals_at_once_are_all_counted_once(
    client: httpx.AsyncClient, services: Services, store: Store
) -> None:
    """Each compares and swaps, and looks again where another was quicker."""
    one = await ask(client, services)
    path = f"{PATH}/{one['id']}/approve"

    await asyncio.gather(*(client.post(path, headers=by(name)) for name in ("bob", "eve") * 3))

    stored = await store.exception(one["id"])
    assert stored is not None
    assert sorted(approval.subject for approval in stored.approvals) == ["bob", "eve"]


async def test_each_act_is_audited_with_who_why_and_by_which_decision(
    client: httpx.AsyncClient, services: Services, store: Store
) -> None:
    one = await ask(client, services)
    for act, name in (("approve", "bob"), ("approve", "eve"), ("revoke", "bob"), ("revoke", "bob")):
        await client.post(f"{PATH}/{one['id']}/{act}", headers=by(name))

    found = (await store.acts(ActQuery(tenants=None))).entries[::-1]

    kinds = ["ExceptionAsked", "ExceptionApproved", "ExceptionApproved", "ExceptionRevoked"]
    assert [(entry.kind, entry.actor) for entry in found] == list(
        zip(kinds, ("ada", "bob", "eve", "bob"), strict=True)
    )
    assert all(entry.decision_id for entry in found)
    assert {(entry.detail.ticket, entry.detail.reason) for entry in found} == {  # type: ignore[attr-defined]
        ("OPS-7", "the mirror is down")
    }
    trail = await store.trail(after=0)
    assert [entry["kind"] for entry in trail.entries.values()] == kinds
    assert (await store.acts(ActQuery(tenants=("research",)))).entries == ()


async def test_what_is_revoked_or_expired_is_not_approved(
    client: httpx.AsyncClient, services: Services, store: Store
) -> None:
    one = await ask(client, services)
    revoked = await client.post(f"{PATH}/{one['id']}/revoke", headers=by("ada"))

    answer = await client.post(f"{PATH}/{one['id']}/approve", headers=by("bob"))

    assert (revoked.json()["state"], answer.status_code) == ("Revoked", 409)
    assert (await client.get(PATH, headers=by("ada"))).json()["items"] == []
    assert len((await client.get(f"{PATH}?ended=true", headers=by("ada"))).json()["items"]) == 1


@pytest.mark.parametrize("set_by", [-3_600.0, 3_600.0])
async def test_its_end_is_compared_with_the_wall_clock_as_it_is_set_now(
    services: Services, set_by: float
) -> None:
    """Who asks reads that one. The gateway's own clock is where the wall clock was before it was set."""
    wall = services.clock() + set_by
    async with caller(services, "payments.ada", wall_clock=lambda: wall) as client:
        taken = await client.post(PATH, json=asked(services, expires_at=wall + 60.0))
        over = await client.post(PATH, json=asked(services, expires_at=wall - 60.0))
        assert (taken.status_code, taken.json().get("state"), over.status_code) == (201, "Pending", 422)
        wall += 60.0
        path = f"{PATH}/{taken.json()['id']}"
        assert (await client.get(path)).json()["state"] == "Expired"
        assert (await client.post(f"{path}/approve", headers=by("bob"))).status_code == 409


@pytest.mark.parametrize("act", ["", "/approve", "/revoke"])
async def test_another_tenants_exception_is_not_found(
    client: httpx.AsyncClient, services: Services, act: str
) -> None:
    """It says what the tenant works around."""
    one = await ask(client, services)
    method = "POST" if act else "GET"

    answers = [
        await client.request(method, f"{PATH}/{name}{act}", headers=by("eve", "research"))
        for name in (one["id"], "nothing")
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert (await client.get(f"{PATH}?ended=true", headers=by("eve", "research"))).json()["items"] == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"rule": "scope.missing"}, "/rule"),
        ({"rule": ""}, "/rule"),
        ({"reason": ""}, "/reason"),
        ({"document": "abc"}, "/document"),
        ({"expires_at": 1.0}, "/expires_at"),
        ({"expires_at": 1e11}, "/expires_at"),
        ({"until": 1}, "/until"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said_with_its_place(
    client: httpx.AsyncClient, services: Services, changes: dict[str, Any], pointer: str
) -> None:
    answer = await client.post(PATH, json=asked(services, **changes), headers=by("ada"))

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("image.baned", "no rule that decides now has this id"),
        ("cost.centre", "this rule is advisory: exceptions are from soft rules alone"),
        ("b7", "this rule is hard: exceptions are from soft rules alone"),
        ("scope.missing", "this rule is about who calls: nothing is excepted from it"),
    ],
)
async def test_a_rule_that_is_not_soft_has_no_exception(
    client: httpx.AsyncClient, services: Services, rule: str, why: str
) -> None:
    """A misspelt id would wait for two approvals, and let nobody in."""
    levels = {"image.banned": "soft", "cost.centre": "advisory"}
    await services.rollout.upload(archive(7, data=EMPTY_DATA | {"levels": levels}), ADA)
    generation = services.rollout.current.generation
    await services.rollout.take(Step.ACTIVATE, 7, ADA, expected=generation)

    answer = await client.post(PATH, json=asked(services, rule=rule), headers=by("ada"))

    assert (answer.status_code, answer.json()["errors"]) == (422, [{"pointer": "/rule", "detail": why}])
    assert "document" not in answer.json()["detail"]
    await ask(client, services)


@pytest.mark.parametrize(
    ("action", "act"),
    [
        (Action.EXCEPTIONS_ASK, ""),
        (Action.EXCEPTIONS_APPROVE, "/approve"),
        (Action.EXCEPTIONS_REVOKE, "/revoke"),
    ],
)
async def test_policy_decides_who_may(
    client: httpx.AsyncClient, services: Services, rules: Rules, action: Action, act: str
) -> None:
    """With the exception in the question."""
    one = await ask(client, services)
    rules.refused[action] = Reason(rule="scope.missing", message="no")

    answer = await client.post(f"{PATH}/{one['id']}{act}" if act else PATH, json=asked(services))

    assert answer.status_code == 403
    assert rules.asked[-1].context["exception"]["rule"] == "image.banned"


async def test_a_tenant_has_so_many_open_at_once(client: httpx.AsyncClient, services: Services) -> None:
    """They are kept in memory; those that are over do not count."""
    maximum = services.settings.policy.exceptions_of_tenant
    first, *_ = [await ask(client, services) for _ in range(maximum)]

    assert (await client.post(PATH, json=asked(services), headers=by("ada"))).status_code == 429
    await client.post(f"{PATH}/{first['id']}/revoke", headers=by("ada"))
    await ask(client, services)


async def test_what_is_stored_counts_after_a_restart(
    client: httpx.AsyncClient, services: Services, store: Store
) -> None:
    one = await ask(client, services)
    known = KnownExceptions()

    await known.load(store, now=services.wall_clock())

    assert known.count("payments", now=services.clock()) == 1
    await client.post(f"{PATH}/{one['id']}/revoke", headers=by("ada"))
    again = KnownExceptions()
    await again.load(store, now=services.wall_clock())
    assert again.count("payments", now=services.clock()) == 0
