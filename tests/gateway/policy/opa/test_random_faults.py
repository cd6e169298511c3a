"""Whatever an OPA answers, only a clear permission permits."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from gateway.core.errors import Denied, Unavailable
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.submission.authorize import authorize
from tests.conformance.policy_engine import submission
from tests.gateway.policy.opa.faulty_opa import body_of, faulty_opa, response, sending
from tests.gateway.policy.opa.random_faults import random_fault

CLEAR = sending(response(body_of()))


async def test_no_fault_permits_and_none_is_our_own(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A caller gets 503 or 403 for each of them, never a permission and never a 500."""
    wanted, rng = int(request.config.getoption("--faults")), random.Random(10)
    outcomes: Counter[str] = Counter()
    async with faulty_opa(tmp_path) as opa, OpaPolicyEngine(opa.address, deadline_seconds=0.5) as engine:
        for number in range(wanted):
            # Clear answers between keep the breaker closed, so that each fault is really met.
            if number % 4 == 0:
                opa.answer = CLEAR
                await engine.decide(submission())
            opa.answer = random_fault(rng)
            # One is asked for alone, the others share a call.
            asked = 1 if number % 5 else 5
            outcomes.update(await asyncio.gather(*(outcome(engine) for _ in range(asked))))
        opa.answer = CLEAR
        assert (await engine.decide(submission())).allow is True
    assert outcomes.keys() <= {"Denied", "Unavailable"}
    assert outcomes.total() >= wanted
    assert opa.asked >= wanted * 1.2


async def outcome(engine: OpaPolicyEngine) -> str:
    try:
        await authorize(submission(), policy=engine)
    except (Denied, Unavailable) as error:
        return type(error).__name__
    return "allowed"
