"""What an operator may say of a region."""

import httpx

from gateway.core.principal import Action, Reason
from gateway.store.interface import Store
from tests.gateway.api.conftest import Rules


async def test_a_lost_journal_is_let_go_once(client: httpx.AsyncClient, store: Store) -> None:
    """The next journal that answers takes the name; there is nothing to let go a second time."""
    await store.admit_incarnation("beijing", "old")

    assert (await client.post("/v1/regions/beijing/replace")).json() == {"region": "beijing"}
    assert await store.admit_incarnation("beijing", "new") == "new"
    await store.release_incarnation("beijing", audit=(await store.audit(""))[0])
    assert (await client.post("/v1/regions/beijing/replace")).status_code == 409


async def test_it_is_kept_who_let_it_go(client: httpx.AsyncClient, store: Store) -> None:
    """Placing work anew because somebody said so is somebody's decision."""
    await store.admit_incarnation("beijing", "old")
    await client.post("/v1/regions/beijing/replace")

    (entry,) = await store.audit("")
    assert (entry.kind, entry.actor, entry.detail["region"]) == ("JournalReleased", "ada", "beijing")


async def test_it_takes_a_right_and_a_region(client: httpx.AsyncClient, rules: Rules) -> None:
    """Unknown regions are 404; policy has the first word."""
    assert (await client.post("/v1/regions/atlantis/replace")).status_code == 404

    rules.refused[Action.REGIONS_OPERATE] = Reason(rule="scope.missing", message="needs regions:operate")
    assert (await client.post("/v1/regions/beijing/replace")).status_code == 403
