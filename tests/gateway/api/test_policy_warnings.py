"""Tests what people are told of policy bundles that were rolled back before, and of those not in force."""

import httpx

from tests.gateway.api.conftest import Rules
from tests.gateway.api.test_policy_bundles import BUNDLES, step
from tests.gateway.policy.rollout.releases import archive, rules


async def upload(client: httpx.AsyncClient, sequence: int) -> httpx.Response:
    answer = await client.post(BUNDLES, content=archive(sequence, rules("same")))
    assert answer.status_code == 201, answer.text
    return answer


async def test_rules_that_were_rolled_back_are_named_when_they_are_released_again(
    client: httpx.AsyncClient,
) -> None:
    """Under another sequence number they would look like a new release."""
    assert (await upload(client, 7)).json()["rolled_back_as"] == []
    await step(client, "activate", 7)
    assert (await step(client, "rollback", 7)).json()["rolled_back_as"] == []

    assert (await upload(client, 8)).json()["rolled_back_as"] == [7]
    assert (await client.post(BUNDLES, content=archive(9))).json()["rolled_back_as"] == []
    assert (await step(client, "activate", 8)).json()["rolled_back_as"] == [7]
    listed = (await client.get(BUNDLES)).json()["items"]
    assert {one["sequence"]: one["rolled_back_as"] for one in listed} == {9: [], 8: [7], 7: []}
    assert (await client.get(f"{BUNDLES}/8")).json()["rolled_back_as"] == [7]


async def test_a_bundle_that_the_engine_has_not_taken_is_not_in_force(
    client: httpx.AsyncClient, rules: Rules
) -> None:
    """An OPA goes on with what it holds, as after a rollback to a bundle that its key has not signed."""
    revision = (await upload(client, 7)).json()["revision"]
    assert (await client.get(BUNDLES)).json()["not_in_force"] == ""
    rules.revision = "held"
    answer = (await step(client, "activate", 7)).json()
    expected = "bundle 7 is active, and revision held decides: its engine has not taken "
    assert answer["not_in_force"].startswith(f"{expected}revision {revision} yet")
    assert (await client.get(BUNDLES)).json()["not_in_force"] == answer["not_in_force"]
    rules.revision = revision
    assert (await client.get(BUNDLES)).json()["not_in_force"] == ""
