"""Runs the simulation with its policy on a real OPA whose answers are often randomly faulty."""

from collections import Counter
from pathlib import Path

from msgspec import structs

from gateway.core.decision import Decision, Question
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.policy.source import PolicySource
from tests.gateway.policy.opa.faulty_opa import FaultyOpa, faulty_opa
from tests.gateway.policy.opa.random_faults import Dice, random_fault
from tests.opa_fixture import bundle_of, needs_opa, opa_with
from tests.simulation.store_and_policy import ChangingPolicy
from tests.simulation.test_simulation import simulate
from tests.simulation.world import World

pytestmark = needs_opa
RULES = """package waypost.placement
import rego.v1
decision := {"allow": true, "rules": [], "reasons": [], "obligations": {"regions": input.context.permitted}}
"""
SUBMISSION = bundle_of("decision := false")
BUNDLE = structs.replace(
    SUBMISSION,
    source=PolicySource(modules=(("placement.rego", RULES),), data="{}", entry_points=()),
    revision="simulated",
)


class PolicyByOpa(ChangingPolicy):
    """A policy that decides as `ChangingPolicy` does by calling an OPA, often a faulty one."""

    def __init__(
        self,
        world: World,
        real: OpaPolicyEngine,
        faulty: OpaPolicyEngine,
        fake: FaultyOpa,
        outcomes: Counter[tuple[str, bool]],
    ) -> None:
        super().__init__(lambda: world.permitted[-1][1])
        self._world, self._real, self._faulty, self._fake = world, real, faulty, fake
        self._rng = Dice(world.rng.random())
        self._outcomes = outcomes

    async def decide(self, question: Question) -> Decision:
        self.asked.append(question)
        fails = bool(self._world.trouble) and self._rng.random() < 0.5
        if fails:
            self._fake.answer = random_fault(self._rng)
        context = {**question.context, "permitted": list(self._regions())}
        engine = self._faulty if fails else self._real
        decision = await engine.decide(structs.replace(question, context=context))
        self._outcomes["faulty" if fails else "real", decision.allow] += 1
        return decision


async def test_the_invariants_hold_with_an_opa_that_often_answers_badly(tmp_path: Path) -> None:
    """A run whose policy cannot answer waits, goes nowhere that it may not, and ends all the same."""
    outcomes: Counter[tuple[str, bool]] = Counter()
    async with (
        opa_with(tmp_path, BUNDLE) as opa,
        faulty_opa(tmp_path) as fake,
        OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10) as real,
        OpaPolicyEngine(fake.address, deadline_seconds=0.05) as faulty,
    ):

        def policy(world: World) -> PolicyByOpa:
            return PolicyByOpa(world, real, faulty, fake, outcomes)

        for seed in range(6):
            world = await simulate(seed, trouble=1.0, seconds=120, runs=12, policy=policy)
            assert world.done(), seed
    assert outcomes["real", True] > 10 and outcomes["faulty", False] > 5
    assert (outcomes["faulty", True], outcomes["real", False]) == (0, 0)
