"""Tests rollbacks in the API: the list in pages, and one rollback with its steps."""

import httpx

from gateway.core.decision import Action, Reason
from gateway.store.interface import Store
from tests.conformance.store_rollbacks import rollback
from tests.gateway.api.conftest import Rules

ROLLBACKS = "/v1/rollbacks"


async def test_rollbacks_are_listed_in_pages_and_told_one_by_one(
    client: httpx.AsyncClient, store: Store
) -> None:
    for release in "123":
        await store.write_rollback(rollback(release))
    page = (await client.get(ROLLBACKS, params={"limit": 2})).json()
    rest = (await client.get(ROLLBACKS, params={"limit": 2, "continue": page["continue"]})).json()
    assert [one["release"] for one in page["items"] + rest["items"]] == ["3", "2", "1"]
    assert rest["continue"] is None
    one = (await client.get(f"{ROLLBACKS}/{page['items'][0]['id']}")).json()
    assert (one["phase"], one["steps"][0]["seen"]) == ("Intended", {"failovers": 0.0})


async def test_what_is_no_rollback_is_not_found(client: httpx.AsyncClient) -> None:
    for name in ("1", "-1", "x", "9" * 17):
        assert (await client.get(f"{ROLLBACKS}/{name}")).status_code == 404
    assert (await client.get(ROLLBACKS, params={"continue": "MXg"})).status_code == 400


async def test_policy_decides_who_reads_them(client: httpx.AsyncClient, rules: Rules) -> None:
    rules.refused[Action.POLICY_READ] = Reason(rule="scope.missing", message="no")
    assert [(await client.get(path)).status_code for path in (ROLLBACKS, f"{ROLLBACKS}/1")] == [403, 403]
