"""Tests what an operator may do with a region through the API."""

import asyncio

import httpx
import pytest
from msgspec import structs

from gateway.api import regions
from gateway.core.decision import Action, Reason
from gateway.core.history import OperationDetail
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView
from gateway.store.interface import Store
from tests.gateway.api.conftest import Rules


@pytest.fixture
def lost(views: list[RegionView]) -> None:
    """Makes the region beijing unreachable in the views."""
    views[0] = structs.replace(views[0], condition=RegionCondition.UNREACHABLE)


async def test_the_journal_of_a_region_that_answers_is_not_given_up(
    client: httpx.AsyncClient, store: Store
) -> None:
    """It would stay so until some other disk comes along, and nobody would remember."""
    await store.bind_incarnation("beijing", "old")
    refused = await client.post("/v1/regions/beijing/replace")
    assert (refused.status_code, "its own journal answers" in refused.json()["detail"]) == (409, True)
    assert await store.bind_incarnation("beijing", "new") == "old"


@pytest.mark.usefixtures("lost")
async def test_a_lost_journal_is_given_up_once(client: httpx.AsyncClient, store: Store) -> None:
    """The next journal that answers takes the name; there is nothing to give up a second time."""
    await store.bind_incarnation("beijing", "old")

    assert (await client.post("/v1/regions/beijing/replace")).json() == {"region": "beijing"}
    assert await store.bind_incarnation("beijing", "new") == "new"
    await store.release_incarnation("beijing", entry=(await store.history(""))[0])
    assert (await client.post("/v1/regions/beijing/replace")).status_code == 409


@pytest.mark.usefixtures("lost")
async def test_the_history_has_who_gave_a_journal_up(client: httpx.AsyncClient, store: Store) -> None:
    """Placing work a second time is an operator's decision, and is recorded under the operator's name."""
    await store.bind_incarnation("beijing", "old")
    await client.post("/v1/regions/beijing/replace")

    (entry,) = await store.history("")
    assert isinstance(entry.detail, OperationDetail)
    assert (entry.kind, entry.actor, entry.detail.region) == ("JournalReleased", "ada", "beijing")


async def test_it_takes_a_right_and_a_region(client: httpx.AsyncClient, rules: Rules) -> None:
    """Unknown regions are 404; policy has the first word."""
    assert (await client.post("/v1/regions/atlantis/replace")).status_code == 404

    rules.refused[Action.REGIONS_OPERATE] = Reason(rule="scope.missing", message="needs regions:operate")
    assert (await client.post("/v1/regions/beijing/replace")).status_code == 403


async def test_a_region_is_shown_with_what_placement_sees(
    client: httpx.AsyncClient, views: list[RegionView]
) -> None:
    """Names, order and number of the fields are those that callers have been given."""
    views[:] = [
        structs.replace(
            views[0],
            condition=RegionCondition.WARMING,
            reason="slow start",
            since=17.5,
            weight=0.5,
            peak_ewma_seconds=0.25,
            inflight=2,
            taints=frozenset({Taint.CORDONED}),
        )
    ]

    assert (await client.get("/v1/regions")).text == (
        '{"items":[{"name":"beijing","condition":"Warming","reason":"slow start","since":17.5,"score":1.5,'
        '"weight":0.5,"peak_ewma_seconds":0.25,"free_slots":8,"inflight":2,"cordoned":true,'
        '"avoided":false,"forgotten":false,"executors":["delay","process"],'
        '"isolation":null,"trusted_tenants":false,'
        '"cordoned_by":"","cordoned_by_routing":null}],"cut_off":false}'
    )


async def test_a_region_is_cordoned_and_taken_back(client: httpx.AsyncClient, store: Store) -> None:
    """Saying it twice changes nothing, and is noted once."""
    for _ in range(2):
        answer = await client.post("/v1/regions/beijing/cordon")
        assert (answer.status_code, answer.json()) == (
            200,
            {"region": "beijing", "cordoned": True, "inflight": 0},
        )
    assert await store.taints() == {"beijing": {Taint.CORDONED}}

    assert (await client.post("/v1/regions/beijing/uncordon")).json()["cordoned"] is False
    assert (await client.post("/v1/regions/beijing/uncordon")).status_code == 200
    assert await store.taints() == {}
    assert [(entry.kind, entry.actor) for entry in await store.history("")] == [
        ("Cordoned", "ada"),
        ("Uncordoned", "ada"),
    ]


async def test_a_drain_is_answered_once_nothing_more_can_come(
    client: httpx.AsyncClient, store: Store, views: list[RegionView]
) -> None:
    """What was decided before the controller read the cordon is counted: it may still be on its way there."""
    asked = asyncio.create_task(client.post("/v1/regions/beijing/drain"))
    while not await store.taints():
        await asyncio.sleep(0)
    assert not asked.done()
    views[0] = structs.replace(views[0], taints=frozenset({Taint.CORDONED}), inflight=3)

    assert (await asked).json() == {"region": "beijing", "cordoned": True, "inflight": 3}


async def test_a_drain_that_nobody_keeps_to_is_not_done(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty region is no drained one while the controller does not know."""
    monkeypatch.setattr(regions, "CORDON_POLL_SECONDS", 0.0)

    assert (await client.post("/v1/regions/beijing/drain")).status_code == 503


async def test_only_an_unreachable_region_is_forgotten(
    client: httpx.AsyncClient, store: Store, views: list[RegionView]
) -> None:
    """Giving up one that answers would leave its work running unseen; the refusal says what to do."""
    refused = await client.post("/v1/regions/beijing/forget")
    assert refused.status_code == 409
    assert "drain" in refused.json()["detail"]
    assert await store.taints() == {}

    views[0] = structs.replace(views[0], condition=RegionCondition.UNREACHABLE, inflight=3)
    assert (await client.post("/v1/regions/beijing/forget")).status_code == 202
    assert await store.taints() == {"beijing": {Taint.FORGOTTEN}}


@pytest.mark.parametrize("path", ["cordon", "drain", "uncordon", "forget", "replace"])
async def test_every_operation_on_a_region_takes_a_right(
    client: httpx.AsyncClient, store: Store, rules: Rules, path: str
) -> None:
    """Policy has the first word, and sees which region it is about."""
    rules.refused[Action.REGIONS_OPERATE] = Reason(rule="scope.missing", message="needs regions:operate")

    assert (await client.post(f"/v1/regions/beijing/{path}")).status_code == 403
    assert rules.asked[-1].context == {"region": "beijing"}
    assert await store.taints() == {}
