"""Tests external deployments as a kind of release, by the conformance suite and by what is theirs alone."""

import math

import httpx
import pytest

from gateway.core.history import DeploymentDetail
from gateway.rollback.evidence import NoEvidence
from gateway.store.acts import ActQuery
from tests.conformance.release_alerts import AFTER, BEFORE
from tests.conformance.release_kind import ReleaseKindConformance
from tests.gateway.rollback.deployments.deployment_world import DeploymentWorld


class TestExternalDeployments(ReleaseKindConformance):
    """Deployments that another system rolls back when it is asked to."""


async def test_an_alert_that_names_no_version_is_about_the_newest(world: DeploymentWorld) -> None:
    await world.alert(subject="shop")
    await world.passes()
    assert await world.states() == AFTER


@pytest.mark.parametrize("subject", ["", "other", "shop@1.1", "shop@9", "shop@", "@1.2"])
async def test_an_alert_about_what_is_not_deployed_is_over(world: DeploymentWorld, subject: str) -> None:
    await world.alert(subject="shop@1.1" if subject == "shop@" else subject)
    await world.passes()
    assert (await world.states(), world.asked, world.requests) == (BEFORE, [], [])
    assert (await world.store.open_alerts(limit=9)).alerts == ()


@pytest.mark.parametrize(
    ("deployed", "why"),
    [
        (NoEvidence(why="Prometheus does not answer: ConnectError"), "does not answer"),
        ({}, "knows no version"),
        ({"1.2": math.nan, "1.1": 5.0}, "cannot be"),
        ({"1.2": -1.0, "1.1": 5.0}, "cannot be"),
        ({'1.2"}': 7.0, "1.1": 5.0}, "other characters"),
        ({"": 7.0}, "other characters"),
        ({"1.2": 7.0, "1.1": 7.0}, "at one time"),
    ],
)
async def test_where_the_version_is_not_known_a_person_is_paged(
    world: DeploymentWorld, monkeypatch: pytest.MonkeyPatch, deployed: object, why: str
) -> None:
    """Row 39: that Prometheus knows which version runs is part of the evidence."""
    before = await world.states()

    async def versions(_: str) -> object:
        return deployed

    monkeypatch.setattr(world, "versions", versions)
    await world.alert()
    await world.passes()
    (rollback,) = await world.rollbacks()
    assert (await world.states(), world.phases, world.requests) == (before, ["Frozen"], [])
    assert why in rollback.steps[0].detail


async def test_a_first_version_has_none_to_return_to(world: DeploymentWorld) -> None:
    del world.deployed["1.1"]
    await world.alert()
    await world.passes()
    assert (world.phases, world.requests) == (["Wanted"], [])


async def test_what_was_asked_for_is_in_the_audit(world: DeploymentWorld) -> None:
    await world.alert()
    await world.passes()
    (act,) = (await world.store.acts(ActQuery(tenants=None))).entries
    assert act.detail == DeploymentDetail(
        deployment="shop",
        version="1.2",
        returns_to="1.1",
        status=201,
        reason="ItGoesBadly: 40.0% are bad, 1.0% in the baseline",
    )
    assert (act.kind, act.actor) == ("DeploymentRolledBack", "rollback")


async def test_a_refused_request_is_a_failed_rollback(
    world: DeploymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person is paged, and it is not asked for a second time by another alert."""

    async def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403)

    monkeypatch.setattr(world, "receive", refuse)
    await world.alert()
    await world.passes()
    await world.alert(2)
    await world.passes(2_000)
    assert (await world.states(), world.phases) == (BEFORE, ["Intended", "Failed"])
    (rollback,) = await world.rollbacks()
    assert rollback.steps[-1].detail == "the answer was 403"


async def test_a_restart_sends_the_same_key_again(
    world: DeploymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it the receiver sees that it has begun with this rollback before."""
    take_back = world.take_back

    async def slow(number: int) -> None:
        """Deploys nothing yet, as a pipeline that has just begun."""

    monkeypatch.setattr(world, "take_back", slow)
    await world.alert()
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "record_act", _crash)
        with pytest.raises(ZeroDivisionError):
            await world.passes()
    monkeypatch.setattr(world, "take_back", take_back)
    await world.passes(5)
    first, second = [request.headers["idempotency-key"] for request in world.requests]
    assert (first, await world.states()) == (second, AFTER)


async def _crash(*_: object) -> None:
    raise ZeroDivisionError
