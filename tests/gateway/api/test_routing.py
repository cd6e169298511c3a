"""Tests the routing in the API: revisions that are applied, listed and rolled back."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.core.decision import Action, Obligations, Reason
from gateway.core.history import RoutingDetail
from gateway.regions.region_condition import Taint
from gateway.regions.region_view import RegionView
from gateway.regions.routing import RegionRouting
from gateway.settings import RegionTarget
from gateway.store.interface import Store
from tests.gateway.api.conftest import REGIONS, Rules

ROUTING = "/v1/routing"


def document(weight: float) -> dict[str, Any]:
    return {"regions": {"beijing": {"weight": weight}}}


@pytest.fixture
def services(services: Services) -> Services:
    """The services of a gateway whose settings have the regions of the tests."""
    regions = tuple(RegionTarget(name=name, url="embedded+https://127.0.0.1:1") for name in REGIONS)
    return structs.replace(services, settings=structs.replace(services.settings, regions=regions))


async def applied(client: httpx.AsyncClient, *weights: float) -> list[int]:
    return [(await client.post(ROUTING, json=document(weight))).status_code for weight in weights]


async def rolled_back(client: httpx.AsyncClient, number: int, tag: str | None = None) -> httpx.Response:
    tag = tag or (await client.get(ROUTING)).headers["etag"]
    return await client.post(f"{ROUTING}/{number}/rollback", headers={"if-match": tag})


async def test_a_revision_is_applied_once_and_rolled_back(client: httpx.AsyncClient, store: Store) -> None:
    """And each change stands in the audit trail, with the decision that has allowed it."""
    assert await applied(client, 1, 2, 2) == [201, 201, 200]
    assert (await rolled_back(client, 2)).status_code == 200
    found = (await client.get(ROUTING)).json()
    assert [(one["number"], one["state"], one["regions"]) for one in found["revisions"]] == [
        (1, "Active", {"beijing": {"weight": 1.0}}),
        (2, "RolledBack", {"beijing": {"weight": 2.0}}),
    ]
    details = [entry.detail for entry in await store.history("") if isinstance(entry.detail, RoutingDetail)]
    assert [(one.routing, one.in_force) for one in details] == [(1, 1), (2, 2), (2, 1)]
    assert all(one.decision_id for one in details)
    acts = (await client.get("/v1/audit", params={"kind": "RoutingRolledBack"})).json()["items"]
    assert [act["actor"] for act in acts] == ["ada"]


@pytest.mark.parametrize(("tenants", "name"), [(("*",), "ada"), (("demo",), ""), (None, "")])
async def test_a_cordon_says_by_whom_and_by_what(
    client: httpx.AsyncClient,
    views: list[RegionView],
    rules: Rules,
    tenants: tuple[str, ...] | None,
    name: str,
) -> None:
    """An operator's cordon and that of a routing revision end in different ways.

    Names of operators are for those who may end a cordon, as policy says.
    """
    rules.obligations = Obligations(tenants=tenants)
    await applied(client, 1)
    await client.post("/v1/regions/beijing/cordon")
    views[0] = structs.replace(views[0], taints=frozenset({Taint.CORDONED}))
    views[1] = structs.replace(views[1], routing=RegionRouting(cordon=True))
    found = (await client.get("/v1/regions")).json()["items"]
    assert [(one["cordoned_by"], one["cordoned_by_routing"]) for one in found] == [(name, None), ("", 1)]


async def test_what_cannot_be_done_is_refused(client: httpx.AsyncClient) -> None:
    """Content that was rolled back, a revision that is not in force, none at all, an old state."""
    await applied(client, 1, 2)
    tag = (await client.get(ROUTING)).headers["etag"]
    assert (await rolled_back(client, 1)).status_code == 409
    assert (await rolled_back(client, 9)).status_code == 404
    assert (await client.post(f"{ROUTING}/2/rollback")).status_code == 428
    await rolled_back(client, 2)
    assert (await rolled_back(client, 1, tag)).status_code == 412
    assert await applied(client, 2) == [409]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"regions": {"atlantis": {}}}, "/regions/atlantis"),
        ({"regions": {"beijing": {"weight": 0}}}, "/regions/beijing/weight"),
        ({"regions": {"beijing": {"weight": 1e9}}}, "/regions/beijing/weight"),
        ({"regions": {"beijing": {"share": 3}}}, "/regions/beijing"),
        ({"regions": {"beijing": {"cordon": 1}}}, "/regions/beijing/cordon"),
        ({"regions": {name: {"cordon": True} for name in REGIONS}}, "/regions"),
    ],
)
async def test_each_mistake_has_a_pointer(client: httpx.AsyncClient, body: Any, pointer: str) -> None:
    answer = await client.post(ROUTING, json=body)
    assert answer.status_code == 422
    assert [error["pointer"].startswith(pointer) for error in answer.json()["errors"]] == [True]
    assert (await client.get(ROUTING)).json()["revisions"] == []


async def test_it_takes_a_right_of_its_own(client: httpx.AsyncClient, rules: Rules) -> None:
    """Who may cordon a region may not therefore move the work of all."""
    rules.refused[Action.ROUTING_OPERATE] = Reason(rule="scope.missing", message="needs routing:operate")
    assert (await client.post(ROUTING, json=document(1))).status_code == 403
    assert (await client.post(f"{ROUTING}/1/rollback", headers={"if-match": '"1"'})).status_code == 403
    assert [asked.context for asked in rules.asked] == [
        {"routing": {"operation": "apply"}},
        {"routing": {"operation": "rollback", "revision": 1}},
    ]


async def test_uncordon_says_that_the_routing_still_cordons(
    client: httpx.AsyncClient, views: list[RegionView]
) -> None:
    views[0] = structs.replace(views[0], routing=RegionRouting(cordon=True, avoid=True))
    assert (await client.post("/v1/regions/beijing/uncordon")).json()["cordoned"] is True
    (shown,) = [one for one in (await client.get("/v1/regions")).json()["items"] if one["name"] == "beijing"]
    assert (shown["cordoned"], shown["avoided"]) == (True, True)
