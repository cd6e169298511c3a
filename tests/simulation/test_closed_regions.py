"""Tests that what house rules close is closed to placement and to a failover, on both policy engines."""

from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from gateway.core.decision import Decision, Question
from gateway.core.shard_states import Phase
from gateway.documents.workflow import Workflow
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, read_bundle
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.settings import FailoverSettings
from gateway.store.sqlite.store import SqliteStore
from tests.opa_fixture import needs_opa, opa_with
from tests.simulation.scenario import cut, placed, run, workflow
from tests.simulation.store_and_policy import ChangingPolicy
from tests.simulation.world import REGIONS, World

HOUSE_RULES = """package waypost.house

closed contains {"region": "shenzhen", "rule": "class.pii", "message": "no pii in shenzhen"} if {
	input.workflow.spec.dataClass == "pii"
}

closed contains region if {
	input.at >= data.house.night
	input.at < data.house.morning
	some region in data.house.closed_at_night
}
"""


def bundle_with(*, night: float, morning: float = 1e12, closed_at_night: tuple[str, ...]) -> Bundle:
    """Returns the shipped rules with house rules that close regions: to data of class pii, and by night."""
    bundle = read_bundle(SHIPPED_POLICIES, None)
    data = {
        "tenants": {"t": {"regions": REGIONS}},
        "residency": {"pii": REGIONS},
        "house": {"night": night, "morning": morning, "closed_at_night": closed_at_night},
    }
    modules = (*bundle.source.modules, ("house/closed.rego", HOUSE_RULES))
    source = structs.replace(bundle.source, modules=modules, data=msgspec.json.encode(data).decode())
    return structs.replace(bundle, source=source, tests=())


class RulesOfTheHouse(ChangingPolicy):
    """A policy that a real engine decides; it keeps the decisions."""

    def __init__(self, engine: PolicyEngine) -> None:
        super().__init__(lambda: REGIONS)
        self.engine = engine
        self.decisions: list[Decision] = []

    async def decide(self, question: Question) -> Decision:
        decision = await self.engine.decide(question)
        assert not decision.fault, decision
        self.decisions.append(decision)
        return decision


def personal(document: Workflow) -> Workflow:
    return structs.replace(document, spec=structs.replace(document.spec, data_class="pii"))


@pytest.mark.parametrize("kind", ["embedded", pytest.param("opa", marks=needs_opa)])
async def test_a_failover_goes_to_no_region_that_a_house_rule_closes(
    kind: str, store: SqliteStore, tmp_path: Path
) -> None:
    """Accepted by day for all regions; by night one is closed to all, another always to the run's data."""
    world = World(store, 1, trouble=1e-9, failover=FailoverSettings(decision_fresh_seconds=10.0))
    bundle = bundle_with(night=world.now.wall + 12, closed_at_night=("shanghai",))
    async with AsyncExitStack() as stack:
        if kind == "opa":
            opa = await stack.enter_async_context(opa_with(tmp_path, bundle))
            engine: PolicyEngine = OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10)
        else:
            engine = EmbeddedPolicyEngine(bundle=bundle, inline_seconds=10)
        policy = RulesOfTheHouse(await stack.enter_async_context(engine))
        world.policy = policy
        await world.start_gateway()
        await run(world, 5)
        await world.submit(personal(workflow(300.0, shards=12)))
        await run(world, 2)
        assert set(placed(world)) == set(REGIONS)
        await run(world, 11)
        cut(world, "shenzhen")
        await run(world, 40)

        moved = [shard for shard in world.shards.values() if shard.epoch > 1]
        assert moved and {shard.region for shard in moved} == {"beijing"}
        decision = policy.decisions[-1]
        assert (decision.allow, decision.obligations.regions) == (True, ("beijing",))
        assert {"class.pii", "house"} <= set(decision.rules)


async def test_a_run_waits_while_every_region_is_closed_to_it(store: SqliteStore) -> None:
    """By night its shards have no place after the loss of their region; in the morning they move."""
    world = World(store, 1, trouble=1e-9, failover=FailoverSettings(decision_fresh_seconds=10.0))
    night = world.now.wall + 12
    bundle = bundle_with(night=night, morning=night + 60, closed_at_night=REGIONS)
    async with EmbeddedPolicyEngine(bundle=bundle, inline_seconds=10) as engine:
        policy = RulesOfTheHouse(engine)
        world.policy = policy
        await world.start_gateway()
        await run(world, 5)
        await world.submit(workflow(300.0, shards=12))
        await run(world, 13)
        cut(world, "shenzhen")
        await run(world, 45)
        waiting = [shard for shard in world.shards.values() if shard.phase is Phase.PENDING]
        assert waiting and not any(shard.epoch > 1 for shard in world.shards.values())
        assert {"house", "placement.nowhere"} == set(policy.decisions[-1].rules)

        await run(world, 60)
        assert {world.shards[shard.key].region for shard in waiting} <= {"beijing", "shanghai"}
        assert policy.decisions[-1].allow
